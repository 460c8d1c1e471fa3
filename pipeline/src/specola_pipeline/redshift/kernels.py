"""The inner loops, compiled: small constrained least squares, once for each template and redshift."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["TERMS", "scan_templates", "solve"]

TERMS = 4
"""Terms of the polynomial in ln(wavelength) by which a template is multiplied."""


@numba.njit(cache=True)
def _cholesky_solve(a, b, n):  # type: ignore[no-untyped-def]
    """Solve a x = b for the first n unknowns in place of b; False where a is not positive definite."""
    for i in range(n):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            if i == j:
                if total <= 0.0:
                    return False
                a[i, i] = np.sqrt(total)
            else:
                a[i, j] = total / a[j, j]
    for i in range(n):
        total = b[i]
        for k in range(i):
            total -= a[i, k] * b[k]
        b[i] = total / a[i, i]
    for i in range(n - 1, -1, -1):
        total = b[i]
        for k in range(i + 1, n):
            total -= a[k, i] * b[k]
        b[i] = total / a[i, i]
    return True


@numba.njit(cache=True)
def _one(moments, right, self_, line, cross, spread, penalty, least, coefficients):  # type: ignore[no-untyped-def]
    """Largest reduction of chi-square by a continuum times a polynomial and non-negative line groups.

    moments (2 TERMS - 1,): sums of weight x^m T^2; right (TERMS,): of weight d x^j T; self_, line (g,): of weight G^2 and
    weight d G; cross (TERMS, g): of weight x^j T G; spread (TERMS,): prior standard deviations of coefficient j
    relative to coefficient 0. coefficients (TERMS + g,) is filled. Groups are taken to be orthogonal to each other.
    """
    terms, count = right.size, line.size
    active = np.empty(count, dtype=np.bool_)
    for g in range(count):
        active[g] = self_[g] > 0.0 and line[g] > 0.0
    a = np.empty((terms, terms))
    b = np.empty(terms)
    free = terms
    if moments[0] <= least:
        # Hardly any of the template falls on data.
        free = 0
    gain = 0.0
    for _ in range(2 * count + 6):
        if free:
            level = right[0] / moments[0]
            floor = 1.0 / moments[0]
            level = max(level * level, floor)
        for i in range(free):
            for j in range(free):
                a[i, j] = moments[i + j]
            a[i, i] *= 1 + 1e-10
            if i:
                a[i, i] += 1.0 / (spread[i] * spread[i] * level)
            b[i] = right[i]
        for g in range(count):
            if active[g]:
                for i in range(free):
                    b[i] -= cross[i, g] * line[g] / self_[g]
                    for j in range(free):
                        a[i, j] -= cross[i, g] * cross[j, g] / self_[g]
        gain = 0.0
        for i in range(terms + count):
            coefficients[i] = 0.0
        reduced = b.copy()
        if free and not _cholesky_solve(a, b, free):
            free -= 1
            continue
        for i in range(free):
            coefficients[i] = b[i]
            gain += reduced[i] * b[i]
        if free:
            # A continuum is not negative: looked at near both ends and at the middle.
            low = high = 0.0
            for i in range(free - 1, -1, -1):
                low = low * -0.8 + b[i]
                high = high * 0.8 + b[i]
            if b[0] < 0.0 or low < 0.0 or high < 0.0:
                free -= 1
                continue
        worst, which = 0.0, -1
        for g in range(count):
            if active[g]:
                value = line[g]
                for i in range(free):
                    value -= cross[i, g] * b[i]
                value /= self_[g]
                coefficients[terms + g] = value
                gain += line[g] * line[g] / self_[g]
                if value * np.sqrt(self_[g]) < worst:
                    worst, which = value * np.sqrt(self_[g]), g
        if which < 0:
            break
        active[which] = False
    for g in range(count):
        if active[g]:
            gain -= penalty
    return gain


@numba.njit(cache=True)
def scan_templates(moments, right, self_, line, cross, tau, spread, penalty):  # type: ignore[no-untyped-def]
    """Reduction of chi-square of every template at every lag; shape (templates, lags).

    moments (t, 2 TERMS - 1, lags), right (t, TERMS, lags), self_ and line (g, lags), cross (TERMS, g, lags), tau (t, g): the
    template's level under each group, by which ``cross`` is multiplied.
    """
    templates, lags = moments.shape[0], moments.shape[2]
    terms, count = right.shape[1], line.shape[0]
    gain = np.empty((templates, lags))
    least = np.empty(templates)
    for t in range(templates):
        least[t] = 1e-4 * moments[t, 0].max()
    coefficients = np.empty(terms + count)
    m = np.empty(moments.shape[1])
    r = np.empty(terms)
    s = np.empty(count)
    one = np.empty(count)
    x = np.empty((terms, count))
    for t in range(templates):
        for lag in range(lags):
            for i in range(m.size):
                m[i] = moments[t, i, lag]
            for i in range(terms):
                r[i] = right[t, i, lag]
            for g in range(count):
                s[g] = self_[g, lag]
                one[g] = line[g, lag]
                for i in range(terms):
                    x[i, g] = cross[i, g, lag] * tau[t, g]
            gain[t, lag] = _one(m, r, s, one, x, spread, penalty, least[t], coefficients)
    return gain


@numba.njit(cache=True)
def solve(moments, right, self_, line, cross, spread, penalty):  # type: ignore[no-untyped-def]
    """As `scan_templates` for one template at several redshifts (n, ...), with coefficients; shapes (n,), (n, TERMS + g)."""
    number = right.shape[0]
    gain = np.empty(number)
    coefficients = np.empty((number, right.shape[1] + line.shape[1]))
    for i in range(number):
        gain[i] = _one(moments[i], right[i], self_[i], line[i], cross[i], spread, penalty, 0.0, coefficients[i])
    return gain, coefficients

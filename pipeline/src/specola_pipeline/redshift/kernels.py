"""The inner loops, compiled: small constrained least squares, once for each template and redshift."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["TERMS", "add_pieces", "cholesky_solve", "scan_templates", "solve"]

TERMS = 4
"""Terms of the polynomial in ln(wavelength) by which a template is multiplied."""


@numba.njit(cache=True, fastmath={"contract", "reassoc", "arcp"})
def add_pieces(data, templates):  # type: ignore[no-untyped-def]
    """Sums over pieces p of data (p, m, frequencies) times templates (p, t, frequencies); shape (t, m, frequencies)."""
    pieces, rows, size = data.shape
    result = np.zeros((templates.shape[1], rows, size), dtype=np.complex128)
    for t in range(templates.shape[1]):
        for m in range(rows):
            for p in range(pieces):
                for f in range(size):
                    result[t, m, f] += data[p, m, f] * templates[p, t, f]
    return result


@numba.njit(cache=True)
def cholesky_solve(a, b, n):  # type: ignore[no-untyped-def]
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
def _one(moments, right, self_, line, cross, spread, penalty, least, coefficients, active, a, b, reduced):  # type: ignore[no-untyped-def]
    """Largest reduction of chi-square by a continuum times a polynomial and non-negative line groups.

    moments (2 TERMS - 1,): sums of weight x^m T^2; right (TERMS,): of weight d x^j T; self_, line (g,): of weight G^2 and
    weight d G; cross (TERMS, g): of weight x^j T G; spread (TERMS,): prior standard deviations of coefficient j
    relative to coefficient 0. coefficients (TERMS + g,) is filled. Groups are taken to be orthogonal to each other.
    active (g,), a (TERMS, TERMS), b and reduced (TERMS,) are work space, made once for very many calls.
    """
    terms, count = right.size, line.size
    for g in range(count):
        active[g] = self_[g] > 0.0 and line[g] > 0.0
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
            for j in range(i + 1):
                a[i, j] = moments[i + j]
            a[i, i] *= 1 + 1e-10
            if i:
                a[i, i] += 1.0 / (spread[i] * spread[i] * level)
            b[i] = right[i]
        gain = 0.0
        for g in range(count):
            if active[g]:
                inverse = 1.0 / self_[g]
                gain += line[g] * line[g] * inverse
                for i in range(free):
                    share = cross[i, g] * inverse
                    b[i] -= share * line[g]
                    for j in range(i + 1):
                        a[i, j] -= share * cross[j, g]
        for i in range(free):
            reduced[i] = b[i]
        if free and not cholesky_solve(a, b, free):
            free -= 1
            continue
        for i in range(free):
            gain += reduced[i] * b[i]
        if free:
            # A continuum is not negative: looked at near both ends and at the middle of where the template has weight.
            middle = moments[1] / moments[0]
            reach = 1.4 * np.sqrt(max(moments[2] / moments[0] - middle * middle, 0.0))
            low = centre = high = 0.0
            for i in range(free - 1, -1, -1):
                low = low * (middle - reach) + b[i]
                centre = centre * middle + b[i]
                high = high * (middle + reach) + b[i]
            if low < 0.0 or centre < 0.0 or high < 0.0:
                free -= 1
                continue
        for i in range(terms + count):
            coefficients[i] = 0.0
        for i in range(free):
            coefficients[i] = b[i]
        worst, which = 0.0, -1
        for g in range(count):
            if active[g]:
                value = line[g]
                for i in range(free):
                    value -= cross[i, g] * b[i]
                value /= self_[g]
                coefficients[terms + g] = value
                if value * np.sqrt(self_[g]) < worst:
                    worst, which = value * np.sqrt(self_[g]), g
        if which < 0:
            break
        active[which] = False
    for g in range(count):
        if active[g]:
            gain -= penalty
    return gain


@numba.njit(cache=True, fastmath={"contract", "reassoc", "arcp"})
def _bounds(moments, right, inverse, line, cross, tau, spread, least, together, bound):  # type: ignore[no-untyped-def]
    """Fill bound (lags,) with what the fit of one template would reduce without its constraints: never less than with them.

    Arguments as in `scan_templates`, of one template; inverse (g, lags) is 1 / self_, 0 where a group is not there, together
    (lags,) what the groups alone reduce. Loops are over lags inside, and the four unknowns are written out (L D L^T), so that
    the processor does several lags at once.
    """
    count, lags = line.shape
    block = 256
    a = np.empty((10, block))
    b = np.empty((4, block))
    ridge1, ridge2, ridge3 = 1 / spread[1] ** 2, 1 / spread[2] ** 2, 1 / spread[3] ** 2
    for start in range(0, lags, block):
        n = min(block, lags - start)
        for i in range(4):
            for k in range(n):
                b[i, k] = right[i, start + k]
        place = 0
        for i in range(4):
            for j in range(i + 1):
                for k in range(n):
                    a[place, k] = moments[i + j, start + k]
                place += 1
        for g in range(count):
            for k in range(n):
                lag = start + k
                x0, x1 = cross[0, g, lag] * tau[g], cross[1, g, lag] * tau[g]
                x2, x3 = cross[2, g, lag] * tau[g], cross[3, g, lag] * tau[g]
                y0, y1, y2, y3 = x0 * inverse[g, lag], x1 * inverse[g, lag], x2 * inverse[g, lag], x3 * inverse[g, lag]
                a[0, k] -= y0 * x0
                a[1, k] -= y1 * x0
                a[2, k] -= y1 * x1
                a[3, k] -= y2 * x0
                a[4, k] -= y2 * x1
                a[5, k] -= y2 * x2
                a[6, k] -= y3 * x0
                a[7, k] -= y3 * x1
                a[8, k] -= y3 * x2
                a[9, k] -= y3 * x3
                b[0, k] -= y0 * line[g, lag]
                b[1, k] -= y1 * line[g, lag]
                b[2, k] -= y2 * line[g, lag]
                b[3, k] -= y3 * line[g, lag]
        for k in range(n):
            lag = start + k
            m0 = moments[0, lag]
            there = m0 > least
            by = 1.0 / (m0 if there else 1.0)
            level = right[0, lag] * by
            ridge = 1.0 / max(level * level, by)
            jitter = 1e-10 * m0
            d0 = a[0, k] + jitter
            d0 = d0 if d0 > 0.0 else 1e-30
            i0 = 1.0 / d0
            l1, l3, l6 = a[1, k] * i0, a[3, k] * i0, a[6, k] * i0
            d1 = a[2, k] + jitter + ridge1 * ridge - l1 * a[1, k]
            e4, e7 = a[4, k] - l3 * a[1, k], a[7, k] - l6 * a[1, k]
            i1 = 1.0 / (d1 if d1 > 0.0 else 1e-30)
            l4, l7 = e4 * i1, e7 * i1
            d2 = a[5, k] + jitter + ridge2 * ridge - l3 * a[3, k] - l4 * e4
            e8 = a[8, k] - l6 * a[3, k] - l7 * e4
            i2 = 1.0 / (d2 if d2 > 0.0 else 1e-30)
            l8 = e8 * i2
            d3 = a[9, k] + jitter + ridge3 * ridge - l6 * a[6, k] - l7 * e7 - l8 * e8
            i3 = 1.0 / (d3 if d3 > 0.0 else 1e-30)
            z0 = b[0, k]
            z1 = b[1, k] - l1 * z0
            z2 = b[2, k] - l3 * z0 - l4 * z1
            z3 = b[3, k] - l6 * z0 - l7 * z1 - l8 * z2
            # Not positive definite, by rounding: no bound is known, the fit itself has to tell.
            sound = d0 > 1e-30 and d1 > 0.0 and d2 > 0.0 and d3 > 0.0
            gain = z0 * z0 * i0 + z1 * z1 * i1 + z2 * z2 * i2 + z3 * z3 * i3 if sound else 1e300
            bound[lag] = together[lag] + (gain if there else 0.0)


@numba.njit(cache=True)
def scan_templates(moments, right, self_, line, cross, tau, spread, penalty, handicap, best, within):  # type: ignore[no-untyped-def]
    """Reduction of chi-square of every template at every lag; shape (templates, lags).

    moments (t, 2 TERMS - 1, lags), right (t, TERMS, lags), self_ and line (g, lags), cross (TERMS, g, lags), tau (t, g): the
    template's level under each group, by which ``cross`` is multiplied; handicap (t, lags) is taken from the reduction. Exact is
    what counts: the best template of each lag that is not farther than ``within`` below the largest reduction (or below
    ``best``, of other classes). Elsewhere an upper bound stands, which is not above the lag's best, or is farther below, too.
    """
    templates, lags = moments.shape[0], moments.shape[2]
    terms, count = right.shape[1], line.shape[0]
    inverse = np.zeros((count, lags))
    together = np.zeros(lags)
    for g in range(count):
        for lag in range(lags):
            if self_[g, lag] > 0.0 and line[g, lag] > 0.0:
                inverse[g, lag] = 1.0 / self_[g, lag]
                together[lag] += line[g, lag] * line[g, lag] * inverse[g, lag]
    gain = np.empty((templates, lags))
    least = np.empty(templates)
    for t in range(templates):
        least[t] = 1e-4 * moments[t, 0].max()
        _bounds(moments[t], right[t], inverse, line, cross, tau[t], spread, least[t], together, gain[t])
        gain[t] -= handicap[t]
    coefficients = np.empty(terms + count)
    m = np.empty(moments.shape[1])
    r = np.empty(terms)
    s = np.empty(count)
    one = np.empty(count)
    x = np.empty((terms, count))
    active = np.empty(count, dtype=np.bool_)
    a, b, reduced = np.empty((terms, terms)), np.empty(terms), np.empty(terms)
    known = np.empty(templates, dtype=np.bool_)
    # The most promising lag first: then most of the others can be left at their bounds.
    top = int(gain.argmax()) % lags
    for place in range(-1, lags):
        lag = top if place < 0 else place
        known[:] = False
        while True:
            # Of a lag only the best template counts: those whose bounds are below its fit are not looked at.
            t = int(gain[:, lag].argmax())
            if known[t] or gain[t, lag] < best - within:
                break
            for i in range(m.size):
                m[i] = moments[t, i, lag]
            for i in range(terms):
                r[i] = right[t, i, lag]
            for g in range(count):
                s[g] = self_[g, lag]
                one[g] = line[g, lag]
                for i in range(terms):
                    x[i, g] = cross[i, g, lag] * tau[t, g]
            gain[t, lag] = _one(m, r, s, one, x, spread, penalty, least[t], coefficients, active, a, b, reduced)
            gain[t, lag] -= handicap[t, lag]
            known[t] = True
            best = max(best, gain[t, lag])
    return gain


@numba.njit(cache=True)
def solve(moments, right, self_, line, cross, spread, penalty):  # type: ignore[no-untyped-def]
    """As `scan_templates` for one template at several redshifts (n, ...), with coefficients; shapes (n,), (n, TERMS + g)."""
    number, terms, count = right.shape[0], right.shape[1], line.shape[1]
    gain = np.empty(number)
    coefficients = np.zeros((number, terms + count))
    active = np.empty(count, dtype=np.bool_)
    a, b, reduced = np.empty((terms, terms)), np.empty(terms), np.empty(terms)
    for i in range(number):
        gain[i] = _one(
            moments[i], right[i], self_[i], line[i], cross[i], spread, penalty, 0.0, coefficients[i], active, a, b, reduced
        )  # fmt: skip
    return gain, coefficients

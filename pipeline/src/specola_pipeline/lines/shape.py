"""Velocity and width of blended lines by variable projection, compiled: a survey has some ten fits a spectrum.

Gaussians of one velocity and one width on a straight continuum are linear in fluxes and continuum and not in the other two.
Each step is Gauss and Newton's in all of them together, damped in the two (Levenberg and Marquardt), and the linear ones are
solved for anew after it, which is variable projection (Golub & Pereyra 1973, SIAM J. Numer. Anal. 10, 413) with Kaufman's
simplification (1975, BIT 15, 49).
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["fit_shape"]

_STEPS = 100
_ENOUGH = 1e-9
"""A step that lowers chi-square by less than this share of it is the last."""


@numba.njit(cache=True)
def _columns(log_wave, x, root, log_centres, velocity, width, design):  # type: ignore[no-untyped-def]
    """Fill design (lines + 2, pixels): Gaussians of unit flux, constant and slope, each times the root of the weight."""
    lines, pixels = log_centres.size, x.size
    shift = np.log1p(velocity)
    for k in range(lines):
        centre = log_centres[k] + shift
        height = 1.0 / (np.sqrt(2 * np.pi) * width * np.exp(centre))
        for i in range(pixels):
            u = (log_wave[i] - centre) / width
            design[k, i] = height * np.exp(-0.5 * u * u) * root[i]
    for i in range(pixels):
        design[lines, i] = root[i]
        design[lines + 1, i] = root[i] * x[i]


@numba.njit(cache=True)
def _solve(design, data, damping, first, answer):  # type: ignore[no-untyped-def]
    """Least squares of data (pixels,) by the rows of design; from row ``first`` on damped; fills answer, tells if it could.

    Rows are brought to one length before, so that those of no length, of lines whose pixels are all left out, get nothing.
    """
    rows = design.shape[0]
    length = np.empty(rows)
    a, b = np.zeros((rows, rows)), np.zeros(rows)
    for k in range(rows):
        length[k] = np.sqrt(np.dot(design[k], design[k]))
        length[k] = length[k] if length[k] > 1e-300 else 1.0
    for k in range(rows):
        for j in range(k + 1):
            a[k, j] = np.dot(design[k], design[j]) / (length[k] * length[j])
        b[k] = np.dot(design[k], data) / length[k]
        a[k, k] += 1e-11 + (damping if k >= first else 0.0)
    for k in range(rows):
        for j in range(k + 1):
            total = a[k, j]
            for i in range(j):
                total -= a[k, i] * a[j, i]
            if k > j:
                a[k, j] = total / a[j, j]
            elif total > 0.0:
                a[k, k] = np.sqrt(total)
            else:
                return False
    for k in range(rows):
        for i in range(k):
            b[k] -= a[k, i] * b[i]
        b[k] /= a[k, k]
    for k in range(rows - 1, -1, -1):
        for i in range(k + 1, rows):
            b[k] -= a[i, k] * b[i]
        b[k] /= a[k, k]
    for k in range(rows):
        answer[k] = b[k] / length[k]
    return True


@numba.njit(cache=True)
def _left(design, data, linear, left):  # type: ignore[no-untyped-def]
    """Fill left (pixels,) with what a fit leaves of the data; returns its chi-square."""
    total = 0.0
    for i in range(data.size):
        value = data[i]
        for k in range(linear.size):
            value -= design[k, i] * linear[k]
        left[i] = value
        total += value * value
    return total


@numba.njit(cache=True)
def fit_shape(log_wave, flux, root, x, log_centres, lsf, start, fastest, widest):  # type: ignore[no-untyped-def]
    """The velocity and the intrinsic width of least chi-square that is reached from velocity 0 and a width of ``start``.

    All three are in units of the speed of light. log_wave, flux, root of the weight and x, the abscissa of the slope, are
    (pixels,), log_centres (lines,); lsf is the standard deviation of the line spread in ln(wavelength); the velocity is within
    ``fastest`` of 0, the width between 0 and ``widest``. Inside, the width is that with the line spread: chi-square has a slope
    there where the intrinsic width is 0.
    """
    lines, pixels = log_centres.size, flux.size
    count = lines + 2
    data = flux * root
    design, trial = np.empty((count, pixels)), np.empty((count, pixels))
    linear, other, step = np.zeros(count), np.zeros(count), np.zeros(count + 2)
    left, remains = np.empty(pixels), np.empty(pixels)
    joint = np.empty((count + 2, pixels))
    low, high = np.array([-fastest, lsf]), np.array([fastest, np.hypot(lsf, widest)])
    now = np.array([0.0, min(np.hypot(lsf, start), high[1])])
    _columns(log_wave, x, root, log_centres, now[0], now[1], design)
    if not _solve(design, data, 0.0, count, linear):
        return 0.0, start
    best = _left(design, data, linear, left)
    damping = 1e-3
    for _ in range(_STEPS):
        joint[:count] = design
        joint[count:] = 0.0
        shift = np.log1p(now[0])
        for k in range(lines):
            centre = log_centres[k] + shift
            for i in range(pixels):
                u = (log_wave[i] - centre) / now[1]
                value = design[k, i] * linear[k]
                joint[count, i] += value * (u / now[1] - 1.0) / (1.0 + now[0])
                joint[count + 1, i] += value * (u * u - 1.0) / now[1]
        for p in range(2):
            # At an end of what is allowed, and drawn beyond it: only the other one moves.
            slope = np.dot(joint[count + p], left)
            if (now[p] <= low[p] and slope < 0.0) or (now[p] >= high[p] and slope > 0.0):
                joint[count + p] = 0.0
        better = False
        while damping < 1e8:
            if not _solve(joint, left, damping, count, step):
                return now[0], np.sqrt(max(now[1] ** 2 - lsf**2, 0.0))
            new = np.minimum(np.maximum(now + step[count:], low), high)
            _columns(log_wave, x, root, log_centres, new[0], new[1], trial)
            if _solve(trial, data, 0.0, count, other):
                chi2 = _left(trial, data, other, remains)
                if chi2 < best:
                    better = True
                    break
            damping *= 4.0
        if not better:
            break
        gained = best - chi2
        best, now = chi2, new
        design, trial = trial, design
        linear, other = other, linear
        left, remains = remains, left
        damping = max(damping / 8.0, 1e-7)
        if gained < _ENOUGH * best:
            break
    return now[0], np.sqrt(max(now[1] ** 2 - lsf**2, 0.0))

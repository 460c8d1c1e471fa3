"""Banded normal equations of a cubic b-spline sky and of per-row object fluxes, solved together exactly.

The sky of a slit is one function of wavelength, sampled at each detector pixel at a slightly different wavelength because the
lines are tilted and curved: a b-spline on *unrectified* pixels (Kelson 2003, PASP 115, 688). The flux of every object is free in
each detector row, with a known profile across the slit (Horne 1986, PASP 98, 609). Fluxes of a row are eliminated from the normal
equations before these are solved (a Schur complement), which leaves a matrix whose half-bandwidth is 3 plus the tilt of the lines
within the slit in knots. So sky and objects are fitted jointly, at the cost of the sky alone.

With the covariance of the spline's coefficients (:mod:`.bandmatrix`) come the variance that the fitted sky adds to each flux, and
the leverage of each pixel.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from specola_pipeline.reduce.bandmatrix import band_form, cubic
from specola_pipeline.reduce.leverage import row_leverage

__all__ = ["accumulate", "band_of", "evaluate", "extent"]

Array = NDArray[np.float64]


@njit(cache=True)
def _solve_small(matrix: Array, rhs: Array, size: int, columns: int) -> None:
    """Solve in place the positive definite system of *size* objects of one row (Gauss-Jordan; sizes are 1 to 4)."""
    for pivot in range(size):
        scale = 1.0 / matrix[pivot, pivot]
        for column in range(columns):
            rhs[pivot, column] *= scale
        for column in range(size):
            matrix[pivot, column] *= scale
        for row in range(size):
            if row != pivot:
                factor = matrix[row, pivot]
                for column in range(columns):
                    rhs[row, column] -= factor * rhs[pivot, column]
                for column in range(size):
                    matrix[row, column] -= factor * matrix[pivot, column]


@njit(cache=True)
def _row_system(
    data: Array,
    weight: Array,
    place: Array,
    gain: Array,
    profiles: Array,
    row: int,
    first: int,
    sums: tuple[Array, Array, Array, Array],
) -> None:
    """Sums of one detector row: sky-sky, sky-object, object-object, and the right-hand sides of both (as one array)."""
    sky, cross, own, right = sums
    objects, width = cross.shape
    sky[:], cross[:], own[:], right[:] = 0.0, 0.0, 0.0, 0.0
    for x in range(data.shape[1]):
        w = weight[row, x]
        if w <= 0.0:
            continue
        knot = int(np.floor(place[row, x]))
        basis = cubic(place[row, x] - knot)
        at, g, value = knot - first, gain[row, x], data[row, x]
        for i in range(4):
            wi = w * basis[i] * g
            right[at + i] += wi * value
            for j in range(i + 1):
                sky[at + i, at + j] += wi * basis[j] * g
            for k in range(objects):
                cross[k, at + i] += wi * profiles[k, row, x]
        for k in range(objects):
            wk = w * profiles[k, row, x]
            right[width + k] += wk * value
            for m in range(objects):
                own[k, m] += wk * profiles[m, row, x]


@njit(cache=True)
def _row_sums(objects: int, width: int) -> tuple[Array, Array, Array, Array]:
    """Room for the sums of a row."""
    return np.empty((width, width)), np.empty((objects, width)), np.empty((objects, objects)), np.empty(width + objects)


@njit(cache=True)
def _row_span(weight: Array, place: Array, row: int) -> tuple[int, int]:
    """First coefficient that a row touches, and how many (0 where the row has no usable pixel)."""
    low, high = 1 << 30, -1
    for x in range(weight.shape[1]):
        if weight[row, x] > 0.0:
            knot = int(np.floor(place[row, x]))
            low, high = min(low, knot), max(high, knot)
    if high < 0:
        return 0, 0
    return low, high - low + 4


@njit(cache=True)
def extent(weight: Array, rows_at: Array) -> tuple[float, float, int]:
    """Least and largest of *rows_at* where *weight* is positive, and at how many pixels it is."""
    low, high, count = np.inf, -np.inf, 0
    for row in range(weight.shape[0]):
        for x in range(weight.shape[1]):
            if weight[row, x] > 0.0:
                low, high, count = min(low, rows_at[row, x]), max(high, rows_at[row, x]), count + 1
    return low, high, count


@njit(cache=True)
def band_of(weight: Array, place: Array) -> int:
    """How many coefficients the widest row touches."""
    widest = 0
    for row in range(weight.shape[0]):
        widest = max(widest, _row_span(weight, place, row)[1])
    return widest


@njit(cache=True)
def _regularise(own: Array, floor: float) -> None:
    """Keep a row's object system solvable where an object has next to no usable pixel, or two have the same profile."""
    for k in range(own.shape[0]):
        own[k, k] = own[k, k] * (1.0 + 1e-9) + floor


@njit(cache=True)
def accumulate(
    data: Array, weight: Array, place: Array, gain: Array, profiles: Array, size: int, band: int, floor: float
) -> tuple[Array, Array]:
    """Normal equations of the sky's coefficients with the objects of each row eliminated.

    *data*, *weight* (inverse variance; 0 masks a pixel), *place* (coordinate along the wavelength axis in knots) and *gain*
    (slit function) are of shape (rows, columns), *profiles* of shape (objects, rows, columns). Returns the lower band of the
    matrix, of shape (band, size), and the right-hand side, of shape (size,).
    """
    matrix = np.zeros((band, size))
    rhs = np.zeros(size)
    objects = profiles.shape[0]
    if objects == 0:
        _accumulate_sky(data, weight, place, gain, matrix, rhs)
        return matrix, rhs
    sums, solved = _row_sums(objects, band), np.empty((objects, band + 1))
    sky, cross, own, right = sums
    for row in range(data.shape[0]):
        first, width = _row_span(weight, place, row)
        if width == 0:
            continue
        _row_system(data, weight, place, gain, profiles, row, first, sums)
        _regularise(own, floor)
        for k in range(objects):
            solved[k, :band] = cross[k]
            solved[k, band] = right[band + k]
        _solve_small(own, solved, objects, band + 1)
        for i in range(width):
            for k in range(objects):
                right[i] -= cross[k, i] * solved[k, band]
                for j in range(i + 1):
                    sky[i, j] -= cross[k, i] * solved[k, j]
        for i in range(width):
            rhs[first + i] += right[i]
            for j in range(i + 1):
                matrix[i - j, first + j] += sky[i, j]
    return matrix, rhs


@njit(cache=True)
def _accumulate_sky(data: Array, weight: Array, place: Array, gain: Array, matrix: Array, rhs: Array) -> None:
    """As :func:`accumulate` where there is no object: pixels are then independent of their row."""
    for row in range(data.shape[0]):
        for x in range(data.shape[1]):
            w = weight[row, x]
            if w <= 0.0:
                continue
            knot = int(np.floor(place[row, x]))
            basis = cubic(place[row, x] - knot)
            g, value = gain[row, x], data[row, x]
            for i in range(4):
                wi = w * basis[i] * g
                rhs[knot + i] += wi * value
                for j in range(i + 1):
                    matrix[i - j, knot + j] += wi * basis[j] * g


@njit(cache=True)
def _row_sky(place: Array, gain: Array, coefficients: Array, sky: Array, slope: Array, row: int) -> None:
    """The spline at each pixel of a row, and its derivative by the place; beyond its ends, its end."""
    last = coefficients.size - 4
    for x in range(place.shape[1]):
        knot = min(max(int(np.floor(place[row, x])), 0), last)
        t = min(max(place[row, x] - knot, 0.0), 1.0)
        r = 1.0 - t
        c0, c1, c2, c3 = coefficients[knot], coefficients[knot + 1], coefficients[knot + 2], coefficients[knot + 3]
        b0, b1, b2, b3 = cubic(t)
        sky[row, x] = gain[row, x] * (b0 * c0 + b1 * c1 + b2 * c2 + b3 * c3)
        value = t * (3.0 * t - 4.0) * c1 + (1.0 + t * (2.0 - 3.0 * t)) * c2 + t * t * c3 - r * r * c0
        slope[row, x] = 0.5 * gain[row, x] * value


@njit(cache=True)
def _row_objects(
    data: Array, weight: Array, profiles: Array, sky: Array, row: int, floor: float, own: Array, solved: Array
) -> None:
    """The inverse of the objects' system of a row (first columns of *solved*), and their fluxes (its last)."""
    objects = profiles.shape[0]
    own[:], solved[:] = 0.0, 0.0
    for x in range(data.shape[1]):
        w = weight[row, x]
        if w <= 0.0:
            continue
        left = data[row, x] - sky[row, x]
        for k in range(objects):
            wk = w * profiles[k, row, x]
            solved[k, objects] += wk * left
            for m in range(objects):
                own[k, m] += wk * profiles[m, row, x]
    for k in range(objects):
        solved[k, k] = 1.0
    _regularise(own, floor)
    _solve_small(own, solved, objects, objects + 1)


@njit(cache=True)
def _row_by_sky(own: Array, cross: Array, by_sky: Array) -> None:
    """The inverse of the objects' system, with which *own* begins, times the sky-object sums."""
    objects, width = cross.shape
    by_sky[:] = 0.0
    for k in range(objects):
        for m in range(objects):
            for i in range(width):
                by_sky[k, i] += own[k, m] * cross[m, i]


@njit(cache=True)
def evaluate(
    data: Array,
    weight: Array,
    place: Array,
    gain: Array,
    profiles: Array,
    coefficients: Array,
    inverse: Array,
    floor: float,
    errors: bool,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Of each pixel sky, its derivative by the place, objects' model and leverage; of each object and row flux and variance.

    Arguments are as in :func:`accumulate`; *inverse* is that of :func:`.selected_inverse`. Without *errors* it is not looked at:
    leverages are zero and variances those of the row's own noise, at a fraction of the cost. The variance of a flux holds the
    noise of its row and that of the fitted sky; the leverage of a pixel is the part of its own noise that the model follows, so
    that residuals have variance ``(1 - leverage) / weight``. A row without usable pixels has flux NaN and variance infinity.
    """
    rows, objects, band = data.shape[0], profiles.shape[0], inverse.shape[0]
    sky, slope, model, leverage = np.empty(data.shape), np.empty(data.shape), np.zeros(data.shape), np.zeros(data.shape)
    flux, variance = np.full((objects, rows), np.nan), np.full((objects, rows), np.inf)
    own, solved, by_sky = np.empty((objects, objects)), np.empty((objects, objects + 1)), np.empty((objects, band))
    sums = _row_sums(objects, band)
    for row in range(rows):
        _row_sky(place, gain, coefficients, sky, slope, row)
        if objects == 0 and not errors:
            continue
        first, width = _row_span(weight, place, row)
        if width == 0:
            continue
        _row_objects(data, weight, profiles, sky, row, floor, own, solved)
        for k in range(objects):
            flux[k, row], variance[k, row] = solved[k, objects], solved[k, k]
            for x in range(data.shape[1]):
                model[row, x] += profiles[k, row, x] * flux[k, row]
        if errors:
            _row_system(data, weight, place, gain, profiles, row, first, sums)
            _row_by_sky(solved, sums[1], by_sky)
            for k in range(objects):
                variance[k, row] += band_form(by_sky[k, :width], by_sky[k, :width], inverse, first)
            row_leverage(weight, place, gain, profiles, solved, by_sky[:, :width], inverse, leverage, row, first)
    return sky, slope, model, leverage, flux, variance

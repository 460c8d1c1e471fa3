"""Sums over pixels for the fit of a whole lamp spectrum: begin with :mod:`.arcfit`.

A line is a box (the slit) and a Gaussian (the optics), whose sigma changes linearly along the dispersion, and it leans to one
side, which changes alike: real spectrographs have coma. The term for that is a Gaussian times t^3 - 1.5 t, orthogonal to the
derivative of the Gaussian, so that a line is where the least-squares fit of a symmetric one would see it: the convention of
everybody who measures lines later. The background between lines is a line from knot to knot.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["NEAR", "SHAPE", "lines_near", "normal_equations", "weighed"]

Array = NDArray[np.float64]

SHAPE = 5
"""Parameters of the line's shape: width of the box, sigma in the middle and its change towards the last row, the same of coma."""

NEAR = 64
"""Lines that may overlap on a pixel, at most; further ones are left out of it."""

_ROOT = 1.0 / math.sqrt(2.0)
_NORMAL = 1.0 / math.sqrt(2.0 * math.pi)
_THIRD = 1.0 / math.sqrt(6.0)


@njit(cache=True)
def _profile(away: float, box: float, sigma: float, coma: float) -> tuple[float, float, float, float, float]:
    """A line of unit area *away* pixels from its centre, and its change with centre, width of the box, sigma and coma."""
    low, high = (away - 0.5 * box) / sigma, (away + 0.5 * box) / sigma
    at_low, at_high = _NORMAL * math.exp(-0.5 * low * low), _NORMAL * math.exp(-0.5 * high * high)
    area = 0.5 * (math.erf(high * _ROOT) - math.erf(low * _ROOT))
    value = area / box
    by_centre = -(at_high - at_low) / (sigma * box)
    by_box = (0.5 * (at_high + at_low) / sigma - value) / box
    by_sigma = -(at_high * high - at_low * low) / (sigma * box)
    whole = math.sqrt(sigma * sigma + box * box / 12.0)
    t = away / whole
    gauss = _NORMAL * math.exp(-0.5 * t * t) / whole
    by_coma = gauss * (t * t * t - 1.5 * t) * _THIRD
    by_centre += coma * gauss * (t**4 - 4.5 * t * t + 1.5) * _THIRD / whole
    return value + coma * by_coma, by_centre, by_box, by_sigma, by_coma


@njit(cache=True)
def normal_equations(
    data: Array,
    variance: Array,
    place: Array,
    gradient: Array,
    across: Array,
    degree: NDArray[np.int64],
    voting: NDArray[np.bool_],
    height: Array,
    background: Array,
    widths: Array,
    scale: Array,
    error: float,
    held: bool,
) -> tuple[Array, Array, float, Array]:
    """Normal matrix, right-hand side and robust chi-square of a step from the present model, and scales.

    *data* and *variance* (infinite where there is no pixel) are of shape (blocks, rows); *place* (blocks, lines) holds the rows
    of the lines, ascending. They change with term t of the map by ``gradient[block, line, degree[t]] * across[block, t]``, used
    where *voting*: within a block only the degree along the dispersion counts, so sums are made for degrees, of which there are
    few. *height* is of shape (lines,), *background* (knots,), *widths* (SHAPE,), *scale* (blocks,). The model itself is trusted
    to the part *error* of a line's height, alike over all of the line (or its wings would decide where it is), and pixels further
    than three deviations count as Huber (1964) has it.

    The order of unknowns is terms, widths, heights, knots; with *held* there are terms alone. Also returned: the sums of data
    times model and model squared for each block, (blocks, 2).
    """
    blocks, rows = data.shape
    lines, terms, knots, degrees = height.size, degree.size, background.size, gradient.shape[2]
    dense, sparse = (degrees, 0) if held else (degrees + SHAPE, lines + knots)
    size = terms + dense - degrees + sparse
    normal, right = np.zeros((size, size)), np.zeros(size)
    sums, own = (np.zeros((dense, dense)), np.zeros((sparse, dense)), np.zeros(dense)), np.zeros((sparse, sparse))
    scales = np.zeros((blocks, 2))
    chi = 0.0
    step = (knots - 1) / (rows - 1.0)
    shape, row, at = np.zeros((NEAR, 5)), np.zeros(degrees + SHAPE + NEAR + 2), np.zeros(NEAR + 2, dtype=np.int64)
    reach = 0.5 * widths[0] + 4.0 * (widths[1] + abs(widths[2]))
    for b in range(blocks):
        low = 0
        for one in sums[:2]:
            one[:] = 0.0
        sums[2][:] = 0.0
        for y in range(rows):
            while low < lines and place[b, low] < y - reach:
                low += 1
            if not variance[b, y] < np.inf:
                continue
            u = 2.0 * y / (rows - 1.0) - 1.0
            count, light, doubt = lines_near(place, b, height, widths, low, y, u, reach, shape)
            knot = min(int(y * step), knots - 2)
            part = y * step - knot
            light += background[knot] * (1.0 - part) + background[knot + 1] * part
            expected = variance[b, y] + (error * scale[b] * doubt) ** 2
            residual = data[b, y] - scale[b] * light
            weight, lost = weighed(residual, expected)
            chi += lost
            scales[b, 0] += weight * data[b, y] * light
            scales[b, 1] += weight * light * light
            _clear(row, dense)
            for k in range(count):
                line = low + k
                each = scale[b] * height[line]
                if voting[line]:
                    _add_place(row, each * shape[k, 1], gradient, b, line)
                if not held:
                    _add_shape(row, degrees, each, shape, k, u)
                    row[dense + k], at[k] = scale[b] * shape[k, 0], line
            if not held:
                row[dense + count], at[count] = scale[b] * (1.0 - part), lines + knot
                row[dense + count + 1], at[count + 1] = scale[b] * part, lines + knot + 1
                _add_sparse(own, sums[1], right, row, at, count + 2, weight, residual)
            _add_dense(sums[0], sums[2], row, weight, residual)
        _spread(normal, right, sums, across[b], degree, degrees)
    _complete(normal, own)
    return normal, right, chi, scales


@njit(cache=True)
def weighed(residual: float, expected: float) -> tuple[float, float]:
    """The weight of a pixel whose *expected* variance is known, and what it adds to the robust chi-square."""
    pull = abs(residual) / math.sqrt(expected)
    if pull < 3.0:
        return 1.0 / expected, pull * pull
    return 3.0 / pull / expected, 6.0 * pull - 9.0


@njit(cache=True)
def lines_near(
    place: Array, b: int, height: Array, widths: Array, low: int, y: int, u: float, reach: float, shape: Array
) -> tuple[int, float, float]:
    """How many lines of block *b* reach a pixel, from *low* on, their light and how bright what is doubted is; fills *shape*."""
    sigma, coma = widths[1] + widths[2] * u, widths[3] + widths[4] * u
    whole = math.sqrt(sigma * sigma + widths[0] * widths[0] / 12.0)
    light, doubt, count = 0.0, 0.0, 0
    while low + count < place.shape[1] and count < NEAR and place[b, low + count] <= y + reach:
        away = y - place[b, low + count]
        value, by_centre, by_box, by_sigma, by_coma = _profile(away, widths[0], sigma, coma)
        shape[count, 0], shape[count, 1], shape[count, 2] = value, by_centre, by_box
        shape[count, 3], shape[count, 4] = by_sigma, by_coma
        light += height[low + count] * shape[count, 0]
        doubt += height[low + count] * _NORMAL / whole * math.exp(-0.08 * (away / whole) ** 2)
        count += 1
    return count, light, doubt


@njit(cache=True)
def _clear(row: Array, count: int) -> None:
    """Begin a pixel's row of the design; as a slice it would take longer than all of the pixel's sums."""
    for i in range(count):
        row[i] = 0.0


@njit(cache=True)
def _add_place(row: Array, slope: float, gradient: Array, b: int, line: int) -> None:
    """What *line* of block *b*, of which a pixel's light has this *slope*, adds to its row for the degrees of the map."""
    for i in range(gradient.shape[2]):
        row[i] += slope * gradient[b, line, i]


@njit(cache=True)
def _add_shape(row: Array, terms: int, each: float, shape: Array, k: int, u: float) -> None:
    """What line *k* of height *each* adds to a pixel's row of the design, for the parameters of the shape."""
    row[terms] += each * shape[k, 2]
    row[terms + 1] += each * shape[k, 3]
    row[terms + 2] += each * shape[k, 3] * u
    row[terms + 3] += each * shape[k, 4]
    row[terms + 4] += each * shape[k, 4] * u


@njit(cache=True)
def _add_dense(sums: Array, right: Array, row: Array, weight: float, residual: float) -> None:
    """Add a pixel to the lower half of the normal matrix of the unknowns that all pixels share, first in its *row*."""
    for i in range(right.size):
        by = weight * row[i]
        if by != 0.0:
            right[i] += by * residual
            for j in range(i + 1):
                sums[i, j] += by * row[j]


@njit(cache=True)
def _add_sparse(
    own: Array, cross: Array, right: Array, row: Array, at: NDArray[np.int64], count: int, weight: float, residual: float
) -> None:
    """Add a pixel to the normal matrix of heights and knots, of which *count* reach it, and to those shared."""
    sparse, dense = cross.shape
    first = right.size - sparse
    for k in range(count):
        by = weight * row[dense + k]
        right[first + at[k]] += by * residual
        for j in range(dense):
            cross[at[k], j] += by * row[j]
        for j in range(k + 1):
            own[at[k], at[j]] += by * row[dense + j]


@njit(cache=True)
def _spread(
    normal: Array, right: Array, sums: tuple[Array, Array, Array], across: Array, degree: NDArray[np.int64], degrees: int
) -> None:
    """Add a block's sums for degrees along the dispersion to those for terms of the map."""
    dense, cross, side = sums
    terms, first = degree.size, degree.size + side.size - degrees
    for i in range(first):
        at, by = (degree[i], across[i]) if i < terms else (i - terms + degrees, 1.0)
        right[i] += by * side[at]
        for j in range(i + 1):
            beside, too = (degree[j], across[j]) if j < terms else (j - terms + degrees, 1.0)
            normal[i, j] += by * too * dense[max(at, beside), min(at, beside)]
        for k in range(cross.shape[0]):
            normal[first + k, i] += by * cross[k, at]


@njit(cache=True)
def _complete(normal: Array, own: Array) -> None:
    """Put the sums of heights and knots into the lower half of the normal matrix, and mirror it."""
    first = normal.shape[0] - own.shape[0]
    for i in range(normal.shape[0]):
        for j in range(i + 1):
            if j >= first:
                normal[i, j] = own[i - first, j - first]
            normal[j, i] = normal[i, j]

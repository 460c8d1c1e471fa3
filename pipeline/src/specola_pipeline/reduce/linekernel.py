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

__all__ = ["SHAPE", "normal_equations"]

Array = NDArray[np.float64]

SHAPE = 5
"""Parameters of the line's shape: width of the box, sigma in the middle and its change towards the last row, the same of coma."""

_NEAR = 64
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
    voting: NDArray[np.bool_],
    height: Array,
    background: Array,
    widths: Array,
    scale: Array,
    error: float,
) -> tuple[Array, Array, float, Array, Array]:
    """Normal matrix, right-hand side and robust chi-square of a step from the present model, scales and offsets of lines.

    *data* and *variance* (infinite where there is no pixel) are of shape (blocks, rows); *place* (blocks, lines) holds the rows
    of the lines, ascending, *gradient* (blocks, lines, terms) their change with each term of the map, used where *voting*;
    *height* is of shape (lines,), *background* (knots,), *widths* (SHAPE,), *scale* (blocks,). The model itself is trusted to the
    part *error* of a line's height, alike over all of the line (or its wings would decide where it is), and pixels further than
    three deviations count as Huber (1964) has it.

    The order of unknowns is terms, widths, heights, knots. Also returned: the sums of data times model and model squared for
    each block, (blocks, 2), and for each line the sums that give its own offset from the map and its weight, (lines, 2).
    """
    blocks, rows = data.shape
    lines, terms, knots = height.size, gradient.shape[2], background.size
    first_line, first_knot = terms + SHAPE, terms + SHAPE + lines
    size = first_knot + knots
    normal, right = np.zeros((size, size)), np.zeros(size)
    scales, offsets = np.zeros((blocks, 2)), np.zeros((lines, 2))
    chi = 0.0
    step = (knots - 1) / (rows - 1.0)
    shape, row, at = np.zeros((_NEAR, 5)), np.zeros(first_line + _NEAR + 2), np.zeros(_NEAR + 2, dtype=np.int64)
    reach = 0.5 * widths[0] + 4.0 * (widths[1] + abs(widths[2]))
    for b in range(blocks):
        low = 0
        for y in range(rows):
            while low < lines and place[b, low] < y - reach:
                low += 1
            if not variance[b, y] < np.inf:
                continue
            u = 2.0 * y / (rows - 1.0) - 1.0
            count, light, doubt = _lines_near(place[b], height, widths, low, y, u, reach, shape)
            knot = min(int(y * step), knots - 2)
            part = y * step - knot
            light += background[knot] * (1.0 - part) + background[knot + 1] * part
            expected = variance[b, y] + (error * scale[b] * doubt) ** 2
            residual = data[b, y] - scale[b] * light
            pull = abs(residual) / math.sqrt(expected)
            weight = (1.0 if pull < 3.0 else 3.0 / pull) / expected
            chi += pull * pull if pull < 3.0 else 6.0 * pull - 9.0
            scales[b, 0] += weight * data[b, y] * light
            scales[b, 1] += weight * light * light
            row[:] = 0.0
            for k in range(count):
                line = low + k
                each = scale[b] * height[line]
                offsets[line, 0] += weight * each * shape[k, 1] * residual
                offsets[line, 1] += weight * (each * shape[k, 1]) ** 2
                if voting[line]:
                    row[:terms] += each * shape[k, 1] * gradient[b, line]
                _add_shape(row, terms, each, shape[k], u)
                row[first_line + k], at[k] = scale[b] * shape[k, 0], first_line + line
            row[first_line + count], at[count] = scale[b] * (1.0 - part), first_knot + knot
            row[first_line + count + 1], at[count + 1] = scale[b] * part, first_knot + knot + 1
            _add(normal, right, row, at, first_line, count + 2, weight, residual)
    for i in range(size):
        normal[:i, i] = normal[i, :i]
    return normal, right, chi, scales, offsets


@njit(cache=True)
def _lines_near(
    place: Array, height: Array, widths: Array, low: int, y: int, u: float, reach: float, shape: Array
) -> tuple[int, float, float]:
    """How many lines reach a pixel from line *low* on, their light, and how bright what is doubted of it is; fills *shape*."""
    sigma, coma = widths[1] + widths[2] * u, widths[3] + widths[4] * u
    whole = math.sqrt(sigma * sigma + widths[0] * widths[0] / 12.0)
    light, doubt, count = 0.0, 0.0, 0
    while low + count < place.size and count < _NEAR and place[low + count] <= y + reach:
        away = y - place[low + count]
        shape[count] = _profile(away, widths[0], sigma, coma)
        light += height[low + count] * shape[count, 0]
        doubt += height[low + count] * _NORMAL / whole * math.exp(-0.08 * (away / whole) ** 2)
        count += 1
    return count, light, doubt


@njit(cache=True)
def _add_shape(row: Array, terms: int, each: float, shape: Array, u: float) -> None:
    """What a line of height *each* adds to a pixel's row of the design, for the parameters of the shape."""
    row[terms] += each * shape[2]
    row[terms + 1] += each * shape[3]
    row[terms + 2] += each * shape[3] * u
    row[terms + 3] += each * shape[4]
    row[terms + 4] += each * shape[4] * u


@njit(cache=True)
def _add(
    normal: Array, right: Array, row: Array, at: NDArray[np.int64], dense: int, sparse: int, weight: float, residual: float
) -> None:
    """Add a pixel to the lower half of the normal matrix: *dense* unknowns that all pixels share, then *sparse* ones at *at*."""
    for i in range(dense):
        by = weight * row[i]
        if by != 0.0:
            right[i] += by * residual
            for j in range(i + 1):
                normal[i, j] += by * row[j]
    for k in range(sparse):
        by = weight * row[dense + k]
        right[at[k]] += by * residual
        for j in range(dense):
            normal[at[k], j] += by * row[j]
        for j in range(k + 1):
            normal[at[k], at[j]] += by * row[dense + j]

"""How far each line of a lamp lies from a fitted map, its neighbours free to move and to be as bright as they are.

Most lines are blended. With its neighbours held where the map has them, a faint line beside a bright one is moved by what the
bright one's shape is wrong by, and looks better measured than it is: slits out of focus, whose maps are as true as the others',
had an rms of 0.07 pixel for that. Here place and height of all lines are solved for together, and a line's error is what is left
of its knowledge then. Begin with :func:`line_offsets`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from specola_pipeline.reduce.bandmatrix import banded_cholesky, banded_solve, selected_inverse
from specola_pipeline.reduce.linekernel import NEAR, lines_near, weighed

__all__ = ["line_offsets"]

Array = NDArray[np.float64]


def line_offsets(
    data: Array,
    variance: Array,
    place: Array,
    height: Array,
    background: Array,
    widths: Array,
    scale: Array,
    error: float,
) -> tuple[Array, Array]:
    """Offset of each line in rows, and its error, both of shape (lines,); arguments are as in :func:`.normal_equations`.

    A line without light, or one that can not be told from its neighbour, has a large error.
    """
    matrix, right = _system(data, variance, place, height, background, widths, scale, error)
    lit = matrix[0] > 0
    # A line without light says nothing: it has no place, and no part in the others'.
    matrix[0] = np.where(lit, matrix[0] * (1 + 1e-9), 1e-12)
    factor = banded_cholesky(matrix)
    offsets, own = banded_solve(factor, right), selected_inverse(factor)[0]
    return offsets[0::2], np.sqrt(own[0::2])


@njit(cache=True)
def _system(
    data: Array,
    variance: Array,
    place: Array,
    height: Array,
    background: Array,
    widths: Array,
    scale: Array,
    error: float,
) -> tuple[Array, Array]:
    """Normal equations, as a lower band, of a shift and a relative height of each line, in turn."""
    blocks, rows = data.shape
    lines, knots = height.size, background.size
    step, reach = (knots - 1) / (rows - 1.0), 0.5 * widths[0] + 4.0 * (widths[1] + abs(widths[2]))
    matrix, right = np.zeros((_band(place, reach), 2 * lines)), np.zeros(2 * lines)
    shape, row = np.zeros((NEAR, 5)), np.zeros(2 * NEAR)
    for b in range(blocks):
        low = 0
        for y in range(rows):
            while low < lines and place[b, low] < y - reach:
                low += 1
            if not variance[b, y] < np.inf:
                continue
            count, light, doubt = lines_near(place, b, height, widths, low, y, 2.0 * y / (rows - 1.0) - 1.0, reach, shape)
            knot = min(int(y * step), knots - 2)
            part = y * step - knot
            light += background[knot] * (1.0 - part) + background[knot + 1] * part
            residual = data[b, y] - scale[b] * light
            weight, _ = weighed(residual, variance[b, y] + (error * scale[b] * doubt) ** 2)
            for k in range(count):
                each = scale[b] * height[low + k]
                row[2 * k], row[2 * k + 1] = each * shape[k, 1], each * shape[k, 0]
            for i in range(2 * count):
                by = weight * row[i]
                right[2 * low + i] += by * residual
                for j in range(i + 1):
                    matrix[i - j, 2 * low + j] += by * row[j]
    return matrix, right


@njit(cache=True)
def _band(place: Array, reach: float) -> int:
    """How many unknowns may share a pixel: two for each line within *reach* of it on both sides."""
    most = 1
    for b in range(place.shape[0]):
        first = 0
        for line in range(place.shape[1]):
            while place[b, first] < place[b, line] - 2.0 * reach - 1.0:
                first += 1
            most = max(most, line - first + 1)
    return 2 * min(most, NEAR)

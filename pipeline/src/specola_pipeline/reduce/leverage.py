"""The leverage of pixels in the joint fit of :mod:`.banded`: the part of a pixel's own noise that the model follows."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from specola_pipeline.reduce.bandmatrix import cubic

__all__ = ["row_leverage"]

Array = NDArray[np.float64]


@njit(cache=True)
def _row_form(own: Array, by_sky: Array, inverse: Array, first: int) -> tuple[Array, Array]:
    """What the objects of a row add to a leverage: times the splines, and by itself. Arguments as in :func:`row_leverage`."""
    objects, width = by_sky.shape
    spread, both = np.zeros((objects, width)), own[:objects, :objects].copy()
    for k in range(objects):
        for i in range(width):
            for j in range(width):
                spread[k, i] += inverse[abs(i - j), first + min(i, j)] * by_sky[k, j]
        for m in range(objects):
            for i in range(width):
                both[k, m] += by_sky[m, i] * spread[k, i]
    return spread, both


@njit(cache=True)
def row_leverage(
    weight: Array,
    place: Array,
    gain: Array,
    profiles: Array,
    own: Array,
    by_sky: Array,
    inverse: Array,
    leverage: Array,
    row: int,
    first: int,
) -> None:
    """The leverage of each pixel of a row.

    *own* begins with the inverse of the objects' system, *by_sky* is that inverse times the sky-object sums. A pixel sees the sky
    by four splines, less what its objects' fluxes take of it: of the form of both only the splines' part is the pixel's own.
    """
    objects = by_sky.shape[0]
    spread, both = _row_form(own, by_sky, inverse, first)
    for x in range(weight.shape[1]):
        if weight[row, x] <= 0.0:
            continue
        knot = int(np.floor(place[row, x]))
        basis = cubic(place[row, x] - knot)
        total = 0.0
        for i in range(4):
            total += basis[i] * basis[i] * inverse[0, knot + i]
            for j in range(i):
                total += 2.0 * basis[i] * basis[j] * inverse[i - j, knot + j]
        total *= gain[row, x] * gain[row, x]
        for k in range(objects):
            seen = 0.0
            for i in range(4):
                seen += basis[i] * spread[k, knot - first + i]
            total -= 2.0 * gain[row, x] * profiles[k, row, x] * seen
            for m in range(objects):
                total += profiles[k, row, x] * profiles[m, row, x] * both[k, m]
        leverage[row, x] = weight[row, x] * total

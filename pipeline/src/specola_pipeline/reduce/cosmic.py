"""Cosmic rays: the Laplacian of van Dokkum (2001, PASP 113, 1420) on residuals in units of their noise.

After sky and objects are taken out nothing with a sharp edge is left but cosmic rays, so the threshold can be low; on raw slit
frames the same filter takes edges of slits and sky lines for hits.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["find_cosmics"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SCALE = 1.2 * math.sqrt(4.0 / 5.0) / 8.0
"""From the sum of the Laplacian over the four quarters of a pixel to units of its noise."""


def find_cosmics(
    pull: Array, usable: Mask, objects: Array, threshold: float = 4.5, grow: float = 2.5, contrast: float = 2.0
) -> Mask:
    """Pixels hit by cosmic rays, of the shape of *pull* (residual over noise).

    *objects* is the object model over noise: where it is bright, an imperfect profile leaves structure in proportion, and the
    threshold rises by a tenth of it. A hit is sharp (its Laplacian, on a grid twice as fine, exceeds *threshold* and is
    *contrast* times its fine structure); its neighbours belong to it when they stand *grow* sigma high.
    """
    clean = np.where(usable, pull, 0.0)
    slack = 0.1 * np.abs(objects)
    hit = _hits(clean, usable, slack, threshold, contrast)
    for limit in (max(grow, 2.5), grow, grow):
        hit = _grown(hit, clean, usable, slack, limit)
    return hit


@njit(cache=True)
def _hits(clean: Array, usable: Mask, slack: Array, threshold: float, contrast: float) -> Mask:
    rows, columns = clean.shape
    hit = np.zeros(clean.shape, dtype=np.bool_)
    nine, many = np.empty(9), np.empty(35)
    for y in range(rows):
        for x in range(columns):
            limit = threshold + slack[y, x]
            if not usable[y, x] or not clean[y, x] > 0.7 * limit:
                continue
            sharp = _sharpness(clean, y, x)
            if not sharp > limit:
                continue
            # The fine structure costs more than all the rest: it is asked of the few that may be hits.
            count = 0
            for dy in range(-3, 4):
                for dx in range(-2, 3):
                    near = min(max(y + dy, 0), rows - 1), min(max(x + dx, 0), columns - 1)
                    many[count] = _median_of_nine(clean, near[0], near[1], nine)
                    count += 1
            small = many[17]
            hit[y, x] = sharp > contrast * max(small - _middle(many), 0.3)
    return hit


@njit(cache=True)
def _sharpness(clean: Array, y: int, x: int) -> float:
    """The Laplacian of a pixel on a grid twice as fine, its negative parts cut."""
    rows, columns = clean.shape
    centre, total = 2.0 * clean[y, x], 0.0
    for above in (max(y - 1, 0), min(y + 1, rows - 1)):
        for beside in (max(x - 1, 0), min(x + 1, columns - 1)):
            total += max(centre - clean[above, x] - clean[y, beside], 0.0)
    return total * _SCALE


@njit(cache=True)
def _median_of_nine(clean: Array, y: int, x: int, nine: Array) -> float:
    """Median of a pixel and its neighbours; the image is continued by its edge."""
    rows, columns = clean.shape
    count = 0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            nine[count] = clean[min(max(y + dy, 0), rows - 1), min(max(x + dx, 0), columns - 1)]
            count += 1
    return _middle(nine)


@njit(cache=True)
def _middle(values: Array) -> float:
    """Median of an odd, small number of *values*, which are sorted in place."""
    for i in range(1, values.size):
        value, j = values[i], i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value
    middle: float = values[values.size // 2]
    return middle


@njit(cache=True)
def _grown(hit: Mask, clean: Array, usable: Mask, slack: Array, limit: float) -> Mask:
    """*hit* and those of its neighbours that stand higher than *limit*."""
    rows, columns = clean.shape
    grown = hit.copy()
    for y in range(rows):
        for x in range(columns):
            if hit[y, x]:
                for i in range(max(y - 1, 0), min(y + 2, rows)):
                    for j in range(max(x - 1, 0), min(x + 2, columns)):
                        if usable[i, j] and clean[i, j] > limit + slack[i, j]:
                            grown[i, j] = True
    return grown

"""Banded positive definite matrices, as lower bands of shape (band, size): factor, solution, and the inverse within the band.

They are the normal equations of uniform cubic b-splines, which are here, too.

The covariance within the band comes from the Cholesky factor by the recursion of Takahashi, Fagan and Chen (1973), as in Erisman
and Tinney (1975, CACM 18, 177): the whole inverse would be dense.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["band_form", "banded_cholesky", "banded_product", "banded_solve", "cubic", "row_sums", "selected_inverse"]

Array = NDArray[np.float64]


@njit(cache=True)
def cubic(t: float) -> tuple[float, float, float, float]:
    """The four uniform cubic b-splines that do not vanish at a place *t* (0..1) within a knot interval."""
    r = 1.0 - t
    return (
        r * r * r / 6.0,
        (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
        (-3.0 * t * t * t + 3.0 * t * t + 3.0 * t + 1.0) / 6.0,
        t * t * t / 6.0,
    )


@njit(cache=True)
def banded_cholesky(matrix: Array) -> Array:
    """The lower Cholesky factor of a positive definite banded matrix, both as lower bands of shape (band, size)."""
    band, size = matrix.shape
    factor = matrix.copy()
    for j in range(size):
        pivot = np.sqrt(max(factor[0, j], 1e-300))
        factor[0, j] = pivot
        reach = min(band, size - j)
        for i in range(1, reach):
            factor[i, j] /= pivot
        for k in range(1, reach):
            scale = factor[k, j]
            if scale != 0.0:
                for i in range(k, reach):
                    factor[i - k, j + k] -= factor[i, j] * scale
    return factor


@njit(cache=True)
def banded_solve(factor: Array, rhs: Array) -> Array:
    """Solve with a factor of :func:`banded_cholesky`; returns an array of shape (size,)."""
    band, size = factor.shape
    out = rhs.copy()
    for j in range(size):
        out[j] /= factor[0, j]
        for i in range(1, min(band, size - j)):
            out[j + i] -= factor[i, j] * out[j]
    for j in range(size - 1, -1, -1):
        for i in range(1, min(band, size - j)):
            out[j] -= factor[i, j] * out[j + i]
        out[j] /= factor[0, j]
    return out


@njit(cache=True)
def banded_product(matrix: Array, vector: Array) -> Array:
    """The symmetric matrix of a lower band, of shape (band, size), times a vector (size,)."""
    band, size = matrix.shape
    out: Array = matrix[0] * vector
    for i in range(1, band):
        for j in range(size - i):
            out[j + i] += matrix[i, j] * vector[j]
            out[j] += matrix[i, j] * vector[j + i]
    return out


def row_sums(factor: Array) -> Array:
    """Sums of the rows, of shape (size,), of the matrix whose factor is one of :func:`banded_cholesky`."""
    band, size = factor.shape
    columns, out = np.zeros(size), np.zeros(size)
    for i in range(band):
        columns[: size - i] += factor[i, : size - i]
    for i in range(band):
        out[i:] += factor[i, : size - i] * columns[: size - i]
    return out


@njit(cache=True)
def selected_inverse(factor: Array) -> Array:
    """The lower band of the inverse, of shape (band, size), from a factor of :func:`banded_cholesky`."""
    band, size = factor.shape
    inverse = np.zeros((band, size))
    for j in range(size - 1, -1, -1):
        reach = min(band, size - j)
        for i in range(reach - 1, 0, -1):
            total = 0.0
            for k in range(1, reach):
                low, high = min(i, k), max(i, k)
                total -= factor[k, j] * inverse[high - low, j + low]
            inverse[i, j] = total / factor[0, j]
        total = 1.0 / factor[0, j]
        for k in range(1, reach):
            total -= factor[k, j] * inverse[k, j]
        inverse[0, j] = total / factor[0, j]
    return inverse


@njit(cache=True)
def band_form(left: Array, right: Array, inverse: Array, first: int) -> float:
    """``left @ C @ right`` with C the part from coefficient *first* on of the matrix whose lower band is *inverse*."""
    total = 0.0
    for i in range(left.size):
        if left[i] != 0.0:
            for j in range(right.size):
                total += left[i] * right[j] * inverse[abs(i - j), first + min(i, j)]
    return total

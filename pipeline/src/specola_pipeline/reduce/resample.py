"""Onto one grid, once, light conserved: spectra by overlap of pixels, images by sharing each pixel among its four neighbours."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["rebin", "spread"]

Array = NDArray[np.floating]


def rebin(wavelength: Array, flux: Array, variance: Array, grid: Array) -> tuple[Array, Array, Array]:
    """A spectrum of amounts per pixel as densities on an even *grid*: density, its variance, covariance with the next pixel.

    *wavelength* (ascending), *flux* and *variance* have shape (n,); pixels that are not finite are left out. A grid pixel that is
    covered by less than half is NaN with infinite variance. The integral over wavelength is that of the input exactly where all
    of it is finite.
    """
    step = float(grid[1] - grid[0])
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    edges = np.concatenate([[2 * wavelength[0] - middle[0]], middle, [2 * wavelength[-1] - middle[-1]]])
    edges = (edges - grid[0]) / step + 0.5
    good = np.isfinite(flux) & np.isfinite(variance)
    total, square, shared, cover = _overlap(edges, np.where(good, flux, 0.0), np.where(good, variance, 0.0), good, grid.size)
    enough = cover > 0.5
    width = np.where(enough, cover, 1.0) * step
    following = np.append(width[1:], width[-1:])
    return (
        np.where(enough, total / width, np.nan),
        np.where(enough, square / width**2, np.inf),
        np.where(enough, shared / (width * following), 0.0),
    )


@njit(cache=True)
def _overlap(edges: Array, flux: Array, variance: Array, good: NDArray[np.bool_], size: int) -> tuple[Array, Array, Array, Array]:
    """Sums over the parts of input pixels in each grid pixel: amounts, variances, variances shared with the next, coverage."""
    total, square, shared, cover = np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size)
    for i in range(flux.size):
        low, high = edges[i], edges[i + 1]
        if not good[i] or high <= low or high <= 0.0 or low >= size:
            continue
        before, first = 0.0, int(np.floor(low))
        for j in range(first, int(np.floor(high)) + 1):
            overlap = min(high, j + 1.0) - max(low, float(j))
            part = overlap / (high - low)
            if 0 <= j < size:
                total[j] += flux[i] * part
                square[j] += variance[i] * part * part
                cover[j] += overlap
                if j > 0:
                    shared[j - 1] += variance[i] * part * before
            before = part
    return total, square, shared, cover


@njit(cache=True)
def spread(place: Array, wave: Array, values: Array, variance: Array, sky: Array, weight: Array, sums: Array) -> None:
    """Add pixels to the *sums*, of shape (4, places, wavelengths): weighted values, sky, variances, and weights.

    *place* and *wave* say where each pixel lies in pixels of the grid; each is shared among four neighbours in proportion to how
    near they are. Where *weight* is 0 nothing is added.
    """
    places, waves = sums.shape[1], sums.shape[2]
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            if weight[y, x] <= 0.0:
                continue
            i, j = int(np.floor(place[y, x])), int(np.floor(wave[y, x]))
            s, t = place[y, x] - i, wave[y, x] - j
            for di in range(2):
                for dj in range(2):
                    if 0 <= i + di < places and 0 <= j + dj < waves:
                        w = weight[y, x] * (s if di else 1 - s) * (t if dj else 1 - t)
                        sums[0, i + di, j + dj] += w * values[y, x]
                        sums[1, i + di, j + dj] += w * sky[y, x]
                        sums[2, i + di, j + dj] += w * w * variance[y, x]
                        sums[3, i + di, j + dj] += w

"""Where the sky lines of an exposure lie beside the arc's wavelength map: flexure as one slit sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from specola_pipeline.instruments import Lines, Sky
from specola_pipeline.reduce.robust import mad_std
from specola_pipeline.reduce.wavemap import WaveMap

__all__ = ["LINE_FLOOR", "fit_lines", "sky_line_offset"]

Array = NDArray[np.float64]

LINE_FLOOR = 0.02
"""Rows to which a line's place is known at best, however bright it is: the atlas and its neighbours are not exact."""


def sky_line_offset(
    sky: Array, noise: Array, wavelength: Array, wave: WaveMap, lines: Lines, atlas: Sky, reach: float
) -> tuple[float, float, int]:
    """Offset of the sky lines from the map in rows, its error, and how many lines it rests on (0: none was seen).

    *sky* and its *noise* are those of the slit's middle, *wavelength* what the map *wave* says there, all of shape (rows,). Lines
    without a rival within four widths are used; *reach* bounds the offset. Nearly all of them are blends of OH, whose centroids
    depend on the resolution: each line is therefore measured in the same way in the *atlas* of the sky, seen with the same line
    shape and pixels, and the difference is what counts.
    """
    sigma = wave.sigma
    inside = (lines.wavelength > wavelength[0]) & (lines.wavelength < wavelength[-1])
    at = np.interp(lines.wavelength[inside], wavelength, np.arange(wavelength.size))
    strength = lines.strength[inside]
    if at.size == 0:
        return 0.0, float("nan"), 0
    gap = np.abs(at[:, None] - at[None, :])
    rival = (gap > 0) & (gap < 4 * sigma + 1) & (strength[None, :] > 0.03 * strength[:, None])
    at = at[~rival.any(axis=1)]
    known, _, _ = fit_lines(_as_seen(atlas, wavelength, wave.shape), np.ones(sky.size), at, sigma)
    place, error, height = fit_lines(sky, 1.0 / noise**2, known, sigma)
    offset = place - known
    good = np.isfinite(offset) & (error < 0.15) & (height > 8 * np.interp(at, np.arange(noise.size), noise))
    good &= np.abs(np.nan_to_num(offset)) <= reach
    if not good.any():
        return 0.0, float("nan"), 0
    middle, scatter = float(np.median(offset[good])), float(mad_std(offset[good]))
    good &= np.abs(np.nan_to_num(offset) - middle) <= 4 * max(scatter, LINE_FLOOR)
    weight = 1.0 / (error[good] ** 2 + LINE_FLOOR**2)
    return float(np.average(offset[good], weights=weight)), float(weight.sum() ** -0.5), int(good.sum())


def _as_seen(atlas: Sky, wavelength: Array, shape: tuple[float, float, float]) -> Array:
    """The atlas in pixels of these wavelengths (their centres, ascending), its lines of a :class:`WaveMap`'s *shape*."""
    fine = 8
    row = np.arange(-0.5, wavelength.size - 0.5 + 0.5 / fine, 1.0 / fine)
    edges = np.interp(row, np.arange(wavelength.size), wavelength)
    running = np.concatenate([[0.0], np.cumsum(0.5 * (atlas.flux[1:] + atlas.flux[:-1]) * np.diff(atlas.wavelength))])
    light = np.diff(np.interp(edges, atlas.wavelength, running))
    light = ndimage.uniform_filter1d(light, int(shape[0] * fine) | 1, mode="nearest")  # odd: an even one would shift the light
    first, last = (
        ndimage.gaussian_filter1d(light, sigma * fine, mode="nearest").reshape(wavelength.size, fine).sum(axis=1)
        for sigma in shape[1:]
    )
    return np.asarray(first + np.linspace(0.0, 1.0, wavelength.size) * (last - first))


def fit_lines(spectrum: Array, weight: Array, centres: Array, sigma: float, rounds: int = 5) -> tuple[Array, Array, Array]:
    """Centre, its error and height of Gaussian lines of known width in a spectrum, all lines at once (shape as *centres*).

    A constant background a line is fitted along. Centres that leave their window or have no positive height are NaN.
    """
    half = max(int(np.ceil(2.5 * sigma)), 3)
    index = np.rint(np.nan_to_num(centres, nan=-1e4)).astype(int)[:, None] + np.arange(-half, half + 1)[None, :]
    inside = (index >= 0) & (index < spectrum.size)
    index = np.clip(index, 0, spectrum.size - 1)
    values, w = spectrum[index], np.where(inside, weight[index], 0.0)
    centre = np.nan_to_num(centres, nan=0.0).copy()
    for _ in range(rounds):
        z = (index - centre[:, None]) / sigma
        shape = np.exp(-0.5 * z * z)
        height, _ = _linear(shape, values, w)
        design = np.stack([shape, np.ones_like(shape), height[:, None] * shape * z / sigma], axis=2)
        normal = np.einsum("lpi,lp,lpj->lij", design, w, design) + 1e-12 * np.eye(3)
        right = np.einsum("lpi,lp,lp->li", design, w, values)
        covariance = np.linalg.pinv(normal, hermitian=True)
        step = np.einsum("lij,lj->li", covariance, right)[:, 2]
        centre = centre + np.clip(step, -0.5 * sigma, 0.5 * sigma)
    error = np.sqrt(np.maximum(covariance[:, 2, 2], 0.0))
    lost = ~np.isfinite(centres) | (np.abs(centre - centres) > half) | (height <= 0) | (w.astype(bool).sum(axis=1) < half + 2)
    return np.where(lost, np.nan, centre), np.where(lost, np.inf, error), np.where(lost, 0.0, height)


def _linear(shape: Array, values: Array, w: Array) -> tuple[Array, Array]:
    """Height and background of lines of fixed place."""
    s0, s1, s2 = w.sum(1), (w * shape).sum(1), (w * shape * shape).sum(1)
    d0, d1 = (w * values).sum(1), (w * values * shape).sum(1)
    det = s0 * s2 - s1 * s1
    det = np.where(det > 0, det, np.inf)
    return (s0 * d1 - s1 * d0) / det, (s2 * d0 - s1 * d1) / det

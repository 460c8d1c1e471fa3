"""Where the sky lines of an exposure lie beside the arc's wavelength map: flexure, slit by slit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.instruments import Lines
from specola_pipeline.reduce.robust import mad_std

__all__ = ["fit_lines", "sky_line_offset"]

Array = NDArray[np.float64]


def sky_line_offset(
    sky: Array, noise: Array, wavelength: Array, sigma: float, lines: Lines, reach: float
) -> tuple[float, float, int]:
    """Median offset of the sky lines from the map in rows, its error, and how many lines it rests on (0: none was seen).

    *sky* and its *noise* are those of the slit's middle, *wavelength* the map there, all of shape (rows,). Lines without a rival
    within four widths are used; *reach* bounds the offset.
    """
    inside = (lines.wavelength > wavelength[0]) & (lines.wavelength < wavelength[-1])
    at = np.interp(lines.wavelength[inside], wavelength, np.arange(wavelength.size))
    strength = lines.strength[inside]
    if at.size == 0:
        return 0.0, float("nan"), 0
    gap = np.abs(at[:, None] - at[None, :])
    rival = (gap > 0) & (gap < 4 * sigma + 1) & (strength[None, :] > 0.03 * strength[:, None])
    at = at[~rival.any(axis=1)]
    place, error, height = fit_lines(sky, 1.0 / noise**2, at, sigma)
    good = np.isfinite(place) & (error < 0.15) & (height > 8 * np.interp(at, np.arange(noise.size), noise))
    offset = (place - at)[good]
    offset = offset[np.abs(offset) <= reach]
    if offset.size == 0:
        return 0.0, float("nan"), 0
    return float(np.median(offset)), 1.2533 * float(mad_std(offset)) / np.sqrt(offset.size), int(offset.size)


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

"""Where the sky lines of an exposure lie beside the arc's wavelength map: flexure, slit by slit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.instruments import Lines
from specola_pipeline.reduce.arcs import fit_lines
from specola_pipeline.reduce.robust import mad_std

__all__ = ["sky_line_offset"]

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

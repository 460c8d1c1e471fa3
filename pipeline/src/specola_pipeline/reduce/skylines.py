"""Where the sky lines of an exposure lie beside the arc's wavelength map: flexure, slit by slit."""

from __future__ import annotations

import numpy as np

from specola_pipeline.instruments import Lines
from specola_pipeline.reduce.arcs import fit_lines
from specola_pipeline.reduce.exposure import SlitExposure
from specola_pipeline.reduce.robust import mad_std

__all__ = ["sky_line_offset"]


def sky_line_offset(slit: SlitExposure, sigma: float, lines: Lines, reach: float) -> tuple[float, float, int]:
    """Median offset of the sky lines from the map in rows, its scatter, and how many lines it rests on (0: none was seen).

    Measured on the fitted sky in the slit's middle, on lines without a rival within four widths; *reach* bounds the offset.
    """
    usable = slit.inside.sum(axis=0)
    column = int(np.argmax(np.convolve(usable, np.ones(5), mode="same")))
    wave = slit.wavelength[:, column]
    inside = (lines.wavelength > wave[0]) & (lines.wavelength < wave[-1])
    at = np.interp(lines.wavelength[inside], wave, np.arange(wave.size))
    strength = lines.strength[inside]
    if at.size == 0:
        return 0.0, float("nan"), 0
    gap = np.abs(at[:, None] - at[None, :])
    rival = (gap > 0) & (gap < 4 * sigma + 1) & (strength[None, :] > 0.03 * strength[:, None])
    at = at[~rival.any(axis=1)]
    sky = slit.sky[:, column]
    noise = np.sqrt(slit.variance[:, column] / max(slit.inside.sum(axis=1).max(), 1))
    place, error, height = fit_lines(sky, 1.0 / noise**2, at, sigma)
    good = np.isfinite(place) & (error < 0.15) & (height > 8 * np.interp(at, np.arange(noise.size), noise))
    offset = (place - at)[good]
    offset = offset[np.abs(offset) <= reach]
    if offset.size == 0:
        return 0.0, float("nan"), 0
    return float(np.median(offset)), float(mad_std(offset)), int(offset.size)

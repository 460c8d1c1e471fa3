"""What any pipeline made of a simulated exposure, measured against the simulator's truth in one way for all.

A pipeline's products are brought into a :class:`Seen`; :func:`measure` gives the same figures for each. A pipeline's own errors
are not believed here: noise is the scatter of what it gives about what is true, over the noise that can not be avoided.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.simulate.truth import FrameTruth

__all__ = ["BIN", "MATCH", "SAME", "Extracted", "Seen", "measure"]

Array = NDArray[np.floating]
READ_NOISE = 3.5
"""Electrons, of the simulated detector."""
MATCH = 5.0
"""Pixels within which an extracted object is a true one."""
EDGE = 2
"""Columns at both ends of a slit that are not judged."""
BIN = 5
"""Rows added before spectra are compared: neighbouring pixels of a resampled spectrum share noise, and each looks better than it
is. What is left favours resampled ones by two or three per cent."""
DEGREE = 3
"""Of the polynomial in wavelength by which counts may differ from the truth (throughput, scale) before noise is measured."""
SAME = (
    "map error, median of slits, px rms",
    "map error, worst of slits, px rms",
    "slits with map error <= 0.03 px rms",
    "sky residual / noise, continuum",
    "sky residual / noise, OH lines",
    "extracted noise / optimum, clear",
    "extracted noise / optimum, OH",
    "counts / truth, median",
    "objects found",
    "false objects a slit",
    "calibrations, s",
    "science, s a slit",
    "largest memory, GiB",
)


@dataclass(frozen=True)
class Extracted:
    """A spectrum of an object.

    The slit's number, a detector row and the column where the object is there, vacuum Angstrom ascending and electrons a pixel,
    both of shape (n,), NaN where there is nothing.
    """

    slit: int
    row: int
    column: float
    wavelength: Array
    counts: Array


@dataclass(frozen=True)
class Seen:
    """An exposure as a pipeline saw it. Images have the shape of the trimmed detector and NaN where there is nothing."""

    wavelength: Array
    """Vacuum Angstrom at the pixels' centres."""
    residual: Array
    """Electrons, sky subtracted, not resampled."""
    spectra: tuple[Extracted, ...]
    calibration_seconds: float
    science_seconds: float
    memory_gib: float


def measure(seen: Seen, truth: FrameTruth) -> dict[str, float]:
    """A figure for each of SAME."""
    slits = [int(one) for one in np.unique(truth.slit) if one > 0]
    inner = _inner(truth)
    rms = [_map_error(seen, truth, inner == slit) for slit in slits]
    continuum, lines = _sky(seen, truth, inner, slits)
    clear, bright, ratios, found, false = _objects(seen, truth)
    count = max(len(slits), 1)
    values = [
        float(np.nanmedian(rms)),
        float(np.nanmax(rms)),
        float(np.mean(np.array(rms) <= 0.03)),
        continuum,
        lines,
        _width(clear),
        _width(bright),
        float(np.median(ratios)) if ratios else np.nan,
        found / max(len(truth.sources), 1),
        false / count,
        seen.calibration_seconds,
        seen.science_seconds / count,
        seen.memory_gib,
    ]
    return dict(zip(SAME, values, strict=True))


def _inner(truth: FrameTruth) -> NDArray[np.int16]:
    """The slits without EDGE columns on both sides, where a neighbour's light is, too, and pipelines stop at different ones."""
    inner = truth.slit.copy()
    for shift in range(-EDGE, EDGE + 1):
        inner[np.roll(truth.slit, shift, axis=1) != truth.slit] = 0
    return inner


def _map_error(seen: Seen, truth: FrameTruth, slit: NDArray[np.bool_]) -> float:
    here = slit & np.isfinite(seen.wavelength)
    if not here.any():
        return np.nan
    rows = np.flatnonzero(here.any(axis=1))
    part = np.s_[rows[0] : rows[-1] + 1]
    miss = (seen.wavelength[part] - truth.wavelength[part]) / np.gradient(truth.wavelength[part], axis=0)
    return float(np.sqrt(np.nanmean(miss[here[part]] ** 2)))


def _sky(seen: Seen, truth: FrameTruth, inner: NDArray[np.int16], slits: list[int]) -> tuple[float, float]:
    """Width of what is left of the sky in units of its noise where there is no object and no cosmic ray: continuum, OH lines."""
    noise = np.sqrt(np.maximum(truth.diffuse, 0) + READ_NOISE**2)
    ratio = seen.residual / noise
    empty = (truth.objects < 0.05 * noise) & (truth.cosmics == 0) & np.isfinite(ratio)
    faint, bright = [], []
    for slit in slits:
        here = empty & (inner == slit)
        if not here.any():
            continue
        sky, values = truth.diffuse[here], ratio[here]
        top = sky > np.percentile(sky, 90)
        faint.append(_width([values[~top]]))
        bright.append(_width([values[top]]))
    return (float(np.median(faint)), float(np.median(bright))) if faint else (np.nan, np.nan)


def _objects(seen: Seen, truth: FrameTruth) -> tuple[list[Array], list[Array], list[float], int, int]:
    """Deviations over optimum in clear bins and on OH, counts over truth, objects found and false ones."""
    clear: list[Array] = []
    bright: list[Array] = []
    ratios: list[float] = []
    matched: set[int] = set()
    for source in truth.sources:
        near = [
            (abs(one.column - float(source["TRACE"][one.row])), index)
            for index, one in enumerate(seen.spectra)
            if one.slit == int(source["SLIT"]) and index not in matched
        ]
        near = [one for one in near if one[0] < MATCH]
        if not near:
            continue
        index = min(near)[1]
        matched.add(index)
        compared = _compare(seen.spectra[index], source, truth)
        if compared is None:
            continue
        deviation, sky, ratio, strength = compared
        top = sky > np.percentile(sky, 90)
        clear.append(deviation[~top])
        bright.append(deviation[top])
        if strength > 2:  # signal to noise a row: fainter objects' counts say nothing of the scale
            ratios.append(ratio)
    return clear, bright, ratios, len(matched), len(seen.spectra) - len(matched)


def _compare(spectrum: Extracted, source: NDArray[np.void], truth: FrameTruth) -> tuple[Array, Array, float, float] | None:
    """Of bins of BIN rows: deviation from the truth over optimum, and sky; counts over truth; median signal to noise a row."""
    trace = np.asarray(source["TRACE"], float)
    rows = np.flatnonzero(np.isfinite(trace))
    columns = np.clip(np.rint(trace[rows]).astype(int), 0, truth.slit.shape[1] - 1)
    wavelength = truth.wavelength[rows, columns].astype(float)
    electrons, optimum = np.asarray(source["ELECTRONS"], float)[rows], np.asarray(source["OPTIMUM"], float)[rows]
    good = np.isfinite(wavelength) & np.isfinite(electrons) & (optimum > 0)
    if good.sum() < 20 * BIN:
        return None
    wavelength, electrons, optimum = wavelength[good], electrons[good], optimum[good]
    sky = truth.diffuse[rows, columns][good]
    edges = _edges(wavelength)[::BIN]
    of_spectrum = _edges(spectrum.wavelength)
    true = _add(_edges(wavelength), electrons, edges)
    best = np.sqrt(_add(_edges(wavelength), optimum**2, edges))
    background = _add(_edges(wavelength), sky, edges)
    counts = _add(of_spectrum, spectrum.counts, edges)
    good = np.isfinite(counts) & (edges[:-1] > of_spectrum[0]) & (edges[1:] < of_spectrum[-1])
    if good.sum() < 20:  # too few bins for a width
        return None
    middle = (edges[1:] + edges[:-1]) / 2
    x = (middle - middle[0]) / (middle[-1] - middle[0]) * 2 - 1
    design = np.polynomial.legendre.legvander(x, DEGREE) * true[:, None]
    used = good.copy()
    for _ in range(3):
        scale, *_ = np.linalg.lstsq(design[used] / best[used, None], counts[used] / best[used], rcond=None)
        deviation = (counts - design @ scale) / best
        used = good & (np.abs(deviation) < 5 * max(_width([deviation[used]]), 1e-9))
    return deviation[good], background[good], float(counts[good].sum() / true[good].sum()), float(np.median(electrons / optimum))


def _edges(centres: Array) -> Array:
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _add(edges: Array, values: Array, into: Array) -> Array:
    """Values between edges, added into other bins; a bin with a NaN in it is NaN."""
    there = np.isfinite(values)
    total = np.interp(into, edges, np.concatenate([[0.0], np.cumsum(np.where(there, values, 0.0))]))
    gaps = np.interp(into, edges, np.concatenate([[0.0], np.cumsum(~there)]))
    return np.where(np.diff(gaps) > 0, np.nan, np.diff(total))


def _width(parts: list[Array]) -> float:
    """Half of what 68.27 per cent span: the standard deviation, outliers forgiven."""
    values = np.concatenate(parts) if parts else np.array([])
    low, high = np.percentile(values[np.isfinite(values)], [15.865, 84.135]) if values.size else (np.nan, np.nan)
    return float(high - low) / 2

"""Our reduction of a simulated quadrant, with objects detected blindly, and its figures.

:func:`reduce_quadrant`, then :func:`judge` for the targets (the reduction's own errors judged, too) and :func:`seen_by_us` for
what is asked of every pipeline.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.reduction_truth import BIN, MATCH, Extracted, Seen
from specola_pipeline.instruments import Kind
from specola_pipeline.organise import Group, plan, scan
from specola_pipeline.reduce.calibrate import Calibration, calibrate
from specola_pipeline.reduce.detector import BAD, COSMIC
from specola_pipeline.reduce.exposure import ExposureRecord, reduce_exposure
from specola_pipeline.reduce.raw import raw_of
from specola_pipeline.reduce.results import SlitExposure, Spectrum1D
from specola_pipeline.reduce.robust import median
from specola_pipeline.reduce.tasks import Calibrate, Parameters
from specola_pipeline.simulate.truth import FrameTruth, read_truth

__all__ = ["TARGETS", "Reduced", "judge", "reduce_quadrant", "seen_by_us"]

HIT = 5.0
"""Noises above which a cosmic ray's pixel has to be found."""
_T = TypeVar("_T")
TARGETS: dict[str, tuple[str, Callable[[float], object]]] = {
    "slits with map error <= 0.03 px rms": (">= 0.95", lambda value: value >= 0.95),
    "map error, median of slits, px rms": ("<= 0.03", lambda value: value <= 0.03),
    "map offset, worst of slits, px": ("<= 0.02", lambda value: value <= 0.02),
    "sky chi, continuum": ("<= 1.02", lambda value: value <= 1.02),
    "sky chi, OH lines": ("<= 1.05", lambda value: value <= 1.05),
    "noise / optimum, clear": ("<= 1.15", lambda value: value <= 1.15),
    "noise / optimum, OH": ("<= 1.35", lambda value: value <= 1.35),
    "pulls of counts, width": ("0.9 - 1.1", lambda value: 0.9 <= value <= 1.1),
    "pulls of counts in bins of rows on OH, width": ("0.9 - 1.1", lambda value: 0.9 <= value <= 1.1),
    "counts / truth, median": ("0.95 - 1.05", lambda value: 0.95 <= value <= 1.05),
    "cosmic pixels found": (">= 0.98", lambda value: value >= 0.98),
    "pixels falsely taken for cosmic": ("<= 0.001", lambda value: value <= 0.001),
    "objects found": ("", np.isfinite),
    "science, s a slit": ("<= 0.1", lambda value: value <= 0.1),
    "calibrations, s": ("<= 20", lambda value: value <= 20),
}


@dataclass(frozen=True)
class Reduced:
    """A science exposure of a simulated quadrant."""

    slits: list[SlitExposure]
    record: ExposureRecord
    truth: FrameTruth
    calibration_seconds: float
    science_seconds: float
    memory_gib: float
    """The most that this process had, with the images of all slits: a worker keeps them on disk."""


def reduce_quadrant(folder: Path) -> Reduced:
    """Reduce the science exposure that was simulated in *folder*. Processor seconds of this process, reading included."""
    (group,) = (one for one in plan(scan(folder / "raw")).groups if one.kind is Kind.SCIENCE)
    calibration, calibration_seconds = _timed(lambda: _calibrate(group))
    raw, chosen = raw_of(group.entries[0]), Parameters()
    kept: list[SlitExposure] = []
    record, seconds = _timed(lambda: reduce_exposure(raw, calibration, chosen.seeing, chosen.objects, kept.append))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return Reduced(kept, record, read_truth(folder).frame(raw.path.name), calibration_seconds, seconds, memory)


def _calibrate(group: Group) -> Calibration:
    return calibrate(Calibrate.of(group).setup)


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def judge(reduced: Reduced) -> dict[str, float]:
    """A figure for each of TARGETS."""
    truth = reduced.truth
    rms, offset, found, false, pixels = [], [], [0, 0], 0, 0
    clear, lines, pulls, binned, ratios, objects = [], [], [], [], [], [0, 0]
    for images in reduced.slits:
        window, number = images.window, images.number
        here = images.inside & (truth.slit[window] == number)
        miss = ((images.wavelength - truth.wavelength[window]) / np.gradient(images.wavelength, axis=0))[here]
        rms.append(float(np.sqrt(np.mean(miss**2))))
        offset.append(abs(float(np.mean(miss))))
        taken, true = (images.mask & COSMIC) > 0, truth.cosmics[window]
        # A pixel that is left out for another reason is not looked at: no ray in it can harm, or be found.
        hit = here & ((images.mask & BAD) == 0) & (true > HIT * np.sqrt(images.variance))
        found = [found[0] + int((hit & taken).sum()), found[1] + int(hit.sum())]
        false, pixels = false + int((here & taken & (true == 0)).sum()), pixels + int(here.sum())
        sky = median(np.where(here, images.sky, np.nan), 1)
        bright = sky > np.nanpercentile(sky, 90)
        for source in truth.sources[truth.sources["SLIT"] == number]:
            objects[1] += 1
            spectrum = _match(source["TRACE"], images)
            if spectrum is None:
                continue
            objects[0] += 1
            rows = slice(window[0].start, window[0].stop)
            electrons, optimum = source["ELECTRONS"][rows].astype(float), source["OPTIMUM"][rows].astype(float)
            good = np.isfinite(electrons) & np.isfinite(spectrum.flux) & np.isfinite(spectrum.variance) & (optimum > 0)
            noise = np.sqrt(spectrum.variance)
            clear.append(noise[good & ~bright] / optimum[good & ~bright])
            lines.append(noise[good & bright] / optimum[good & bright])
            if np.median(electrons[good] / optimum[good]) > 2:
                ratios.append(float(np.sum(spectrum.flux[good]) / np.sum(electrons[good])))
                miss = np.where(good, spectrum.flux - ratios[-1] * electrons, np.nan)
                pulls.append((miss / noise)[good])
                binned.append(_bins(miss, spectrum.variance, sky))
    quality = reduced.record.quality
    values = [
        float(np.mean(np.array(rms) <= 0.03)),
        float(np.median(rms)),
        max(offset),
        # None can be measured in a slit that is full of objects.
        float(np.nanmedian([row.sky_chi for row in quality])),
        float(np.nanmedian([row.line_chi for row in quality])),
        _median(clear),
        _median(lines),
        _width(pulls),
        _width(binned),
        float(np.median(ratios)),
        found[0] / max(found[1], 1),
        false / max(pixels, 1),
        objects[0] / max(objects[1], 1),
        reduced.science_seconds / max(len(reduced.slits), 1),
        reduced.calibration_seconds,
    ]
    return dict(zip(TARGETS, values, strict=True))


def _match(trace: NDArray[np.float32], images: SlitExposure) -> Spectrum1D | None:
    """The detected object nearest to a true one."""
    rows = np.arange(images.window[0].start, images.window[0].stop)
    true = trace[rows] - images.window[1].start
    good = np.isfinite(true)
    if not good.any():
        return None
    at = np.clip(np.rint(true[good]).astype(int), 0, images.position.shape[1] - 1)
    place = float(np.median(images.position[np.flatnonzero(good), at] + true[good] - at))
    near = [(abs(spectrum.place - place), index) for index, spectrum in enumerate(images.spectra)]
    return images.spectra[min(near)[1]] if near and min(near)[0] < MATCH else None


def _median(parts: list[NDArray[np.float64]]) -> float:
    return float(np.median(np.concatenate(parts))) if parts else float("nan")


def _bins(miss: NDArray[np.floating], variance: NDArray[np.floating], sky: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pulls of sums over BIN rows on the brightest tenth of the sky, (bins,): what is wrong over a whole line adds up in them."""
    count = miss.size // BIN * BIN
    total, noise, light = (part[:count].reshape(-1, BIN).sum(axis=1) for part in (miss, variance, sky))
    there = np.isfinite(total) & np.isfinite(noise) & (light > np.nanpercentile(light, 90))
    return np.asarray((total / np.sqrt(noise))[there])


def _width(parts: list[NDArray[np.float64]]) -> float:
    low, high = np.percentile(np.concatenate(parts), [15.865, 84.135]) if parts else (np.nan, np.nan)
    return float(high - low) / 2


def seen_by_us(reduced: Reduced) -> Seen:
    """Our products, on the detector."""
    wavelength = np.full(reduced.truth.slit.shape, np.nan)
    residual = np.full(reduced.truth.slit.shape, np.nan)
    spectra = []
    for images in reduced.slits:
        window, inside = images.window, images.inside
        wavelength[window][inside] = images.wavelength[inside]
        residual[window][inside] = (images.data - images.sky)[inside]
        middle = len(images.position) // 2
        for spectrum in images.spectra:
            column = window[1].start + float(
                np.interp(spectrum.centre[middle], images.position[middle], np.arange(inside.shape[1]))
            )
            spectra.append(Extracted(images.number, window[0].start + middle, column, spectrum.wavelength, spectrum.flux))
    return Seen(wavelength, residual, tuple(spectra), reduced.calibration_seconds, reduced.science_seconds, reduced.memory_gib)

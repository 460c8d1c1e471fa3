"""One exposure: its slits one by one, each with its images, its objects and its figures. Begin with :func:`reduce_exposure`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from specola_pipeline import instruments
from specola_pipeline.reduce import fluxcal
from specola_pipeline.reduce.calibrate import CalibratedSlit, Calibration
from specola_pipeline.reduce.detector import BAD, COSMIC, Frame, subtract_bias
from specola_pipeline.reduce.flexure import shared_flexure
from specola_pipeline.reduce.raw import Raw, electrons
from specola_pipeline.reduce.results import SlitExposure, SlitQuality, Spectrum1D
from specola_pipeline.reduce.skylines import LINE_FLOOR, sky_line_offset
from specola_pipeline.reduce.slitfit import SlitSolver
from specola_pipeline.reduce.traces import slits_moved

__all__ = ["ExposureRecord", "reduce_exposure", "reduce_slit"]

Array = NDArray[np.float64]

_ATLAS = "paranal"
"""The sky whose lines are compared with: those of OH and [O I] are the same on every site."""

_MARGIN = 1.0
"""Columns left out at both ends of a slit, where its edge falls within a pixel."""

_DOUBT = 0.1
"""Error, columns, above which where an exposure's slits lie is not known better than that they have not moved."""


@dataclass(frozen=True)
class ExposureRecord:
    """What is kept of an exposure beside its slits: figures, failed slits as (identifier, words), and what was odd.

    *moved* is by how many columns its slits lie from where they were in the flat, 0 where the sky was too faint to see it.
    """

    quality: tuple[SlitQuality, ...]
    moved: float
    barycentric: float
    failed: tuple[tuple[str, str], ...]
    odd: tuple[str, ...]


def reduce_exposure(
    raw: Raw, calibration: Calibration, seeing: float, most: int, keep: Callable[[SlitExposure], None]
) -> ExposureRecord:
    """Reduce all slits of a frame; each is given to *keep* when all are done, since together they say how the image has moved.

    *seeing* is the expected FWHM of an object in arcsec, *most* how many objects a slit may have. A slit that fails is named and
    stops nothing else. Raises FrameError where the frame can not be read.
    """
    frame = electrons(raw)
    if calibration.bias is not None:
        frame = subtract_bias(frame, calibration.bias)
    instrument = instruments.instrument(raw.frame.instrument)
    sigma = max(seeing / 2.3548 / instrument.detector(raw.frame.quadrant).pixel_scale, 1.0)
    lines = instruments.line_list(instrument.sky_lines)
    seen = [one.slit for one in calibration.slits if one.slit.traced]
    moved, doubt = slits_moved(frame.data, seen, instrument.flexure.across)
    if not math.isfinite(doubt) or doubt > _DOUBT:
        moved = 0.0
    done: list[tuple[CalibratedSlit, SlitExposure, SlitQuality]] = []
    failed: list[tuple[str, str]] = []
    for slit in calibration.slits:
        try:
            images, quality = reduce_slit(frame, slit, lines, instrument.flexure.along, sigma, most, moved)
        except ValueError as error:
            failed.append((slit.said.identifier, str(error)))
            continue
        done.append((slit, images, quality))
    figures = []
    for images, quality in _without_flexure(done):
        keep(images)
        figures.append(quality)
    return ExposureRecord(tuple(figures), moved, fluxcal.barycentric_factor(raw), tuple(failed), frame.odd)


def _without_flexure(
    done: list[tuple[CalibratedSlit, SlitExposure, SlitQuality]],
) -> Iterator[tuple[SlitExposure, SlitQuality]]:
    """Images and figures of all slits with what their sky lines say together of flexure taken out of the wavelengths."""
    if not done:
        return
    place = np.array([(one.slit.middle, 0.5 * sum(one.slit.rows)) for one, _, _ in done])
    lines = np.array([quality.sky_lines for _, _, quality in done])
    offset, error = shared_flexure(
        place, *(np.array([getattr(quality, name) for _, _, quality in done]) for name in ("sky_offset", "sky_offset_error"))
    )
    # What is uncertain of the lines themselves is the same in all slits: many slits do not know it better.
    common = LINE_FLOOR / math.sqrt(float(np.median(lines[lines > 0]))) if lines.any() else 0.0
    for (_, images, quality), moved, unsure in zip(done, offset, np.maximum(error, common), strict=True):
        by_row = moved * np.gradient(images.wavelength[:, images.inside.shape[1] // 2])
        yield (
            replace(
                images,
                wavelength=images.wavelength - by_row[:, None],
                spectra=tuple(replace(one, wavelength=one.wavelength - by_row) for one in images.spectra),
            ),
            replace(quality, sky_offset=float(moved), sky_offset_error=float(unsure)),
        )


def reduce_slit(
    frame: Frame,
    calibrated: CalibratedSlit,
    lines: instruments.Lines,
    reach: float,
    seeing: float,
    most: int,
    moved: float = 0.0,
) -> tuple[SlitExposure, SlitQuality]:
    """Sky, cosmic rays and objects of one slit; flexure is measured and is still in its wavelengths.

    *lines* are those of the night sky and *reach* how many rows they may lie from where the arc puts them; *seeing* is the
    expected sigma of an object along the slit in pixels, *moved* by how many columns the slit lies from where the flat showed
    it. Raises ValueError where the slit has no usable pixel.
    """
    slit, wave = calibrated.slit, calibrated.wave
    window = slit.window(frame.data.shape[1])
    position, length = slit.position(window)
    position = position - moved
    flat = calibrated.flat.moved(position)
    inside = (position > _MARGIN - 0.5) & (position < length[:, None] - _MARGIN + 0.5)
    wavelength, rows_at = wave.reference_rows(window, slit.middle, moved)
    mask = frame.mask[window] | np.where(flat.broken, BAD, 0).astype(np.uint8)
    usable = inside & (mask == 0)
    if usable.sum() < 20 * max(usable.shape[1], 1):
        raise ValueError(f"{int(usable.sum())} of {int(inside.sum())} pixels can be used in this frame")
    data = frame.data[window] / flat.response
    read = np.where(usable, frame.variance[window] - np.maximum(frame.data[window], 0.0), 1.0)
    solver = SlitSolver(data, read, flat, usable, position, rows_at, length, slit)
    found, odd = solver.detect(seeing, most)
    solver.refine(found)
    mask[solver.cosmic & usable] |= COSMIC
    column = int(np.argmax(np.convolve(inside.sum(axis=0), np.ones(5), mode="same")))
    axis = wavelength[:, column]
    noise = np.sqrt(solver.variance[:, column] / max(inside.sum(axis=1).max(), 1))
    sky_lines = sky_line_offset(solver.fit.sky[:, column], noise, axis, wave, lines, instruments.sky(_ATLAS), reach)
    dispersion = np.gradient(axis)[:, None]
    mended = rows_at - solver.rows_at
    true = wavelength - mended * dispersion
    spectra = tuple(_spectrum(solver, k, usable & ~solver.cosmic, true) for k in range(len(solver.traces)))
    images = SlitExposure(
        slit.number,
        window,
        data.astype(np.float32),
        solver.variance.astype(np.float32),
        solver.fit.sky.astype(np.float32),
        mask,
        inside,
        true,
        position.astype(np.float32),
        float(np.median(length)),
        spectra,
    )
    return images, _figures(solver, calibrated, images, mended, sky_lines, odd)


def _spectrum(solver: SlitSolver, k: int, used: NDArray[np.bool_], wavelength: Array) -> Spectrum1D:
    trace, profile, fit = solver.traces[k], solver.profiles[k], solver.fit
    total = np.maximum(profile.sum(axis=1), 1e-12)
    effective = total**2 / np.maximum((profile**2).sum(axis=1), 1e-12)
    return Spectrum1D(
        trace.place,
        float(np.mean(trace.sigma(solver.rows))),
        trace.significance,
        (wavelength * profile).sum(axis=1) / total,
        fit.flux[k],
        fit.variance[k],
        (fit.sky * profile).sum(axis=1) / total * effective,
        np.where(used, profile, 0.0).sum(axis=1) / total,
        np.asarray(trace.centre(solver.rows), dtype=float),
    )


def _figures(
    solver: SlitSolver,
    calibrated: CalibratedSlit,
    images: SlitExposure,
    mended: Array,
    sky_lines: tuple[float, float, int],
    odd: tuple[str, ...],
) -> SlitQuality:
    wave, flat, inside = calibrated.wave, calibrated.flat, images.inside
    chi_sky, chi_lines = solver.chi()
    weight = np.where(solver.usable & ~solver.cosmic, 1.0 / solver.variance, 0.0)
    snr, limit = float("nan"), float("nan")
    ratios = [one.flux / np.sqrt(one.variance) for one in images.spectra]
    if ratios:
        best = int(np.argmax([float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else -np.inf for ratio in ratios]))
        snr = float(np.nanmedian(ratios[best]))
        optimum = (solver.profiles[best] ** 2 * weight).sum(axis=1)
        good = (optimum > 0) & np.isfinite(images.spectra[best].variance)
        limit = float(np.median(np.sqrt(images.spectra[best].variance[good] * optimum[good]))) if good.any() else float("nan")
    return SlitQuality(
        calibrated.slit.number,
        calibrated.said.identifier,
        wave.lines,
        wave.line_residuals,
        wave.rms,
        wave.sigma,
        *sky_lines,
        chi_sky,
        chi_lines,
        float(np.sqrt(np.mean(mended[solver.usable] ** 2))),
        float(solver.cosmic[inside].mean()),
        float((~solver.usable)[inside].mean()),
        flat.signal,
        flat.illumination,
        calibrated.slit.traced,
        len(images.spectra),
        snr,
        limit,
        (*calibrated.slit.odd, *odd),
    )

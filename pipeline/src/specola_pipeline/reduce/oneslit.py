"""One slit of one exposure, in two halves: what it settles by itself, and what it does with what all slits know together.

Begin with :func:`settle_slit`, then :meth:`OpenSlit.finish`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specola_pipeline import instruments
from specola_pipeline.reduce.calibrate import CalibratedSlit
from specola_pipeline.reduce.detector import BAD, COSMIC, Frame
from specola_pipeline.reduce.overlap import foreign_light
from specola_pipeline.reduce.results import SlitExposure, SlitQuality, Spectrum1D
from specola_pipeline.reduce.sharedsky import Expected, SlitSky
from specola_pipeline.reduce.sky import SkyFit, Spline
from specola_pipeline.reduce.skylines import sky_line_offset
from specola_pipeline.reduce.slitfit import Settled, SlitSolver

__all__ = ["OpenSlit", "settle_slit"]

Array = NDArray[np.float64]

_ATLAS = "paranal"
"""The sky whose lines are compared with: those of OH and [O I] are the same on every site."""

_MARGIN = 1.0
"""Columns left out at both ends of a slit, where its edge falls within a pixel."""

_FILLED, _SURE = 0.05, 6.0
"""Part of the sky, and errors, beyond which light that is not the sky's is said to fill a slit."""


@dataclass(frozen=True)
class OpenSlit:
    """A slit that waits for the others: objects, cosmic rays and its map are settled, its last fit and flexure are not."""

    calibrated: CalibratedSlit
    window: tuple[slice, slice]
    inside: NDArray[np.bool_]
    mask: NDArray[np.uint8]
    settled: Settled
    spline: Spline
    """The sky as the slit alone knows it."""
    wavelength: Array
    """Of each pixel, flexure still in it."""
    length: float
    correction: float
    """Root mean square of what the sky lines changed in the map."""
    sky_lines: tuple[float, float, int]
    """Offset of the sky lines from the map in rows, its error, and how many lines it rests on."""
    odd: tuple[str, ...]

    @property
    def place(self) -> tuple[float, float]:
        """Of the slit on the detector: column and row."""
        slit = self.calibrated.slit
        return slit.middle, 0.5 * (slit.rows[0] + slit.rows[1])

    def sky(self, offset: float) -> SlitSky:
        """What other slits may know of this one's sky, its lines *offset* rows from the map."""
        slit, wave = self.calibrated.slit, self.calibrated.wave
        rows = np.arange(*slit.rows, dtype=float)
        return SlitSky(self.spline, rows, wave(rows - offset, np.full(rows.size, slit.middle)))

    def finish(self, offset: float, error: float, prior: Expected | None) -> tuple[SlitExposure, SlitQuality]:
        """The last fit with what is known of the sky beforehand, and flexure taken out of the wavelengths."""
        settled, fit = self.settled, self.settled.fit(prior)
        column = self.wavelength.shape[1] // 2
        true = self.wavelength - offset * np.gradient(self.wavelength[:, column])[:, None]
        images = SlitExposure(
            self.calibrated.slit.number,
            self.window,
            settled.data.astype(np.float32),
            settled.variance.astype(np.float32),
            fit.sky.astype(np.float32),
            self.mask,
            self.inside,
            true,
            settled.position.astype(np.float32),
            self.length,
            tuple(_spectrum(settled, fit, k, true) for k in range(len(settled.traces))),
        )
        return images, _figures(self, fit, images, (offset, error), prior)


def settle_slit(
    frame: Frame,
    calibrated: CalibratedSlit,
    lines: instruments.Lines,
    reach: float,
    seeing: float,
    most: int,
    moved: float = 0.0,
) -> OpenSlit:
    """Cosmic rays, objects and flexure of one slit.

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
    lost = flat.broken | foreign_light(window, calibrated.beside, moved)
    mask = frame.mask[window] | np.where(lost, BAD, 0).astype(np.uint8)
    usable = inside & (mask == 0)
    if usable.sum() < 20 * max(usable.shape[1], 1):
        raise ValueError(f"{int(usable.sum())} of {int(inside.sum())} pixels can be used in this frame")
    data = frame.data[window] / flat.response
    read = np.where(usable, frame.variance[window] - np.maximum(frame.data[window], 0.0), 1.0)
    solver = SlitSolver(data, read, flat, usable, position, rows_at, length, slit)
    found, odd = solver.detect(seeing, most)
    settled = solver.refine(found)
    mask[settled.cosmic & usable] |= COSMIC
    column = int(np.argmax(np.convolve(inside.sum(axis=0), np.ones(5), mode="same")))
    axis = wavelength[:, column]
    noise = np.sqrt(settled.variance[:, column] / max(inside.sum(axis=1).max(), 1))
    noise[~usable.any(axis=1)] = np.inf
    sky_lines = sky_line_offset(solver.fit.sky[:, column], noise, axis, wave, lines, instruments.sky(_ATLAS), reach)
    mended = rows_at - settled.rows_at
    return OpenSlit(
        calibrated,
        window,
        inside,
        mask,
        settled,
        solver.fit.spline,
        wavelength - mended * np.gradient(axis)[:, None],
        float(np.median(length)),
        float(np.sqrt(np.mean(mended[usable] ** 2))),
        sky_lines,
        odd,
    )


def _spectrum(settled: Settled, fit: SkyFit, k: int, wavelength: Array) -> Spectrum1D:
    trace, profile = settled.traces[k], settled.profiles[k]
    total = np.maximum(profile.sum(axis=1), 1e-12)
    effective = total**2 / np.maximum((profile**2).sum(axis=1), 1e-12)
    return Spectrum1D(
        trace.place,
        float(np.mean(trace.sigma(settled.rows))),
        trace.significance,
        (wavelength * profile).sum(axis=1) / total,
        fit.flux[k],
        fit.variance[k],
        (fit.sky * profile).sum(axis=1) / total * effective,
        np.where(settled.used, profile, 0.0).sum(axis=1) / total,
        np.asarray(trace.centre(settled.rows), dtype=float),
    )


def _figures(
    one: OpenSlit, fit: SkyFit, images: SlitExposure, offset: tuple[float, float], shared: Expected | None
) -> SlitQuality:
    calibrated, settled, inside = one.calibrated, one.settled, one.inside
    wave, flat = calibrated.wave, calibrated.flat
    chi_sky, chi_lines = settled.chi(fit)
    weight = np.where(settled.used, 1.0 / settled.variance, 0.0)
    snr, limit = float("nan"), float("nan")
    ratios = [spectrum.flux / np.sqrt(spectrum.variance) for spectrum in images.spectra]
    if ratios:
        best = int(np.argmax([float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else -np.inf for ratio in ratios]))
        snr = float(np.nanmedian(ratios[best]))
        optimum = (settled.profiles[best] ** 2 * weight).sum(axis=1)
        good = (optimum > 0) & np.isfinite(images.spectra[best].variance)
        limit = float(np.median(np.sqrt(images.spectra[best].variance[good] * optimum[good]))) if good.any() else float("nan")
    excess, error = (float("nan"), float("nan")) if shared is None else (shared.excess, shared.excess_error)
    odd = (*calibrated.slit.odd, *one.odd)
    if excess > max(_FILLED, _SURE * error):
        words = f"between lines its sky is {excess:.0%} brighter than its lines and the other slits say"
        odd = (*odd, f"{words}: an object that fills the slit is taken for sky")
    return SlitQuality(
        calibrated.slit.number,
        calibrated.said.identifier,
        wave.lines,
        wave.line_residuals,
        wave.rms,
        wave.sigma,
        *offset,
        one.sky_lines[2],
        chi_sky,
        chi_lines,
        one.correction,
        float(settled.cosmic[inside].mean()),
        float((~settled.usable)[inside].mean()),
        flat.signal,
        flat.illumination,
        calibrated.slit.traced,
        len(images.spectra),
        snr,
        limit,
        odd,
        excess,
        error,
    )

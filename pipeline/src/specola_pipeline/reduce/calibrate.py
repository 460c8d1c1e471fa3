"""The calibrations of a set-up: bias, slits, wavelength maps and flat fields, slit by slit.

A slit that fails keeps its reason and takes no other slit with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from astropy.io import fits
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from specola_pipeline import instruments
from specola_pipeline.reduce.arcs import solve_slit
from specola_pipeline.reduce.detector import SATURATED, Frame, combine, subtract_bias, with_hot_pixels
from specola_pipeline.reduce.flats import SlitFlat, slit_flat
from specola_pipeline.reduce.overlap import foreign_light, meeting
from specola_pipeline.reduce.raw import Raw, electrons
from specola_pipeline.reduce.traces import Slit, mask_shift, trace_slits
from specola_pipeline.reduce.wavemap import WaveMap

__all__ = ["CalibratedSlit", "Calibration", "Setup", "calibrate"]

Array = NDArray[np.float64]

_LONG_REACH = 40.0
"""Columns within which the ends of a long slit are looked for from the ends of the detector."""

_ARC_REACH, _ARC_STRETCH = 40.0, 0.02
"""How far (rows, relative) the dispersion may be from the instrument file's first guess."""

_MASK_SEEN = 4.0
"""Significance in the flat below which the slits of the header are not those of the mask in the beam."""


@dataclass(frozen=True)
class CalibratedSlit:
    """A slit with its wavelength map and flat field."""

    slit: Slit
    said: instruments.Slit
    """What the header says of it."""
    wave: WaveMap
    flat: SlitFlat
    beside: tuple[Slit, ...] = ()
    """Slits whose light falls on some of its pixels."""


@dataclass(frozen=True)
class Calibration:
    """What exposures of a set-up need: the bias (None without one), the slits, what failed, and what was odd, in words."""

    bias: Frame | None
    slits: tuple[CalibratedSlit, ...]
    failed: tuple[tuple[str, str], ...]
    """Identifiers of slits, and why."""
    odd: tuple[str, ...]
    mask_shift: float


@dataclass(frozen=True)
class Setup:
    """Exposures that share their calibrations; the first one's header has the slits."""

    biases: tuple[Raw, ...]
    flats: tuple[Raw, ...]
    arcs: tuple[Raw, ...]
    first: Raw


def calibrate(setup: Setup) -> Calibration:
    """Reduce the calibrations of *setup*.

    Raises FrameError where a frame can not be read, ValueError where the mask is not seen.
    """
    odd: list[str] = []
    bias = with_hot_pixels(combine([electrons(raw) for raw in setup.biases])) if setup.biases else None
    if bias is None:
        odd.append("no bias frames: only the overscan was subtracted")
    flat = _clean(combine([electrons(raw) for raw in setup.flats], level=True), bias)
    arc = _clean(combine([electrons(raw) for raw in setup.arcs]), bias)
    odd += [f"flat: {word}" for word in flat.odd] + [f"arc: {word}" for word in arc.odd]
    first = setup.first
    expected, said, guesses = expected_slits(first, flat.data.shape)
    long_slit = isinstance(instruments.instrument(first.frame.instrument).geometry, instruments.LongSlit)
    shift = 0
    if not long_slit:
        shift, clear = mask_shift(flat.data, expected)
        if clear < _MASK_SEEN:
            raise ValueError(
                f"{setup.flats[0].path.name}: the slits that the header of {first.path.name} lists are not seen in the flat "
                f"(significance {clear:.1f}, expected {_MASK_SEEN:g}): was another mask in the beam?"
            )
    traced = trace_slits(flat.data, expected, shift, reach=_LONG_REACH if long_slit else 4.0)
    lines = _lamp_lines(first, setup.arcs[0])
    done: list[CalibratedSlit] = []
    failed: list[tuple[str, str]] = []
    for slit, beside, one, (guess, sigma) in zip(*meeting(traced, flat.data.shape[1]), said, guesses, strict=True):
        try:
            wave, slit_response = _calibrate_slit(slit, beside, flat, arc, lines, guess, sigma)
        except ValueError as error:
            failed.append((one.identifier, str(error)))
            continue
        done.append(CalibratedSlit(slit, one, wave, slit_response, beside))
    return Calibration(bias, tuple(done), tuple(failed), tuple(odd), float(shift))


def _clean(frame: Frame, bias: Frame | None) -> Frame:
    return frame if bias is None else subtract_bias(frame, bias)


def expected_slits(
    raw: Raw, shape: tuple[int, int]
) -> tuple[list[Slit], tuple[instruments.Slit, ...], list[tuple[partial[Array], float]]]:
    """Slits of a frame where the instrument file puts them, what the header says of them, and dispersion guesses.

    A guess gives the row within the slit's window of a wavelength; with it goes the expected sigma of a line in pixels.
    """
    instrument = instruments.instrument(raw.frame.instrument)
    detector, grism = instrument.detector(raw.frame.quadrant), instrument.grism(raw.frame.grism)
    raw_shape = shape if detector.dispersion_axis == 0 else (shape[1], shape[0])
    found = instruments.slits(instrument, fits.getheader(raw.path), raw.frame, raw_shape)
    low, high = (float(value) for value in grism.offset(np.array(grism.range)))
    slits, guesses = [], []
    for one in found:
        reference = one.reference if detector.dispersion_sign > 0 else shape[0] - 1 - one.reference
        rows = (int(max(np.floor(reference + low), 0)), int(min(np.ceil(reference + high) + 1, shape[0])))
        left, right = Polynomial([one.centre - one.half_length]), Polynomial([one.centre + one.half_length])
        slits.append(Slit(one.number, rows, left, right))
        fwhm = grism.reference / grism.resolution * max(one.width, 0.5) / grism.resolution_slit / abs(grism.angstrom_per_pixel)
        guesses.append((partial(_row_of, grism, reference - rows[0]), float(np.clip(fwhm / 2.355, 0.8, 6.0))))
    return slits, found, guesses


def _row_of(grism: instruments.Grism, reference: float, wavelength: Array) -> Array:
    return reference + grism.offset(wavelength)


def _lamp_lines(science: Raw, arc: Raw) -> instruments.Lines:
    """Lines of the lamps that were on, in the grism's range and as far beyond as its first guess may be wrong.

    At the ends of a spectrum there is light of lines that a filter should cut and does not; lines that turn out to be off the
    window are left out then. Raises ValueError without any.
    """
    if not arc.frame.lines:
        raise ValueError(f"{arc.path.name}: no lamp with lines is on by its header")
    grism = instruments.instrument(science.frame.instrument).grism(science.frame.grism)
    lines = instruments.line_list(*arc.frame.lines)
    beyond = _ARC_REACH * abs(grism.angstrom_per_pixel)
    inside = (lines.wavelength > grism.range[0] - beyond) & (lines.wavelength < grism.range[1] + beyond)
    return instruments.Lines(lines.wavelength[inside], lines.strength[inside])


def _calibrate_slit(
    slit: Slit,
    beside: tuple[Slit, ...],
    flat: Frame,
    arc: Frame,
    lines: instruments.Lines,
    guess: partial[Array],
    sigma: float,
) -> tuple[WaveMap, SlitFlat]:
    if slit.rows[1] - slit.rows[0] < 100:
        raise ValueError(f"only rows {slit.rows[0]} to {slit.rows[1]} of its spectrum fall on the detector")
    window = slit.window(flat.data.shape[1])
    position, length = slit.position(window)
    if position.shape[1] < 4 or float(np.min(length)) < 4:
        raise ValueError(f"{float(np.min(length)):.1f} pixels long on the detector, at least 4 are needed")
    inside = (position > 0.5) & (position < length[:, None] - 0.5)
    saturated = (flat.mask[window] & SATURATED) > 0
    if saturated[inside].mean() > 0.02:
        raise ValueError(f"{saturated[inside].mean():.0%} of its flat is saturated: take a shorter flat")
    alone = inside & ~foreign_light(window, beside)
    good = alone & (arc.mask[window] == 0)
    weight = np.where(good, 1.0 / np.where(good, arc.variance[window], 1.0), 0.0)
    wave = solve_slit(
        arc.data[window],
        weight,
        inside,
        (window[0].start, window[1].start),
        lines,
        guess,
        sigma=sigma,
        reach=_ARC_REACH,
        stretch=_ARC_STRETCH,
    )
    _, rows_at = wave.reference_rows(window, slit.middle)
    usable = alone & (flat.mask[window] == 0)
    if not usable.any():
        raise ValueError("no pixel of its flat can be used")
    return wave, slit_flat(flat.data[window], flat.variance[window], usable, rows_at, position, saturated[inside])

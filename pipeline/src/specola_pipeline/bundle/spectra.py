"""One object of a slit as it goes into a bundle: begin with :func:`reading_of`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specola_bundle.build import Reading, no_data
from specola_bundle.specfile import Extra, SpectrumData
from specola_bundle.survey import Survey
from specola_bundle.workfile import WorkFile, compose
from specola_pipeline.instruments import LongSlit, instrument
from specola_pipeline.names import mask_name, plain, slit_name, spectrum_name
from specola_pipeline.reduce.results import MaskResult, ObjectSpectrum, SlitResult

__all__ = ["COUNT_UNIT", "FLUX_UNIT", "Observation", "Scaled", "object_of", "observation_of", "reading_of", "scaled", "work_file"]

FLUX_UNIT = "10**-17 erg.s**-1.cm**-2.Angstrom**-1"
"""Unit of calibrated fluxes; the scale stays in the unit, as a 32-bit number holds 1e-17 but not its square."""

COUNT_UNIT = "ct"
"""Unit of spectra without a flux calibration: electrons a pixel (VOUnits have no electron)."""

_SCALE = 1e17

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """When and how a mask was observed: what all of its spectra have in common."""

    start: float
    end: float
    """MJD (UTC) of the first exposure's beginning and the last one's end."""
    exposures: int
    barycentric: bool
    """Whether wavelengths are barycentric: a frame without position can not be corrected."""


def observation_of(mask: MaskResult) -> Observation:
    """What the frames of a mask say of it. Raises ValueError where it has no exposure."""
    frames = [exposure.entry.frame for exposure in mask.exposures if exposure.entry.frame is not None]
    if not frames:
        raise ValueError(f"{mask_name(mask.group)}: no exposure, expected at least one")
    return Observation(
        start=min(frame.start for frame in frames),
        end=max(frame.start + frame.exptime / 86400.0 for frame in frames),
        exposures=len(frames),
        barycentric=all(frame.ra is not None and frame.dec is not None for frame in frames),
    )


@dataclass(frozen=True)
class Scaled:
    """An object's arrays, of shape (wavelengths,), in the unit of its file: flux where it was calibrated, else electrons."""

    unit: str
    flux: Array
    err: Array
    """Standard deviation; NaN where the pixel has no data."""
    sky: Array
    factor: Array
    """What an electron an Angstrom is in the file's unit."""


def scaled(thing: ObjectSpectrum) -> Scaled:
    """The arrays of an object in the unit of its file."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if thing.flux is None or thing.flux_variance is None:
            step = np.gradient(thing.wavelength)
            unit, flux, variance, factor = COUNT_UNIT, thing.counts * step, thing.variance * step**2, step
        else:
            unit, flux, variance = FLUX_UNIT, thing.flux * _SCALE, thing.flux_variance * _SCALE**2
            factor = np.sqrt(variance / thing.variance)
        # the factor is smooth: it is carried on over pixels without data, where it is infinity over infinity
        known = np.isfinite(factor)
        if known.any() and not known.all():
            factor = np.interp(thing.wavelength, thing.wavelength[known], factor[known])
        err = np.sqrt(np.where(np.isfinite(variance), variance, np.nan))
    flux = np.where(np.isfinite(err), flux, np.nan)
    return Scaled(unit, *(np.asarray(one, float) for one in (flux, err, thing.sky * factor, factor)))


def reading_of(mask: MaskResult, slit: SlitResult, thing: ObjectSpectrum, survey: Survey, state: str) -> Reading:
    """An object as it goes into a bundle; *state* is that of its slit's quality control."""
    group, seen = mask.group, observation_of(mask)
    name, pointing = spectrum_name(group, slit.number, thing.number), mask_name(group)
    arrays = scaled(thing)
    identifier = object_of(mask, slit)
    # a second object in the slit is none of the parent catalogue
    object_id = identifier if thing.number == 1 else f"{identifier}-{thing.number}"
    target = survey.option("target_name", str, "{object_id}").format(object_id=object_id)
    title = survey.option("title", str, "{target_name} in {pointing_id}")
    known = instrument(group.instrument)
    calibrated = arrays.unit == FLUX_UNIT
    row = {
        "spectrum_id": name, "object_id": object_id, "pointing_id": pointing, "slit_id": slit_name(group, slit.number),
        "target_name": target, "title": title.format(target_name=target, pointing_id=pointing, object=thing.number),
        "ra": thing.ra, "dec": thing.dec, "wave_medium": "vacuum", "wave_frame": "BARYCENT" if seen.barycentric else "TOPOCENT",
        "flux_unit": arrays.unit, "flux_calib": "ABSOLUTE" if calibrated else "UNCALIBRATED", "aperture": slit.width / 3600.0,
        "res_power": _resolving_power(thing, slit), "exptime": thing.exptime, "t_min": seen.start, "t_max": seen.end,
        "n_exposures": max(1, round(float(np.nanmax(thing.exposures)))), "facility": known.telescope, "instrument": known.title,
        "disperser": group.grism, "qc_state": state,
    }  # fmt: skip
    work = work_file(mask, slit, thing, name, object_id)
    cards = _cards(mask)
    if calibrated and mask.response is not None:
        cards["FLUXERR"] = (round(100 * mask.response[1], 2), "[percent] Scatter of the standard star about the response")
    return Reading(
        source=name,
        row=row,
        data=_data(arrays, thing),
        work=work.to_bytes(),
        work_name=work.name,
        work_format="application/fits",
        cards=cards,
    )


def _cards(mask: MaskResult) -> dict[str, Any]:
    """Cards that only the raw frames know: technique, programme, observation blocks, and the frames themselves."""
    frames = [one.entry.frame for one in mask.exposures if one.entry.frame is not None]
    known = instrument(mask.group.instrument)
    cards: dict[str, Any] = {"OBSTECH": "SPECTRUM" if isinstance(known.geometry, LongSlit) else "MOS"}
    if known.telescope.startswith("ESO"):
        cards["PROG_ID"] = (frames[0].program or None, "ESO programme")
        blocks = dict.fromkeys(int(frame.block) for frame in frames if frame.block.isdigit())
        cards |= {f"OBID{number}": (block, "Observation block") for number, block in enumerate(blocks, start=1)}
    return cards | {f"PROV{number}": (frame.file, "Raw frame") for number, frame in enumerate(frames, start=1)}


def object_of(mask: MaskResult, slit: SlitResult) -> str:
    """The object that a slit was cut for: its identifier on the mask, or what the header of a long slit's frame says."""
    frame = mask.exposures[0].entry.frame
    long = isinstance(instrument(mask.group.instrument).geometry, LongSlit)
    return plain(frame.object if long and frame is not None and frame.object else slit.identifier) or "unnamed"


def _resolving_power(thing: ObjectSpectrum, slit: SlitResult) -> float | None:
    """Wavelength over FWHM of an arc line at the spectrum's middle: what the slit gives, whatever fills it."""
    sigmas = [one.line_sigma for one in slit.quality if math.isfinite(one.line_sigma) and one.line_sigma > 0]
    if not sigmas:
        return None
    step = float(np.median(np.diff(thing.wavelength)))
    return float(thing.wavelength[thing.wavelength.size // 2]) / (2.3548 * float(np.median(sigmas)) * step)


def _data(arrays: Scaled, thing: ObjectSpectrum) -> SpectrumData:
    per_exposure = thing.exptime / max(float(np.nanmax(thing.exposures)), 1.0)
    background = "phot.count" if arrays.unit == COUNT_UNIT else "phot.flux.density;em.wl"
    extras = (
        Extra("BGFLUX", arrays.sky, arrays.unit, f"{background};instr.background", "sky that was subtracted"),
        Extra("EXPOSURE", thing.exposures * per_exposure, "s", "time.duration;obs.exposure", "time that the pixel was exposed"),
        Extra("TELLURIC", np.asarray(thing.telluric, float), "", "phys.transmission;obs.atmos", "transmission divided out"),
    )
    return SpectrumData(thing.wavelength, arrays.flux, arrays.err, no_data(arrays.flux, arrays.err), extras)


def work_file(mask: MaskResult, slit: SlitResult, thing: ObjectSpectrum, name: str, object_id: str) -> WorkFile:
    """The work format: flux, NOISE, SKY, EXR2D and its NOISE2D (the slit, in the flux's unit a pixel along it), EXR1D.

    EXR1D is the flux before the telluric correction. There is no THUMB: the frames hold no image of the object.
    """
    arrays = scaled(thing)
    wave = thing.wavelength
    images: dict[str, NDArray[Any]] = {"NOISE": _single(arrays.err), "SKY": _single(arrays.sky)}
    if slit.rectified is not None:
        with np.errstate(invalid="ignore"):
            noise = np.sqrt(np.where(np.isfinite(slit.rectified.variance), slit.rectified.variance, np.nan))
        images["EXR2D"] = _single(slit.rectified.flux * arrays.factor)
        images["NOISE2D"] = _single(noise * arrays.factor)
    images["EXR1D"] = _single(arrays.flux * thing.telluric)
    cards: dict[str, Any] = {
        "OBJID": object_id, "POINTING": mask_name(mask.group), "SLIT": slit.number, "OBJ": thing.number,
        "SLITID": slit.identifier, "OBJRA": thing.ra, "OBJDEC": thing.dec, "GRISM": mask.group.grism, "EXPTIME": thing.exptime,
        "AIRMASS": thing.airmass, "OBJPOS": thing.place, "OBJFWHM": thing.fwhm, "OBJSIGN": thing.significance,
        "UNIT": arrays.unit, "MEDIUM": "vacuum", "SPECSYS": "BARYCENT" if observation_of(mask).barycentric else "TOPOCENT",
    }  # fmt: skip
    pnd = {
        key: value for key, value in cards.items() if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
    step = float(wave[-1] - wave[0]) / (wave.size - 1)
    return compose(f"sc_{name}.fits", _single(arrays.flux), start=float(wave[0]), step=step, extensions=images, pnd=pnd)


def _single(values: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)

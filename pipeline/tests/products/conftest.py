"""A reduction made by hand, with every number known: what report and bundle are written from."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from specola_pipeline.instruments import Frame, Kind
from specola_pipeline.organise import Entry, Group, Match, Plan
from specola_pipeline.organise.scan import Status
from specola_pipeline.reduce.results import (
    ExposureResult,
    MaskResult,
    ObjectSpectrum,
    Problem,
    Rectified,
    Reduction,
    SlitQuality,
    SlitResult,
)

WAVE = 5500.0 + 2.5 * np.arange(1200)
RESPONSE = 1e-17 * (1 + (WAVE - 5500.0) / 4000)
"""Flux of an electron an Angstrom."""


def frame(name, kind=Kind.SCIENCE, **changes: object):
    values = {
        "instrument": "vimos",
        "file": name,
        "kind": kind,
        "quadrant": 2,
        "grism": "MR",
        "filter": "GG475",
        "mask": "77001",
        "object": "CDFS",
        "program": "194.A-2003",
        "block": "123",
        "binning": "1x1",
        "ra": 53.1,
        "dec": -27.8,
        "exptime": 1200.0,
        "start": 57000.25,
        "airmass": 1.1,
        "night": "2014-12-09",
        "lamps": (),
        "lines": (),
    } | changes
    return Frame(**values)


def entry(name, kind=Kind.SCIENCE, **changes: object):
    return Entry(Path("raw") / name, Status.FRAME, frame=frame(name, kind, **changes), content=name)


def quality(number, **changes: object):
    values = {
        "number": number,
        "identifier": f"GAL{number}",
        "arc_wavelengths": np.linspace(5600, 8400, 22),
        "arc_residuals": np.zeros(22),
        "wavelength_rms": 0.03,
        "line_sigma": 1.6,
        "sky_offset": 0.4,
        "sky_offset_error": 0.01,
        "sky_lines": 14,
        "sky_chi": 1.01,
        "line_chi": 1.04,
        "map_correction": 0.02,
        "cosmic_part": 0.004,
        "bad_part": 0.01,
        "flat_signal": 14000.0,
        "slit_function": np.full(40, 1.0),
        "traced": True,
        "objects": 1,
        "snr": 6.0,
        "photon_limit": 1.05,
    } | changes
    return SlitQuality(**values)


def thing(number=1, level=400.0, *, calibrated=True):
    """An object of *level* electrons an Angstrom, of which two pixels have no data."""
    counts = np.full(WAVE.size, level)
    variance = np.full(WAVE.size, level + 900.0)
    counts[:2], variance[:2] = np.nan, np.inf
    flux = counts * RESPONSE if calibrated else None
    flux_variance = variance * RESPONSE**2 if calibrated else None
    return ObjectSpectrum(
        number=number, place=0.3, ra=53.1234, dec=-27.8765, fwhm=0.8, significance=40.0, wavelength=WAVE, counts=counts,
        variance=variance, sky=np.full(WAVE.size, 900.0), flux=flux, flux_variance=flux_variance,
        telluric=np.where(np.abs(WAVE - 7640) < 40, 0.5, 1.0), neighbour=0.1, exposures=np.full(WAVE.size, 2.0), airmass=1.1,
        exptime=2400.0,
    )  # fmt: skip


def slit(number, objects=None, qualities=(), **changes: object):
    objects = (thing(),) if objects is None else objects
    place = 0.205 * (np.arange(40) - 19.5)
    profile = np.exp(-0.5 * ((place - 0.3) / 0.34) ** 2)
    flux = np.outer(profile / profile.sum(), np.full(WAVE.size, 400.0 if objects else 0.0))
    flux = flux + np.random.default_rng(number).normal(0, 5, flux.shape)
    two = Rectified(WAVE, place, flux, np.full(flux.shape, 25.0), np.full(flux.shape, 25.0), np.full(flux.shape, 2.0))
    values = {
        "number": number,
        "identifier": f"GAL{number}",
        "ra": 53.1234,
        "dec": -27.8765,
        "width": 1.0,
        "length": 8.2,
        "rectified": two,
        "objects": objects,
        "quality": qualities or (quality(number),),
    } | changes
    return SlitResult(**values)


def mask(slits, exposures, *, failed=(), odd=(), response=("LTT 3218", 0.02), kind=Kind.SCIENCE):
    entries = tuple(one.entry for one in exposures)
    calibrations = tuple(
        Match(needs, (entry(f"{needs}.fits", needs),), "", fatal=False) for needs in (Kind.BIAS, Kind.FLAT, Kind.ARC)
    )
    group = Group("vimos", "2014-12-09", 2, "MR", "GG475", "77001", kind, entries, calibrations)
    known = {one.number: one for one in slits}
    inputs = [(one.path.name, hashlib.sha256(str(number).encode()).hexdigest()) for number, one in enumerate(entries)]
    inputs += [
        (f"{kind}.fits", hashlib.sha256(str(number).encode()).hexdigest())
        for number, kind in enumerate((Kind.BIAS, Kind.FLAT, Kind.ARC), 100)
    ]
    return MaskResult(
        group,
        tuple(exposures),
        tuple(failed),
        tuple(odd),
        tuple(inputs),
        response,
        tuple(known),
        known.__getitem__,
        lambda *_: None,
    )


def exposure(name, qualities, *, failed=(), odd=(), number=0):
    one = entry(name, start=57000.25 + 0.015 * number)
    return ExposureResult(
        one,
        hashlib.sha256(str(number).encode()).hexdigest(),
        tuple(qualities),
        1.0001,
        tuple(failed),
        tuple(odd),
    )


def reduction(masks, problems=()):
    told = [*problems]
    for one in masks:
        told += [*one.failed, *(problem for e in one.exposures for problem in e.failed)]
    return Reduction(Plan((), tuple(m.group for m in masks)), tuple(masks), tuple(told), {"knots": 0.8}, "specola-pipeline 0.1.0")


@pytest.fixture
def small():
    """Two exposures of four slits: a good one, one with a poor sky, one without an object, one that failed in one exposure."""
    bad = {3: {"sky_chi": 1.3}, 4: {"objects": 0, "snr": np.nan, "photon_limit": np.nan}}
    names = ("first.fits", "second.fits")
    failed = Problem("second.fits", "GAL9", "slit GAL9: 12% of its flat is saturated: take a shorter flat")
    exposures = [
        exposure(name, [quality(k, **bad.get(k, {})) for k in (1, 3, 4)] + ([quality(9)] if not number else []),
                 failed=(failed,) if number else (), number=number)
        for number, name in enumerate(names)
    ]  # fmt: skip
    slits = [slit(1), slit(3, (thing(1), thing(2, 100.0))), slit(4, ()), slit(9)]
    problem = Problem("cut.fits", "", "cut.fits: can not be read as FITS (truncated); fetch it again from the archive.")
    return reduction([mask(slits, exposures)], [problem])


@pytest.fixture
def uncalibrated(small):
    """The same without a standard star."""
    one = small.masks[0]
    slits = {number: replace(one.load_slit(number), objects=(thing(calibrated=False),)) for number in (1,)}
    return replace(small, masks=(replace(one, response=None, numbers=(1,), load_slit=slits.__getitem__),))

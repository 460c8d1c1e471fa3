"""A file as ESO's Science Data Product standard wants it, and the rules that a file breaks; for the tests of both."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from specola_bundle.build import derived
from specola_bundle.sdp.validate import validate
from specola_bundle.specfile import Extra, SpectrumData, fits_bytes

__all__ = ["ROW", "content", "model", "rules", "spectrum"]

ROW: dict[str, Any] = {
    "spectrum_id": "S1", "target_name": "It's one", "target_class": "GALAXY", "title": "A spectrum", "ra": 10.0, "dec": -5.0,
    "wave_medium": "air", "wave_frame": "BARYCENT", "flux_unit": "erg.s**-1.cm**-2.Angstrom**-1", "flux_calib": "ABSOLUTE",
    "simulated": True, "t_min": 60000.0, "t_max": 60000.5, "exptime": 3600.0, "n_exposures": 2, "res_power": 580.0,
    "aperture": 1 / 3600, "facility": "Telescope", "instrument": "Spectrograph", "created": datetime(2025, 1, 1),  # noqa: DTZ001
}  # fmt: skip
CARDS = {"PROCSOFT": "tests 1"}


def spectrum(pixels: int = 50, extras: tuple[Extra, ...] = ()) -> SpectrumData:
    wave = np.linspace(5000.0, 9000.0, pixels)
    qual = np.zeros(pixels, dtype=np.int32)
    qual[:3] = 1
    return SpectrumData(wave, np.sin(wave / 100) + 2, np.full(pixels, 0.5), qual, extras)


def content(data: SpectrumData | None = None, **changes: Any) -> bytes:
    data = data or spectrum()
    return fits_bytes({**ROW, **derived(data), **changes}, data, CARDS)


def model(values: SpectrumData) -> Extra:
    return Extra("MODEL", values.flux, ROW["flux_unit"], "phot.flux.density;em.wl", "best model")


def rules(path: Path, *, notes: bool = False) -> set[tuple[str, str]]:
    """Rules that a file breaks; whether it is read by our own quick reader or by astropy makes no difference."""
    quick = validate(path)
    with patch("specola_bundle.sdp.validate.read_plain", return_value=None):
        assert {(one.rule, one.where, one.note) for one in validate(path)} == {(one.rule, one.where, one.note) for one in quick}
    return {(one.rule, one.where) for one in quick if notes or not one.note}

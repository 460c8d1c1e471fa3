"""Spectra made of the package's own templates, for the tests of redshifts."""

from __future__ import annotations

import numpy as np

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.scan import smoothed
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.redshift.templates import load_library

WAVE = np.arange(5500.0, 9500.0, 4.0)


def made(name: str, z: float, snr: float, seed: int = 1, wave: np.ndarray = WAVE) -> Spectrum:
    """A template seen at z at a resolving power of 600 with noise, and a tilt of flux calibration that it does not have."""
    library = load_library()
    flux = next(one.flux for one in library.templates if one.name == name)
    rest = (library.first + np.arange(flux.size)) * library.step
    light = np.interp(np.log(wave) - np.log1p(z), rest, smoothed(flux, 1 / (2.3548 * 600), library.step))
    light = light * igm.transmissions(wave)[np.sum(wave[:, None] / (1 + z) <= np.array(igm.CUTS), axis=1), np.arange(wave.size)]
    light *= (1.3 - 0.6 * (wave - wave[0]) / np.ptp(wave)) / np.median(light)
    noise = np.full(wave.size, 1 / snr)
    return Spectrum(name, wave, light + noise * np.random.default_rng(seed).standard_normal(wave.size), noise, 600.0)

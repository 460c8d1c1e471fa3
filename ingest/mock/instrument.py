"""From light to a reduced spectrum: sky, throughput, noise, and what a reduction leaves behind."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.mock.setup import (
    EXPOSURE_TIME,
    EXPOSURES,
    N_PIXELS,
    RESOLVING_POWER,
    SLIT_WIDTH,
    WAVE_STEP,
    Floats,
    air_to_vacuum,
    wavelengths,
)
from ingest.mock.templates import FWHM, LINES, SPEED_OF_LIGHT, library
from specola_bundle.specfile import MASKED, NO_DATA

__all__ = ["Detector", "Observed", "detector", "line_profiles", "observe"]

AREA = 5.0e5
"""Collecting area, cm2."""
PLANCK_C = 1.98644586e-8
"""Planck's constant times the speed of light, erg Angstrom."""
READ_NOISE = 4.8
"""Electrons a pixel and exposure."""
PIXEL_SCALE = 0.205
"""Arcsec."""
THROUGHPUT = ((5400, 5550, 5800, 6500, 7200, 8000, 8800, 9500), (0.012, 0.055, 0.075, 0.09, 0.09, 0.08, 0.055, 0.028))
"""Fraction of photons detected, atmosphere and telescope included, against wavelength (Angstrom)."""
SKY = ((5500, 6500, 7500, 8500, 9500), (21.6, 21.3, 20.8, 20.4, 20.0))
"""AB magnitudes a square arcsec of a grey sky between its lines."""
OH_FLUX = 3.3e-16
"""Flux of an OH line of amplitude 1 in the shipped list, erg/s/cm2/arcsec2: makes the sky 20.0 mag an arcsec2 in i."""
ATOMIC_LINES = ((5578.9, 2.2), (5891.6, 0.4), (5897.6, 0.2), (6302.0, 1.2), (6365.5, 0.4))
"""[O I] and Na, vacuum wavelength (Angstrom) and strength in units of OH_FLUX."""
TELLURIC = ((6880.0, 28.0, 0.22), (7190.0, 55.0, 0.12), (7621.0, 32.0, 0.45), (8170.0, 60.0, 0.10), (9380.0, 110.0, 0.45))
"""Bands of O2 and H2O: centre and standard deviation (Angstrom), depth."""
FRINGES_FROM = 8000.0


@dataclass(frozen=True)
class Detector:
    """What does not change from spectrum to spectrum; arrays of shape (N_PIXELS,)."""

    air: Floats
    """Wavelength, Angstrom in air."""
    vacuum: Floats
    electrons: Floats
    """Electrons in the whole exposure for a flux density of 1 erg/s/cm2/A that passes the slit."""
    sky: Floats
    """Electrons of sky continuum a square arcsec."""
    sky_lines: Floats
    """Electrons of sky lines a square arcsec."""


@functools.cache
def detector() -> Detector:
    """The spectrograph with the night sky above it."""
    air = wavelengths()
    vacuum = air_to_vacuum(air)
    telluric = np.ones(N_PIXELS)
    for centre, width, depth in TELLURIC:
        telluric *= 1 - depth * np.exp(-0.5 * ((air - centre) / width) ** 2)
    photons = air / PLANCK_C * WAVE_STEP * AREA * EXPOSURES * EXPOSURE_TIME
    efficiency = np.interp(air, *THROUGHPUT)
    continuum = 10 ** (-0.4 * (np.interp(air, *SKY) + 48.6)) * SPEED_OF_LIGHT * 1e13 / air**2
    lines = np.vstack([library().sky_lines, ATOMIC_LINES])
    lines = lines[(lines[:, 0] > air[0] - 200) & (lines[:, 0] < air[-1] + 200)]
    sigma = lines[:, :1] / (RESOLVING_POWER * FWHM)
    profiles = np.exp(-0.5 * ((vacuum - lines[:, :1]) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    emission = OH_FLUX * lines[:, 1] @ profiles
    # The sky's light is made in or below the atmosphere, so its absorption bands are not put on it again.
    return Detector(
        air, vacuum, photons * efficiency * telluric, photons * efficiency * continuum, photons * efficiency * emission
    )


def line_profiles(z: Floats, flux: Floats, dispersion: float) -> Floats:
    """Emission lines of n objects as flux densities a pixel.

    Parameters
    ----------
    z
        Redshifts, shape (n,).
    flux
        Integrated fluxes of `LINES`, erg/s/cm2, shape (n, lines).
    dispersion
        Intrinsic width, km/s.
    """
    vacuum = detector().vacuum
    result = np.zeros((z.size, vacuum.size))
    relative = np.hypot(1 / (RESOLVING_POWER * FWHM), dispersion / SPEED_OF_LIGHT)
    for number, line in enumerate(LINES):
        centre = line.wave * (1 + z)
        rows = np.flatnonzero((centre > vacuum[0] - 150) & (centre < vacuum[-1] + 150) & (flux[:, number] > 0))
        sigma = (centre[rows] * relative)[:, np.newaxis]
        shape = np.exp(-0.5 * ((vacuum - centre[rows, np.newaxis]) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        result[rows] += flux[rows, number, np.newaxis] * shape
    return result


@dataclass
class Observed:
    """Reduced spectra, arrays of shape (n, N_PIXELS); flux densities in erg/s/cm2/A."""

    flux: Floats
    err: Floats
    """The standard deviation that `flux` was drawn with."""
    sky: Floats
    qual: npt.NDArray[np.int32]
    systematic: Floats
    """What is in `flux` beside light and noise: residuals of the sky subtraction, fringes, zero orders."""


def observe(light: Floats, seeing: float, zero_orders: Floats, rng: np.random.Generator) -> Observed:
    """Observe n objects.

    Counts of object and sky are Poisson deviates, the read noise is Gaussian, the sky that is subtracted is known without
    error; what a real reduction gets wrong is added separately, so that ERR stays the true standard deviation of the noise.

    Parameters
    ----------
    light
        Flux densities that enter the slit, (n, N_PIXELS), erg/s/cm2/A.
    seeing
        FWHM, arcsec.
    zero_orders
        Pixel at which the zero order of another slit falls on the spectrum, NaN for none; shape (n,).
    """
    one = detector()
    n = light.shape[0]
    through = _slit_fraction(seeing)
    height = 2.5 * seeing
    gain = one.electrons * through
    sky = (one.sky + one.sky_lines) * SLIT_WIDTH * height
    expected = np.clip(light, 0, None) * gain
    read = READ_NOISE * np.sqrt(height / PIXEL_SCALE * EXPOSURES)
    counts = rng.poisson(expected + sky) - sky + read * rng.standard_normal((n, N_PIXELS))
    err = np.sqrt(expected + sky + read**2)
    systematic = _sky_residuals(n, height, rng) + _fringes(n, sky, rng)
    qual = np.zeros((n, N_PIXELS), dtype=np.int32)
    _add_zero_orders(systematic, qual, zero_orders, sky, rng)
    flux = (counts + systematic) / gain
    err = err / gain
    for row in np.flatnonzero(rng.random(n) < 0.03):
        lost = int(rng.integers(8, 70))
        gone = slice(0, lost) if rng.random() < 0.5 else slice(N_PIXELS - lost, N_PIXELS)
        qual[row, gone] = NO_DATA
        flux[row, gone] = err[row, gone] = np.nan
    return Observed(flux, err, np.broadcast_to(sky / gain, (n, N_PIXELS)), qual, systematic / gain)


def _slit_fraction(seeing: float) -> float:
    """Share of a point source's light that passes the slit, for a Gaussian image."""
    grid = np.linspace(-5, 5, 2001)
    image = np.exp(-0.5 * (grid * FWHM / seeing) ** 2)
    return float(image[np.abs(grid) <= SLIT_WIDTH / 2].sum() / image.sum())


def _sky_residuals(n: int, height: float, rng: np.random.Generator) -> Floats:
    """What sky subtraction leaves at strong lines: a part of their light, and the trace of a small shift (electrons)."""
    lines = detector().sky_lines * SLIT_WIDTH * height
    slope = np.gradient(lines)
    part = 0.006 * rng.standard_normal((n, 1))
    shift = 0.03 * rng.standard_normal((n, 1))
    return np.asarray(part * lines + shift * slope)


def _fringes(n: int, sky: Floats, rng: np.random.Generator) -> Floats:
    """Fringes beyond 8000 Angstrom, a few thousandths of the sky (electrons)."""
    air = detector().air
    rise = np.clip((air - FRINGES_FROM) / 1200.0, 0, 1)
    period = rng.uniform(55.0, 95.0, (n, 1)) * (air / 8700.0) ** 2
    wave = np.sin(2 * np.pi * (air / period + rng.random((n, 1))))
    return np.asarray(np.abs(0.0035 * rng.standard_normal((n, 1))) * rise * wave * sky)


def _add_zero_orders(
    systematic: Floats, qual: npt.NDArray[np.int32], places: Floats, sky: Floats, rng: np.random.Generator
) -> None:
    pixels = np.arange(N_PIXELS)
    for row in np.flatnonzero(np.isfinite(places)):
        distance = pixels - places[row]
        systematic[row] += rng.uniform(0.3, 2.5) * np.median(sky) * np.exp(-0.5 * (distance / 3.0) ** 2)
        qual[row, np.abs(distance) < 11] |= MASKED

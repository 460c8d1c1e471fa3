"""From electrons to flux: response from a standard star, extinction, and the barycentric frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import erfa
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LSQUnivariateSpline

from specola_pipeline import instruments
from specola_pipeline.instruments import Standard
from specola_pipeline.reduce.raw import Raw

__all__ = ["Response", "barycentric_factor", "extinction_factor", "measure_response", "standard_of"]

Array = NDArray[np.float64]

_TELLURIC = ((6860.0, 6965.0), (7160.0, 7340.0), (7590.0, 7720.0), (8130.0, 8350.0), (8930.0, 9850.0))
"""Bands of O2 and H2O (vacuum Angstrom) that the response is not measured in."""

_MJD_ZERO = 2400000.5
"""The Julian date from which modified ones count."""

_SUN_RADIUS = 1.97412574336e-8
"""Schwarzschild radius of the Sun, au."""


@dataclass(frozen=True)
class Response:
    """Flux (erg/s/cm2/Angstrom) of one electron/s/Angstrom above the atmosphere: *value* at *wavelength*."""

    wavelength: Array
    value: Array
    rms: float
    """Relative scatter of the standard's bands about it."""
    star: str
    airmass: float
    """Of the standard."""
    transmission: Array
    """Of the telluric bands as the standard shows them at its airmass, at *wavelength*; 1 outside the bands."""

    def __call__(self, wavelength: Array) -> Array:
        """The response at any wavelength; NaN beyond the standard's."""
        return np.interp(wavelength, self.wavelength, self.value, left=np.nan, right=np.nan)

    def telluric(self, wavelength: Array, airmass: float) -> Array:
        """Transmission of the telluric bands at another airmass.

        Saturated bands of lines grow with the square root of the column, weak ones linearly: an exponent of 0.6 is the usual
        compromise for their mixture at low resolution (Wade & Horne 1988, ApJ 324, 411, use 0.5 for O2).
        """
        seen = np.interp(wavelength, self.wavelength, self.transmission, left=1.0, right=1.0)
        return np.asarray(seen ** ((airmass / self.airmass) ** 0.6))


def extinction_factor(wavelength: Array, airmass: float, site: str) -> Array:
    """What the light above the atmosphere is, beside that below it."""
    at, magnitudes = instruments.extinction(site)
    return np.asarray(10 ** (0.4 * airmass * np.interp(wavelength, at, magnitudes)))


def standard_of(raw: Raw, within: float = 20.0) -> Standard | None:
    """The standard star within so many arcmin of where a frame points."""
    if raw.frame.ra is None or raw.frame.dec is None:
        return None
    best, nearest = None, within / 60
    for star in instruments.standards():
        dx = ((raw.frame.ra - star.ra + 180) % 360 - 180) * np.cos(np.radians(star.dec))
        distance = float(np.hypot(dx, raw.frame.dec - star.dec))
        if distance < nearest:
            best, nearest = star, distance
    return best


def measure_response(star: Standard, wavelength: Array, electrons_rate: Array, airmass: float) -> Response:
    """The response from a standard's *electrons_rate* (per second and Angstrom, above the atmosphere; even *wavelength*).

    Compared are means over the table's own bands, outside tellurics; a cubic spline through their logarithm gives the rest. In
    the telluric bands, what the standard lacks beside its own table is the transmission.
    Raises ValueError where fewer than eight bands are covered.
    """
    at, values = [], []
    for centre, flux, width in zip(star.wavelength, star.flux, star.width, strict=True):
        inside = (np.abs(wavelength - centre) <= width / 2) & np.isfinite(electrons_rate)
        if inside.sum() < 3 or any(low - width / 2 < centre < high + width / 2 for low, high in _TELLURIC):
            continue
        seen = float(np.mean(electrons_rate[inside]))
        if seen > 0 and flux > 0:
            at.append(float(centre))
            values.append(float(np.log(flux / seen)))
    if len(at) < 8:
        raise ValueError(f"{len(at)} bands of {star.name} fall on the spectrum, at least 8 are needed for a response")
    x, y = np.array(at), np.array(values)
    keep = np.ones(x.size, dtype=bool)
    knots = np.linspace(x[0], x[-1], max(min(x.size // 3, 10), 3))[1:-1]
    for _ in range(5):
        spline = LSQUnivariateSpline(x[keep], y[keep], knots[(knots > x[keep][1]) & (knots < x[keep][-2])], k=3)
        miss = y - spline(x)
        again = np.abs(miss) < 3 * max(1.4826 * float(np.median(np.abs(miss[keep]))), 0.005)
        if again.sum() < max(8, x.size // 2) or np.array_equal(again, keep):
            break
        keep = again
    grid = wavelength[(wavelength >= x[0]) & (wavelength <= x[-1])]
    value = np.exp(spline(grid))
    seen_flux = np.interp(grid, wavelength, np.nan_to_num(electrons_rate)) * value
    transmission = seen_flux / np.interp(grid, star.wavelength, star.flux)
    bands = np.zeros(grid.size, dtype=bool)
    for low, high in _TELLURIC:
        bands |= (grid > low) & (grid < high)
    # less than two per cent is the standard's own noise and features, and would only be put into the science
    transmission = np.where(bands & (transmission < 0.98), np.clip(transmission, 0.05, 1.0), 1.0)
    return Response(grid, value, float(np.std(miss[keep])), star.name, airmass, transmission)


def barycentric_factor(raw: Raw) -> float:
    """What wavelengths of a frame are multiplied with to be barycentric: 1 + v/c at mid-exposure; 1 without a position.

    From ERFA itself, with the relativity that astropy's ``radial_velocity_correction`` has: all of ``astropy.coordinates`` takes
    longer to import than six slits to reduce. The Earth's own gravity (0.2 m/s) and the irregularity of its rotation (0.03 m/s)
    are left out, so that no table has to be fetched.
    """
    if raw.frame.ra is None or raw.frame.dec is None:
        return 1.0
    site = instruments.instrument(raw.frame.instrument).site
    middle = raw.frame.start + raw.frame.exptime / 2 / 86400
    place = math.radians(site.longitude), math.radians(site.latitude), site.height
    observer, _ = erfa.apco13(_MJD_ZERO, middle, 0.0, *place, *[0.0] * 6)
    towards = erfa.s2c(math.radians(raw.frame.ra), math.radians(raw.frame.dec))
    redshift = (1.0 + float(observer["v"] @ towards)) / float(observer["bm1"])
    return redshift * (1.0 + 0.5 * _SUN_RADIUS / float(observer["em"]))

"""How many electrons of which wavelength: sky, lamps, objects, through air, telescope, filter and grism.

Spectra live on a :class:`Grid` of cells of equal width in Δ, the pixel offset of the grism's nominal dispersion; a cell holds
electrons, so that whatever is done later conserves them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from specola_pipeline.instruments import Grism, extinction, line_list, sky
from specola_pipeline.instruments.tables import C_ANGSTROM

__all__ = ["AREA", "Grid", "air_factor", "arc", "cells", "flat", "night_sky", "refraction", "throughput"]

Array = npt.NDArray[np.float64]
AREA = 5.118e5
"""cm² of a VLT unit telescope: 8.2 m with the central obstruction (ESO)."""
HC = 6.62607015e-27 * C_ANGSTROM
"""erg Å."""
PEAK = 0.24
"""Electrons a photon above the telescope at the best wavelength: VIMOS with its detectors of 2010 (User Manual)."""
FRACTION = 8
"""Cells a pixel."""
BANDS = (0.0, 5540.0, 5620.0, 6000.0, 6450.0, 7200.0, 7700.0, 8250.0, 8700.0, 9250.0, 2e4)
"""Å: between these OH bands (and [O I] 5577 between the first two) vary on their own."""


@dataclass(frozen=True)
class Grid:
    """Cells along the dispersion: ``edges`` in Δ pixels and ``wavelength`` of the edges in vacuum Å, both of shape (n + 1,)."""

    grism: Grism
    edges: Array
    wavelength: Array

    @classmethod
    def of(cls, grism: Grism, orders: bool) -> Grid:
        """From where the filter begins to let light through to where the detector goes blind, and the zeroth order if wanted."""
        low, high = grism.offset(np.array([0.96 * grism.range[0], min(1.05 * grism.range[1], 10800.0)]))
        if orders and any(order.number == 0 for order in grism.orders):
            low = min(low, float(grism.offset(0.0)) - 15)
        edges = np.arange(np.floor(low) * FRACTION, np.ceil(high) * FRACTION + 1) / FRACTION
        return cls(grism, edges, grism.wavelength(edges))

    @property
    def centres(self) -> Array:
        """Wavelength in the middle of each cell, Å, shape (n,)."""
        return self.grism.wavelength(0.5 * (self.edges[1:] + self.edges[:-1]))


def throughput(wavelength: npt.ArrayLike, grism: Grism) -> Array:
    """Electrons a photon through telescope, filter, grism and detector; any shape."""
    wave = np.asarray(wavelength, dtype=float)
    low, high = grism.range
    blaze = np.exp(-0.5 * ((wave - (low + 0.42 * (high - low))) / (0.45 * (high - low))) ** 2)
    cut_on = 1 / (1 + np.exp(np.clip(-(wave - 0.985 * low) / (0.003 * low), -60, 60)))
    cut_off = 1 / (1 + np.exp(np.clip((wave - 1.012 * high) / (0.004 * high), -60, 60)))
    return np.asarray(PEAK * blaze * cut_on * cut_off)


def cells(grid: Grid, wavelength: Array, photons: Array, orders: bool) -> Array:
    """Electrons in each cell of a grid, of all orders.

    Args:
        grid: n cells.
        wavelength: Å, ascending, shape (m,).
        photons: a second, Å (and whatever else: arcsec) above the telescope, shape (m,).
        orders: whether to add the zeroth and the second.

    Returns:
        electrons a second, shape (n,). The integral over wavelength is exact for photons linear between the points given.
    """
    rate = photons * throughput(wavelength, grid.grism)
    running = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(wavelength))])
    found = np.diff(np.interp(np.clip(grid.wavelength, 1.0, None), wavelength, running))
    if not orders:
        return np.asarray(found)
    for order in grid.grism.orders:
        if order.number == 0:
            at = np.searchsorted(grid.edges, float(grid.grism.offset(0.0))) - 1
            found[at] += order.relative * running[-1]
        else:
            # m λ' = λ: light of λ' in order m falls where the first order has λ (the grating equation)
            extra = np.diff(np.interp(grid.wavelength / order.number, wavelength, running))
            found += order.relative * np.where(grid.wavelength[1:] > order.from_wavelength, extra, 0.0)
    return np.asarray(found)


def photons(wavelength: Array, flux: Array) -> Array:
    """erg/s/cm²/Å above the telescope to photons/s/Å in it; shape of ``flux``."""
    return np.asarray(flux * AREA * wavelength / HC)


def night_sky(variable: np.random.Generator | None) -> tuple[Array, Array]:
    """Sky of Paranal (Å; photons/s/Å/arcsec² in the telescope), both of shape (n,), OH bands and continuum varied if wanted."""
    dark = sky("paranal")
    edges = np.arange(dark.wavelength[0], dark.wavelength[-1], 30.0)
    bins = np.clip(np.digitize(dark.wavelength, edges) - 1, 0, edges.size - 1)
    order = np.argsort(bins, kind="stable")
    low = [float(np.percentile(part, 20)) for part in np.split(dark.flux[order], np.flatnonzero(np.diff(bins[order])) + 1)]
    continuum = np.minimum(np.interp(dark.wavelength, edges + 15, low), dark.flux)
    lines = dark.flux - continuum
    if variable is not None:
        common = np.exp(variable.normal(0, 0.12))
        factors = common * np.exp(variable.normal(0, 0.03, len(BANDS) - 1))
        lines = lines * factors[np.digitize(dark.wavelength, BANDS) - 1]
        continuum = continuum * np.exp(variable.normal(0, 0.06))
    return dark.wavelength, photons(dark.wavelength, 1e-17 * (continuum + lines))


def arc(lines: tuple[str, ...], grid: Grid, peak: float) -> Array:
    """Electrons in each cell (shape (n,)), an arcsec along the slit, of arc lamps whose strongest line or blend gives ``peak``.

    Strengths of the lists span five decades and are of several lamps; their fourth root gives a lamp's usual range. A blend is
    what falls within five pixels: with a grism of low resolution lamps are exposed for less, or the detector would saturate.
    """
    found = line_list(*lines)
    strength = found.strength**0.25 * throughput(found.wavelength, grid.grism)
    inside = (found.wavelength > max(grid.wavelength[0], 1.0)) & (found.wavelength < grid.wavelength[-1]) & (strength > 0)
    offset = grid.grism.offset(found.wavelength[inside])
    result = np.zeros(grid.edges.size - 1)
    # a line is put into two neighbouring cells so that its centroid is kept to the cell's fraction
    where = (offset - grid.edges[0]) * FRACTION - 0.5
    left = np.floor(where).astype(int)
    share = where - left
    for at, part in ((left, 1 - share), (left + 1, share)):
        good = (at >= 0) & (at < result.size)
        np.add.at(result, at[good], (strength[inside] * part)[good])
    brightest = np.convolve(result, np.ones(5 * FRACTION), mode="same").max()
    return np.asarray(peak * (result / brightest + 0.0005 / FRACTION))


def flat(grid: Grid, peak: float) -> Array:
    """Electrons in each cell (shape (n,)), an arcsec along the slit, of a lamp of 3200 K: ``peak`` in its brightest pixel."""
    wave = grid.centres
    lamp = np.where(
        wave > 2500, 1e16 / np.clip(wave, 2500, None) ** 4 / np.expm1(1.43878e8 / (np.clip(wave, 2500, None) * 3200)), 0.0
    )
    found = lamp * throughput(wave, grid.grism) * np.diff(grid.wavelength)
    return np.asarray(peak * found / found.max() / FRACTION)


def air_factor(wavelength: Array, airmass: float, site: str) -> Array:
    """What the atmosphere lets through; shape of ``wavelength``."""
    at, magnitudes = extinction(site)
    return np.asarray(10 ** (-0.4 * airmass * np.interp(wavelength, at, magnitudes)))


def refraction(wavelength: npt.ArrayLike, airmass: float) -> Array:
    """Differential refraction from 6500 Å in arcsec, towards the zenith; any shape.

    Filippenko (1982), PASP 94, 715, eqs 1-4, with the air of Paranal: 743 hPa, 11.5 °C, 1.5 mm Hg of water vapour.
    """
    pressure, temperature, water = 743 * 0.750062, 11.5, 1.5

    def index(angstrom: npt.ArrayLike) -> Array:
        squared = (1e4 / np.clip(np.asarray(angstrom, dtype=float), 3000, None)) ** 2
        sea = 64.328 + 29498.1 / (146 - squared) + 255.4 / (41 - squared)
        dry = sea * pressure * (1 + (1.049 - 0.0157 * temperature) * 1e-6 * pressure) / (720.883 * (1 + 0.003661 * temperature))
        return np.asarray(dry - (0.0624 - 0.000680 * squared) * water / (1 + 0.003661 * temperature)) * 1e-6

    tangent = np.sqrt(airmass**2 - 1)
    return np.asarray(206265 * (index(wavelength) - index(6500.0)) * tangent)

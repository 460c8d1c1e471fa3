"""Exposures of a mask together: aligned on their objects, each object's spectra averaged, each slit rectified once.

:func:`align` finds by how much exposures are moved along the slits, :func:`combine_slit` does the rest for one slit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from specola_pipeline import instruments
from specola_pipeline.reduce import fluxcal
from specola_pipeline.reduce.detector import COSMIC
from specola_pipeline.reduce.resample import rebin, spread
from specola_pipeline.reduce.results import ObjectSpectrum, Rectified, SlitExposure, SlitQuality, SlitResult, Spectrum1D

__all__ = ["Conditions", "align", "combine_slit", "grid_of"]

Array = NDArray[np.float64]
_NEAR = 0.6
"""Arcsec within which detections in two exposures are one object."""


@dataclass(frozen=True)
class Conditions:
    """An exposure beside the others: seconds, airmass, barycentric factor, and arcsec that objects are moved along the slits."""

    exptime: float
    airmass: float
    barycentric: float
    shift: float


def grid_of(grism: instruments.Grism) -> Array:
    """Wavelengths of combined spectra: even steps of the grism's dispersion over its range, to three digits."""
    step = float(f"{abs(grism.angstrom_per_pixel):.3g}")
    return np.asarray(grism.range[0] + step * np.arange(int((grism.range[1] - grism.range[0]) / step) + 1))


def align(places: Sequence[Sequence[tuple[int, float, float]]], reach: float = 20.0) -> list[float]:
    """By how many arcsec objects of each exposure are moved along the slits, beside the first.

    *places* lists (slit, arcsec from the slit's middle, significance) of the objects of each exposure. Every pair of objects in a
    slit votes for its difference, the more significant the more; so neither an object seen once nor two in a slit matter.
    0 where no pair is within *reach*.
    """
    found = [0.0]
    for other in places[1:]:
        pairs = [
            (b - a, min(weight, again, 50.0))
            for slit, a, weight in places[0]
            for same, b, again in other
            if same == slit and abs(b - a) <= reach
        ]
        if not pairs:
            found.append(0.0)
            continue
        difference, weight = (np.array(part) for part in zip(*pairs, strict=True))
        votes = (weight[None, :] * np.exp(-0.5 * ((difference[:, None] - difference[None, :]) / 0.15) ** 2)).sum(axis=1)
        near = np.abs(difference - difference[int(np.argmax(votes))]) < 0.4
        found.append(float(np.average(difference[near], weights=weight[near])))
    return found


def places_of(images: SlitExposure, scale: float) -> list[tuple[int, float, float]]:
    """Objects of a slit for :func:`align`; *scale* is arcsec a pixel."""
    return [(images.number, scale * (one.place - images.length / 2), one.significance) for one in images.spectra]


def combine_slit(
    said: instruments.Slit,
    exposures: Sequence[tuple[SlitExposure, SlitQuality, Conditions]],
    grid: Array,
    scale: float,
    response: fluxcal.Response | None,
    site: str,
) -> SlitResult:
    """All exposures of a slit.

    *said* is what the header says of it, *grid* the wavelengths of the result, *scale* arcsec a pixel, *site* names the
    extinction table. Exposures without an object that others show count for the image and not for its spectrum.
    """
    total = sum(one.exptime for _, _, one in exposures)
    things = [_object(group, grid, scale, total, response, site) for group in _same(exposures, scale)]
    nearest = min(things, key=lambda one: abs(one.place), default=None)
    objects = tuple(
        replace(one, number=number, ra=said.ra if one is nearest else None, dec=said.dec if one is nearest else None)
        for number, one in enumerate(things, start=1)
    )
    return SlitResult(
        said.number,
        said.identifier,
        said.ra,
        said.dec,
        said.width,
        said.length,
        _rectified(exposures, grid, scale, total),
        objects,
        tuple(quality for _, quality, _ in exposures),
    )


def _same(
    exposures: Sequence[tuple[SlitExposure, SlitQuality, Conditions]], scale: float
) -> list[list[tuple[float, Spectrum1D, Conditions]]]:
    """Detections grouped into objects, brightest first; of three or more exposures an object of weight shows in two."""
    every = [
        (scale * (spectrum.place - images.length / 2) - conditions.shift, index, spectrum, conditions)
        for index, (images, _, conditions) in enumerate(exposures)
        for spectrum in images.spectra
    ]
    every.sort(key=lambda one: -one[2].significance)
    groups: list[list[tuple[float, int, Spectrum1D, Conditions]]] = []
    for one in every:
        near = [group for group in groups if abs(group[0][0] - one[0]) < _NEAR and all(member[1] != one[1] for member in group)]
        if near:
            min(near, key=lambda group: abs(group[0][0] - one[0])).append(one)
        else:
            groups.append([one])
    kept = [group for group in groups if len(exposures) < 3 or len(group) > 1 or group[0][2].significance > 10]
    kept.sort(key=lambda group: -float(np.sum([one[2].significance ** 2 for one in group])))
    return [[(place, spectrum, conditions) for place, _, spectrum, conditions in group] for group in kept]


def _object(
    group: list[tuple[float, Spectrum1D, Conditions]],
    grid: Array,
    scale: float,
    total: float,
    response: fluxcal.Response | None,
    site: str,
) -> ObjectSpectrum:
    """The combined spectrum of an object, without its number and position."""
    rates, variances, shared, skies = [], [], [], []
    for _, spectrum, conditions in group:
        at = spectrum.wavelength * conditions.barycentric
        rate, variance, covariance = rebin(at, spectrum.flux, spectrum.variance, grid)
        sky, _, _ = rebin(at, spectrum.sky, np.ones_like(spectrum.sky), grid)
        rates.append(rate / conditions.exptime)
        variances.append(variance / conditions.exptime**2)
        shared.append(covariance / conditions.exptime**2)
        skies.append(sky / conditions.exptime)
    rate, variance, covariance, sky, used = average(np.array(rates), np.array(variances), np.array(shared), np.array(skies))
    seconds = np.array([conditions.exptime for _, _, conditions in group])
    airmass = float(np.average([conditions.airmass for _, _, conditions in group], weights=seconds))
    place = float(np.average([place for place, _, _ in group], weights=[one.significance for _, one, _ in group]))
    telluric = np.ones(grid.size)
    flux: Array | None = None
    flux_variance: Array | None = None
    if response is not None:
        telluric = response.telluric(grid, airmass)
        factor = fluxcal.extinction_factor(grid, airmass, site) * response(grid) / telluric
        flux, flux_variance = rate * factor, variance * factor**2
    finite = np.isfinite(variance)
    return ObjectSpectrum(
        number=0,
        place=place,
        ra=None,
        dec=None,
        fwhm=2.3548 * scale * float(np.mean([spectrum.sigma for _, spectrum, _ in group])),
        significance=float(np.sqrt(np.sum([spectrum.significance**2 for _, spectrum, _ in group]))),
        wavelength=grid,
        counts=rate * total,
        variance=variance * total**2,
        sky=sky * total,
        flux=flux,
        flux_variance=flux_variance,
        telluric=telluric,
        neighbour=float(np.median(covariance[finite] / variance[finite])) if finite.any() else 0.0,
        exposures=used,
        airmass=airmass,
        exptime=total,
    )


def average(
    rates: Array, variances: Array, covariances: Array, skies: Array, threshold: float = 5.0
) -> tuple[Array, Array, Array, Array, NDArray[np.int16]]:
    """Mean of exposures, its variance and covariance with the next pixel, the mean sky, and how many exposures each rests on.

    All have shape (exposures, pixels). Weights are inverse variances smoothed over 101 pixels, so that noise does not choose
    them. With three or more exposures, what stands *threshold* sigma from their median is left out.
    """
    good = np.isfinite(rates) & np.isfinite(variances) & (variances > 0)
    if len(rates) > 2:
        seen = good.any(axis=0)
        middle = np.full(seen.size, np.nan)
        middle[seen] = np.nanmedian(np.where(good, rates, np.nan)[:, seen], axis=0)
        spread_of = np.sqrt(np.where(good, variances, 0.0)) * np.sqrt(1 + 1.5 / len(rates))
        off = np.abs(rates - middle) > threshold * spread_of + 0.1 * np.abs(middle)
        good &= ~(np.isfinite(middle) & off)
    weight = np.zeros_like(rates)
    for row, (ok, variance) in enumerate(zip(good, variances, strict=True)):
        if ok.any():
            filled = np.interp(np.arange(ok.size), np.flatnonzero(ok), variance[ok])
            weight[row] = ok / ndimage.median_filter(filled, 101, mode="nearest")
    total = weight.sum(axis=0)
    share = weight / np.where(total > 0, total, 1.0)
    empty = total <= 0
    clean = [np.where(good, values, 0.0) for values in (rates, variances, covariances, np.nan_to_num(skies))]
    following = np.concatenate([share[:, 1:], share[:, -1:]], axis=1)
    return (
        np.where(empty, np.nan, (share * clean[0]).sum(axis=0)),
        np.where(empty, np.inf, (share**2 * clean[1]).sum(axis=0)),
        (share * following * clean[2]).sum(axis=0),
        np.where(empty, np.nan, (share * clean[3]).sum(axis=0)),
        good.sum(axis=0).astype(np.int16),
    )


def _rectified(
    exposures: Sequence[tuple[SlitExposure, SlitQuality, Conditions]], grid: Array, scale: float, total: float
) -> Rectified:
    """The slit's image with all exposures on one grid."""
    half = max(images.length for images, _, _ in exposures) / 2
    shifts = [conditions.shift / scale for _, _, conditions in exposures]
    low, high = np.floor(-half - max(*shifts, 0.0)), np.ceil(half - min(*shifts, 0.0))
    sums = np.zeros((4, int(high - low) + 1, grid.size))
    step = float(grid[1] - grid[0])
    for (images, _, conditions), shift in zip(exposures, shifts, strict=True):
        wavelength = images.wavelength * conditions.barycentric
        width = np.abs(np.gradient(wavelength, axis=0)) * conditions.exptime
        use = images.inside & ((images.mask & ~np.uint8(COSMIC)) == 0) & ((images.mask & COSMIC) == 0)
        spread(
            images.position.astype(float) - images.length / 2 - shift - low,
            (wavelength - grid[0]) / step,
            (images.data - images.sky) / width,
            images.variance / width**2,
            images.sky / width,
            np.where(use, conditions.exptime, 0.0),
            sums,
        )
    weight = sums[3]
    some = weight > 0.25 * min(conditions.exptime for _, _, conditions in exposures)
    safe = np.where(some, weight, 1.0)
    return Rectified(
        grid,
        scale * (low + np.arange(sums.shape[1])),
        np.where(some, sums[0] / safe, np.nan).astype(np.float32) * np.float32(total),
        np.where(some, sums[2] / safe**2 * total**2, np.inf).astype(np.float32),
        np.where(some, sums[1] / safe * total, np.nan).astype(np.float32),
        (weight / (total / len(exposures))).astype(np.float32),
    )

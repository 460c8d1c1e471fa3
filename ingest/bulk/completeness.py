"""How complete a release is: the target sampling, spectroscopic success and colour sampling rates of Garilli et al. 2014.

====  =====================================================================================================
TSR   detected targets of all that could have been observed: the targets inside the footprints of the pointings
SSR   redshifts of confidence 2, 3, 4, 8 or 9 of the detected targets
CSR   objects that the selection took, of all as bright as the targets, in bins of (photometric) redshift
====  =====================================================================================================

Detected is who has a redshift measurement that does not say "not detected" or "fake", of the object the slit was made for. So the
product of the three is what a number of redshifts is to be divided by.

Slits shadow their neighbours, so how many of the targets get one depends on how densely they lie: the TSR about a target is
counted in a small rectangle around it (de la Torre et al. 2013, A&A 557, A54).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.bulk.columns import Floats, Truths, counted, numbers, truths

__all__ = ["RECTANGLE", "Completeness", "Rate", "completeness"]

RECTANGLE = (60.0, 100.0)
"""Arcsec in right ascension and declination, for the TSR about a target."""

_DETECTED = (0, 1, 2, 3, 4, 8, 9)
_SUCCESS = (2, 3, 4, 8, 9)
_FEWEST = 5
"""Objects a bin of a rate needs to be shown."""


@dataclass(frozen=True)
class Rate:
    """A share of objects as a function of magnitude or redshift: ``good`` of ``all`` in each bin, shapes (n_bins,)."""

    name: str
    meaning: str
    edges: Floats
    good: npt.NDArray[np.int64]
    all: npt.NDArray[np.int64]

    @property
    def total(self) -> float:
        """The share over all bins."""
        return float(self.good.sum() / self.all.sum())

    @property
    def shown(self) -> Truths:
        """Which bins hold enough objects."""
        return np.asarray(self.all >= _FEWEST)


@dataclass
class Completeness:
    """The rates that the tables of a release give."""

    rates: list[Rate] = field(default_factory=list)
    """TSR and SSR, by magnitude."""
    colour: Rate | None = None
    """CSR, by photometric redshift."""
    band: str = ""
    """Of the magnitudes, where it is one."""
    local: Floats = field(default_factory=lambda: np.zeros(0))
    """TSR about each detected target, in its `RECTANGLE`."""


def completeness(photometry: Mapping[str, Any], redshifts: Mapping[str, Any], footprints: Sequence[Floats]) -> Completeness:
    """The rates of a release.

    Parameters
    ----------
    photometry, redshifts
        Columns of these tables by name; those that are missing leave out what needs them.
    footprints
        Polygons of the pointings, shape (n_corners, 2), degrees. Without any, all targets could have been observed.
    """
    found = Completeness()
    if not {"object_id", "mag_selection", "target"} <= set(photometry):
        return found
    magnitude = numbers(photometry["mag_selection"])
    targets = truths(photometry["target"]) & np.isfinite(magnitude)
    if not targets.any():
        return found
    if "observed" in photometry:
        _of_targets(found, photometry, redshifts, footprints, targets)
    if "photoz" in photometry:
        found.colour = _selection(magnitude, numbers(photometry["photoz"]), targets)
    return found


def _of_targets(
    found: Completeness,
    photometry: Mapping[str, Any],
    redshifts: Mapping[str, Any],
    footprints: Sequence[Floats],
    targets: Truths,
) -> None:
    magnitude, observed = numbers(photometry["mag_selection"]), truths(photometry["observed"])
    bands = counted(photometry["band_selection"]) if "band_selection" in photometry else []
    found.band = bands[0][0] if len(bands) == 1 else ""
    low, high = magnitude[targets].min(), magnitude[targets].max()
    step = 0.25 if high - low < 8 else 0.5
    edges = step * np.arange(np.floor(low / step), np.floor(high / step) + 2)
    grades = _grades(photometry, redshifts)
    detected = targets & (observed if grades is None else np.isin(grades, _DETECTED))
    possible, where = targets, "of the parent catalogue"
    if footprints and {"ra", "dec"} <= set(photometry):
        ra, dec = numbers(photometry["ra"]), numbers(photometry["dec"])
        possible, where = targets & _inside(footprints, ra, dec), "inside the pointings"
        found.local = _around(ra[possible], dec[possible], detected[possible])
    word = "detected targets" if grades is not None else "targets that were put on a slit or fibre"
    if 0 < (possible & detected).sum() < possible.sum():
        found.rates.append(_rate("TSR", f"{word}, of all targets {where}", edges, magnitude, possible, possible & detected))
    if grades is not None and detected.any():
        meaning = "redshifts with confidence 2, 3, 4, 8 or 9, of the detected targets"
        found.rates.append(_rate("SSR", meaning, edges, magnitude, detected, detected & np.isin(grades, _SUCCESS)))


def _grades(photometry: Mapping[str, Any], redshifts: Mapping[str, Any]) -> Floats | None:
    """Confidence of the best redshift of each object, NaN where there is none; None where redshifts have no confidence."""
    if not {"object_id", "confidence", "best"} <= set(redshifts) or not truths(redshifts["confidence"].is_valid()).any():
        return None
    use = truths(redshifts["best"])
    if "secondary" in redshifts:
        use &= ~truths(redshifts["secondary"])
    confidence = numbers(redshifts["confidence"])
    best = dict(zip(np.array(redshifts["object_id"].to_pylist(), dtype=object)[use], confidence[use], strict=True))
    return np.array([best.get(key, np.nan) for key in photometry["object_id"].to_pylist()])


def _inside(footprints: Sequence[Floats], ra: Floats, dec: Floats) -> Truths:
    """Which positions (n,) lie in any of the polygons, on the plane that touches the sky in the middle of each."""
    from matplotlib.path import Path

    found = np.zeros(ra.size, dtype=bool)
    order = np.argsort(dec)
    for polygon in footprints:
        ra0, dec0 = polygon[0, 0], float(polygon[:, 1].mean())
        scale = np.cos(np.radians(dec0))
        first, last = np.searchsorted(dec[order], [polygon[:, 1].min(), polygon[:, 1].max()])
        near = order[first:last]
        corners = np.column_stack([_difference(polygon[:, 0], ra0) * scale, polygon[:, 1] - dec0])
        places = np.column_stack([_difference(ra[near], ra0) * scale, dec[near] - dec0])
        found[near] |= Path(corners).contains_points(places)
    return found


def _difference(ra: Floats, other: Floats | float) -> Floats:
    """Of right ascensions, in -180 to 180 degrees."""
    return np.asarray((ra - other + 180.0) % 360.0 - 180.0)


def _around(ra: Floats, dec: Floats, detected: Truths) -> Floats:
    """Share of detected targets in the rectangle about each detected one, itself included."""
    from astropy import units
    from astropy.coordinates import SkyCoord, search_around_sky

    if not detected.any():
        return np.zeros(0)
    every = SkyCoord(ra, dec, unit="deg")
    reach = np.hypot(*RECTANGLE) / 2
    one, other, _, _ = search_around_sky(every[detected], every, 1.001 * reach * units.arcsec)
    centre = np.flatnonzero(detected)[one]
    east = np.abs(_difference(ra[other], ra[centre])) * np.cos(np.radians(dec[centre])) * 3600
    north = np.abs(dec[other] - dec[centre]) * 3600
    # a hair wider than half, for neighbours on the very edge
    near = (east <= RECTANGLE[0] / 2 + 1e-6) & (north <= RECTANGLE[1] / 2 + 1e-6)
    possible = np.bincount(one[near], minlength=int(detected.sum()))
    good = np.bincount(one[near & detected[other]], minlength=int(detected.sum()))
    return np.asarray(good / possible)


def _selection(magnitude: Floats, redshift: Floats, targets: Truths) -> Rate | None:
    """CSR by photometric redshift, which the whole parent catalogue has, and not by the spectroscopic one."""
    limits = magnitude[targets]
    bright = np.isfinite(redshift) & (magnitude >= limits.min()) & (magnitude <= limits.max())
    if not (bright & targets).any() or not (bright & ~targets).any():
        return None
    low, high = np.quantile(redshift[bright], [0.0, 0.995])
    edges = 0.1 * np.arange(np.floor(low / 0.1), np.floor(high / 0.1) + 2)
    meaning = "objects of the parent catalogue that passed the selection, of all as bright as the targets"
    return _rate("CSR", meaning, edges, redshift, bright, bright & targets)


def _rate(name: str, meaning: str, edges: Floats, values: Floats, every: Truths, good: Truths) -> Rate:
    """A rate in bins of some values."""
    counts = (np.histogram(values[which], edges)[0].astype(np.int64) for which in (good, every))
    return Rate(name, meaning, edges, *counts)

"""Spectral indices: the break at 4000 Angstrom, and indices on Lick's bands at the spectrum's own resolution.

Bands are those of Trager et al. 1998 (ApJS 116, 1, Table 1), of Worthey & Ottaviani 1997 (ApJS 111, 377) for the higher
Balmer lines, and of Balogh et al. 1999 (ApJ 527, 54) for D4000; they are in air, as published.
Nothing is smoothed to the resolution of the Lick
spectrograph: the indices compare objects of one survey, and are Lick indices only after the correction a survey derives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.spectral import air_to_vacuum

__all__ = ["Index", "IndexMeasurement", "indices", "measure_indices"]


@dataclass(frozen=True)
class Index:
    """An index: band, and continuum bands on its blue and red side (Angstrom, air). D4000 has no middle band."""

    name: str
    unit: str
    """Angstrom, mag, or empty for a ratio."""
    blue: tuple[float, float]
    band: tuple[float, float] | None
    red: tuple[float, float]


@dataclass(frozen=True)
class IndexMeasurement:
    """An index of a spectrum with its standard deviation."""

    name: str
    unit: str
    value: float
    value_err: float


def indices() -> tuple[Index, ...]:
    """The indices that are measured."""
    return (
        Index("D4000", "", (3850.0, 3950.0), None, (4000.0, 4100.0)),
        Index("Hdelta_A", "Angstrom", (4041.600, 4079.750), (4083.500, 4122.250), (4128.500, 4161.000)),
        Index("Hgamma_A", "Angstrom", (4283.500, 4319.750), (4319.750, 4363.500), (4367.250, 4419.750)),
        Index("G4300", "Angstrom", (4266.375, 4282.625), (4281.375, 4316.375), (4318.875, 4335.125)),
        Index("Hbeta", "Angstrom", (4827.875, 4847.875), (4847.875, 4876.625), (4876.625, 4891.625)),
        Index("Mg_2", "mag", (4895.125, 4957.625), (5154.125, 5196.625), (5301.125, 5366.125)),
        Index("Mg_b", "Angstrom", (5142.625, 5161.375), (5160.125, 5192.625), (5191.375, 5206.375)),
        Index("Fe5270", "Angstrom", (5233.150, 5248.150), (5245.650, 5285.650), (5285.650, 5318.150)),
        Index("Fe5335", "Angstrom", (5304.625, 5315.875), (5312.125, 5352.125), (5353.375, 5363.375)),
    )


def measure_indices(data: Prepared, z: float) -> tuple[IndexMeasurement, ...]:
    """The indices all of whose bands the spectrum covers at a redshift."""
    edges = _edges(data.wave)
    found = []
    for index in indices():
        bands = [
            air_to_vacuum(np.array(band, dtype=float)) * (1 + z)
            for band in (index.blue, index.band, index.red)
            if band is not None
        ]
        if min(band[0] for band in bands) < edges[0] or max(band[1] for band in bands) > edges[-1]:
            continue
        shares = [_share(edges, band) for band in bands]
        if any(not _whole(data.wave, share, band) for share, band in zip(shares, bands, strict=True)):
            continue
        measured = _break(data, shares) if index.band is None else _width(data, index.unit, bands, shares, z)
        if measured is not None:
            found.append(IndexMeasurement(index.name, index.unit, *measured))
    return tuple(found)


def _edges(wave: Floats) -> Floats:
    middle = (wave[1:] + wave[:-1]) / 2
    return np.concatenate([[2 * wave[0] - middle[0]], middle, [2 * wave[-1] - middle[-1]]])


def _share(edges: Floats, band: Floats) -> Floats:
    """Width of each pixel inside a band, Angstrom."""
    return np.diff(np.clip(edges, *band))


def _whole(wave: Floats, share: Floats, band: Floats) -> bool:
    """Whether no pixel of the band was left out: a gap makes a neighbour's share several pixels wide."""
    inside = share > 0
    return bool(inside.sum() > 1 and np.diff(wave[inside]).max() < 2.5 * np.median(np.diff(wave)) and band[1] > band[0])


def _mean(data: Prepared, share: Floats, weight: Floats | float = 1.0) -> tuple[float, float]:
    """Mean of flux times ``weight`` over a band, and its variance."""
    part = share * weight / share.sum()
    return float(part @ data.flux), float(part**2 @ (1 / data.noise_ivar))


def _break(data: Prepared, shares: list[Floats]) -> tuple[float, float] | None:
    """Ratio of the mean flux density per frequency, red over blue."""
    (blue, blue_var), (red, red_var) = (_mean(data, share, (data.wave / data.wave.mean()) ** 2) for share in shares)
    if blue <= 0:
        return None
    return red / blue, float(np.sqrt(red_var / blue**2 + red**2 * blue_var / blue**4))


def _width(data: Prepared, unit: str, bands: list[Floats], shares: list[Floats], z: float) -> tuple[float, float] | None:
    """Equivalent width at rest, or magnitude, against a line through the means of the continuum bands."""
    (blue, blue_var), (red, red_var) = _mean(data, shares[0]), _mean(data, shares[2])
    centre = [band.mean() for band in bands]
    share = (data.wave - centre[0]) / (centre[2] - centre[0])
    continuum = blue + (red - blue) * share
    inside = shares[1] > 0
    if (continuum[inside] <= 0).any():
        return None
    continuum = np.where(inside, continuum, 1.0)
    ratio = data.flux / continuum
    total = float(shares[1].sum())
    deficit = float(shares[1] @ (1 - ratio))
    by_blue = float(shares[1] @ (ratio / continuum * (1 - share)))
    by_red = float(shares[1] @ (ratio / continuum * share))
    variance = float((shares[1] / continuum) ** 2 @ (1 / data.noise_ivar)) + by_blue**2 * blue_var + by_red**2 * red_var
    if unit == "Angstrom":
        return deficit / (1 + z), float(np.sqrt(variance) / (1 + z))
    through = 1 - deficit / total
    if through <= 0:
        return None
    return float(-2.5 * np.log10(through)), float(2.5 / np.log(10) * np.sqrt(variance) / total / through)

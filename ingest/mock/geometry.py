"""Where the pointings, their quadrants and their nights are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ingest.mock.setup import EXPOSURE_TIME, EXPOSURES, Floats, Mock

__all__ = ["CELL", "QUADRANTS", "Night", "Pointing", "layout", "night", "on_sky", "outline"]

QUADRANT_SIZE = (7.0, 8.0)
"""Width (east-west, along the slits) and height (north-south, along the dispersion) of a quadrant, arcmin."""
CROSS = 2.0
"""Gap between the quadrants, arcmin."""
QUADRANTS = {1: (1, 1), 2: (-1, 1), 3: (-1, -1), 4: (1, -1)}
"""Number of a quadrant to the signs of its centre's offset to the east and north."""
CELL = (16.8, 18.8)
"""Distance of neighbouring pointings, arcmin: the field of 16 by 18 with a little sky between."""
SPECTRA_A_POINTING = 260

FIELDS = {"W1": (34.5, -5.08, "1"), "W4": (332.7, 1.6, "4")}
"""Name of a field to the centre of its area (ICRS, deg) and the first digit of its objects' identifiers."""
W1_SHARE = 2 / 3
MOST_ROWS = 6

LATITUDE, LONGITUDE = -24.6, -70.4
"""Of Paranal, deg."""
SIDEREAL = 360.98564736629
"""Turn of the sky in a day, deg."""


@dataclass(frozen=True)
class Pointing:
    """One pointing of the telescope: four masks observed at once."""

    index: int
    name: str
    field: str
    ra: float
    """Centre, ICRS, deg."""
    dec: float
    spectra: int
    """How many spectra it is to give."""

    def object_id(self, number: int) -> str:
        """Identifier of an object of this pointing's cell, nine digits like VIPERS' own."""
        return f"{FIELDS[self.field][2]}{int(self.name[3:]):03d}{number:05d}"


@dataclass(frozen=True)
class Night:
    """When and how well a pointing was observed."""

    start: float
    """MJD, UTC."""
    end: float
    airmass: float
    seeing: float
    """FWHM, arcsec."""


def layout(mock: Mock) -> list[Pointing]:
    """The pointings of a mock, with its spectra shared out among them."""
    total = math.ceil(mock.spectra / SPECTRA_A_POINTING)
    first = total if total == 1 else min(total - 1, round(total * W1_SHARE))
    share, extra = divmod(mock.spectra, total)
    pointings: list[Pointing] = []
    for field, count in (("W1", first), ("W4", total - first)):
        rows = min(MOST_ROWS, max(1, round(math.sqrt(count / 2))))
        columns = math.ceil(count / rows) if count else 0
        ra0, dec0, _ = FIELDS[field]
        for number in range(count):
            column, row = divmod(number, rows)
            dec = dec0 + (row - (rows - 1) / 2) * CELL[1] / 60
            ra = ra0 + (column - (columns - 1) / 2) * CELL[0] / 60 / math.cos(math.radians(dec))
            index = len(pointings)
            pointings.append(Pointing(index, f"{field}P{number + 1:03d}", field, ra % 360, dec, share + (index < extra)))
    return pointings


def on_sky(pointing: Pointing, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Right ascension and declination (deg) of offsets from the pointing's centre.

    Parameters
    ----------
    x, y
        Offsets to the east and north in the tangent plane, arcmin, any shape.
    """
    xi, eta = np.radians(np.asarray(x) / 60), np.radians(np.asarray(y) / 60)
    dec0 = math.radians(pointing.dec)
    across = math.cos(dec0) - eta * math.sin(dec0)
    ra = pointing.ra + np.degrees(np.arctan2(xi, across))
    dec = np.degrees(np.arctan2(math.sin(dec0) + eta * math.cos(dec0), np.hypot(xi, across)))
    return ra % 360, dec


def centre(quadrant: int) -> tuple[float, float]:
    """Offset of a quadrant's centre from the pointing's, arcmin east and north."""
    east, north = QUADRANTS[quadrant]
    return east * (QUADRANT_SIZE[0] + CROSS) / 2, north * (QUADRANT_SIZE[1] + CROSS) / 2


def outline(pointing: Pointing, quadrant: int) -> list[float]:
    """Footprint of a quadrant as DALI writes a polygon: longitude and latitude in turn (deg), counter-clockwise on the sky."""
    x0, y0 = centre(quadrant)
    half = QUADRANT_SIZE[0] / 2, QUADRANT_SIZE[1] / 2
    corners = np.array([(1, -1), (1, 1), (-1, 1), (-1, -1)])
    ra, dec = on_sky(pointing, x0 + corners[:, 0] * half[0], y0 + corners[:, 1] * half[1])
    return [float(value) for pair in zip(ra, dec, strict=True) for value in pair]


def night(pointing: Pointing, rng: np.random.Generator) -> Night:
    """A plausible observation: in the field's season, in the dark, near the meridian."""
    hour_angle = rng.uniform(-22.0, 14.0)
    # The field crosses the meridian at local midnight on one day of the year; four weeks either side of it are dark then.
    midnight = 55000.0 - LONGITUDE / 360
    best = midnight + ((pointing.ra - _sidereal(midnight)) % 360) / (SIDEREAL - 360)
    day = round(best) + rng.integers(-28, 29) + 365.2422 * rng.integers(0, 4)
    guess = math.floor(day) - LONGITUDE / 360
    turn = (pointing.ra + hour_angle - _sidereal(guess) + 180) % 360 - 180
    start = guess + turn / SIDEREAL
    end = start + (EXPOSURES * EXPOSURE_TIME + (EXPOSURES - 1) * 45.0) / 86400
    angles = np.radians(hour_angle + np.linspace(0, (end - start) * SIDEREAL, 9))
    lat, dec = math.radians(LATITUDE), math.radians(pointing.dec)
    height = math.sin(lat) * math.sin(dec) + math.cos(lat) * math.cos(dec) * np.cos(angles)
    seeing = min(1.3, max(0.5, 0.78 * math.exp(0.18 * rng.standard_normal())))
    return Night(round(start, 6), round(end, 6), round(float(np.mean(1 / height)), 3), round(seeing, 2))


def _sidereal(mjd: float) -> float:
    """Local sidereal time, deg (IAU 1982 to first order: good to an arcsecond a century)."""
    return (280.46061837 + SIDEREAL * (mjd - 51544.5) + LONGITUDE) % 360

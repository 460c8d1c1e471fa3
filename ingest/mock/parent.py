"""The parent catalogue of one pointing's cell: objects, their magnitudes and photometric redshifts, and the targets."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ingest.mock.geometry import CELL
from ingest.mock.setup import MAG_LIMIT, Floats
from ingest.mock.templates import BANDS, library

__all__ = ["FEWEST_PARENTS", "PARENTS_A_SPECTRUM", "Objects", "draw_objects", "join", "photoz_of", "select_targets", "subset"]

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.intp]

PARENTS_A_SPECTRUM = 10
FEWEST_PARENTS = 600
"""Objects of a cell however few spectra are wanted, so that there are targets to choose from."""
FAINTEST = 22.8
HIGHEST_Z = 1.5
"""Of the ordinary galaxies."""
KINDS = ("GALAXY", "QSO", "STAR")
STARS = {"star-A": 0.03, "star-F": 0.12, "star-G": 0.25, "star-K": 0.26, "star-M1": 0.2, "star-M3": 0.14}
DEPTH = {"u": 25.3, "g": 25.5, "r": 24.8, "i": 24.6, "z": 23.8}
"""Magnitude (AB) at which the photometry has a signal-to-noise ratio of five."""
ZERO_POINT = 48.6
"""AB: m = -2.5 log10(f_nu / (erg/s/cm2/Hz)) - 48.6."""


@dataclass
class Objects:
    """Objects of a cell, one array element each; n objects."""

    x: Floats
    """Offset to the east of the pointing's centre, arcmin."""
    y: Floats
    kind: Ints
    """Index into KINDS."""
    template: Ints
    share: Floats
    """Share of the next bluer template in the light."""
    galaxy_type: Floats
    """0 (early) to 7; NaN for stars and quasars."""
    z: Floats
    mag_i: Floats
    """True total magnitude in i, AB."""
    scale: Floats
    """Factor from the templates' units to erg/s/cm2/A at the object's magnitude."""
    mags: Floats
    """Measured magnitudes u g r i z, shape (n, 5); NaN where not detected."""
    mag_errors: Floats
    pointlike: Bools

    def __len__(self) -> int:
        return self.x.size


def subset(objects: Objects, where: npt.NDArray[np.intp]) -> Objects:
    """The objects at the given indices."""
    return Objects(**{one.name: getattr(objects, one.name)[where] for one in fields(Objects)})


def join(first: Objects, second: Objects) -> Objects:
    """The objects of both."""
    return Objects(**{f.name: np.concatenate([getattr(first, f.name), getattr(second, f.name)]) for f in fields(Objects)})


def draw_objects(count: int, rng: np.random.Generator) -> Objects:
    """Draw the objects of one cell.

    A third of the galaxies sit in groups of one redshift, so that positions are clustered and the redshift
    distribution has spikes, as it does in the sky. Redshifts follow z^2 exp(-(z/z0)^1.5) with z0 growing with magnitude.
    """
    kind = rng.choice(3, size=count, p=(0.845, 0.015, 0.14))
    mag = _magnitudes(count, np.choose(kind, (0.34, 0.30, 0.12)), rng)
    x, y = rng.uniform(-0.5, 0.5, (2, count)) * np.array(CELL)[:, np.newaxis]
    z = (0.27 + 0.09 * (mag - 20)) * rng.gamma(2.0, size=count) ** (2 / 3)
    z = np.where((z > 0.01) & (z < HIGHEST_Z), z, rng.uniform(0.2, 1.2, count))
    x, y, z = _grouped(x, y, z, rng)
    red = rng.random(count) < np.clip(0.42 - 0.1 * (mag - 20.5) - 0.1 * (z - 0.7), 0.08, 0.5)
    galaxy_type = np.where(
        red, np.abs(0.45 * rng.standard_normal(count)), 3.3 + 0.6 * (z - 0.7) + 0.9 * rng.standard_normal(count)
    )
    galaxy_type = np.clip(galaxy_type, 0, 6)
    distant = (kind == 0) & (mag > 21.3) & (rng.random(count) < 0.012)
    galaxy_type = np.where(distant, 7.0, galaxy_type)
    z = np.where(distant, rng.uniform(2.7, 3.7, count), z)
    z = np.where(kind == 1, 0.35 + 3.4 * rng.beta(1.7, 2.6, count), z)
    z = np.where(kind == 2, 1.7e-4 * rng.standard_normal(count), z)
    star = rng.choice([library().index[name] for name in STARS], size=count, p=list(STARS.values()))
    template, share = library().mixture(galaxy_type)
    template = np.choose(kind, (template, np.full_like(template, library().index["QSO"]), star))
    share = np.where(kind == 0, share, 0.0)
    pointlike = np.where(kind == 0, rng.random(count) < 0.01, rng.random(count) < 0.97)
    galaxy_type = np.where(kind == 0, galaxy_type, np.nan)
    scale, mags, errors = _photometry(template, share, z, mag, rng)
    return Objects(x, y, kind, template, share, galaxy_type, z, mag, scale, mags, errors, pointlike)


def _magnitudes(count: int, slope: Floats, rng: np.random.Generator) -> Floats:
    """Magnitudes between 17.8 and FAINTEST, their numbers growing as 10^(slope m)."""
    low, high = 10 ** (slope * 17.8), 10 ** (slope * FAINTEST)
    return np.asarray(np.log10(low + rng.random(count) * (high - low)) / slope)


def _grouped(x: Floats, y: Floats, z: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Move a third of the objects into groups of one to one and a half arcmin, of some twenty members each."""
    if x.size == 0:
        return x, y, z
    n_groups = max(1, x.size // 60)
    members = np.flatnonzero(rng.random(x.size) < 1 / 3)
    group = rng.integers(0, n_groups, members.size)
    heart = rng.integers(0, x.size, n_groups)[group]
    spread = rng.uniform(0.6, 1.4, n_groups)[group]
    moved = [values.copy() for values in (x, y)]
    for axis, values in enumerate(moved):
        place = values[heart] + spread * rng.standard_normal(members.size)
        # What falls off one side of the cell comes in at the other.
        values[members] = (place / CELL[axis] + 0.5) % 1.0 * CELL[axis] - CELL[axis] / 2
    new_z = z.copy()
    new_z[members] = np.clip(z[heart] + 0.0015 * (1 + z[heart]) * rng.standard_normal(members.size), 0.01, HIGHEST_Z)
    return moved[0], moved[1], new_z


def _photometry(template: Ints, share: Floats, z: Floats, mag: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Scale of the templates, and measured magnitudes with their errors, of objects of true magnitude ``mag`` in i."""
    flux = library().bands(template, share, z)
    scale = 10 ** (-0.4 * (mag + ZERO_POINT)) / flux[:, BANDS.index("i")]
    flux = flux * scale[:, np.newaxis]
    noise = np.array([10 ** (-0.4 * (DEPTH[band] + ZERO_POINT)) / 5 for band in BANDS])
    sigma = np.hypot(noise, 0.01 * flux)
    measured = flux + sigma * rng.standard_normal(flux.shape)
    seen = measured > 2 * noise
    with np.errstate(invalid="ignore", divide="ignore"):
        mags = np.where(seen, -2.5 * np.log10(measured) - ZERO_POINT, np.nan)
        errors = np.where(seen, 1.0857 * sigma / measured, np.nan)
    return scale, mags, errors


def select_targets(objects: Objects) -> Bools:
    """VIPERS' selection: 17.5 < i < 22.5, a colour cut that leaves out z < 0.5, stars left out by their shape.

    The cut is (r - i) > 0.5 (u - g) or (r - i) > 0.7 (Guzzo et al. 2014, A&A 566, A108, section 3). Point-like objects stay where
    they are as blue as quasars.
    """
    u, g, r, i, _ = objects.mags.T
    with np.errstate(invalid="ignore"):
        # What is not seen in u counts as red in u - g, so only the second half of the cut can take it.
        colour = (r - i > 0.5 * (np.where(np.isnan(u), 27.0, u) - g)) | (r - i > 0.7)
        quasar = objects.pointlike & (u - g < 0.45) & (g - r < 0.6)
        bright = (i > 17.5) & (i < MAG_LIMIT)
    return np.asarray(bright & ((colour & ~objects.pointlike) | quasar))


def photoz_of(objects: Objects, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Photometric redshifts and their 68 per cent intervals; NaN where there are none.

    Scatter 0.025 (1+z) to 0.04 (1+z) from bright to faint; four per cent catastrophic, forty for quasars, whose light
    the galaxy templates of a photometric redshift do not describe. The interval is the scatter's standard deviation, with its
    own error of fifteen per cent.
    """
    n = len(objects)
    sigma = (0.025 + 0.015 * np.clip((objects.mag_i - 20) / 2.5, 0, 1)) * (1 + objects.z)
    photoz = objects.z + sigma * rng.standard_normal(n)
    catastrophic = rng.random(n) < np.where(objects.kind == 1, 0.4, 0.04)
    photoz = np.where(catastrophic, rng.uniform(0.05, 1.4, n), photoz)
    photoz = np.where(objects.kind == KINDS.index("STAR"), rng.uniform(0.05, 1.2, n), photoz)
    half = sigma * np.exp(0.15 * rng.standard_normal(n))
    photoz = np.clip(photoz, 0.005, 5.0)
    missing = objects.pointlike | (rng.random(n) < 0.02)
    return (
        np.where(missing, np.nan, photoz),
        np.where(missing, np.nan, np.maximum(photoz - half, 0.0)),
        np.where(missing, np.nan, photoz + half),
    )

"""Tables that come with the package: line lists, night sky, extinction, standard stars (origin: ``data/README.md``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from specola_pipeline.errors import TableError
from specola_pipeline.spectral import air_to_vacuum

__all__ = ["Lines", "Sky", "Standard", "extinction", "line_list", "sky", "standards"]

Array = npt.NDArray[np.float64]
DATA = Path(__file__).parents[1] / "data"
AB_ZERO = 10 ** (-48.6 / 2.5)
"""erg/s/cm²/Hz of AB magnitude zero (Oke & Gunn 1983)."""
C_ANGSTROM = 2.99792458e18
"""Å/s."""


@dataclass(frozen=True)
class Lines:
    """Emission lines, ascending: ``wavelength`` in vacuum Å and relative ``strength``, both of shape (n,)."""

    wavelength: Array
    strength: Array


@dataclass(frozen=True)
class Sky:
    """Night-sky emission: ``wavelength`` vacuum Å, even steps; ``flux`` 1e-17 erg/s/cm²/Å/arcsec², lines included."""

    wavelength: Array
    flux: Array


@dataclass(frozen=True)
class Standard:
    """A spectrophotometric standard: J2000 degrees; vacuum Å, erg/s/cm²/Å and ``width`` of each band in Å, each of shape (n,)."""

    name: str
    ra: float
    dec: float
    wavelength: Array
    flux: Array
    width: Array


def _rows(folder: str, name: str) -> tuple[list[str], Array]:
    file = DATA / folder / f"{name}.csv"
    try:
        text = file.read_text("utf-8").splitlines()
    except OSError:
        known = ", ".join(sorted(path.stem for path in (DATA / folder).glob("*.csv")))
        raise TableError(f"{folder}/{name}.csv is not in the package; there are {known}.") from None
    notes = [line[1:].strip() for line in text if line.startswith("#")]
    return notes, np.loadtxt([line for line in text if not line.startswith("#")][1:], delimiter=",", ndmin=2)


@cache
def line_list(*names: str) -> Lines:
    """The lines of one or several lists together, in order of wavelength.

    Raises:
        TableError: there is no such list.
    """
    rows = np.concatenate([_rows("lines", name)[1] for name in names])
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    return Lines(rows[:, 0], rows[:, 1])


@cache
def extinction(site: str) -> tuple[Array, Array]:
    """Wavelength (Å) and extinction (mag a unit of airmass) of a site, each of shape (n,).

    Raises:
        TableError: there is none for that site.
    """
    rows = _rows("extinction", site)[1]
    return rows[:, 0], rows[:, 1]


@cache
def sky(site: str = "paranal") -> Sky:
    """The dark night sky.

    Raises:
        TableError: there is none for that site.
    """
    file = DATA / "sky" / f"{site}.npz"
    if not file.exists():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.npz")))
        raise TableError(f"sky/{site}.npz is not in the package; there are {known}.")
    with np.load(file) as stored:
        flux = stored["flux"].astype(float)
        return Sky(float(stored["start"]) + float(stored["step"]) * np.arange(flux.size), flux)


@cache
def standards() -> tuple[Standard, ...]:
    """Every standard star of the package."""
    found = []
    for file in sorted((DATA / "standards").glob("*.csv")):
        notes, rows = _rows("standards", file.stem)
        where = dict(note.partition(": ")[::2] for note in notes[1:])
        wavelength = air_to_vacuum(rows[:, 0])
        flux = AB_ZERO * 10 ** (-0.4 * rows[:, 1]) * C_ANGSTROM / wavelength**2
        found.append(Standard(notes[0], 15 * sexagesimal(where["ra"]), sexagesimal(where["dec"]), wavelength, flux, rows[:, 2]))
    return tuple(found)


def sexagesimal(text: str) -> float:
    """``12:34:56.7`` in units of its first part.

    Raises:
        ValueError: it is not of that form.
    """
    parts = [float(part) for part in text.strip().split(":")]
    if not 1 <= len(parts) <= 3 or not np.isfinite(parts).all():
        raise ValueError(f"'{text}' is no sexagesimal number")
    value = sum(abs(part) / 60.0**power for power, part in enumerate(parts))
    return -value if text.strip().startswith("-") else value

"""The list of lines and the groups in which they are fitted, read from ``data/lines.toml``."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Group", "Line", "groups", "line_list"]

FILE = Path(__file__).with_name("data") / "lines.toml"


@dataclass(frozen=True)
class Line:
    """A line; wavelength in vacuum, Angstrom."""

    name: str
    wave: float
    kind: str
    """emission, absorption, both, or broad (of quasars)."""
    group: str = ""
    ratio: float = 0.0
    """Flux relative to the other lines of its group."""


@dataclass(frozen=True)
class Group:
    """Emission lines of fixed ratios, of one free and non-negative strength."""

    name: str
    classes: tuple[str, ...]
    sigma: float
    """Standard deviation of the velocities, km/s."""
    velocity: float
    """Mean shift of the lines with respect to the object's redshift, km/s."""
    width: float
    """Equivalent width at rest, Angstrom, of a line of ratio 1, beyond which one in e is found; see `widths`."""
    needs: dict[str, float]
    """Other groups without which this one does not come, and the least strength they have relative to its own."""
    lines: tuple[Line, ...]


@functools.cache
def line_list() -> tuple[Line, ...]:
    """All lines in the order of the file, by wavelength."""
    return tuple(Line(**entry) for entry in tomllib.loads(FILE.read_text("utf-8"))["line"])


@functools.cache
def groups(spectral_class: str) -> tuple[Group, ...]:
    """The groups that are added to the continuum of a class: GALAXY, QSO or STAR."""
    entries = tomllib.loads(FILE.read_text("utf-8"))["group"]
    return tuple(
        Group(
            entry["name"],
            tuple(entry["classes"]),
            entry["sigma"],
            entry.get("velocity", 0.0),
            entry["width"],
            entry.get("needs", {}),
            tuple(line for line in line_list() if line.group == entry["name"]),
        )
        for entry in entries
        if spectral_class in entry["classes"]
    )

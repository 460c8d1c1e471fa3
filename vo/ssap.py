"""What SSAP's parameters mean here (SSAP 1.1, section 4.1): each made from its text into an SQL condition.

DaCHS has conditions of its own. They are replaced because there SIZE is a radius, SPECRP is R at the red end, TIME looks at the
middle of an exposure only and takes no year, NaN is a number, and TARGETNAME is a full-text search without an index.

The parameters of the standard that are no condition on what we have (VARAMPL, TIMERES, and those of services that make
spectra) are ignored like unknown ones, which is what section 4.1 wants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gavo import base
from gavo.utils import pgsphere

from vo import ranges

__all__ = ["CONDITIONS", "DEFAULT_SIZE", "condition", "cone_condition", "format_condition", "limits"]

DEFAULT_SIZE = 1 / 60
"""Diameter (deg) searched around POS when a query gives no SIZE."""

VOTABLE = "application/x-votable+xml"
FITS = "application/fits"

_KEYWORDS: dict[str, tuple[str, ...]] = {
    # SSAP 1.1, section 4.1.1.6. Our VOTables follow the Spectrum data model; the FITS files are the native ones.
    "all": (VOTABLE, FITS),
    "compliant": (VOTABLE,),
    "votable": (VOTABLE,),
    "native": (FITS,),
    "fits": (FITS,),
    "graphic": (),
    "xml": (),
}

Parameters = dict[str, Any]
Condition = Callable[[str, str, Parameters], str | None]


def format_condition(value: str | None, parameters: Parameters) -> str:
    """SQL condition for SSAP's FORMAT.

    Without a value every spectrum is listed once, as VOTable: a client that does not know better would otherwise
    show everything twice. METADATA is dealt with by the renderer before this is called.
    """
    wanted: set[str] = set()
    for word in map(str.strip, (value or "compliant").lower().split(",")):
        wanted.update(_KEYWORDS.get(word, (word,)))
    if not wanted:
        return "1=0"
    return f"mime IN {ranges.key('mime', wanted, parameters)}"


def cone_condition(position: str | None, size: str | None, parameters: Parameters) -> str | None:
    """SQL condition for SSAP's POS and SIZE; None without a position.

    POS is longitude,latitude (deg), with a frame after a semicolon, of which there is ICRS only. SIZE is a diameter
    (section 4.1.1.2), in degrees.
    """
    diameter = _size(size)
    if not position or not position.strip():
        return None
    text, _, frame = position.replace("%2C", ",").replace("%2c", ",").partition(";")
    if frame.strip().upper() not in {"", "ICRS"}:
        raise base.ValidationError(f"found the frame {frame[:20]!r}, expected ICRS", "POS")
    point = ranges.numbers(text, "POS")
    if len(point) != 2 or not all(value.single and value.lower is not None for value in point):
        raise base.ValidationError(f"found {position[:80]!r}, expected longitude,latitude in degrees", "POS")
    longitude, latitude = float(point[0].lower or 0), float(point[1].lower or 0)
    if not (-360 <= longitude <= 360 and -90 <= latitude <= 90):
        raise base.ValidationError(f"{longitude:g},{latitude:g} is not on the sphere; expected degrees", "POS")
    if diameter == 360:
        # all of the sky, but what has no position is nowhere on it
        return "ssa_location IS NOT NULL"
    opposite = diameter > 180
    if opposite:
        longitude, latitude, diameter = longitude + 180, -latitude, 360 - diameter
    point_key = ranges.key("pos", pgsphere.SPoint.fromDegrees(longitude, latitude), parameters)
    inside = f"ssa_location <@ scircle({point_key}, {ranges.key('size', math.radians(diameter / 2), parameters)})"
    return f"NOT {inside}" if opposite else inside


def _size(text: str | None) -> float:
    if not text or not text.strip():
        return DEFAULT_SIZE
    found = ranges.numbers(text.strip(), "SIZE")
    size = found[0].lower
    if len(found) != 1 or not found[0].single or size is None or not 0 <= size <= 360:
        raise base.ValidationError(f"found {text[:80]!r}, expected a diameter from 0 to 360 degrees", "SIZE")
    return size


def _band(text: str, name: str, parameters: Parameters) -> str:
    if text.replace(" ", "").isalpha() and text.lower() not in {"nan", "inf", "infinity"}:
        # a band's name, as in "optical" (section 4.1.1.3)
        return f"lower(ssa_bandpass) = {ranges.key('band', text.lower(), parameters)}"
    return ranges.overlaps(ranges.numbers(text, name), "ssa_specstart", "ssa_specend", parameters)


def _time(text: str, name: str, parameters: Parameters) -> str:
    return ranges.overlaps([ranges.mjd(item) for item in ranges.dates(text, name)], "t_min", "t_max", parameters)


def _published(text: str, name: str, parameters: Parameters) -> str:
    return ranges.within(ranges.dates(text, name), "ssa_pdate", parameters)


def _number(expression: str) -> Condition:
    return lambda text, name, parameters: ranges.within(ranges.numbers(text, name), expression, parameters)


def _at_least(expression: str) -> Condition:
    """A single number is the least value wanted (sections 4.1.2.3, 4.1.2.9); a range is a range."""

    def make(text: str, name: str, parameters: Parameters) -> str:
        found = [ranges.Range(item.lower, None) if item.single else item for item in ranges.numbers(text, name)]
        return ranges.within(found, expression, parameters)

    return make


def _word(expression: str) -> Condition:
    """Any of a list of words, whatever their case; ANY is no condition."""

    def make(text: str, _name: str, parameters: Parameters) -> str | None:
        words = {word.strip().lower() for word in text.split(",")}
        if words & {"any", ""}:
            return None
        return f"lower({expression}) IN {ranges.key('word', words, parameters)}"

    return make


def _target(text: str, _name: str, parameters: Parameters) -> str:
    # a name may itself hold commas
    names = {" ".join(part.split()).lower() for part in [text, *text.split(",")]}
    return f"lower(ssa_targname) IN {ranges.key('target', names, parameters)}"


def _pattern(text: str, _name: str, parameters: Parameters) -> str:
    escaped = text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"lower(ssa_targname) LIKE {ranges.key('pattern', escaped.replace('*', '%').replace('?', '_'), parameters)}"


def _same(expression: str) -> Condition:
    return lambda text, _name, parameters: f"{expression} = {ranges.key('id', text, parameters)}"


CONDITIONS: dict[str, Condition] = {
    "BAND": _band,
    "TIME": _time,
    "MTIME": _published,
    "APERTURE": _number("ssa_aperture"),
    "REDSHIFT": _number("ssa_redshift"),
    "SNR": _at_least("ssa_snr"),
    # ssa_specres is Δλ in m at the middle of the range, so that this is R itself
    "SPECRP": _at_least("ssa_specmid/ssa_specres"),
    "TARGETNAME": _target,
    "WILDTARGET": _pattern,
    "TARGETCLASS": _word("ssa_targclass"),
    "FLUXCALIB": _word("ssa_fluxcalib"),
    "WAVECALIB": _word("ssa_speccalib"),
    "COLLECTION": _word("ssa_collection"),
    "PUBDID": _same("ssa_pubDID"),
    "CREATORDID": _same("ssa_creatorDID"),
}
"""What each parameter is made into: called with its text, its name and the query's parameters."""


def condition(name: str, text: str | None, parameters: Parameters) -> str | None:
    """SQL condition of one of :data:`CONDITIONS`; None where the parameter is not given or says nothing."""
    if text is None or not text.strip():
        return None
    return CONDITIONS[name](text.strip(), name, parameters)


def limits(top: int | None) -> None:
    """Look at TOP, which DaCHS then makes the limit of the query (if it is below MAXREC)."""
    if top is not None and top < 1:
        raise base.ValidationError(f"found {top}, expected a number of spectra, at least 1", "TOP")

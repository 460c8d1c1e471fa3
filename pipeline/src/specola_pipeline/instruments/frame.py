"""From a FITS header to a :class:`Frame`: what an instrument's file says of it. Headers only; names of files never count."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import Any

from specola_pipeline.errors import FrameError, InstrumentError
from specola_pipeline.instruments.detector import Header
from specola_pipeline.instruments.load import instruments
from specola_pipeline.instruments.model import Condition, Instrument, Kind
from specola_pipeline.instruments.tables import sexagesimal, standards

__all__ = ["Frame", "identify", "read_frame"]

MJD_OF_UNIX = 40587.0
"""Modified Julian date of 1970-01-01."""


@dataclass(frozen=True)
class Frame:
    """What the header of a raw frame says, in one vocabulary for all instruments.

    ``start`` is the MJD (UTC) of the shutter's opening, ``exptime`` seconds, ``ra`` and ``dec`` degrees or None, ``night`` the
    ISO date of the local noon before, ``lamps`` the names of the lamps that were on, ``lines`` their line lists. Text fields that
    the header does not have are "".
    """

    instrument: str
    file: str
    kind: Kind
    quadrant: int
    grism: str
    filter: str
    mask: str
    object: str
    program: str
    block: str
    binning: str
    ra: float | None
    dec: float | None
    exptime: float
    start: float
    airmass: float | None
    night: str
    lamps: tuple[str, ...]
    lines: tuple[str, ...]


def identify(header: Header, file: str) -> Instrument:
    """The instrument that took a frame.

    Raises:
        InstrumentError: none of the known ones did.
    """
    for one in instruments():
        if all(_holds(condition, header, one, 1) for condition in one.identify):
            return one
    said = {key: header.get(key) for key in ("INSTRUME", "VERSION", "TELESCOP") if header.get(key) is not None}
    known = ", ".join(one.title for one in instruments())
    raise InstrumentError(f"{file}: of no known instrument (the header says {said or 'nothing'}); known are {known}.")


def read_frame(header: Header, file: str, instrument: Instrument | None = None) -> Frame:
    """Describe a raw frame from its header.

    Args:
        header: of the primary HDU.
        file: for messages and :attr:`Frame.file`.
        instrument: which; looked for when not given.

    Raises:
        InstrumentError: it is of no known instrument.
        FrameError: a needed keyword is missing or makes no sense, or no rule says what the frame is for.
    """
    chosen = instrument or identify(header, file)
    quadrant = _quadrant(chosen, header, file)
    kind = _kind(chosen, header, file, quadrant)

    def text(field: str) -> str:
        return _text(_find(chosen, header, field, quadrant))

    def number(field: str) -> float | None:
        return _number(_find(chosen, header, field, quadrant), field, file)

    start = _start(_needed(chosen, header, "start", quadrant, file), file)
    exptime = _number(_needed(chosen, header, "exptime", quadrant, file), "exptime", file)
    if exptime is None or exptime < 0:
        raise FrameError(f"{file}: the exposure time is {exptime}, expected seconds, zero or more.")
    grism = _text(_find(chosen, header, "grism", quadrant))
    if not grism and kind not in {Kind.BIAS, Kind.DARK, Kind.IMAGE}:
        raise FrameError(f"{file}: a {kind} frame without {' or '.join(chosen.keywords['grism'])}, which names the grism.")
    on = [lamp for lamp in chosen.lamps if lamp.is_on(header)]
    ra, dec = _position(chosen, header, file, quadrant)
    return Frame(
        instrument=chosen.name,
        file=file,
        kind=kind,
        quadrant=quadrant,
        grism=grism,
        filter=text("filter"),
        mask=text("mask"),
        object=text("object"),
        program=text("program"),
        block=text("block"),
        binning=text("binning"),
        ra=ra,
        dec=dec,
        exptime=exptime,
        start=start,
        airmass=number("airmass"),
        night=_night(start, chosen.site.longitude),
        lamps=tuple(lamp.name for lamp in on),
        lines=tuple(dict.fromkeys(name for lamp in on for name in lamp.lines)),
    )


def _find(instrument: Instrument, header: Header, field: str, quadrant: int) -> Any:
    for key in instrument.keywords.get(field, ()):
        value = header.get(key.format(quadrant=quadrant))
        if value is not None and _text(value) != "":
            return value
    return None


def _needed(instrument: Instrument, header: Header, field: str, quadrant: int, file: str) -> Any:
    value = _find(instrument, header, field, quadrant)
    if value is None:
        keys = " or ".join(key.format(quadrant=quadrant) for key in instrument.keywords[field])
        raise FrameError(f"{file}: the header has no {keys}, which says the {field}. Restore it from the original frame.")
    return value


def _text(value: Any) -> str:
    # astropy gives an Undefined object for a keyword without a value
    return " ".join(str(value).split()) if isinstance(value, str | int | float | bool) else ""


def _number(value: Any, field: str, file: str) -> float | None:
    """A number, or the first number in a text such as '2.0 arcsec'."""
    if value is None:
        return None
    if isinstance(value, str):
        found = re.match(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value)
        if not found:
            raise FrameError(f"{file}: the {field} is '{value}', expected a number.")
        value = float(found.group())
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise FrameError(f"{file}: the {field} is {value!r}, expected a number.")
    return float(value)


def _quadrant(instrument: Instrument, header: Header, file: str) -> int:
    if "quadrant" not in instrument.keywords:
        return instrument.detectors[0].quadrant
    value = _needed(instrument, header, "quadrant", 0, file)
    number = _number(value, "quadrant", file)
    if number is None or number != int(number):
        raise FrameError(f"{file}: the quadrant is {value!r}, expected a whole number.")
    return instrument.detector(int(number)).quadrant


def _start(value: Any, file: str) -> float:
    """MJD from an MJD or an ISO date."""
    if isinstance(value, str):
        try:
            moment = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            raise FrameError(f"{file}: the start is '{value}', expected a date such as 2015-05-20T04:37:33.1.") from None
        return MJD_OF_UNIX + moment.replace(tzinfo=dt.UTC).timestamp() / 86400
    number = _number(value, "start", file)
    if number is None or not 30000 < number < 110000:
        raise FrameError(f"{file}: the start is {value!r}, expected a modified Julian date.")
    return number


def _night(start: float, longitude: float) -> str:
    """The date at the local noon (mean solar time) before."""
    noon = math.floor(start + longitude / 360 - 0.5)
    return (dt.date(1858, 11, 17) + dt.timedelta(days=noon)).isoformat()


def _position(instrument: Instrument, header: Header, file: str, quadrant: int) -> tuple[float | None, float | None]:
    found: list[float | None] = []
    for field, limit in (("ra", 360.0), ("dec", 90.0)):
        value = _find(instrument, header, field, quadrant)
        degrees: float | None
        if isinstance(value, str) and ":" in value:
            try:
                degrees = sexagesimal(value) * (15 if field == "ra" and instrument.sexagesimal_ra_hours else 1)
            except ValueError as error:
                raise FrameError(f"{file}: the {field} is wrong: {error}.") from None
        else:
            degrees = _number(value, field, file)
        if degrees is not None and abs(degrees) > limit:
            raise FrameError(f"{file}: the {field} is {degrees} degrees.")
        found.append(degrees)
    return found[0], found[1]


def _kind(instrument: Instrument, header: Header, file: str, quadrant: int) -> Kind:
    for rule in instrument.rules:
        if all(_holds(condition, header, instrument, quadrant) for condition in rule.when):
            return rule.kind
    keys = {condition.key for rule in instrument.rules for condition in rule.when if condition.key}
    said = ", ".join(f"{key} = {header.get(key)!r}" for key in sorted(keys))
    raise FrameError(f"{file}: no rule of {instrument.file} says what it is for ({said}).")


def _holds(condition: Condition, header: Header, instrument: Instrument, quadrant: int) -> bool:
    if condition.lamps is not None and not _lamps_are(condition.lamps, header, instrument):
        return False
    if condition.near_standard is not None and not _near_standard(condition.near_standard, header, instrument, quadrant):
        return False
    return condition.key is None or _value_holds(condition, header.get(condition.key.format(quadrant=quadrant)))


def _value_holds(condition: Condition, value: Any) -> bool:
    text = _text(value)
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    return (
        (condition.present is None or (value is not None) == condition.present)
        and (not condition.equals or text.upper() in condition.equals)
        and (condition.matches is None or re.fullmatch(condition.matches, text, re.IGNORECASE) is not None)
        and (condition.least is None or number >= condition.least)
        and (condition.most is None or number <= condition.most)
    )


def _lamps_are(wanted: str, header: Header, instrument: Instrument) -> bool:
    on = [lamp for lamp in instrument.lamps if lamp.is_on(header)]
    if wanted == "none":
        return not on
    return any(bool(lamp.lines) == (wanted == "lines") for lamp in on)


def _near_standard(arcmin: float, header: Header, instrument: Instrument, quadrant: int) -> bool:
    try:
        ra, dec = _position(instrument, header, "", quadrant)
    except FrameError:
        return False
    if ra is None or dec is None:
        return False
    return any(_separation(ra, dec, star.ra, star.dec) * 60 < arcmin for star in standards())


def _separation(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Degrees between two positions in degrees (haversine: exact for small angles)."""
    ra1, dec1, ra2, dec2 = map(math.radians, (ra1, dec1, ra2, dec2))
    half = math.sin((dec2 - dec1) / 2) ** 2 + math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half))))

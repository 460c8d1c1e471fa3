"""Range lists, as SSAP's parameters have them (SSAP 1.1, section 8.7.2), made into SQL conditions.

A list is ``item,item…`` and an item ``value``, ``from/to``, ``from/`` or ``/to``. Strings are parsed here, once; whatever is no
list of numbers (dates) is a ValidationError that names the parameter and says what was expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from gavo import base

__all__ = ["Range", "dates", "key", "mjd", "numbers", "overlaps", "within"]

T = TypeVar("T")
MOST_ITEMS = 100
"""Items a list may have."""

_EPOCH = datetime(1858, 11, 17)  # noqa: DTZ001 - MJD 0; the archive's times are UTC without saying so
_LAST = datetime(9999, 12, 31)  # noqa: DTZ001
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?Z?)?)?)?")


@dataclass(frozen=True)
class Range(Generic[T]):
    """lower ≤ x ≤ upper; None where it is open."""

    lower: T | None
    upper: T | None

    @property
    def single(self) -> bool:
        """Was one value given and no range?"""
        return self.lower == self.upper


def _items(text: str, name: str, parse: Callable[[str, str], Range[T]]) -> list[Range[T]]:
    items = text.split(",")
    if len(items) > MOST_ITEMS:
        raise base.ValidationError(f"found {len(items)} items, expected at most {MOST_ITEMS}", name)
    found = []
    for item in items:
        parts = [part.strip() for part in item.split("/")]
        if len(parts) > 2 or not any(parts):
            raise base.ValidationError(f"found {item[:80]!r}, expected value, from/to, from/ or /to", name)
        ends = [parse(part, name) if part else Range(None, None) for part in parts]
        found.append(Range(ends[0].lower, ends[-1].upper))
    return found


def _number(text: str, name: str) -> Range[float]:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise base.ValidationError(f"found {text[:80]!r}, expected a number", name)
    return Range(value, value)


def numbers(text: str, name: str) -> list[Range[float]]:
    """The ranges of a list of finite numbers."""
    return _items(text, name, _number)


def _date(text: str, name: str) -> Range[datetime]:
    match = _DATE.fullmatch(text)
    try:
        if match is not None:
            return _span(match)
    except (ValueError, OverflowError):
        pass
    raise base.ValidationError(
        f"found {text[:80]!r}, expected a date (UTC) as in 2012, 2012-11, 2012-11-09 or 2012-11-09T03:53:20", name
    )


def _span(match: re.Match[str]) -> Range[datetime]:
    """All of the time a date of some precision means."""
    year, month, day, hour, minute, second = (int(part) if part else None for part in match.groups()[:6])
    start = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, second or 0)  # noqa: DTZ001
    if match[7]:
        start += timedelta(seconds=float(match[7]))
    if month is None:
        stop = start.replace(year=min(start.year + 1, _LAST.year))
    elif day is None:
        stop = (min(start, _LAST - timedelta(days=32)) + timedelta(days=32)).replace(day=1)
    elif second is not None:
        stop = start
    else:
        stop = start + (timedelta(minutes=1) if hour is not None else timedelta(days=1))
    return Range(start, max(start, stop))


def dates(text: str, name: str) -> list[Range[datetime]]:
    """The ranges of a list of ISO 8601 dates (UTC); a date of less precision means all of its year, month or day."""
    return _items(text, name, _date)


def mjd(range_: Range[datetime]) -> Range[float]:
    """A range of dates in modified Julian days."""
    lower, upper = ((end - _EPOCH) / timedelta(days=1) if end is not None else None for end in (range_.lower, range_.upper))
    return Range(lower, upper)


def key(name: str, value: Any, parameters: dict[str, Any]) -> str:
    """A placeholder for ``value``, which is added to the query's parameters."""
    return f"%({base.getSQLKey(name, value, parameters)})s"


def overlaps(ranges: list[Range[Any]], start: str, stop: str, parameters: dict[str, Any]) -> str:
    """Condition: the interval of the columns start, stop has a point in common with one of the ranges."""
    found = []
    for item in ranges:
        ends = []
        if item.lower is not None:
            ends.append(f"{stop} >= {key(stop, item.lower, parameters)}")
        if item.upper is not None:
            ends.append(f"{start} <= {key(start, item.upper, parameters)}")
        found.append(" AND ".join(ends))
    return "((" + ") OR (".join(found) + "))"


def within(ranges: list[Range[Any]], expression: str, parameters: dict[str, Any]) -> str:
    """Condition: the value of the expression is in one of the ranges."""
    return overlaps(ranges, expression, expression, parameters)

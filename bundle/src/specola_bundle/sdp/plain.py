"""Reading, in a millisecond, a spectrum file that is as plain as those we write: two HDUs, ordinary cards, one row of arrays.

astropy needs twenty times as long, most of it to find that nothing is odd. What is odd here (long cards, scaled columns, another
order, anything this reader is not sure of) is left to astropy: `read_plain` then returns None and says nothing of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Plain", "Unit", "read_plain"]

_BLOCK, _CARD = 2880, 80
_END = b"END".ljust(_CARD)
_KEYWORD = re.compile(r"[A-Z][A-Z0-9_-]*")
_VALUE = re.compile(
    r"(?:'(?P<text>(?:[^']|'')*)'|(?P<truth>[TF])|(?P<whole>[+-]?\d+)|(?P<real>[+-]?\d+\.\d*(?:[ED][+-]?\d+)?)) *(?:/.*)?"
)
_CONVERT: Mapping[str, Callable[[str], Any]] = {
    "text": lambda text: text.replace("''", "'").rstrip(), "truth": lambda text: text == "T", "whole": int,
    "real": lambda text: float(text.replace("D", "E")),
}  # fmt: skip
_RECORD = re.compile(r".*: +[+-]?[\d.]\S*")
"""A string that astropy takes for a record-valued card ("AXIS.1: 2.0")."""
_FORM = re.compile(r"(\d+)([DEIJKB])")
_TYPES = {"E": ">f4", "D": ">f8", "I": ">i2", "J": ">i4", "K": ">i8", "B": ">u1"}
_SCALED = re.compile(r"(?:TSCAL|TZERO|TDIM|TDISP|THEAP)\d*")
_COMMENTARY = ("COMMENT", "HISTORY", "")
_FIRST = (
    {"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True},
    {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": None, "NAXIS2": 1, "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": None},
)
"""The first cards of both headers, in this order, with their values where there is but one; for all others astropy is asked."""


@dataclass(frozen=True)
class Unit:
    """Where an HDU is in its file: offsets of header, data and end in bytes, and what its header says."""

    start: int
    data: int
    end: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Plain:
    """A spectrum file: both headers, and the arrays (n_pixels,) by column name."""

    primary: Unit
    table: Unit
    arrays: Mapping[str, npt.NDArray[Any]]


def read_plain(content: bytes) -> Plain | None:
    """The two HDUs of a file and its arrays; None where anything about it is out of the ordinary."""
    if not content or len(content) % _BLOCK:
        return None
    head = _header(content, 0, _FIRST[0])
    if head is None:
        return None
    first = Unit(0, head[1], head[1], head[0])
    head = _header(content, first.end, _FIRST[1])
    if head is None:
        return None
    values, start = head
    arrays, size = _arrays(content, values, start)
    end = start + -(-size // _BLOCK) * _BLOCK
    if arrays is None or size != values["NAXIS1"] or end != len(content):
        return None
    return Plain(first, Unit(first.end, start, end, values), arrays)


def _header(content: bytes, start: int, first: Mapping[str, Any]) -> tuple[dict[str, Any], int] | None:
    """Keywords and values of a header, and where its data begin."""
    found: dict[str, Any] = {}
    for place in range(start, len(content), _CARD):
        image = content[place : place + _CARD]
        if image == _END:
            data = start + -(-(place + _CARD - start) // _BLOCK) * _BLOCK
            rest = content[place + _CARD : data]
            names = tuple(found)[: len(first)]
            as_always = names == tuple(first) and all(want is None or found[name] == want for name, want in first.items())
            return (found, data) if as_always and rest == b" " * len(rest) else None
        card = _card(image)
        if card is None or (card[0] in found and card[0] not in _COMMENTARY):
            return None
        found[card[0]] = card[1]
    return None


@lru_cache(maxsize=16384)
def _card(image: bytes) -> tuple[str, Any] | None:
    """Keyword and value of a card; None where it is none of the usual. Most cards of a survey are in all of its files."""
    text = image.decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        return None
    keyword = text[:8].rstrip()
    if keyword in _COMMENTARY:
        return keyword, ""
    if not _KEYWORD.fullmatch(keyword) or text[8:10] != "= " or _SCALED.fullmatch(keyword):
        return None
    match = _VALUE.fullmatch(text[10:].strip(" "))
    if match is None or match.lastgroup is None:
        return None
    value = _CONVERT[match.lastgroup](match[match.lastgroup])
    return None if isinstance(value, str) and _RECORD.fullmatch(value) else (keyword, value)


def _arrays(content: bytes, values: Mapping[str, Any], start: int) -> tuple[dict[str, npt.NDArray[Any]] | None, int]:
    """The columns by name (None where they are not plain), and the bytes of the row."""
    found: dict[str, npt.NDArray[Any]] = {}
    size = 0
    for number in range(1, values["TFIELDS"] + 1):
        name, form = values.get(f"TTYPE{number}"), _FORM.fullmatch(str(values.get(f"TFORM{number}", "")))
        if not isinstance(name, str) or not name or name in found or form is None or int(form[1]) == 0:
            return None, 0
        kind, count = np.dtype(_TYPES[form[2]]), int(form[1])
        if start + size + count * kind.itemsize > len(content):
            return None, 0
        found[name] = np.frombuffer(content, kind, count, start + size)
        size += count * kind.itemsize
    return (found, size) if len({name.upper() for name in found}) == len(found) else (None, 0)

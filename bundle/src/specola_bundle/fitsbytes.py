"""FITS headers and checksums as bytes, for writing and reading very many small files quickly.

astropy builds an HDU object for each file, which takes some twenty milliseconds for a spectrum; putting the same cards
together by hand takes one. Values the formatter does not know are left to `astropy.io.fits.Card`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from astropy.io import fits

__all__ = ["Card", "card_image", "hdu_bytes", "ones_complement_sum", "read_row", "value_text", "write_hdu"]

Card = tuple[str, Any, str]
"""Keyword, value, comment."""

_BLOCK = 2880
_CARD = 80
_WORD = 0xFFFFFFFF
_FORBIDDEN = frozenset([*range(0x3A, 0x41), *range(0x5B, 0x61)])
"""Codes of the punctuation characters that the checksum's ASCII form avoids (FITS 4.0, appendix J)."""
_KEYWORD_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
_LONGEST_KEYWORD = 8


def value_text(value: Any) -> str | None:
    """A value in FITS fixed format, None where astropy should format it."""
    if isinstance(value, np.generic):
        # A float32 is written with the digits it has, as astropy does.
        value = float(str(value)) if isinstance(value, np.floating) else value.item()
    if isinstance(value, bool):
        return f"{'T' if value else 'F':>20}"
    if isinstance(value, int):
        return f"{value:>20}"
    if isinstance(value, float) and math.isfinite(value):
        # a negative zero is written as zero: it equals it, and so has the same place in the cache of cards
        return f"{repr(value + 0.0).upper():>20}"
    if isinstance(value, str) and value.isascii() and value.isprintable():
        escaped = value.replace("'", "''")
        return f"'{escaped:<8}'".ljust(20)
    return None


@functools.lru_cache(maxsize=8192, typed=True)
def card_image(keyword: str, value: Any, comment: str) -> str:
    """A card as text, a multiple of 80 characters. Most of a survey's cards are the same in all of its files, so they are kept.

    Raises
    ------
    ValueError
        From astropy, for a value that no FITS card can hold (NaN, for example).
    """
    text = value_text(value)
    if text is not None and len(keyword) <= _LONGEST_KEYWORD and _KEYWORD_CHARACTERS.issuperset(keyword):
        image = f"{keyword:<8}= {text}"
        if len(image) <= _CARD:
            return (f"{image} / {comment}" if comment else image)[:_CARD].ljust(_CARD)
    return str(fits.Card(keyword, value, comment).image)


def ones_complement_sum(content: bytes) -> int:
    """The 32-bit ones' complement sum of FITS (appendix J); the length must be a multiple of four bytes."""
    total = int(np.frombuffer(content, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & _WORD) + (total >> 32)
    return total


def _ascii_checksum(value: int) -> str:
    """The sixteen characters that make the sum of the HDU come out as -0 (FITS 4.0, appendix J)."""
    characters = [0] * 16
    for index, byte in enumerate((value >> shift) & 0xFF for shift in (24, 16, 8, 0)):
        quotient, remainder = byte // 4 + 0x30, byte % 4
        four = [quotient + remainder, quotient, quotient, quotient]
        while any(code in _FORBIDDEN for code in four):
            for first in (0, 2):
                if four[first] in _FORBIDDEN or four[first + 1] in _FORBIDDEN:
                    four[first] += 1
                    four[first + 1] -= 1
        characters[index::4] = four
    return "".join(map(chr, characters[-1:] + characters[:-1]))


def _header_bytes(cards: Iterable[Card], data_sum: int) -> bytes:
    """A padded header with CHECKSUM and DATASUM as its last cards, for data of a known sum."""
    last: dict[str, Card] = {}
    for card in cards:
        last[card[0]] = card
    text = "".join(card_image(*card) for card in last.values())
    zeros = "0" * 16
    place = len(text) + len("CHECKSUM= '")
    text += card_image("CHECKSUM", zeros, "HDU checksum") + card_image("DATASUM", str(data_sum), "data unit checksum")
    text += f"{'END':<80}"
    header = text.encode("ascii")
    header += b" " * (-len(header) % _BLOCK)
    total = ones_complement_sum(header) + data_sum
    total = (total & _WORD) + (total >> 32)
    return header[:place] + _ascii_checksum(~total & _WORD).encode("ascii") + header[place + 16 :]


def hdu_bytes(cards: Iterable[Card], data: bytes = b"") -> bytes:
    """A header and its data as one HDU, padded, with CHECKSUM and DATASUM as its last cards.

    Parameters
    ----------
    cards
        All cards but CHECKSUM, DATASUM and END. A keyword given twice keeps its first place and its last value.
    data
        The data, big-endian, without padding.
    """
    data += b"\0" * (-len(data) % _BLOCK)
    return _header_bytes(cards, ones_complement_sum(data) if data else 0) + data


def write_hdu(stream: BinaryIO, cards: Sequence[Card], chunks: Iterable[bytes]) -> None:
    """The same, written to a stream that can be wound back, for data that are too large to be held: chunks of any size."""
    start = stream.tell()
    stream.write(_header_bytes(cards, 0))
    total = size = 0
    rest = b""
    for chunk in chunks:
        size += len(chunk)
        stream.write(chunk)
        block = rest + chunk
        whole = len(block) // 4 * 4
        rest = block[whole:]
        total += ones_complement_sum(block[:whole]) if whole else 0
    padding = b"\0" * (-size % _BLOCK)
    stream.write(padding)
    total += ones_complement_sum(rest + padding) if rest else 0
    while total >> 32:
        total = (total & _WORD) + (total >> 32)
    end = stream.tell()
    stream.seek(start)
    stream.write(_header_bytes(cards, total))
    stream.seek(end)


_DTYPES = {"E": ">f4", "D": ">f8", "I": ">i2", "J": ">i4", "K": ">i8", "B": "u1"}


def read_row(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The array columns of a table of one row in the first extension of a FITS file, as views, big-endian, by name.

    For files of the layout that `hdu_bytes` writes, where opening an astropy HDU list takes longer than all the rest.

    Raises
    ------
    ValueError
        It is no such file, or it ends too early.
    """
    primary, start = _header(content, 0)
    if primary.get("SIMPLE") != "T" or int(primary.get("NAXIS", -1)) != 0:
        raise ValueError("found no FITS file with an empty primary HDU")
    header, start = _header(content, start)
    if header.get("XTENSION") != "BINTABLE" or int(header["NAXIS2"]) != 1:
        raise ValueError("found no binary table of one row in the first extension")
    columns = {}
    for number in range(1, int(header["TFIELDS"]) + 1):
        form = header[f"TFORM{number}"]
        kind, count = _DTYPES.get(form[-1]), int(form[:-1] or 1)
        if kind is None:
            raise ValueError(f"column {header[f'TTYPE{number}']}: found format {form}, expected one of {', '.join(_DTYPES)}")
        columns[header[f"TTYPE{number}"]] = np.frombuffer(content, kind, count, start)
        start += count * int(kind[-1])
    return columns


def _header(content: bytes, start: int) -> tuple[dict[str, str], int]:
    """Cards of a header as text, strings without quotes, and the offset of what follows it."""
    cards: dict[str, str] = {}
    for place in range(start, len(content) - _CARD + 1, _CARD):
        card = content[place : place + _CARD].decode("ascii", "replace")
        if card.startswith("END "):
            return cards, place + _CARD + (start - place - _CARD) % _BLOCK
        if card[8:10] == "= ":
            value = card[10:].lstrip()
            cards[card[:8].rstrip()] = value[1 : value.find("'", 1)].rstrip() if value[:1] == "'" else value.split("/")[0].strip()
    raise ValueError("found a header without an END card")

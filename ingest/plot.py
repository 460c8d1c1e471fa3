"""Drawing a spectrum as a small picture: curves with numpy, text with Pillow.

The plot is an array of palette indices: a ground (paper, noise band, masked stretch) and the darkness of the ink on
it, `INKS` steps from none to full. That makes anti-aliased lines without an intermediate colour image, and small files.
"""

from __future__ import annotations

import functools
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

__all__ = ["BAND", "MASK", "PAPER", "TEXT", "Indices", "draw", "label", "png", "spelled", "stamp", "ticks"]

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.uint8]

INKS = 16
STEPS = 5
"""Shades of a curve's edge: fewer than text has, for the sake of small files."""
PAPER, BAND, MASK, TEXT, FAINT, WARM = (INKS * number for number in range(6))
"""First palette index of each ground with its ink."""

_GROUNDS = (
    ((255, 255, 255), (22, 74, 140)),  # paper, curve
    ((214, 227, 243), (22, 74, 140)),  # noise band, curve
    ((236, 236, 236), (150, 150, 150)),  # masked stretch, curve
    ((255, 255, 255), (40, 40, 40)),  # paper, text
    ((255, 255, 255), (120, 120, 120)),  # paper, faint text
    ((255, 255, 255), (190, 80, 0)),  # paper, warning
)

FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf")
"""From Debian's fonts-dejavu-core, on which DaCHS depends by way of matplotlib."""
_PLAIN = str.maketrans({"Å": "A", "α": "a", "β": "b", "γ": "g", "δ": "d", "σ": " sigma", "−": "-", "·": ".", "–": "-"})  # noqa: RUF001 - what the fall-back font lacks


@functools.cache
def _palette() -> bytes:
    steps = np.linspace(0, 1, INKS)[:, np.newaxis]
    colours = [np.rint((1 - steps) * np.array(ground) + steps * np.array(ink)) for ground, ink in _GROUNDS]
    return np.concatenate(colours).astype(np.uint8).tobytes()


@functools.cache
def _has_font() -> bool:
    return FONT.exists()


@functools.cache
def _font(size: int) -> Any:
    return ImageFont.truetype(str(FONT), size) if _has_font() else ImageFont.load_default(size)


@functools.lru_cache(maxsize=1024)
def label(text: str, size: int, *, upright: bool = False) -> Indices:
    """A line of text as ink from 0 to INKS - 1; ``^{…}`` raises what is in it. ``upright`` turns it by a quarter.

    Characters that the font lacks are replaced; nothing is drawn for an empty text.
    """
    if not _has_font():
        text = text.translate(_PLAIN).encode("ascii", "replace").decode()
    big, small = _font(size), _font(max(8, round(size * 0.7)))
    pieces = [(part, small if raised else big, raised) for part, raised in _runs(text)]
    width = sum(int(np.ceil(font.getlength(part))) for part, font, _ in pieces)
    image = Image.new("L", (width + 2, round(size * 1.5)), 0)
    draw = ImageDraw.Draw(image)
    x = 0.0
    for part, font, raised in pieces:
        draw.text((x, size * (0.75 if raised else 1.15)), part, fill=255, font=font, anchor="ls")
        x += font.getlength(part)
    if upright:
        image = image.transpose(Image.Transpose.ROTATE_90)
    ink: Indices = (np.asarray(image, dtype=np.uint16) * (INKS - 1) // 255).astype(np.uint8)
    ink.flags.writeable = False
    return ink


def _runs(text: str) -> list[tuple[str, bool]]:
    parts = re.split(r"\^\{([^}]*)\}", text)
    return [(part, bool(number % 2)) for number, part in enumerate(parts) if part]


def stamp(canvas: Indices, ink: Indices, x: float, y: float, ground: int = TEXT, *, align: float = 0.0) -> None:
    """Put text on the paper: its top at row ``y``, its left end at column ``x`` (align 0), centre (0.5) or right end (1).

    What would lie outside of the canvas is cut off.
    """
    left, top = round(x - align * ink.shape[1]), round(y)
    rows = slice(max(top, 0), max(min(top + ink.shape[0], canvas.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + ink.shape[1], canvas.shape[1]), 0))
    part = ink[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    target = canvas[rows, columns]
    target[part > 0] = part[part > 0] + ground


def draw(canvas: Indices, low: Floats, high: Floats, ground: int | None = None) -> None:
    """Draw what spans, in each column, from row ``low`` to row ``high`` (from the top; columns with NaN stay empty).

    With a ``ground``, the rows whose middle is inside get it. Without, it is a curve: its ink is added to the ground that
    is there, in proportion to the part of the pixel that it covers, in five steps.
    """
    height = canvas.shape[0]
    top, bottom = np.clip(np.nan_to_num(low, nan=0.0), 0, height), np.clip(np.nan_to_num(high, nan=0.0), 0, height)
    first = np.floor(top).astype(np.intp)
    count = np.maximum(np.ceil(bottom).astype(np.intp) - first, 0)
    columns = np.repeat(np.arange(first.size), count)
    rows = np.arange(columns.size) - np.repeat(np.cumsum(count) - count - first, count)
    if ground is not None:
        inside = (rows + 0.5 > top[columns]) & (rows + 0.5 < bottom[columns])
        canvas[rows[inside], columns[inside]] = ground
        return
    part = np.minimum(rows + 1, bottom[columns]) - np.maximum(rows, top[columns])
    canvas[rows, columns] += (np.rint(np.clip(part, 0, 1) * STEPS) * ((INKS - 1) // STEPS)).astype(np.uint8)


def png(canvas: Indices) -> bytes:
    """The canvas, shape (height, width), as a palette PNG (ISO/IEC 15948).

    Each row is stored as its difference to the one above, which suits plots and is quicker than trying all filters.
    """
    height, width = canvas.shape
    lines = np.empty((height, width + 1), dtype=np.uint8)
    lines[:, 0] = 2
    lines[0, 1:] = canvas[0]
    np.subtract(canvas[1:], canvas[:-1], out=lines[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", _palette()), (b"IDAT", zlib.compress(lines.data, 4)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def ticks(low: float, high: float, wanted: int) -> Floats:
    """Round numbers between low and high, about as many as wanted."""
    span = high - low
    if not span > 0:
        return np.array([low])
    raw = span / wanted
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * min((m for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.99), default=10)
    values = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return np.asarray(np.where(np.abs(values) < step * 1e-6, 0.0, values))


@functools.lru_cache(maxsize=64)
def spelled(unit: str) -> str:
    """A VOUnit string as people write it, powers raised: ``erg s^{-1} cm^{-2} Å^{-1}``."""
    if unit in {"", "ct", "count", "counts", "adu"}:
        return {"": "", "adu": "ADU"}.get(unit, "counts")
    words = []
    for factor in re.split(r"[.\s]", re.sub(r"\*\*\s*\(?(-?\d+)\)?", r"^{\1}", unit)):
        word, negative = re.sub(r"^(?:1(?:\.0)?)?[eE]([+-]?\d+)$", r"10^{\1}", factor), 1
        for number, part in enumerate(word.split("/")):
            negative = -1 if number else 1
            match = re.fullmatch(r"([^^]+)(?:\^\{(-?\d+)\})?", part)
            if match is None:
                words.append(part)
                continue
            name = {"Angstrom": "Å", "10": "10"}.get(match[1], match[1])
            power = negative * int(match[2] or 1)
            words.append(name if power == 1 else f"{name}^{{{power}}}".replace("-", "−"))  # noqa: RUF001 - a minus sign
    return " ".join(words)

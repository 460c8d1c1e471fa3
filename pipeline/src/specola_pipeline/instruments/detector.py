"""A detector of an instrument: its pixels, its amplifiers, numbers that a header holds of them. Conventions: :mod:`.model`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specola_pipeline.errors import FrameError

__all__ = ["Amplifier", "Detector", "Header", "Section", "Value"]

Header = Mapping[str, Any]
"""A FITS header, or anything that answers ``header.get("ESO DPR TYPE")``."""


@dataclass(frozen=True)
class Section:
    """A rectangle of a raw frame, 0-based and half open; ``None`` is the end of the frame.

    Written in TOML as FITS does, ``[x1:x2,y1:y2]``, 1-based and closed, ``:`` alone for a whole axis.
    """

    x: tuple[int, int | None]
    y: tuple[int, int | None]

    @classmethod
    def parse(cls, text: str) -> Section:
        """From FITS notation.

        Raises:
            ValueError: it is not of that form.
        """
        found = re.fullmatch(r"\s*\[\s*(:|\d+\s*:\s*\d+)\s*,\s*(:|\d+\s*:\s*\d+)\s*\]\s*", text)
        if not found:
            raise ValueError(f"'{text}' is no section; write [x1:x2,y1:y2] or [:,y1:y2]")
        axes: list[tuple[int, int | None]] = []
        for part in found.groups():
            first, _, last = part.partition(":")
            low, high = (int(first), int(last)) if first.strip() else (1, None)
            if low < 1 or (high is not None and high < low):
                raise ValueError(f"'{text}' is no section: it begins at {low} and ends at {high}")
            axes.append((low - 1, high))
        return cls(axes[0], axes[1])

    def slices(self) -> tuple[slice, slice]:
        """For an array ``[y, x]``."""
        return slice(*self.y), slice(*self.x)

    def fits_in(self, shape: tuple[int, int]) -> bool:
        """Whether a frame of ``shape`` (rows, columns) holds all of it."""
        return all(
            low < size and (high is None or high <= size) for (low, high), size in zip((self.y, self.x), shape, strict=True)
        )


@dataclass(frozen=True)
class Value:
    """A number that a header holds, times ``scale``; ``default`` where the keyword is missing."""

    keyword: str | None
    default: float | None
    scale: float = 1.0

    def read(self, header: Header, file: str, quadrant: int = 1) -> float:
        """The number.

        Raises:
            FrameError: the keyword is missing and there is no default, or its value is no number.
        """
        key = self.keyword.format(quadrant=quadrant) if self.keyword else None
        found = header.get(key) if key else None
        if found is None:
            if self.default is None:
                raise FrameError(f"{file}: the header has no '{key}', which is needed. Restore it from the original frame.")
            return self.default
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise FrameError(f"{file}: '{key}' is {found!r}, expected a finite number. Restore it from the original frame.")
        return float(found) * self.scale


@dataclass(frozen=True)
class Amplifier:
    """One read-out channel: where its pixels and its overscan are, and its gain (e-/ADU) and read noise (e-)."""

    name: str
    data: Section
    bias: tuple[Section, ...]
    gain: Value
    read_noise: Value


@dataclass(frozen=True)
class Detector:
    """One CCD.

    ``shape`` is that of the raw frame (rows, columns), 0 where windowing leaves it open. ``dispersion_axis`` is the numpy axis
    along which the wavelength changes (0: along a column), ``dispersion_sign`` +1 where it grows with the index.
    ``saturation`` is in ADU, ``pixel_scale`` arcsec a pixel along the slit.
    """

    quadrant: int
    name: str
    shape: tuple[int, int]
    dispersion_axis: int
    dispersion_sign: int
    pixel_scale: float
    saturation: float
    amplifiers: tuple[Amplifier, ...]

"""Raw frames that ``organise`` described, read and turned into electrons."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from specola_pipeline import instruments
from specola_pipeline.errors import FrameError
from specola_pipeline.organise import Entry
from specola_pipeline.reduce.detector import Amplifier, Box, Frame, Readout, to_electrons

__all__ = ["Raw", "electrons", "file_hash", "raw_of"]


@dataclass(frozen=True)
class Raw:
    """A raw frame: where it is, the hash of its header and pixels, and what its header says."""

    path: Path
    content: str
    frame: instruments.Frame


def raw_of(entry: Entry) -> Raw:
    """The frame of an entry of ``organise``. Raises FrameError where it is none."""
    if entry.frame is None:
        raise FrameError(f"{entry.path.name}: {entry.reason}")
    return Raw(entry.path, entry.content, entry.frame)


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def electrons(raw: Raw) -> Frame:
    """The frame in electrons, trimmed and turned.

    Raises FrameError where the file is truncated or not of the detector's shape.
    """
    values, header = _read(raw.path)
    instrument = instruments.instrument(raw.frame.instrument)
    detector = instrument.detector(raw.frame.quadrant)
    shape = (values.shape[0], values.shape[1])

    def box(section: instruments.Section) -> Box:
        rows, columns = section.slices()
        return (
            rows.start,
            shape[0] if rows.stop is None else rows.stop,
            columns.start,
            shape[1] if columns.stop is None else columns.stop,
        )

    amplifiers = tuple(
        Amplifier(
            box(one.data),
            tuple(box(section) for section in one.bias),
            one.gain.read(header, raw.path.name, raw.frame.quadrant),
            one.read_noise.read(header, raw.path.name, raw.frame.quadrant),
        )
        for one in detector.amplifiers
    )
    readout = Readout(amplifiers, detector.saturation, detector.dispersion_axis, detector.dispersion_sign < 0)
    try:
        return to_electrons(values, readout, raw.frame.exptime)
    except ValueError as error:
        raise FrameError(f"{raw.path.name}: {error}") from error


def _read(path: Path) -> tuple[NDArray[np.float64], Any]:
    try:
        with fits.open(path, memmap=False) as hdus:
            data, header = hdus[0].data, hdus[0].header.copy()
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise FrameError(f"{path.name}: the image can not be read ({error}): is the file truncated? Copy it again.") from error
    if data is None or data.ndim != 2:
        raise FrameError(f"{path.name}: the first HDU holds no image of two axes.")
    return np.asarray(data, dtype=float), header

"""Every file of a directory: a frame, or the reason why not; and what is odd in a frame's pixels."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from specola_pipeline.errors import FrameError, InstrumentError, PipelineError
from specola_pipeline.instruments import Frame, Instrument, Kind, identify, read_frame, slits
from specola_pipeline.instruments.model import MaskSlits

__all__ = ["Entry", "Status", "scan"]

ENDINGS = (".fits", ".fits.gz", ".fit", ".fts", ".fits.fz", ".fits.z")
SATURATED = 0.01
"""Part of the pixels at saturation from which on a frame is of no use as a calibration."""


class Status(StrEnum):
    """What a file is."""

    FRAME = "frame"
    BROKEN = "broken"
    DUPLICATE = "duplicate"
    FOREIGN = "foreign"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Entry:
    """One file: its status, the reason where it is no frame, what is odd where it is one, and whether it may calibrate others."""

    path: Path
    status: Status
    reason: str = ""
    frame: Frame | None = None
    content: str = ""
    odd: tuple[str, ...] = ()
    usable: bool = True


def scan(folder: Path, progress: Callable[[int, int], None] | None = None) -> list[Entry]:
    """Read every file under a directory whose name ends as FITS files do, symbolic links included, in order of path.

    Raises:
        PipelineError: there is no such directory.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder} is no directory.")
    files = sorted(path for path in folder.rglob("*") if path.name.lower().endswith(ENDINGS) and not path.name.startswith("."))
    entries: list[Entry] = []
    first: dict[str, Path] = {}
    for number, path in enumerate(files, 1):
        entry = _read(path)
        if entry.content and entry.content in first:
            reason = f"has the same header and pixels as {first[entry.content].relative_to(folder)}"
            entry = replace(entry, status=Status.DUPLICATE, reason=reason, usable=False)
        elif entry.content:
            first[entry.content] = path
        entries.append(entry)
        if progress:
            progress(number, len(files))
    return entries


def _read(path: Path) -> Entry:
    try:
        header, data = _open(path)
    except PipelineError as error:
        return Entry(path, Status.BROKEN, str(error), usable=False)
    if data is None or data.ndim != 2 or not data.size:
        return Entry(path, Status.FOREIGN, "has no image of two axes in its primary HDU: no raw frame", usable=False)
    content = hashlib.sha256(header.tostring().encode("ascii", "replace") + np.ascontiguousarray(data).tobytes()).hexdigest()
    try:
        instrument = identify(header, path.name)
    except InstrumentError as error:
        return Entry(path, Status.FOREIGN, str(error), content=content, usable=False)
    try:
        frame = read_frame(header, path.name, instrument)
        odd, usable = _look(header, data, frame, instrument)
    except FrameError as error:
        return Entry(path, Status.UNCLEAR, str(error), content=content, usable=False)
    return Entry(path, Status.FRAME, frame=frame, content=content, odd=tuple(odd), usable=usable)


def _open(path: Path) -> tuple[fits.Header, npt.NDArray[np.generic] | None]:
    """Header and pixels of the primary HDU (None where it has none).

    Raises:
        FrameError: it is no FITS file, or it is cut off.
    """
    try:
        with warnings.catch_warnings(), fits.open(path, memmap=False, lazy_load_hdus=False, ignore_missing_simple=False) as hdus:
            warnings.simplefilter("error", fits.verify.VerifyWarning)
            warnings.filterwarnings("error", message=".*truncated.*")
            hdu = hdus[0]
            header = hdu.header.copy()
            data = hdu.data
    except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, Warning) as error:
        raise FrameError(f"can not be read as FITS ({_short(error)}); fetch it again from the archive.") from error
    return header, data


def _short(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__


def _look(header: fits.Header, data: npt.NDArray[np.generic], frame: Frame, instrument: Instrument) -> tuple[list[str], bool]:
    """What is odd in a frame, and whether it may be used to calibrate.

    Raises:
        FrameError: the frame is not of the detector's size: nothing can be made of it.
    """
    detector = instrument.detector(frame.quadrant)
    wanted = tuple(want or got for want, got in zip(detector.shape, data.shape, strict=True))
    sections = [section for amplifier in detector.amplifiers for section in (amplifier.data, *amplifier.bias)]
    if data.shape != wanted or not all(section.fits_in((data.shape[0], data.shape[1])) for section in sections):
        raise FrameError(
            f"is {data.shape[1]} by {data.shape[0]} pixels, {instrument.title} makes {wanted[1]} by {wanted[0]}; windowed?"
        )
    odd, usable = [], True
    pixels = data[detector.amplifiers[0].data.slices()].astype(np.float32)
    if not np.isfinite(pixels).all():
        odd.append(f"{np.count_nonzero(~np.isfinite(pixels))} pixels are not finite")
    if pixels.min() == pixels.max():
        odd.append(f"every pixel is {pixels.min():g}: an empty frame")
        usable = False
    full = float((pixels >= detector.saturation).mean())
    if frame.kind is not Kind.BIAS and full > SATURATED:
        odd.append(f"{full:.0%} of the pixels are saturated")
        usable = usable and frame.kind not in {Kind.FLAT, Kind.ARC}
    odd += _look_at_header(header, frame, instrument, (pixels.shape[0], pixels.shape[1]))
    return odd, usable


def _look_at_header(header: fits.Header, frame: Frame, instrument: Instrument, shape: tuple[int, int]) -> list[str]:
    odd = []
    if frame.kind is Kind.BIAS and frame.exptime > 1:
        odd.append(f"a bias exposed for {frame.exptime:g} s")
    if frame.kind in {Kind.SCIENCE, Kind.STANDARD} and frame.exptime <= 0:
        odd.append(f"a {frame.kind} frame exposed for {frame.exptime:g} s")
    if frame.kind is Kind.ARC and not frame.lines:
        odd.append("an arc with no arc lamp on")
    if frame.kind in {Kind.SCIENCE, Kind.STANDARD} and frame.lamps:
        odd.append(f"lamps were on: {', '.join(frame.lamps)}")
    if not frame.grism or frame.kind in {Kind.BIAS, Kind.DARK, Kind.IMAGE}:
        return odd
    grism = instrument.grism(frame.grism)
    if grism.filters and frame.filter.upper() not in {one.upper() for one in grism.filters}:
        odd.append(f"filter {frame.filter or 'none'} with grism {grism.name}, which goes with {' or '.join(grism.filters)}")
    if isinstance(instrument.geometry, MaskSlits):
        try:
            slits(instrument, header, frame, shape)
        except FrameError as error:
            odd.append(str(error).removeprefix(f"{frame.file}: "))
    return odd

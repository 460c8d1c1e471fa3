"""The work format: the multi-extension file of PANDORA (VIPGI, EasyLife), read and written without loss.

The primary HDU is the one-dimensional flux on a linear wavelength axis (CRVAL1, CDELT1, CRPIX1); image extensions hold NOISE,
SKY, EXR2D (the two-dimensional spectrum), EXR1D (the flux before it was edited), THUMB (the image of the object) and whatever
else a reduction keeps. What is known of the object stands in HIERARCH PND cards.

A `WorkFile` keeps every card as the 80 characters it was and every number as the bytes it was, so ``WorkFile.read(…).to_bytes()``
is the file again, bit for bit. `compose` makes one of arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from astropy.io import fits

from specola_bundle.bundle import write_whole
from specola_bundle.errors import SourceError
from specola_bundle.fitsbytes import card_image, value_text
from specola_bundle.fitsio import content_of, native, open_fits, plain_name
from specola_bundle.specfile import AnyArray

__all__ = ["WorkFile", "WorkHdu", "compose"]

_BLOCK = 2880
_CARD = 80
_TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_CODES = {np.dtype(kind): bitpix for bitpix, kind in _TYPES.items()}
_PND = "PND "


@dataclass(frozen=True, eq=False)
class WorkHdu:
    """One HDU: its cards and its numbers."""

    text: str
    """All cards but END, 80 characters each."""
    data: AnyArray | None
    """As stored (big-endian), shape as numpy has it (last axis first in FITS); None where there is none."""

    @cached_property
    def header(self) -> fits.Header:
        """The cards as astropy reads them."""
        return fits.Header.fromstring(self.text)

    @property
    def name(self) -> str:
        """EXTNAME, upper case; the primary HDU has none."""
        return str(self.header.get("EXTNAME", "")).strip().upper()

    def to_bytes(self) -> bytes:
        """The HDU with the padding that FITS wants."""
        head = (self.text + f"{'END':<{_CARD}}").encode("ascii")
        body = b"" if self.data is None else self.data.tobytes()
        return head + b" " * (-len(head) % _BLOCK) + body + b"\0" * (-len(body) % _BLOCK)


@dataclass(frozen=True)
class WorkFile:
    """A file in the work format."""

    name: str
    """File name, for messages."""
    hdus: tuple[WorkHdu, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file (also a gzipped one); SourceError where it is not whole, or can not be given back as it is."""
        return cls.from_bytes(plain_name(path), content_of(path))

    @classmethod
    def from_bytes(cls, name: str, content: bytes) -> Self:
        """The same of a content in memory."""
        with open_fits(name, content) as hdus:
            places = [(hdu.fileinfo()["hdrLoc"], hdu.fileinfo()["datLoc"], hdu.fileinfo()["datSpan"]) for hdu in hdus]
        found = tuple(_hdu(f"{name} HDU {number}", content, *place) for number, place in enumerate(places))
        if sum(len(hdu.to_bytes()) for hdu in found) != len(content) or b"".join(hdu.to_bytes() for hdu in found) != content:
            raise SourceError(f"{name}: found bytes beside cards and numbers, expected padding as FITS has it; write it again")
        return cls(name, found)

    def to_bytes(self) -> bytes:
        """The file."""
        return b"".join(hdu.to_bytes() for hdu in self.hdus)

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_whole(path, self.to_bytes())

    def hdu(self, name: str) -> WorkHdu:
        """The extension of a name; SourceError where there is none."""
        for hdu in self.hdus[1:]:
            if hdu.name == name.upper():
                return hdu
        there = ", ".join(hdu.name or ("PRIMARY" if not number else str(number)) for number, hdu in enumerate(self.hdus))
        raise SourceError(f"{self.name}: found HDUs {there}, expected {name}")

    @property
    def pnd(self) -> Mapping[str, Any]:
        """What the primary header's HIERARCH PND cards say, keyword (without PND) to value, in their order."""
        header = self.hdus[0].header
        return {key.removeprefix(_PND): header[key] for key in header if key.startswith(_PND)}

    def with_pnd(self, values: Mapping[str, Any]) -> Self:
        """The same file with HIERARCH PND cards of the primary header set; all other bytes stay as they are."""
        text = self.hdus[0].text
        cards = [text[place : place + _CARD] for place in range(0, len(text), _CARD)]
        for key, value in values.items():
            # astropy cuts numbers after sixteen characters
            image = f"HIERARCH {_PND}{key} = {(value_text(value) or '').strip()}".ljust(_CARD)
            if len(image) != _CARD or image.rstrip().endswith("="):
                raise ValueError(f"HIERARCH PND {key}: found {value!r}, expected a value that fits on one card")
            start = f"HIERARCH {_PND}{key} ".ljust(10)
            place = next((number for number, card in enumerate(cards) if card.startswith((start, start[:-1] + "="))), len(cards))
            cards[place : place + 1] = [image]
        return replace(self, hdus=(replace(self.hdus[0], text="".join(cards)), *self.hdus[1:]))

    @property
    def flux(self) -> AnyArray:
        """The flux, shape (n_pixels,), in the machine's byte order; SourceError where the primary HDU has another shape."""
        data = self.hdus[0].data
        if data is None or data.ndim != 1:
            what = "no data" if data is None else f"an image of {data.ndim} axes"
            raise SourceError(f"{self.name} HDU 0: found {what}, expected the flux on one axis")
        return native(data)

    @property
    def wave(self) -> AnyArray:
        """Wavelengths of the flux's pixels, Angstrom, float64."""
        return self.axis(self.hdus[0])

    def axis(self, hdu: WorkHdu) -> AnyArray:
        """Wavelengths of an HDU's first axis; SourceError where its header has no linear axis."""
        try:
            start, step, pixel = (float(hdu.header[key]) for key in ("CRVAL1", "CDELT1", "CRPIX1"))
        except KeyError as error:
            raise SourceError(f"{self.name}: found no card {error.args[0]}, expected a linear wavelength axis") from None
        return start + (np.arange(hdu.header["NAXIS1"], dtype=np.float64) + 1.0 - pixel) * step

    def along(self, hdu: WorkHdu) -> AnyArray:
        """The numbers of an extension that goes along the flux; SourceError where its shape is another."""
        size = self.flux.size
        if hdu.data is None or hdu.data.shape != (size,):
            what = "no data" if hdu.data is None else f"shape {hdu.data.shape}"
            raise SourceError(f"{self.name} HDU {hdu.name}: found {what}, expected {size} pixels as in HDU 0")
        return native(hdu.data)


def _hdu(where: str, content: bytes, start: int, data: int, span: int) -> WorkHdu:
    text = content[start:data].decode("ascii")
    end = next(place for place in range(0, len(text), _CARD) if text[place : place + _CARD].rstrip() == "END")
    hdu = WorkHdu(text[:end], None)
    header = hdu.header
    if header.get("XTENSION", "IMAGE").strip() != "IMAGE" or "BSCALE" in header or "BZERO" in header:
        raise SourceError(f"{where}: found a table or scaled numbers, expected an image of plain numbers, as PANDORA writes them")
    shape = tuple(int(header[f"NAXIS{axis}"]) for axis in range(int(header["NAXIS"]), 0, -1))
    if not shape or not span:
        return hdu
    numbers = np.frombuffer(content, _TYPES[int(header["BITPIX"])], math.prod(shape), data)
    return replace(hdu, data=numbers.reshape(shape))


def compose(
    name: str, flux: AnyArray, *, start: float, step: float, extensions: Mapping[str, AnyArray], pnd: Mapping[str, Any]
) -> WorkFile:
    """Make a file of the work format.

    Parameters
    ----------
    name
        File name, for messages.
    flux
        Shape (n_pixels,).
    start, step
        Wavelength of the first pixel and distance of two, Angstrom.
    extensions
        Images by EXTNAME, in their order: NOISE and SKY of shape (n_pixels,), EXR2D of (n_rows, n_pixels), THUMB of any …
    pnd
        Values of the HIERARCH PND cards; what can not stand on one card is a ValueError.
    """
    axis: tuple[tuple[str, Any], ...] = (("CRPIX1", 1.0), ("CRVAL1", start), ("CDELT1", step), ("CTYPE1", "WAVE"))
    hdus = [_image((("SIMPLE", True),), flux, (("EXTEND", True), *axis))]
    for extension, data in extensions.items():
        along = axis if data.shape[-1:] == flux.shape else ()
        hdus.append(_image((("XTENSION", "IMAGE"),), data, (("PCOUNT", 0), ("GCOUNT", 1), ("EXTNAME", extension), *along)))
    return WorkFile(name, tuple(hdus)).with_pnd(pnd)


def _image(first: tuple[tuple[str, Any], ...], data: AnyArray, more: tuple[tuple[str, Any], ...]) -> WorkHdu:
    stored = data.astype(data.dtype.newbyteorder(">"))
    if stored.dtype not in _CODES:
        raise ValueError(f"found an array of {data.dtype}, expected one of {', '.join(str(kind) for kind in _CODES)}")

    def cards() -> Iterator[tuple[str, Any]]:
        yield from first
        yield "BITPIX", _CODES[stored.dtype]
        yield "NAXIS", stored.ndim
        for number, size in enumerate(reversed(stored.shape), start=1):
            yield f"NAXIS{number}", size
        yield from more

    return WorkHdu("".join(card_image(key, value, "") for key, value in cards()), stored)

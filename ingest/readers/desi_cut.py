"""One target cut out of a DESI coadd file, byte by byte.

Headers and numbers stay as DESI wrote them (unsigned masks, TNULLs, long strings); only the counts of rows change,
and the checksums go, as they would no longer be true.
"""

from __future__ import annotations

import re

import numpy as np
from astropy.io import fits

from specola_bundle.specfile import AnyArray

__all__ = ["cut"]

_BLOCK = 2880
_CARD = 80


def cut(content: bytes, hdus: fits.HDUList, number: int, count: int, exposures: AnyArray) -> bytes:
    """The file with one target only.

    Parameters
    ----------
    content
        The whole coadd file.
    hdus
        The same, opened.
    number, count
        Row of the target, from 0, and number of targets.
    exposures
        Rows of the target in EXP_FIBERMAP, from 0.
    """
    parts = []
    for hdu in hdus:
        info = hdu.fileinfo()
        header = content[info["hdrLoc"] : info["datLoc"]]
        axes = [int(hdu.header[f"NAXIS{axis}"]) for axis in range(1, int(hdu.header["NAXIS"]) + 1)]
        size = abs(int(hdu.header["BITPIX"])) // 8
        data = content[info["datLoc"] : info["datLoc"] + (size * int(np.prod(axes)) if axes else 0)]
        rows = exposures if hdu.name == "EXP_FIBERMAP" else np.array([number])
        shared = not axes or hdu.name.endswith("_WAVELENGTH") or (hdu.name != "EXP_FIBERMAP" and axes[-1] != count)
        if not shared:
            width = len(data) // axes[-1]
            data = b"".join(data[row * width : (row + 1) * width] for row in rows.tolist())
            header = _recount(header, len(axes), len(rows))
        parts.append(_without_checksums(header))
        parts.append(data + b"\0" * (-len(data) % _BLOCK))
    return b"".join(parts)


def _recount(header: bytes, axis: int, rows: int) -> bytes:
    pattern = re.compile(rb"(NAXIS%d  = )[ 0-9]{20}" % axis)
    return pattern.sub(lambda match: match[1] + b"%20d" % rows, header, count=1)


def _without_checksums(header: bytes) -> bytes:
    cards = [header[place : place + _CARD] for place in range(0, len(header), _CARD)]
    kept = b"".join(card for card in cards if not card.startswith((b"CHECKSUM=", b"DATASUM ="))).rstrip(b" ")
    kept += b" " * (-len(kept) % _CARD)
    return kept + b" " * (-len(kept) % _BLOCK)

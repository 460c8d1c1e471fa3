"""Reading FITS sources so that whatever is wrong becomes one clear `SourceError`."""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from specola_bundle.errors import SourceError
from specola_bundle.specfile import AnyArray

__all__ = ["content_of", "hdu_of", "native", "open_fits", "plain_name", "table_column", "vounit"]


def content_of(path: Path) -> bytes:
    """A file's content, uncompressed if its name ends in ``.gz``; SourceError where it can not be had."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except OSError as error:
        raise SourceError(f"{path.name}: found {error.strerror or error}, expected a readable file; fetch it again") from error
    except (EOFError, zlib.error) as error:
        raise SourceError(f"{path.name}: found {error}, expected a whole gzip file; fetch it again") from error


def plain_name(path: Path) -> str:
    """A file's name without ``.gz``."""
    return path.name.removesuffix(".gz")


@contextmanager
def open_fits(name: str, content: bytes) -> Iterator[fits.HDUList]:
    """A FITS file in memory as an HDUList; what astropy finds wrong with it, truncation first, becomes a SourceError."""
    if not content.startswith(b"SIMPLE  ="):
        raise SourceError(f"{name}: found {content[:9]!r} at its start, expected a FITS file")
    try:
        with warnings.catch_warnings():
            # A warning on reading (truncated file, checksum that does not match) means the numbers can not be trusted.
            warnings.simplefilter("error", AstropyWarning)
            warnings.simplefilter("ignore", units.UnitsWarning)
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            with fits.open(io.BytesIO(content), memmap=False, checksum=True, lazy_load_hdus=False) as hdus:
                size = max(hdu.fileinfo()["datLoc"] + hdu.fileinfo()["datSpan"] for hdu in hdus)
                if size > len(content):
                    raise SourceError(f"{name}: found {len(content)} bytes, expected {size}: it is truncated; fetch it again")
                yield hdus
    except (OSError, AstropyWarning, fits.VerifyError, TypeError, IndexError) as error:
        raise SourceError(f"{name}: found {error}, expected a whole and valid FITS file; fetch it again") from error


def hdu_of(name: str, hdus: fits.HDUList, key: str | int) -> Any:
    """An HDU by name or number; SourceError names what there is."""
    try:
        return hdus[key]
    except (KeyError, IndexError):
        there = ", ".join(hdu.name or str(number) for number, hdu in enumerate(hdus))
        raise SourceError(f"{name}: found HDUs {there}, expected {key}") from None


def table_column(name: str, hdu: Any, column: str) -> AnyArray:
    """A column of a table in native byte order; SourceError names what there is. Upper and lower case do not matter."""
    names = {known.upper(): known for known in hdu.columns.names}
    if column.upper() not in names:
        raise SourceError(
            f"{name} HDU {hdu.name or hdu.ver}: found no column {column}, expected one beside {', '.join(list(names)[:12])}"
        )
    return native(hdu.data[names[column.upper()]])


def native(values: AnyArray) -> AnyArray:
    """The same numbers in the machine's byte order."""
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


_BASE = ("erg", "ct", "count", "adu", "electron", "W", "J", "s", "cm", "m", "Angstrom", "nm", "um", "micron", "Hz", "Jy")


@cache
def vounit(text: str) -> str:
    """A flux unit as found in a FITS file as a VOUnit string in the field's order (``erg.s**-1.cm**-2.Angstrom**-1``).

    ESO writes ``erg cm**(-2) s**(-1) angstrom**(-1)``, SDSS ``1E-17 erg/cm^2/s/Ang``, DESI ``10**-17 erg/(s cm2 Angstrom)``;
    the scale stays in the unit, so the numbers need not be touched.

    Raises
    ------
    ValueError
        It can not be read as a unit, or its scale is no power of ten.
    """
    clean = text.strip()
    if clean.lower() in {"adu", "ct", "count", "counts"}:
        return "adu" if clean.lower() == "adu" else "ct"
    if "Ang" in clean and "Angstrom" not in clean:
        clean = clean.replace("Ang", "Angstrom")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)
        unit = units.Unit(clean)
    exponent = round(float(np.log10(unit.scale)))
    if not np.isclose(unit.scale, 10.0**exponent, rtol=1e-12):
        raise ValueError(f"found unit {text!r} with scale {unit.scale}, expected a power of ten")
    powers: Mapping[str, Any] = {base.name: power for base, power in zip(unit.bases, unit.powers, strict=True)}
    order = sorted(powers, key=lambda name: _BASE.index(name) if name in _BASE else len(_BASE))
    product = ".".join(name if powers[name] == 1 else f"{name}**{powers[name]}" for name in order)
    return product if exponent == 0 else f"10**{exponent} {product}"

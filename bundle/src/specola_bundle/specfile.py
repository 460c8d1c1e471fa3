"""The final-user spectrum file: one spectrum as one row of a FITS binary table.

It is an ESO Science Data Product (ESO-044286; `specola_bundle.sdp`), written once and served as it is: an empty primary HDU with
the description, then one BINTABLE with one row and the array columns WAVE, FLUX, ERR, QUAL and whatever else
goes with them. Numbers keep the type and the value they had at the source; ERR is a standard deviation; QUAL is 0
where the pixel may be used and otherwise a sum of `NO_DATA` and `MASKED`.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units

from specola_bundle.fitsbytes import hdu_bytes
from specola_bundle.sdp.cards import primary_cards, table_cards
from specola_bundle.sdp.columns import Field, flux_ucd, marked, spectral_ucd

__all__ = ["MASKED", "NO_DATA", "Extra", "SpectrumData", "fits_bytes", "fits_unit", "write_spectrum"]

NO_DATA = 1
"""QUAL bit: the detector did not cover the pixel, or its error is not positive and finite."""
MASKED = 2
"""QUAL bit: the source's own mask advises against using the pixel."""

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Extra:
    """A further array column of a spectrum file, of the same length as WAVE."""

    name: str
    data: AnyArray
    unit: str = ""
    """VOUnit string."""
    ucd: str = ""
    description: str = ""


@dataclass(frozen=True)
class SpectrumData:
    """The arrays of one spectrum, all of shape (n_pixels,)."""

    wave: AnyArray
    """Wavelength in Angstrom, strictly increasing; medium and frame are in the manifest's row."""
    flux: AnyArray
    """In the manifest row's flux_unit."""
    err: AnyArray
    """Standard deviation of flux, same unit; NaN where unknown."""
    qual: AnyArray
    """int32; 0 where the pixel may be used."""
    extras: Sequence[Extra] = field(default=())


@functools.cache
def fits_unit(vounit: str) -> str:
    """A VOUnit string as FITS spells the unit; counts and what astropy does not know stay as they are."""
    if not vounit:
        return ""
    if vounit in {"ct", "adu", "count"}:
        return vounit
    with warnings.catch_warnings():
        # VOUnits deprecates erg and Angstrom, which spectra are nevertheless published in.
        warnings.simplefilter("ignore", units.UnitsWarning)
        return str(units.Unit(vounit, format="vounit", parse_strict="silent").to_string("fits"))


def _fields(row: Mapping[str, Any], data: SpectrumData) -> list[Field]:
    unit, flux = fits_unit(row["flux_unit"]), flux_ucd(row["flux_unit"], row.get("flux_calib") or "")
    fields = [
        Field("WAVE", data.wave, "Angstrom", spectral_ucd(row["wave_medium"]), description=f"in {row['wave_medium']}"),
        Field("FLUX", data.flux, unit, flux),
        Field("ERR", data.err, unit, f"stat.error;{flux}", description="standard deviation of FLUX (1 sigma)"),
        Field("QUAL", data.qual.astype(np.int32, copy=False), "", "meta.code.qual", description="0 good, +1 no data, +2 masked"),
    ]
    fields += [Field(e.name, e.data, fits_unit(e.unit), e.ucd, description=e.description[:40]) for e in data.extras]
    for one in fields:
        if one.data.shape != data.wave.shape:
            raise ValueError(f"column {one.name}: found {one.data.shape} pixels, expected {data.wave.shape} as in WAVE")
    return fields


def fits_bytes(row: Mapping[str, Any], data: SpectrumData, cards: Mapping[str, Any] | None = None) -> bytes:
    """The spectrum file as bytes; the same input gives the same bytes.

    Parameters
    ----------
    row
        The spectrum's row of the manifest (column names of the registry's table spectra; missing ones are None).
    data
        The arrays. All must have the same length (ValueError).
    cards
        Further primary header cards, keyword to value or (value, comment).
    """
    model, fields = marked(_fields(row, data))
    values = b"".join(one.data.astype(one.data.dtype.newbyteorder(">"), copy=False).tobytes() for one in fields)
    return hdu_bytes(primary_cards(row, cards or {})) + hdu_bytes(table_cards(row, model, fields, len(values)), values)


def write_spectrum(
    path: Path, row: Mapping[str, Any], data: SpectrumData, cards: Mapping[str, Any] | None = None
) -> tuple[int, str]:
    """Write the file (by a temporary file and rename); return its size in bytes and its SHA-256."""
    content = fits_bytes(row, data, cards)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)
    return len(content), hashlib.sha256(content).hexdigest()

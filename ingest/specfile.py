"""The final-user spectrum file: one spectrum as one row of a FITS binary table.

The layout follows ESO's Science Data Product standard for 1D spectra (ESO-044286): an empty primary HDU with
the description, then one BINTABLE with one row and the array columns WAVE, FLUX, ERR, QUAL and whatever else
goes with them. Numbers keep the type and the value they had at the source; ERR is a standard deviation; QUAL is 0
where the pixel may be used and otherwise a sum of `NO_DATA` and `MASKED`.
"""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units

from ingest.fitsbytes import Card, hdu_bytes

__all__ = ["MASKED", "NO_DATA", "Extra", "SpectrumData", "fits_bytes", "fits_unit", "flux_ucd", "spectral_ucd", "write_spectrum"]

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


def spectral_ucd(medium: str) -> str:
    """UCD of a wavelength axis: air wavelengths are marked with obs.atmos (SSA 1.1, section 4.2.5.11)."""
    return "em.wl;obs.atmos" if medium == "air" else "em.wl"


def flux_ucd(unit: str) -> str:
    """UCD of the flux axis by its unit: counts where the unit is a count, else flux density per wavelength."""
    return "phot.count" if unit in {"ct", "count", "adu", "electron", ""} else "phot.flux.density;em.wl"


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


_FITS_CODES = {"f4": "E", "f8": "D", "i2": "I", "i4": "J", "i8": "K", "u1": "B"}


@dataclass(frozen=True)
class _Field:
    """A column of the table: its description and its values."""

    name: str
    data: AnyArray
    unit: str
    ucd: str
    utype: str = ""
    description: str = ""

    @property
    def format(self) -> str:
        code = _FITS_CODES.get(self.data.dtype.str[1:])
        if code is None:
            raise ValueError(f"column {self.name}: found arrays of {self.data.dtype}, expected one of {', '.join(_FITS_CODES)}")
        return f"{self.data.size}{code}"


def _fields(row: Mapping[str, Any], data: SpectrumData) -> list[_Field]:
    unit, flux = fits_unit(row["flux_unit"]), flux_ucd(row["flux_unit"])
    fields = [
        _Field("WAVE", data.wave, "Angstrom", spectral_ucd(row["wave_medium"]), "Spectrum.Data.SpectralAxis.Value"),
        _Field("FLUX", data.flux, unit, flux, "Spectrum.Data.FluxAxis.Value"),
        _Field("ERR", data.err, unit, f"stat.error;{flux}", "Spectrum.Data.FluxAxis.Accuracy.StatError"),
        _Field("QUAL", data.qual.astype(np.int32, copy=False), "", "meta.code.qual",
               "Spectrum.Data.FluxAxis.Accuracy.QualityStatus"),
    ]  # fmt: skip
    fields += [_Field(e.name, e.data, fits_unit(e.unit), e.ucd, description=e.description[:40]) for e in data.extras]
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
    fields = _fields(row, data)
    values = b"".join(one.data.astype(one.data.dtype.newbyteorder(">"), copy=False).tobytes() for one in fields)
    return hdu_bytes(_primary_cards(row, cards or {})) + hdu_bytes(_table_cards(row, fields, len(values)), values)


def write_spectrum(
    path: Path, row: Mapping[str, Any], data: SpectrumData, cards: Mapping[str, Any] | None = None
) -> tuple[int, str]:
    """Write the file (by a temporary file and rename); return its size in bytes and its SHA-256."""
    content = fits_bytes(row, data, cards)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)
    return len(content), hashlib.sha256(content).hexdigest()


def _given(*cards: Card) -> Iterator[Card]:
    return (card for card in cards if card[1] is not None)


def _primary_cards(row: Mapping[str, Any], cards: Mapping[str, Any]) -> Iterator[Card]:
    get = row.get
    snr = get("snr")
    yield from _given(
        ("SIMPLE", True, "conforms to FITS standard"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 0, "number of array dimensions"),
        ("EXTEND", True, ""),
        ("PRODCATG", "SCIENCE.SPECTRUM", "Data product category"),
        ("TELESCOP", get("facility"), "Telescope"),
        ("INSTRUME", get("instrument"), "Instrument"),
        ("DISPELEM", get("disperser"), "Dispersive element"),
        ("OBJECT", get("target_name"), "Target designation"),
        ("SPECID", get("spectrum_id"), "Identifier of the spectrum in the survey"),
        ("SIMULATE", bool(get("simulated")), "T if the data are simulated"),
        ("RA", get("ra"), "[deg] Right ascension of the target"),
        ("DEC", get("dec"), "[deg] Declination of the target"),
        ("RADESYS", "ICRS", "Frame of RA and DEC"),
        ("EXPTIME", get("exptime"), "[s] Total integration time"),
        ("MJD-OBS", get("t_min"), "[d] Start of observation (UTC)"),
        ("MJD-END", get("t_max"), "[d] End of observation (UTC)"),
        ("NCOMBINE", get("n_exposures"), "Number of combined exposures"),
        ("FLUXCAL", get("flux_calib"), "Flux calibration"),
        ("SPECSYS", get("wave_frame"), "Frame of the wavelengths"),
        ("CONTNORM", get("flux_calib") == "NORMALIZED", "T if normalised to the continuum"),
        ("WAVELMIN", row["wave_min"] / 10.0, "[nm] Minimum wavelength"),
        ("WAVELMAX", row["wave_max"] / 10.0, "[nm] Maximum wavelength"),
        ("SPEC_BIN", None if get("wave_bin") is None else row["wave_bin"] / 10.0, "[nm] Wavelength bin size"),
        ("SNR", None if snr is None else float(snr), "Median signal to noise ratio per pixel"),
        ("SPEC_RES", get("res_power"), "Spectral resolving power"),
        ("REFERENC", get("reference"), "Reference"),
    )
    for keyword, value in cards.items():
        yield (keyword, *value) if isinstance(value, tuple) else (keyword, value, "")


def _table_cards(row: Mapping[str, Any], fields: Sequence[_Field], size: int) -> Iterator[Card]:
    wave = fields[0].data
    yield from (
        ("XTENSION", "BINTABLE", "binary table extension"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 2, "number of array dimensions"),
        ("NAXIS1", size, "length of dimension 1"),
        ("NAXIS2", 1, "length of dimension 2"),
        ("PCOUNT", 0, "number of group parameters"),
        ("GCOUNT", 1, "number of groups"),
        ("TFIELDS", len(fields), "number of table fields"),
    )
    for number, one in enumerate(fields, start=1):
        yield f"TTYPE{number}", one.name, one.description
        yield f"TFORM{number}", one.format, ""
        if one.unit:
            yield f"TUNIT{number}", one.unit, ""
        if one.utype:
            yield f"TUTYP{number}", one.utype, ""
        if one.ucd:
            yield f"TUCD{number}", one.ucd, ""
    yield from _given(
        ("EXTNAME", "SPECTRUM", "extension name"),
        ("VOCLASS", "SPECTRUM V1.0", "VO data model"),
        ("TITLE", row["title"][:68], "Title of the data set"),
        ("OBJECT", row["target_name"], "Target designation"),
        ("RA", row.get("ra"), "[deg] Right ascension of the target"),
        ("DEC", row.get("dec"), "[deg] Declination of the target"),
        ("APERTURE", row.get("aperture"), "[deg] Slit width or fibre diameter"),
        ("NELEM", int(wave.size), "Number of pixels"),
        ("WAVEMED", row["wave_medium"], "Medium of the wavelengths: vacuum or air"),
        ("SPEC_VAL", (row["wave_min"] + row["wave_max"]) / 20.0, "[nm] Mean wavelength"),
        ("SPEC_BW", (row["wave_max"] - row["wave_min"]) / 10.0, "[nm] Bandwidth"),
        ("TDMIN1", float(wave[0]), "First wavelength"),
        ("TDMAX1", float(wave[-1]), "Last wavelength"),
    )

"""ESO Science Data Products: one-dimensional spectra of Phase 3 (ESO-044286, any edition).

HDU 1 is a table of one row with WAVE, FLUX, ERR and further arrays, which are all kept. Air or vacuum follows from
the UCD of WAVE (``em.wl;obs.atmos`` is air); units are ESO's strings as VOUnits; a wavelength in nm or um is
converted to Angstrom in double precision, one in Angstrom is kept as it is. RA and Dec in FK5 are taken as ICRS, from
which they differ by some milliarcseconds.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from ingest.errors import SourceError
from ingest.readers.files import read_files
from specola_bundle.build import Reading, no_data
from specola_bundle.bundle import safe_name
from specola_bundle.fitsio import content_of, hdu_of, native, open_fits, plain_name, vounit
from specola_bundle.specfile import MASKED, AnyArray, Extra, SpectrumData
from specola_bundle.survey import Survey

__all__ = ["read", "read_file"]

_TO_ANGSTROM = {"angstrom": 1.0, "nm": 10.0, "um": 1e4, "micron": 1e4}
_FRAMES = {"BARYCENT", "HELIOCEN", "TOPOCENT"}
_CALIBRATIONS = {"ABSOLUTE", "UNCALIBRATED"}
_EQUATORIAL = {"FK5", "ICRS"}
_KEPT = re.compile(
    r"DATE|ORIGIN|FILTER|PROG_ID|PROGID\d+|OBID\d+|PROV\d+|M_EPOCH|SINGLEXP|OBSTECH|PROCSOFT|EXT_OBJ|TOT_FLUX|FLUXERR|TEXPTIME"
)
"""Cards that pass into the spectrum file as they are: what the manifest has no column for."""


def read_file(path: Path, survey: Survey) -> Reading:
    """One SDP spectrum as it goes into a bundle."""
    content, name = content_of(path), plain_name(path)
    with open_fits(name, content) as hdus:
        header, table = hdus[0].header, hdu_of(name, hdus, 1)
        if str(header.get("PRODCATG", "")).strip() != "SCIENCE.SPECTRUM":
            raise SourceError(f"{name} HDU 0: found PRODCATG = {header.get('PRODCATG')!r}, expected 'SCIENCE.SPECTRUM'")
        if not isinstance(table, fits.BinTableHDU) or len(table.data) != 1:
            raise SourceError(f"{name} HDU 1: found {type(table).__name__}, expected a table of one row")
        columns = _Columns(name, table)
        data, unit = _spectrum(columns, survey)
        medium = "air" if "obs.atmos" in columns.ucd("WAVE") else "vacuum"
        row = _row(name, header, table.header, survey)
        cards = {card.keyword: (card.value, card.comment) for card in header.cards if _KEPT.fullmatch(card.keyword)}
    row |= {"flux_unit": unit, "wave_medium": medium}
    return Reading(name, row, data, work=content, work_name=name, work_format="application/fits", cards=cards)


class _Columns:
    """The array columns of the table with their units and UCDs."""

    def __init__(self, name: str, table: fits.BinTableHDU) -> None:
        self.file = name
        self._table = table
        self.names = list(table.columns.names)

    def values(self, column: str) -> AnyArray:
        if column not in self.names:
            raise SourceError(f"{self.file} HDU 1: found no column {column}, expected one beside {', '.join(self.names)}")
        return native(np.atleast_1d(self._table.data[column][0]))

    def _card(self, kind: str, column: str) -> str:
        return str(self._table.header.get(f"{kind}{self.names.index(column) + 1}", "")).strip()

    def ucd(self, column: str) -> str:
        return self._card("TUCD", column)

    def unit(self, column: str) -> str:
        text = self._card("TUNIT", column)
        try:
            return vounit(text) if text else ""
        except ValueError as error:
            raise SourceError(f"{self.file} HDU 1, TUNIT of {column}: {error}") from error

    def wavelength(self) -> AnyArray:
        """WAVE in Angstrom."""
        wave, unit = self.values("WAVE"), self._card("TUNIT", "WAVE")
        factor = _TO_ANGSTROM.get(unit.lower())
        if factor is None:
            raise SourceError(f"{self.file} HDU 1: found WAVE in {unit!r}, expected one of {', '.join(_TO_ANGSTROM)}")
        return wave if factor == 1.0 else wave.astype(np.float64) * factor


def _spectrum(columns: _Columns, survey: Survey) -> tuple[SpectrumData, str]:
    flux, err, unit = columns.values("FLUX"), columns.values("ERR"), columns.unit("FLUX")
    if columns.unit("ERR") != unit:
        raise SourceError(f"{columns.file} HDU 1: found ERR in {columns.unit('ERR')!r}, expected FLUX's {unit!r}")
    qual = no_data(flux, err)
    extras = []
    about = survey.option("extras", dict, {})
    for column in columns.names:
        if column in {"WAVE", "FLUX", "ERR"}:
            continue
        values = columns.values(column)
        if column == "QUAL":
            qual |= np.where(values != 0, MASKED, 0).astype(np.int32)
        # The source's own QUAL keeps its values under another name, as QUAL has Specola's bits.
        name = {"QUAL": "SRC_QUAL", "SKY": "BGFLUX"}.get(column, column)
        own = about.get(column, {})
        ucd = columns.ucd(column).replace(";src.net", "").replace(";meta.main", "") or own.get("ucd", "")
        extras.append(Extra(name, values, columns.unit(column), ucd, own.get("description", "")))
    return SpectrumData(wave=columns.wavelength(), flux=flux, err=err, qual=qual, extras=extras), unit


def _row(name: str, header: fits.Header, table: fits.Header, survey: Survey) -> dict[str, Any]:
    frame = str(header.get("RADESYS", header.get("RADECSYS", "ICRS"))).strip()
    if frame not in _EQUATORIAL:
        raise SourceError(f"{name} HDU 0: found positions in {frame}, expected ICRS or FK5")
    target = str(header.get("OBJECT", "")).strip()
    if not target:
        raise SourceError(f"{name} HDU 0: found no OBJECT, expected the name of the target")
    specsys = str(header.get("SPECSYS", "")).strip()
    calibration = str(header.get("FLUXCAL", "")).strip()
    archive = str(header.get("ARCFILE", "")).strip().removesuffix(".fits")
    return {
        "spectrum_id": safe_name(str(header.get("ORIGFILE", name)).strip().removesuffix(".fits")), "object_id": target,
        "target_name": target,
        "title": survey.option("title", str).format(target_name=target, instrument=str(header.get("INSTRUME", "")).strip()),
        "ra": _maybe(header, "RA"), "dec": _maybe(header, "DEC"),
        "wave_frame": specsys if specsys in _FRAMES else "UNKNOWN",
        "flux_calib": "NORMALIZED" if header.get("CONTNORM") else calibration if calibration in _CALIBRATIONS else "RELATIVE",
        "res_power": _maybe(header, "SPEC_RES"), "aperture": _maybe(table, "APERTURE"), "exptime": _maybe(header, "EXPTIME"),
        "t_min": _maybe(header, "MJD-OBS"), "t_max": _maybe(header, "MJD-END"), "n_exposures": header.get("NCOMBINE"),
        "facility": str(header.get("TELESCOP", "")).strip() or None, "instrument": str(header.get("INSTRUME",
        "")).strip() or None,
        "disperser": str(header.get("DISPELEM", "")).strip() or None,
        # ESO's archive gives every product an identifier of this form.
        "creator_did": f"ivo://eso.org/ID?{archive}" if archive else None,
        "reference": str(header.get("REFERENC", "")).strip() or None, "created": _date(name, header),
    }  # fmt: skip


def _maybe(header: fits.Header, keyword: str) -> float | None:
    return float(header[keyword]) if keyword in header else None


def _date(name: str, header: fits.Header) -> datetime | None:
    if "DATE" not in header:
        return None
    try:
        return datetime.fromisoformat(str(header["DATE"]).strip()).replace(tzinfo=None)
    except ValueError as error:
        raise SourceError(f"{name} HDU 0: found DATE = {header['DATE']!r}, expected an ISO date") from error


read = partial(read_files, read_file, ())
"""Make a bundle of SDP spectra; see `ingest.readers.files.read_files`."""

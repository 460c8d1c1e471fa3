"""EasyLife/PANDORA spectra: multi-extension FITS as VIPGI and EasyLife write it.

The primary HDU is the one-dimensional flux on a linear axis (CRVAL1, CDELT1, CRPIX1), NOISE its error; every further
image with one axis of the same length (SKY, EXR1D, BLUE_CORR …) becomes a column of the spectrum file; EXR2D and
THUMB become files of their own beside the work file. What is known of the object is in HIERARCH PND cards. There is no
BUNIT and no medium in the file (CTYPE1 = 'WAVE' would mean vacuum in the FITS standard, but VIPGI calibrates in air): both
come from survey.toml, and docs/importing.md tells how they were found.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from ingest.errors import SourceError
from ingest.readers.files import read_files
from specola_bundle.build import Attachment, Reading, no_data
from specola_bundle.bundle import safe_name
from specola_bundle.fitsio import plain_name
from specola_bundle.flags import components
from specola_bundle.specfile import Extra, SpectrumData
from specola_bundle.survey import Survey
from specola_bundle.workfile import WorkFile

__all__ = ["read", "read_file"]

_NAME = re.compile(r"(?:sc_)?(?P<rest>.+)\.fits")
_TABLES = ("redshifts", "slits", "photometry", "files")
_IMAGES = (
    ("EXR2D", "spectrum2d", "Two-dimensional spectrum of the slit, rectified and sky-subtracted"),
    ("THUMB", "thumbnail", "Image of the object and its surroundings along the slit"),
)
"""HDUs that become files of their own: name, kind of file, title."""


def read_file(path: Path, survey: Survey) -> Reading:
    """One EasyLife file as it goes into a bundle."""
    name = plain_name(path)
    work = WorkFile.read(path)
    header = work.hdus[0].header
    data = _spectrum(work, survey)
    card = _Cards(name, header)
    object_id, pointing = card.text("OBJID"), card.text("POINTING")
    slit, number = card.whole("SLIT"), card.whole("OBJ")
    ra, dec = card.number("OBJRA"), card.number("OBJDEC")
    match = _NAME.fullmatch(name)
    spectrum_id = safe_name(match["rest"] if match else name)
    slit_id = f"{pointing}_{slit:03d}"
    target = survey.option("target_name", str, "{object_id}").format(object_id=object_id)
    z, label = card.optional("Z"), card.optional("ZFLAGS")
    row = {
        "spectrum_id": spectrum_id, "object_id": object_id, "pointing_id": pointing, "slit_id": slit_id, "target_name": target,
        "title": survey.option("title", str).format(target_name=target, pointing_id=pointing, object=number),
        "ra": ra, "dec": dec, "redshift": None if z is None else _float(name, "Z", z), "disperser": card.optional("GRISM"),
        "exptime": card.number("EXPTIME"), "creator_did": card.optional("FILE ID"),
    }  # fmt: skip
    tables: dict[str, list[dict[str, Any]]] = {
        "slits": [{
            "slit_id": slit_id, "pointing_id": pointing, "object_id": object_id, "slit_number": slit,
            "width": survey.option("slit_width", float),
        }],
    }  # fmt: skip
    if label is not None:
        try:
            flag = components(survey.option("flag_scheme", str), label)
        except ValueError as error:
            raise SourceError(f"{name} HDU 0, HIERARCH PND ZFLAGS: {error}") from error
        row["target_class"] = "QSO" if flag["broad_line"] else "GALAXY"
        tables["redshifts"] = [{
            "redshift_id": f"{spectrum_id}_v", "object_id": object_id, "spectrum_id": spectrum_id, "ra": ra, "dec": dec,
            "z": row["redshift"], "class": row["target_class"], **flag, "best": True, "method": "visual",
            "reference": survey.constants.get("reference"),
        }]  # fmt: skip
    magnitude = next((key for key in header if key.startswith("PND MAGAUTO")), None)
    if magnitude:
        tables["photometry"] = [{
            "object_id": object_id, "ra": ra, "dec": dec, "mag_selection": float(header[magnitude]),
            "band_selection": magnitude.removeprefix("PND MAGAUTO").lower(), "target": True, "observed": True,
        }]  # fmt: skip
    return Reading(
        source=name, row=row, data=data, tables=tables, work=work.to_bytes(), work_name=name, work_format="application/fits",
        attachments=_images(work, survey, {"OBJECT": target, "SPECID": spectrum_id}),
    )  # fmt: skip


def _images(work: WorkFile, survey: Survey, cards: Mapping[str, str]) -> list[Attachment]:
    """The images of the work file as FITS files; the wavelength axis says its unit and medium, which the work file does not."""
    found = []
    for hdu in work.hdus[1:]:
        known = next((one for one in _IMAGES if one[0] == hdu.name), None)
        if known is None or hdu.data is None or hdu.data.ndim != 2:
            continue
        header = hdu.header.copy()
        for keyword in ("XTENSION", "PCOUNT", "GCOUNT", "EXTNAME"):
            header.remove(keyword, ignore_missing=True)
        if header.get("CTYPE1", "").strip() == "WAVE":
            header["CTYPE1"] = "AWAV" if survey.constants["wave_medium"] == "air" else "WAVE"
            header["CUNIT1"] = "Angstrom"
        header.update(cards)
        buffer = io.BytesIO()
        fits.PrimaryHDU(hdu.data, header).writeto(buffer)
        found.append(Attachment(known[1], known[2], buffer.getvalue(), "application/fits", ".fits"))
    return found


class _Cards:
    """The HIERARCH PND cards of a header."""

    def __init__(self, name: str, header: fits.Header) -> None:
        self._name = name
        self._header = header

    def optional(self, key: str) -> str | None:
        value = str(self._header.get(f"PND {key}", "")).strip()
        return value or None

    def text(self, key: str) -> str:
        value = self.optional(key)
        if value is None:
            raise SourceError(f"{self._name} HDU 0: found no card HIERARCH PND {key}, expected an EasyLife file")
        return value

    def number(self, key: str) -> float:
        return _float(self._name, key, self.text(key))

    def whole(self, key: str) -> int:
        return int(self.number(key))


def _float(name: str, key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SourceError(f"{name} HDU 0, HIERARCH PND {key}: found {text!r}, expected a number") from None


def _spectrum(work: WorkFile, survey: Survey) -> SpectrumData:
    flux, wave = work.flux, work.wave
    err = work.along(work.hdu("NOISE"))
    known = survey.option("extras", dict, {})
    extras = []
    for hdu in work.hdus[1:]:
        if hdu.name == "NOISE" or hdu.data is None or hdu.data.ndim != 1:
            continue
        if "CDELT1" in hdu.header and not np.array_equal(work.axis(hdu), wave):
            raise SourceError(f"{work.name} HDU {hdu.name}: found another wavelength axis, expected that of the primary HDU")
        about = known.get(hdu.name, {})
        # BGFLUX is the standard's name for the sky
        name = "BGFLUX" if hdu.name == "SKY" else hdu.name
        text = about.get("description", "")
        extras.append(Extra(name, work.along(hdu), about.get("unit", ""), about.get("ucd", ""), text))
    return SpectrumData(wave=wave, flux=flux, err=err, qual=no_data(flux, err), extras=extras)


read = partial(read_files, read_file, _TABLES)
"""Make a bundle of EasyLife files; see `ingest.readers.files.read_files`."""

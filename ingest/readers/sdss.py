"""SDSS and BOSS spectra: one file ``spec-PLATE-MJD-FIBER.fits`` (or .fits.gz) a fibre.

HDU 1 has the coadded spectrum (loglam, flux, ivar, and_mask, or_mask, …), HDU 2 one row of the survey's catalogue
with the redshift. Wavelengths are in vacuum and heliocentric: ``10**loglam``, computed in double precision from the
single-precision logarithm, which is kept as a column of its own. ERR is ``1/sqrt(ivar)``; where ivar is 0, ERR is NaN
and QUAL 1. QUAL 2 follows the mask bits that survey.toml names. Data model: data.sdss.org/datamodel,
SPECTRA/PLATE4/spec.
"""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from ingest.errors import SourceError
from ingest.readers.files import read_files
from ingest.readers.footprint import circle
from specola_bundle.build import Reading, no_data
from specola_bundle.fitsio import content_of, hdu_of, native, open_fits, plain_name, table_column, vounit
from specola_bundle.specfile import MASKED, AnyArray, Extra, SpectrumData
from specola_bundle.survey import Survey

__all__ = ["error_of", "iau_name", "read", "read_file"]

_EXTRAS = {
    "LOGLAM": ("", "em.wl", "log10 of the wavelength in Angstrom, as read"),
    "AND_MASK": ("", "meta.code.qual", "mask bits set in all exposures"),
    "OR_MASK": ("", "meta.code.qual", "mask bits set in any exposure"),
    "WDISP": ("", "spect.resolution", "dispersion, in pixels of 1e-4 dex"),
    "MODEL": (None, "phot.flux.density;em.wl", "best model of the redshift fit"),
}
"""Columns of HDU 1 kept beside the spectrum: unit (None: that of the flux), UCD, description."""
_SKY = ("phot.flux.density;em.wl;instr.background", "sky that was subtracted")


def error_of(ivar: AnyArray) -> AnyArray:
    """Standard deviation of an inverse variance, in its own precision; NaN where it is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        err = 1.0 / np.sqrt(ivar.astype(np.float64))
    return np.where(np.isfinite(err) & (ivar > 0), err, np.nan).astype(ivar.dtype)


def iau_name(ra: float, dec: float) -> str:
    """IAU name ``JHHMMSS.ss+DDMMSS.s`` of a position in degrees; its digits are cut off, not rounded, as the IAU asks."""
    # Half a micro-arcsecond keeps binary fractions from falling below the decimal they stand for.
    hundredths = math.floor(ra % 360.0 / 15.0 * 360000.0 + 1e-5)
    tenths = math.floor(abs(dec) * 36000.0 + 1e-5)
    return (
        f"J{hundredths // 360000:02d}{hundredths // 6000 % 60:02d}{hundredths % 6000 // 100:02d}.{hundredths % 100:02d}"
        f"{'-' if dec < 0 else '+'}{tenths // 36000:02d}{tenths // 600 % 60:02d}{tenths % 600 // 10:02d}.{tenths % 10}"
    )


def read_file(path: Path, survey: Survey) -> Reading:
    """One spec file as it goes into a bundle."""
    content, name = content_of(path), plain_name(path)
    with open_fits(name, content) as hdus:
        header = hdus[0].header
        coadd, catalogue = hdu_of(name, hdus, 1), hdu_of(name, hdus, 2)
        if not header.get("VACUUM", True):
            raise SourceError(f"{name} HDU 0: found VACUUM = F, expected wavelengths in vacuum")
        unit = _unit(name, header)
        data = _spectrum(name, coadd, unit, survey)
        row = {column.upper(): native(catalogue.data[column])[0] for column in catalogue.columns.names}
    needed = ("PLATE", "MJD", "FIBERID", "Z", "Z_ERR", "ZWARNING", "CLASS")
    missing = [column for column in needed if column not in row and column not in header]
    if missing:
        raise SourceError(f"{name} HDU 2: found no column {', '.join(missing)}, expected the catalogue row of a spec file")
    plate, mjd, fiber = (int(row.get(key, header.get(key, 0))) for key in ("PLATE", "MJD", "FIBERID"))
    spectrum_id, pointing = f"spec-{plate:04d}-{mjd:05d}-{fiber:04d}", f"{plate:04d}-{mjd:05d}"
    ra, dec = _position(name, row, header)
    target = f"SDSS {iau_name(ra, dec)}"
    kind = str(row["CLASS"]).strip().upper()
    kind = kind if kind in {"GALAXY", "QSO", "STAR"} else "UNKNOWN"
    instrument = "BOSS" if _is_boss(row, header) else "SDSS"
    diameter = float(survey.option("fibre_diameters", dict)[instrument])
    z, z_err, warning = float(row["Z"]), float(row["Z_ERR"]), int(row["ZWARNING"])
    object_id = _object_id(row, survey) or spectrum_id
    nights = [int(night) for night in str(header.get("MJDLIST", mjd)).split()]
    common = {
        "facility": survey.constants.get("facility"), "instrument": instrument,
        "t_min": min(nights) + survey.option("day_begins", float), "t_max": max(nights) + survey.option("day_ends", float),
        "exptime": float(header["EXPTIME"]) if "EXPTIME" in header else None,
    }  # fmt: skip
    return Reading(
        source=name,
        row={
            "spectrum_id": spectrum_id, "object_id": object_id, "pointing_id": pointing, "slit_id": f"{pointing}-{fiber:04d}",
            "target_name": target, "target_class": kind, "title": f"{instrument} spectrum of {target}", "ra": ra, "dec": dec,
            "redshift": z, "flux_unit": unit, "aperture": diameter / 3600.0, "creator_did": str(row.get("SPECOBJID",
            "")).strip() or None,
            "n_exposures": _exposures(header), **common,
        },
        data=data,
        tables={
            "redshifts": [{
                "redshift_id": f"{spectrum_id}_p", "object_id": object_id, "spectrum_id": spectrum_id, "ra": ra, "dec": dec,
                "z": z,
                # A negative error is the pipeline's way to say that the fit failed.
                "z_err": z_err if z_err >= 0 else None, "class": kind, "flag_label": str(warning),
                "flag_scheme": survey.option("flag_scheme", str), "warning": warning, "secure": warning == 0, "best": True,
                "method": f"idlspec2d {header.get('RUN2D', row.get('RUN2D', ''))}".strip(),
                "reference": survey.constants.get("reference"),
            }],
            "slits": [{
                "slit_id": f"{pointing}-{fiber:04d}", "pointing_id": pointing, "object_id": object_id, "slit_number": fiber,
                "ra": ra, "dec": dec, "length": diameter, "width": diameter,
            }],
            "pointings": _pointing(pointing, plate, header, survey, common),
        },
        work=content, work_name=name, work_format="application/fits",
    )  # fmt: skip


def _unit(name: str, header: fits.Header) -> str:
    try:
        return vounit(str(header.get("BUNIT", "")))
    except ValueError as error:
        raise SourceError(f"{name} HDU 0, BUNIT: {error}; expected a flux density such as '1E-17 erg/cm^2/s/Ang'") from error


def _spectrum(name: str, coadd: Any, unit: str, survey: Survey) -> SpectrumData:
    flux, loglam, ivar = (table_column(name, coadd, column) for column in ("flux", "loglam", "ivar"))
    err = error_of(ivar)
    qual = no_data(flux, err)
    there = {column.upper() for column in coadd.columns.names}
    for column, option in (("AND_MASK", "and_mask_bits"), ("OR_MASK", "or_mask_bits")):
        if column in there:
            bits = sum(1 << bit for bit in survey.option(option, list, []))
            qual |= np.where(table_column(name, coadd, column) & bits, MASKED, 0).astype(np.int32)
    extras = [
        Extra(column, table_column(name, coadd, column), unit if own is None else own, ucd, text)
        for column, (own, ucd, text) in _EXTRAS.items()
        if column in there
    ]
    if "SKY" in there:
        extras.append(Extra("BGFLUX", table_column(name, coadd, "SKY"), unit, *_SKY))
    return SpectrumData(wave=10.0 ** loglam.astype(np.float64), flux=flux, err=err, qual=qual, extras=extras)


def _position(name: str, row: dict[str, Any], header: fits.Header) -> tuple[float, float]:
    """Where the fibre was: HDU 2 or, before DR9, the primary header. HDU 2's RA and DEC, where it has them, are photometry."""
    try:
        return (
            float(row.get("PLUG_RA", header.get("PLUG_RA"))),
            float(row.get("PLUG_DEC", header.get("PLUG_DEC"))),
        )
    except TypeError:
        raise SourceError(f"{name}: found no PLUG_RA and PLUG_DEC in HDU 2 or HDU 0, expected the fibre's position") from None


def _object_id(row: dict[str, Any], survey: Survey) -> str | None:
    for column in survey.option("object_id", list):
        value = row.get(column)
        # OBJID is five numbers in early files and the photometric identifier, as text, in later ones.
        if isinstance(value, str) and value.strip(" 0"):
            return value.strip()
    return None


def _is_boss(row: dict[str, Any], header: fits.Header) -> bool:
    if "INSTRUMENT" in row:
        return str(row["INSTRUMENT"]).strip().upper() == "BOSS"
    return "BOSSVER" in header or str(header.get("RUN2D", "")).startswith("v")


def _exposures(header: fits.Header) -> int | None:
    """Number of exposures: frames of one camera, as both cameras of a spectrograph expose at once."""
    counts = [int(header[key]) for key in ("NEXP_B1", "NEXP_R1", "NEXP_B2", "NEXP_R2") if key in header]
    return max(counts, default=0) or None


def _pointing(pointing: str, plate: int, header: fits.Header, survey: Survey, common: dict[str, Any]) -> list[dict[str, Any]]:
    if "RA" not in header or "DEC" not in header:
        return []
    ra, dec = float(header["RA"]), float(header["DEC"])
    return [
        {
            "pointing_id": pointing, "field": f"{plate:04d}", "mask_id": str(header.get("NAME", plate)).strip(), "ra": ra,
            "dec": dec,
            "footprint": circle(ra, dec, survey.option("plate_radius", float)), **common,
        }
    ]  # fmt: skip


read = partial(read_files, read_file, ("redshifts", "slits", "pointings"))
"""Make a bundle of spec files; see `ingest.readers.files.read_files`."""

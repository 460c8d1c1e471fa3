"""DESI coadds (``coadd-*.fits``) with their redrock files: one spectrum a target, its three arms joined.

The arms are sampled on one grid of 0.8 Angstrom, so they are joined without resampling, as
``desispec.coaddition.coadd_cameras`` does: where two arms overlap, the flux is their mean weighted with the inverse
variances, of the pixels that are not masked; elsewhere the numbers are those of the arm, bit for bit. Wavelengths are
in vacuum and barycentric. The arms as they are, with masks and resolution matrices, are kept in a work file a target,
cut out of the source byte by byte (`desi_cut`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from ingest.errors import SourceError
from ingest.readers.desi_cut import cut
from ingest.readers.sdss import error_of
from specola_bundle.build import Progress, Reading, Report, no_data, spectra_bundle
from specola_bundle.fitsio import content_of, hdu_of, native, open_fits, plain_name, table_column, vounit
from specola_bundle.specfile import MASKED, AnyArray, Extra, SpectrumData
from specola_bundle.survey import Survey

__all__ = ["Arm", "join", "read"]

ARMS = ("B", "R", "Z")
ALIGNED = 1e-4
"""Wavelengths this close, Angstrom, are the same pixel (as in desispec)."""

_TABLES = ("redshifts", "slits", "photometry")
_KINDS = {"GALAXY", "QSO", "STAR"}


@dataclass(frozen=True)
class Arm:
    """One spectrograph arm of one target, arrays of shape (n_pixels,)."""

    wave: AnyArray
    flux: AnyArray
    ivar: AnyArray
    mask: AnyArray


def join(arms: Sequence[Arm]) -> SpectrumData:
    """Join arms on one grid into one spectrum; ValueError where their wavelengths are not on one grid."""
    wave = arms[0].wave
    for arm in arms[1:]:
        wave = np.append(wave, arm.wave[arm.wave > wave[-1] + ALIGNED])
    total, weight, seen = np.zeros(wave.size), np.zeros(wave.size), np.zeros(wave.size, dtype=np.int32)
    flux, ivar = np.zeros(wave.size, arms[0].flux.dtype), np.zeros(wave.size, arms[0].ivar.dtype)
    mask, masked = np.zeros(wave.size, dtype=np.int64), np.zeros(wave.size, dtype=np.int64)
    for arm in arms:
        first = int(np.argmin(np.abs(wave - arm.wave[0])))
        place = slice(first, first + arm.wave.size)
        if wave[place].size != arm.wave.size or np.max(np.abs(wave[place] - arm.wave)) > ALIGNED:
            raise ValueError("found arms that are not on one wavelength grid")
        good = (arm.mask == 0) & (arm.ivar > 0)
        total[place] += np.where(good, arm.ivar.astype(np.float64) * arm.flux, 0.0)
        weight[place] += np.where(good, arm.ivar.astype(np.float64), 0.0)
        # One good arm is taken verbatim; with none, the first is.
        take = good & (seen[place] == 0) | ~good & (seen[place] == 0) & (flux[place] == 0) & (ivar[place] == 0)
        flux[place] = np.where(take, arm.flux, flux[place])
        ivar[place] = np.where(take, arm.ivar, ivar[place])
        seen[place] += good
        masked[place] |= arm.mask.astype(np.int64)
    several = seen > 1
    flux[several] = (total[several] / weight[several]).astype(flux.dtype)
    ivar[several] = weight[several].astype(ivar.dtype)
    # Where an arm is good the joined pixel is good: only pixels without any are masked.
    mask[seen == 0] = masked[seen == 0]
    err = error_of(ivar)
    qual = no_data(flux, err) | np.where(mask != 0, MASKED, 0).astype(np.int32)
    bits = mask.astype(np.int32) if mask.max(initial=0) < 2**31 else mask
    extra = Extra("MASK", bits, "", "meta.code.qual", "mask bits of DESI's spectro pipeline")
    return SpectrumData(wave=wave, flux=flux, err=err, qual=qual, extras=[extra])


def read(
    sources: Sequence[Path], target: Path, survey: Survey, *, redrock: Sequence[Path] = (), overwrite: bool = False,
    skip_broken: bool = False, progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Make a bundle of coadd files.

    Parameters
    ----------
    redrock
        Files with the redshifts; by default, for each ``coadd-X``, a ``redrock-X`` beside it where there is one.

    Raises
    ------
    SourceError
        A file is broken and ``skip_broken`` is not given.
    """
    report = Report(target)
    given = {path.name.removeprefix("redrock-"): path for path in redrock}
    pairs = [(path, given.get(path.name.removeprefix("coadd-"), _beside(path))) for path in sources]
    used = [*sources, *(path for _, path in pairs if path is not None)]
    done = 0
    with spectra_bundle(
        target, survey, used, _TABLES, expected=500 * len(sources), overwrite=overwrite, report=report
    ) as builder:
        for coadd, redshifts in pairs:
            try:
                for reading in _read_file(coadd, redshifts, survey):
                    builder.add(reading)
                    done += 1
                    if progress:
                        progress("spectra", done, 0)
            except SourceError as error:
                if not skip_broken:
                    raise
                report.skipped.append(str(error))
    return report


def _beside(coadd: Path) -> Path | None:
    path = coadd.with_name(coadd.name.replace("coadd-", "redrock-", 1))
    return path if path.name.startswith("redrock-") and path.exists() else None


def _redrock(path: Path | None) -> dict[int, dict[str, Any]]:
    """Rows of a redrock file by TARGETID."""
    if path is None:
        return {}
    name = plain_name(path)
    with open_fits(name, content_of(path)) as hdus:
        table = hdu_of(name, hdus, "REDSHIFTS" if "REDSHIFTS" in hdus else "ZBEST")
        columns = {key: table_column(name, table, key) for key in ("TARGETID", "Z", "ZERR", "ZWARN", "SPECTYPE")}
        version = str(hdus[0].header.get("RRVER", "")).strip()
    return {
        int(values["TARGETID"]): {**values, "method": f"redrock {version}".strip()}
        for values in (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    }


def _read_file(path: Path, redrock: Path | None, survey: Survey) -> Iterator[Reading]:
    content, name = content_of(path), plain_name(path)
    redshifts = _redrock(redrock)
    group = name.removesuffix(".fits").removeprefix("coadd-")
    with open_fits(name, content) as hdus:
        fibermap, exposures = hdu_of(name, hdus, "FIBERMAP"), hdu_of(name, hdus, "EXP_FIBERMAP")
        arms = {arm: _arm(name, hdus, arm) for arm in ARMS if f"{arm}_FLUX" in hdus}
        if not arms:
            raise SourceError(f"{name}: found no B_FLUX, R_FLUX or Z_FLUX, expected the arms of a coadd")
        try:
            unit = vounit(str(hdus[f"{next(iter(arms))}_FLUX"].header.get("BUNIT", "")))
        except ValueError as error:
            raise SourceError(f"{name}, BUNIT: {error}") from error
        targets = {column: table_column(name, fibermap, column) for column in fibermap.columns.names}
        taken = {column: table_column(name, exposures, column) for column in exposures.columns.names}
        ids = targets["TARGETID"]
        for number, targetid in enumerate(int(value) for value in ids):
            place = f"{name} row {number + 1} (TARGETID {targetid})"
            try:
                data = join([Arm(arm.wave, arm.flux[number], arm.ivar[number], arm.mask[number]) for arm in arms.values()])
            except ValueError as error:
                raise SourceError(f"{place}: {error}, expected one grid for all arms") from error
            fiber = {key.upper(): values[number] for key, values in targets.items()}
            mine = np.flatnonzero(taken["TARGETID"] == targetid)
            reading = _reading(
                place,
                group,
                fiber=fiber,
                taken={key.upper(): values[mine] for key, values in taken.items()},
                redshift=redshifts.get(targetid),
                survey=survey,
            )
            reading.data = data
            reading.row["flux_unit"] = unit
            reading.work = cut(content, hdus, number, len(ids), mine)
            reading.work_name = f"coadd-{reading.row['spectrum_id']}.fits"
            yield reading


def _arm(name: str, hdus: fits.HDUList, arm: str) -> Arm:
    wave, flux, ivar = (native(hdu_of(name, hdus, f"{arm}_{part}").data) for part in ("WAVELENGTH", "FLUX", "IVAR"))
    mask = native(hdus[f"{arm}_MASK"].data) if f"{arm}_MASK" in hdus else np.zeros(flux.shape, dtype=np.int32)
    for part in (ivar, mask):
        if part.shape != flux.shape or part.shape[-1] != wave.size:
            raise SourceError(
                f"{name} HDU {arm}_FLUX: found shapes {flux.shape}, {part.shape}, expected the same, with {wave.size} pixels"
            )
    return Arm(wave, flux, ivar, mask)


def _reading(
    place: str,
    group: str,
    *,
    fiber: Mapping[str, Any],
    taken: Mapping[str, AnyArray],
    redshift: dict[str, Any] | None,
    survey: Survey,
) -> Reading:
    targetid, object_type = int(fiber["TARGETID"]), str(fiber.get("OBJTYPE", "")).strip()
    spectrum_id, object_id = f"{group}_{targetid}", str(targetid)
    ra, dec = float(fiber["TARGET_RA"]), float(fiber["TARGET_DEC"])
    kind = str(redshift["SPECTYPE"]).strip() if redshift else ""
    kind = "SKY" if object_type == "SKY" else kind if kind in _KINDS else "UNKNOWN"
    # FIBERSTATUS 0: nothing wrong with the fibre. These exposures make the coadd, so its times and fibre are theirs; a
    # fibre that never was all right has those of all.
    good = np.flatnonzero(taken["FIBERSTATUS"] == 0)
    rows = good if good.size else np.arange(len(taken["MJD"]))
    start = taken["MJD"][rows].astype(np.float64)
    slits = _slits(taken, None if kind == "SKY" else object_id, survey)
    used = {_slit_id(taken, row) for row in rows.tolist()}
    mine = [slit for slit in slits if slit["slit_id"] in used]
    row = {
        "spectrum_id": spectrum_id, "object_id": object_id, "target_name": f"DESI {targetid}",
        "target_class": kind, "title": f"DESI spectrum of {'blank sky' if kind == 'SKY' else 'target'} {targetid}",
        "ra": ra, "dec": dec,
        "pointing_id": mine[0]["pointing_id"] if len(mine) == 1 else None,
        "slit_id": mine[0]["slit_id"] if len(mine) == 1 else None,
        # 0 in both: no exposure of this fibre was good enough for the coadd, so of what it is made of there is nothing to say
        "exptime": float(fiber["COADD_EXPTIME"]) or None, "n_exposures": int(fiber["COADD_NUMEXP"]) or None,
        "t_min": float(start.min()) if start.size else None,
        "t_max": float((start + taken["EXPTIME"][rows] / 86400.0).max()) if start.size else None,
    }  # fmt: skip
    tables: dict[str, list[dict[str, Any]]] = {"slits": slits, "photometry": [_photometry(fiber, kind, survey)]}
    if redshift is not None:
        z, warning = float(redshift["Z"]), int(redshift["ZWARN"])
        row["redshift"] = z
        tables["redshifts"] = [{
            "redshift_id": f"{spectrum_id}_p", "object_id": object_id, "spectrum_id": spectrum_id, "ra": ra, "dec": dec, "z": z,
            "z_err": float(redshift["ZERR"]), "class": kind if kind in _KINDS else "UNKNOWN", "flag_label": str(warning),
            "flag_scheme": survey.option("flag_scheme", str), "warning": warning, "secure": warning == 0, "best": True,
            "method": redshift["method"], "reference": survey.constants.get("reference"),
        }]  # fmt: skip
    empty = np.zeros(0)
    return Reading(place, row, SpectrumData(empty, empty, empty, empty), tables, work_format="application/fits")


def _slit_id(taken: Mapping[str, AnyArray], row: int) -> str:
    return f"{int(taken['TILEID'][row])}-{int(taken['FIBER'][row]):04d}"


def _slits(taken: Mapping[str, AnyArray], object_id: str | None, survey: Survey) -> list[dict[str, Any]]:
    """The fibres that were on a target, each with its position in its first exposure."""
    diameter = survey.option("fibre_diameter", float)
    found: dict[str, dict[str, Any]] = {}
    for row in range(len(taken["FIBER"])):
        found.setdefault(
            _slit_id(taken, row),
            {
                "slit_id": _slit_id(taken, row), "pointing_id": str(int(taken["TILEID"][row])), "object_id": object_id,
                "slit_number": int(taken["FIBER"][row]), "length": diameter, "width": diameter,
                "ra": float(taken["FIBER_RA"][row]), "dec": float(taken["FIBER_DEC"][row]),
            },
        )  # fmt: skip
    return [found[key] for key in sorted(found)]


def _photometry(fiber: Mapping[str, Any], kind: str, survey: Survey) -> dict[str, Any]:
    row: dict[str, Any] = {
        "object_id": str(int(fiber["TARGETID"])), "ra": float(fiber["TARGET_RA"]), "dec": float(fiber["TARGET_DEC"]),
        "target": str(fiber.get("OBJTYPE", "")).strip() == "TGT", "observed": kind != "SKY",
    }  # fmt: skip
    # Fibres on the sky or on nothing have zeros for photometry, which are no measurements.
    measured = survey.option("photometry", dict, {}) if row["target"] else {}
    for source, column in (measured | survey.option("fibre_columns", dict, {})).items():
        if source in fiber:
            row[column] = fiber[source].item()
    return row

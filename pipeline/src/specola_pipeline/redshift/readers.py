"""Spectra from files: of a bundle, and the formats surveys hand out.

======================  ==========================================================================================
kind                    how it is known
======================  ==========================================================================================
bundle                  a folder with bundle.json and manifest.parquet (docs/bundle.md)
SDP, and bundle's file  a binary table of one row with WAVE, FLUX and ERR
SDSS, BOSS              a binary table with LOGLAM, FLUX, IVAR (vacuum)
DESI                    images B_FLUX, R_FLUX, Z_FLUX with _WAVELENGTH, _IVAR, _MASK (vacuum), a spectrum a row
PANDORA                 an image of one axis with an image NOISE beside it (air)
text                    three columns: wavelength, flux, error (air, as VANDELS publishes them)
======================  ==========================================================================================

Wavelengths come out in vacuum. Where a file does not say in which medium they are, ``medium`` decides.
"""

from __future__ import annotations

import gzip
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits

from specola_pipeline.errors import SpectrumError
from specola_pipeline.redshift.spectrum import Floats, Spectrum
from specola_pipeline.spectral import air_to_vacuum

__all__ = ["count_spectra", "read_spectra"]

VIMOS_MR = 580.0
"""Resolving power of VIMOS' medium-resolution grism with slits of one arcsecond (Garilli et al. 2021)."""
SDSS = 1850.0
"""Of the SDSS and BOSS spectrographs in the middle of their range (Smee et al. 2013)."""
DESI = 3200.0
"""Of DESI in the middle of its range (DESI Collaboration 2022)."""


def read_spectra(
    path: Path, medium: str | None = None, res_power: float | None = None, leave_out: Container[str] = ()
) -> Iterator[Spectrum]:
    """All spectra of a bundle or a file, one after the other.

    Parameters
    ----------
    medium
        ``air`` or ``vacuum`` where the file does not say it; text and PANDORA are in air without it.
    res_power
        Resolving power, instead of what the file says or its kind has.
    leave_out
        Identifiers of a bundle's spectra that are not wanted: their files are not opened.

    Raises
    ------
    SpectrumError
        The file is of no known kind or broken.
    """
    if (path / "manifest.parquet").exists():
        yield from _bundle(path, res_power, leave_out)
        return
    if path.is_dir():
        raise SpectrumError(f"{path}: found a folder without manifest.parquet, expected a bundle or a file")
    if not path.exists():
        raise SpectrumError(f"{path}: found no such file")
    name = path.name.removesuffix(".gz").removesuffix(".fits").removesuffix(".dat").removesuffix(".txt")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            is_fits = stream.read(6) == b"SIMPLE"
        if is_fits:
            with fits.open(path, memmap=False) as hdus:
                yield from _fits(name, hdus, medium, res_power)
        else:
            yield _text(name, path, medium, res_power)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise SpectrumError(
            f"{path}: found {error}, expected a spectrum as text or FITS in a format of docs/redshifts.md"
        ) from error


def count_spectra(path: Path) -> int | None:
    """How many spectra a bundle has; None for a file, which has to be read for it."""
    manifest = path / "manifest.parquet"
    return int(pq.read_metadata(manifest).num_rows) if manifest.exists() else None


def _vacuum(wave: Any, medium: str | None) -> Floats:
    wave = np.asarray(wave, dtype=float)
    return air_to_vacuum(wave) if medium == "air" else wave


def _bundle(path: Path, res_power: float | None, leave_out: Container[str]) -> Iterator[Spectrum]:
    columns = ["spectrum_id", "file", "wave_medium", "flux_unit"]
    manifest = pq.ParquetFile(path / "manifest.parquet")
    if "res_power" in manifest.schema_arrow.names:
        columns.append("res_power")
    missing = sorted(set(columns) - set(manifest.schema_arrow.names))
    if missing:
        raise SpectrumError(
            f"{path / 'manifest.parquet'}: found no column {', '.join(missing)}, expected a bundle (docs/bundle.md)"
        )
    for batch in manifest.iter_batches(batch_size=1000, columns=columns):
        for row in batch.to_pylist():
            if row["spectrum_id"] in leave_out:
                continue
            file = path / row["file"]
            try:
                with fits.open(file, memmap=False) as hdus:
                    power = res_power or row.get("res_power")
                    yield _one_row(row["spectrum_id"], hdus[1].data, row["wave_medium"], power, row["flux_unit"])
            except (OSError, KeyError, IndexError) as error:
                raise SpectrumError(
                    f"{file} ({row['spectrum_id']}): found {error}, expected a spectrum file of a bundle"
                ) from error


def _one_row(name: str, table: Any, medium: str | None, power: float | None, unit: str) -> Spectrum:
    names = {column.upper(): column for column in table.names}
    wave, flux, err = (np.asarray(table[names[key]][0], dtype=float) for key in ("WAVE", "FLUX", "ERR"))
    if "QUAL" in names:
        err = np.where(np.asarray(table[names["QUAL"]][0]) == 0, err, np.nan)
    return Spectrum(name, _vacuum(wave, medium), flux, err, power, unit, medium or "vacuum")


def _fits(name: str, hdus: fits.HDUList, medium: str | None, power: float | None) -> Iterator[Spectrum]:
    names = {str(hdu.name).upper() for hdu in hdus}
    tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
    if any(f"{arm}_FLUX" in names for arm in "BRZ"):
        yield from _desi(name, hdus, power)
    elif "NOISE" in names and hdus[0].header.get("NAXIS") == 1:
        header = hdus[0].header
        wave = header["CRVAL1"] + header["CDELT1"] * (np.arange(header["NAXIS1"]) + 1 - header.get("CRPIX1", 1))
        yield Spectrum(name, _vacuum(wave, medium or "air"), hdus[0].data, hdus["NOISE"].data, power or VIMOS_MR)
    elif tables and {"LOGLAM", "FLUX", "IVAR"} <= {column.upper() for column in tables[0].columns.names}:
        data = tables[0].data
        keys = {column.upper(): column for column in data.names}
        ivar = np.asarray(data[keys["IVAR"]], dtype=float)
        yield Spectrum(
            name, 10.0 ** np.asarray(data[keys["LOGLAM"]], dtype=float), data[keys["FLUX"]], _error(ivar), power or SDSS
        )
    elif tables and {"WAVE", "FLUX", "ERR"} <= {column.upper() for column in tables[0].columns.names}:
        header = tables[0].header
        air = "obs.atmos" in str(header.get("TUCD1", "")) or header.get("WAVEMED") == "air"
        said = header.get("SPEC_RES", hdus[0].header.get("SPEC_RES"))
        yield _one_row(name, tables[0].data, medium or ("air" if air else "vacuum"), power or said, str(header.get("TUNIT2", "")))
    else:
        raise SpectrumError(
            f"{name}: found HDUs {', '.join(sorted(names)) or 'without names'}, expected one of the formats of docs/redshifts.md"
        )


def _error(ivar: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ivar > 0, 1 / np.sqrt(ivar), np.nan)


def _desi(name: str, hdus: fits.HDUList, power: float | None) -> Iterator[Spectrum]:
    """Arms of one row, where they overlap averaged by inverse variance; they are on one grid of 0.8 Angstrom."""
    arms = [arm for arm in "BRZ" if f"{arm}_FLUX" in hdus]
    waves = [np.asarray(hdus[f"{arm}_WAVELENGTH"].data, dtype=float) for arm in arms]
    grid, place = np.unique(np.round(np.concatenate(waves), 3), return_inverse=True)
    ids = hdus["FIBERMAP"].data["TARGETID"] if "FIBERMAP" in hdus else np.arange(len(hdus[f"{arms[0]}_FLUX"].data))
    for row, target in enumerate(ids):
        flux = np.concatenate([hdus[f"{arm}_FLUX"].data[row] for arm in arms]).astype(float)
        ivar = np.concatenate([hdus[f"{arm}_IVAR"].data[row] for arm in arms]).astype(float)
        masks = [
            hdus[f"{arm}_MASK"].data[row] if f"{arm}_MASK" in hdus else np.zeros(wave.size)
            for arm, wave in zip(arms, waves, strict=True)
        ]
        ivar[(np.concatenate(masks) != 0) | ~np.isfinite(flux)] = 0.0
        weight = np.bincount(place, ivar, grid.size)
        total = np.bincount(place, ivar * np.nan_to_num(flux), grid.size)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(weight > 0, total / weight, 0.0)
        yield Spectrum(f"{name}-{target}", grid, mean, _error(np.asarray(weight, dtype=np.float64)), power or DESI)


def _text(name: str, path: Path, medium: str | None, power: float | None) -> Spectrum:
    table = np.loadtxt(path, ndmin=2)
    if table.shape[1] != 3:
        raise SpectrumError(f"{path}: found {table.shape[1]} numbers a line, expected three: wavelength, flux, error")
    wave, flux, err = table.T
    return Spectrum(name, _vacuum(wave, medium or "air"), flux, err, power or VIMOS_MR)

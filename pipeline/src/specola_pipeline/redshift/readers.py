"""Spectra from files: of a bundle, and the formats surveys hand out.

======================  ==========================================================================================
kind                    how it is known
======================  ==========================================================================================
bundle                  a folder with bundle.json and manifest.parquet (docs/bundle.md)
SDP, and bundle's file  a binary table with WAVE, FLUX and ERR, of one row or a row a pixel
SDSS, BOSS              a binary table with LOGLAM, FLUX, IVAR (vacuum)
DESI                    images B_FLUX, R_FLUX, Z_FLUX with _WAVELENGTH, _IVAR, _MASK (vacuum), a spectrum a row
PANDORA                 an image of one axis with an image NOISE beside it (air)
text                    three columns: wavelength, flux, error (air, as VANDELS publishes them)
======================  ==========================================================================================

Wavelengths come out in vacuum. Where a file does not say in which medium they are, ``medium`` decides.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import warnings
import zlib
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy import units
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from specola_pipeline.errors import SpectrumError
from specola_pipeline.redshift.spectrum import Floats, Spectrum
from specola_pipeline.spectral import air_to_vacuum

__all__ = ["count_spectra", "read_sources", "read_spectra"]

VIMOS_MR = 580.0
"""Resolving power of VIMOS' medium-resolution grism with slits of one arcsecond (Garilli et al. 2021)."""
SDSS = 1850.0
"""Of the SDSS and BOSS spectrographs in the middle of their range (Smee et al. 2013)."""
DESI = 3200.0
"""Of DESI in the middle of its range (DESI Collaboration 2022)."""

_BROKEN = (OSError, EOFError, zlib.error, ValueError, KeyError, IndexError, TypeError)
"""What reading a file that is damaged, or not what its name says, raises."""


def read_sources(
    paths: Sequence[Path], medium: str | None = None, res_power: float | None = None, leave_out: Container[str] = ()
) -> Iterator[Spectrum]:
    """Spectra of all sources, parameters as of `read_spectra`: a file that can not be read stops none of the others.

    It comes as a spectrum without pixels, whose ``fault`` says what is wrong.

    Raises
    ------
    SpectrumError
        A path is not there, or a folder that is no bundle; before anything is read.
    """
    for path in paths:
        _look(path)
    return (spectrum for path in paths for spectrum in _read(path, medium, res_power, leave_out))


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
    _look(path)
    for spectrum in _read(path, medium, res_power, leave_out):
        if spectrum.fault:
            raise SpectrumError(spectrum.fault)
        yield spectrum


def count_spectra(path: Path) -> int | None:
    """How many spectra a bundle has; None for a file, which has to be read for it."""
    return _manifest(path).metadata.num_rows if (path / "manifest.parquet").exists() else None


def _look(path: Path) -> None:
    if not path.exists():
        raise SpectrumError(f"{path}: found no such file, expected a bundle, or a spectrum as text or FITS")
    if path.is_dir() and not (path / "manifest.parquet").exists():
        raise SpectrumError(f"{path}: found a folder without manifest.parquet, expected a bundle (docs/bundle.md) or files")


def _read(path: Path, medium: str | None, res_power: float | None, leave_out: Container[str]) -> Iterator[Spectrum]:
    """Spectra of a source; of what can not be read one with a fault."""
    if path.is_dir():
        yield from _bundle(path, res_power, leave_out)
        return
    name = path.name.removesuffix(".gz").removesuffix(".fits").removesuffix(".dat").removesuffix(".txt")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        if content.startswith(b"SIMPLE"):
            with _open(content) as hdus:
                yield from _fits(name, hdus, medium, res_power)
        else:
            yield _text(name, content, medium, res_power)
    except _BROKEN as error:
        yield _fault(name, f"{path}: found {_said(error)}, expected a spectrum as text or FITS in a format of docs/redshifts.md")


def _fault(name: str, fault: str) -> Spectrum:
    return Spectrum(name, np.zeros(0), np.zeros(0), np.zeros(0), fault=fault)


def _said(error: Exception) -> str:
    """An exception's message without the quotes of a KeyError and without a full stop."""
    return str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip().strip('"').rstrip(".")


def _open(source: Path | bytes) -> fits.HDUList:
    """All HDUs of a file or its content; ValueError where its end is missing, of which astropy only warns."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", AstropyWarning)
        hdus = fits.open(io.BytesIO(source) if isinstance(source, bytes) else source, memmap=False, lazy_load_hdus=False)
        last = hdus[-1].fileinfo() if len(hdus) else None
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    if last is None or last["datLoc"] + last["datSpan"] > size or any("validating header" in str(one.message) for one in seen):
        hdus.close()
        wanted = last["datLoc"] + last["datSpan"] if last else 0
        whole = f", {wanted} at the least by its headers" if wanted > size else ", the last in the middle of a header"
        raise ValueError(f"a FITS file whose end is missing ({size} bytes{whole}): was it copied or downloaded as a whole?")
    return hdus


def _vacuum(wave: Any, medium: str | None, unit: Any = None) -> Floats:
    """Angstrom in vacuum; a unit that is none of length is taken for no unit, and no unit for Angstrom."""
    wave = np.asarray(wave, dtype=float)
    if unit:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", units.UnitsWarning)
            with contextlib.suppress(units.UnitConversionError, ValueError, TypeError):
                wave = wave * units.Unit(str(unit).strip()).to(units.AA)
    with np.errstate(divide="ignore", invalid="ignore"):
        return air_to_vacuum(wave) if medium == "air" else wave


def _manifest(path: Path) -> pq.ParquetFile:
    manifest = path / "manifest.parquet"
    try:
        return pq.ParquetFile(manifest)
    except (OSError, pa.ArrowException) as error:
        raise SpectrumError(f"{manifest}: found {error}, expected the list of a bundle's spectra (docs/bundle.md)") from error


def _bundle(path: Path, res_power: float | None, leave_out: Container[str]) -> Iterator[Spectrum]:
    columns = ["spectrum_id", "file", "wave_medium", "flux_unit"]
    manifest = _manifest(path)
    if "res_power" in manifest.schema_arrow.names:
        columns.append("res_power")
    missing = sorted(set(columns) - set(manifest.schema_arrow.names))
    if missing:
        raise SpectrumError(
            f"{path / 'manifest.parquet'}: found no column {', '.join(missing)}, expected a bundle (docs/bundle.md)"
        )
    if not manifest.metadata.num_rows:
        raise SpectrumError(f"{path / 'manifest.parquet'}: found no spectra, expected at least one")
    for batch in manifest.iter_batches(batch_size=1000, columns=columns):
        for row in batch.to_pylist():
            if row["spectrum_id"] in leave_out:
                continue
            file = path / row["file"]
            try:
                with _open(file) as hdus:
                    power = res_power or row.get("res_power")
                    yield _table(row["spectrum_id"], hdus[1], row["wave_medium"], power, row["flux_unit"])
            except _BROKEN as error:
                said = f"{file} ({row['spectrum_id']}): found {_said(error)}, expected a spectrum file of a bundle"
                yield _fault(row["spectrum_id"], said)


def _table(name: str, hdu: fits.BinTableHDU, medium: str | None, power: float | None, unit: str) -> Spectrum:
    """Of a table with WAVE, FLUX, ERR, and QUAL where it has it: arrays in its only row, or a pixel a row."""
    names = {column.upper(): column for column in hdu.columns.names}
    if missing := [key for key in ("WAVE", "FLUX", "ERR") if key not in names]:
        raise ValueError(f"a table without {' and '.join(missing)}")
    if not len(hdu.data):
        raise ValueError("a table without rows")

    def column(key: str) -> Any:
        values = np.asarray(hdu.data[names[key]])
        return values if values.ndim == 1 else values[0]

    wave, flux, err = (np.asarray(column(key), dtype=float) for key in ("WAVE", "FLUX", "ERR"))
    if "QUAL" in names:
        err = np.where(column("QUAL") == 0, err, np.nan)
    return Spectrum(name, _vacuum(wave, medium, hdu.columns[names["WAVE"]].unit), flux, err, power, unit, medium or "vacuum")


def _fits(name: str, hdus: fits.HDUList, medium: str | None, power: float | None) -> Iterator[Spectrum]:
    names = {str(hdu.name).upper() for hdu in hdus}
    tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
    if any(f"{arm}_FLUX" in names for arm in "BRZ"):
        yield from _desi(name, hdus, power)
    elif "NOISE" in names and hdus[0].header.get("NAXIS") == 1:
        header = hdus[0].header
        wave = header["CRVAL1"] + header["CDELT1"] * (np.arange(header["NAXIS1"]) + 1 - header.get("CRPIX1", 1))
        wave = _vacuum(wave, medium or "air", header.get("CUNIT1"))
        yield Spectrum(name, wave, hdus[0].data, hdus["NOISE"].data, power or VIMOS_MR)
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
        yield _table(name, tables[0], medium or ("air" if air else "vacuum"), power or said, str(header.get("TUNIT2", "")))
    else:
        raise ValueError(
            f"{'; '.join(_outline(number, hdu) for number, hdu in enumerate(hdus))}; a table wants columns WAVE, FLUX and ERR, "
            "or LOGLAM, FLUX and IVAR"
        )


def _outline(number: int, hdu: Any) -> str:
    """What an HDU is, in some words."""
    if isinstance(hdu, fits.BinTableHDU):
        what = f"a table of {', '.join(hdu.columns.names)}"
    else:
        what = f"an image of {hdu.header['NAXIS']} axes" if hdu.header["NAXIS"] else "no data"
    return f"HDU {number}{f' ({hdu.name})' if hdu.name else ''} with {what}"


def _error(ivar: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ivar > 0, 1 / np.sqrt(ivar), np.nan)


def _desi(name: str, hdus: fits.HDUList, power: float | None) -> Iterator[Spectrum]:
    """Arms of one row, where they overlap averaged by inverse variance; they are on one grid of 0.8 Angstrom."""
    arms = [arm for arm in "BRZ" if f"{arm}_FLUX" in hdus]
    for arm in arms:
        _whole_arm(hdus, arm)
    waves = [np.asarray(hdus[f"{arm}_WAVELENGTH"].data, dtype=float) for arm in arms]
    grid, place = np.unique(np.round(np.concatenate(waves), 3), return_inverse=True)
    listed = "FIBERMAP" in hdus and "TARGETID" in hdus["FIBERMAP"].columns.names
    ids = hdus["FIBERMAP"].data["TARGETID"] if listed else np.arange(len(hdus[f"{arms[0]}_FLUX"].data))
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


def _whole_arm(hdus: fits.HDUList, arm: str) -> None:
    """ValueError where an arm lacks an image, or its images are not of the same pixels."""
    names = [f"{arm}_{what}" for what in ("WAVELENGTH", "FLUX", "IVAR", "MASK")]
    if missing := [one for one in names[:3] if one not in hdus]:
        raise ValueError(f"no HDU {' and '.join(missing)} beside {arm}_FLUX")
    shapes = {one: np.shape(hdus[one].data) for one in names if one in hdus}
    wave, flux, *others = shapes.values()
    if len(flux) != 2 or wave != flux[1:] or any(one != flux for one in others):
        raise ValueError(f"shapes that do not belong together: {', '.join(f'{one} {shape}' for one, shape in shapes.items())}")


def _text(name: str, content: bytes, medium: str | None, power: float | None) -> Spectrum:
    lines = [line for line in content.decode("utf-8").splitlines() if line.partition("#")[0].strip()]
    if not lines:
        raise ValueError("no line of numbers" if content else "nothing in it")
    table = np.loadtxt(lines, ndmin=2)
    if table.shape[1] != 3:
        raise ValueError(f"{table.shape[1]} numbers a line (a text has three: wavelength, flux, error)")
    wave, flux, err = table.T
    return Spectrum(name, _vacuum(wave, medium or "air"), flux, err, power or VIMOS_MR)

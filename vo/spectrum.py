"""Read and cut the spectrum files of a release (layout: ingest/specfile.py)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

__all__ = ["SpectrumColumn", "SpectrumTable", "cut", "fits_bytes", "read_spectrum"]


@dataclass(frozen=True)
class SpectrumColumn:
    """One array of a spectrum with its description, shape (n_pixels,)."""

    name: str
    data: npt.NDArray[Any]
    unit: str
    ucd: str
    utype: str
    description: str


@dataclass(frozen=True)
class SpectrumTable:
    """The arrays of a spectrum, wavelength first, all of the same length."""

    columns: tuple[SpectrumColumn, ...]

    def __len__(self) -> int:
        return int(self.columns[0].data.size)

    @property
    def wave(self) -> npt.NDArray[Any]:
        """Wavelengths in Angstrom."""
        return self.columns[0].data


_VOUNITS = {"Angstrom": "Angstrom", "": ""}


def _vounit(unit: str, flux_unit: str) -> str:
    """The VOUnit of a FITS unit: flux and error have the manifest's, all others are simple."""
    return _VOUNITS.get(unit, flux_unit if "erg" in unit else unit)


def read_spectrum(path: Path, flux_unit: str) -> SpectrumTable:
    """Read a spectrum file.

    Parameters
    ----------
    path
        The file.
    flux_unit
        VOUnit of flux and error as the release's table of spectra has it.

    Raises
    ------
    ValueError
        When HDU 1 is not a table of one row that begins with WAVE.
    """
    with fits.open(path, memmap=False) as hdus:
        header = hdus[1].header
        if header["NAXIS2"] != 1 or header["TTYPE1"] != "WAVE":
            raise ValueError(f"{path} HDU 1: found no table of one row that begins with WAVE")
        row = hdus[1].data[0]
        columns = tuple(
            SpectrumColumn(
                name=header[f"TTYPE{number}"].strip().lower(),
                data=np.asarray(row[number - 1]),
                unit=_vounit(header.get(f"TUNIT{number}", "").strip(), flux_unit),
                ucd=header.get(f"TUCD{number}", "").strip().replace(";meta.main", ""),
                utype=_utype(header.get(f"TUTYP{number}", "").strip()),
                description=_DESCRIPTIONS.get(header[f"TTYPE{number}"].strip(), header.comments[f"TTYPE{number}"]),
            )
            for number in range(1, header["TFIELDS"] + 1)
        )
    return SpectrumTable(columns)


def _utype(text: str) -> str:
    """A file's utype as one of the Spectrum data model; ESO's own, of further fluxes, are none of it."""
    if text.startswith("spec:"):
        return "Spectrum." + text.removeprefix("spec:")
    return "" if text.startswith("eso:") else text


_DESCRIPTIONS = {
    "WAVE": "Wavelength",
    "FLUX": "Flux density",
    "ERR": "Standard deviation of the flux density",
    "QUAL": "Quality: 0 where the pixel may be used, 1 no data, 2 masked by the source, 3 both",
}


def cut(table: SpectrumTable, lower: float, upper: float) -> SpectrumTable:
    """The pixels whose centre lies in lower ≤ wavelength ≤ upper (Angstrom, in the spectrum's own medium)."""
    first, last = np.searchsorted(table.wave, [lower, upper], side="left")
    if last < table.wave.size and table.wave[last] == upper:
        last += 1
    keep = slice(int(first), int(last))
    return SpectrumTable(
        tuple(SpectrumColumn(c.name, c.data[keep], c.unit, c.ucd, c.utype, c.description) for c in table.columns)
    )


def _set_snr(header: fits.Header, table: SpectrumTable) -> None:
    """SNR of what was cut out: the median over its pixels with quality 0, none where there is no such pixel."""
    arrays = {column.name: column.data for column in table.columns}
    header.pop("SNR", None)
    good = arrays["qual"] == 0
    if good.any():
        ratio = arrays["flux"][good].astype(np.float64) / arrays["err"][good].astype(np.float64)
        header["SNR"] = (float(np.median(ratio)), "Median S/N per pixel where QUAL is 0")


def fits_bytes(path: Path, table: SpectrumTable) -> bytes:
    """A part of a spectrum as a file like the whole one: the headers of ``path`` with the arrays of ``table``."""
    wave = table.wave
    with fits.open(path, memmap=False) as hdus:
        primary, old = hdus[0], hdus[1].header
        columns = [
            fits.Column(
                name=old[f"TTYPE{number}"],
                format=f"{column.data.size}{old[f'TFORM{number}'].lstrip('0123456789')}",
                unit=old.get(f"TUNIT{number}"),
                array=column.data[np.newaxis, :],
            )
            for number, column in enumerate(table.columns, start=1)
        ]
        hdu = fits.BinTableHDU.from_columns(columns, name=old["EXTNAME"])
        for card in old.cards:
            if card.keyword not in hdu.header and card.keyword not in {"CHECKSUM", "DATASUM"}:
                hdu.header.append(card)
        low, high = float(wave[0]), float(wave[-1])
        hdu.header["NELEM"] = int(wave.size)
        hdu.header["TDMIN1"], hdu.header["TDMAX1"] = low, high
        hdu.header["SPEC_VAL"], hdu.header["SPEC_BW"] = (low + high) / 20.0, (high - low) / 10.0
        primary.header["WAVELMIN"], primary.header["WAVELMAX"] = low / 10.0, high / 10.0
        _set_snr(primary.header, table)
        primary.header["HISTORY"] = "Cut out in wavelength by the archive"
        buffer = io.BytesIO()
        fits.HDUList([primary, hdu]).writeto(buffer, checksum=True)
        return buffer.getvalue()

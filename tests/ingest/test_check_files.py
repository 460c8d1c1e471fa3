"""Every kind of bad spectrum file in a bundle is refused, and the message names file and row."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ingest.check import check_bundle
from ingest.errors import BundleError
from specola_bundle.specfile import SpectrumData
from tests.support.bundles import refused


def test_file_is_missing(small):
    path = small()
    (path / "spectra" / "S2.fits").unlink()
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "no such file inside the bundle")


def test_file_is_truncated(small):
    path = small()
    file = path / "spectra" / "S2.fits"
    file.write_bytes(file.read_bytes()[:6000])
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "found 6000 bytes", "truncated")


def test_file_was_truncated_before_it_was_recorded(small):
    path = small(content=lambda number, content: content[:-5760] if number == 2 else content)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "truncated")
    path = small(content=lambda number, content: content[:1000] if number == 2 else content)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "no END of the header")


def test_file_has_another_content(small):
    path = small()
    file = path / "spectra" / "S2.fits"
    content = bytearray(file.read_bytes())
    content[-3000] ^= 1
    file.write_bytes(content)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "another content", "SHA-256")


def test_file_is_a_link_out_of_the_bundle(small, tmp_path):
    path = small()
    file = path / "spectra" / "S2.fits"
    outside = tmp_path / "outside.fits"
    outside.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(outside)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "no such file inside the bundle")


def test_a_folder_is_a_link_out_of_the_bundle(small, tmp_path):
    path = small()
    check_bundle(path)
    (path / "spectra").rename(tmp_path / "outside")
    (path / "spectra").symlink_to(tmp_path / "outside")
    refused(path, "manifest.parquet row 1 (S0), file spectra/S0.fits", "no such file inside the bundle")


def test_a_link_inside_the_bundle_is_all_right(small):
    path = small()
    (path / "spectra" / "S2.fits").rename(path / "spectra" / "other.fits")
    (path / "spectra" / "S2.fits").symlink_to("other.fits")
    check_bundle(path)


def test_file_is_no_fits_file(small):
    path = small(content=lambda number, content: b"<html>" * 3000 if number == 2 else content)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "expected")


def changed(number: int, data: SpectrumData, **arrays: np.ndarray) -> SpectrumData:
    return SpectrumData(**{**vars(data), **arrays}) if number == 2 else data


def test_wavelength_is_not_a_number(small):
    wave = np.linspace(5000.0, 9000.0, 300)
    wave[7] = np.nan
    path = small(data=lambda number, data: changed(number, data, wave=wave))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "found wavelength nan in pixel 8", "finite")


def test_wavelengths_do_not_increase(small):
    wave = np.linspace(5000.0, 9000.0, 300)
    wave[8] = wave[7]
    path = small(data=lambda number, data: changed(number, data, wave=wave))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "in pixel 9", "strictly increasing")


def test_wrong_n_pixels(small):
    path = small(spectra=lambda rows: rows[2].update(n_pixels=301))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "NELEM = 300", "n_pixels = 301")


def test_wrong_n_valid(small):
    path = small(spectra=lambda rows: rows[2].update(n_valid=300))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "297 pixels with QUAL 0", "n_valid = 300")


def test_wavelength_range_beyond_the_axis(small):
    path = small(spectra=lambda rows: rows[2].update(wave_max=9500.0))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "wavelengths from 5000.0 to 9000.0", "wave_max 9500.0")


def test_wrong_flux_unit(small):
    path = small(spectra=lambda rows: rows[2].update(flux_unit="erg.s**-1.cm**-2.Angstrom**-1"))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "of column FLUX", "10**-17")


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        ("target_name", "another", 'OBJECT = "Small\'s 2"'),
        ("ra", 11.0, "RA = 10.28"),
        ("dec", None, "DEC = -4.33"),
        ("spectrum_id", "S7", "SPECID = 'S2'"),
    ],
)
def test_header_and_row_disagree(small, column, value, part):
    path = small(spectra=lambda rows: rows[2].update({column: value}), redshifts=lambda rows: rows.pop(2))
    identifier = value if column == "spectrum_id" else "S2"
    refused(path, f"manifest.parquet row 3 ({identifier}), file spectra/S2.fits", part)
    with pytest.raises(BundleError, match=re.escape(part)):
        check_bundle(path, read_files="headers")


def test_two_rows_in_the_table(small):
    path = small(
        content=lambda number, content: (
            re.sub(rb"NAXIS2  =                    1", b"NAXIS2  =                    2", content) if number == 2 else content
        )
    )
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "2 rows in HDU 1")


def test_long_names_and_apostrophes(small):
    name = "An object's very long name that does not fit on one card of a FITS header, and isn't meant to"

    def rename(rows):
        for row in rows:
            row["target_name"] = name

    from specola_bundle.specfile import fits_bytes

    def content(number, original):
        row = {"spectrum_id": f"S{number}", "target_name": name, "title": "x", "ra": 10.0 + number / 7, "dec": -5.0 + number / 3,
               "wave_medium": "vacuum", "wave_frame": "BARYCENT", "flux_calib": "ABSOLUTE", "wave_min": 5040.0,
               "wave_max": 9000.0,
               "flux_unit": "10**-17 erg.s**-1.cm**-2.Angstrom**-1"}  # fmt: skip
        wave, qual = np.linspace(5000.0, 9000.0, 300), np.zeros(300, dtype=np.int32)
        qual[:3] = 1
        return fits_bytes(row, SpectrumData(wave, wave, wave, qual))

    check_bundle(small(spectra=rename, content=content))


def test_of_many_files_each_is_checked(tmp_path):
    from specola_bundle.build import Reading, Report, spectra_bundle
    from specola_bundle.survey import load_survey

    number, pixels, path = 1100, 300, tmp_path / "many"
    rng = np.random.default_rng(1)
    wave, flux = np.linspace(5000.0, 9000.0, pixels), rng.normal(size=pixels)
    survey = load_survey(Path("vandels"))
    with spectra_bundle(path, survey, [], (), expected=number, overwrite=False, report=Report(path)) as builder:
        for index in range(number):
            row = {"spectrum_id": f"S{index}", "object_id": "x", "target_name": "x", "title": "x"}
            builder.add(Reading("x", row, SpectrumData(wave, flux, np.ones(pixels), np.zeros(pixels, np.int32))))
    files = sorted((path / "spectra").rglob("*.fits"))
    assert (len(files), len({file.parent for file in files})) == (number, 256)
    check_bundle(path)
    changed = bytearray(files[777].read_bytes())
    changed[-2880] ^= 1
    files[777].write_bytes(changed)
    refused(path, files[777].name, "another content")

"""Spectrum files and ESO's Science Data Product standard: what we write holds to it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from hypothesis import example, given, settings
from hypothesis import strategies as st
from specutils import Spectrum

from ingest.check import check_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from ingest.standard import check_products
from specola_bundle.build import file_name
from specola_bundle.sdp.plain import read_plain
from specola_bundle.sdp.validate import LONGEST_NAME
from specola_bundle.specfile import Extra, SpectrumData
from tests.ingest.sdp_files import ROW, content, model, rules, spectrum

ESO_FILE = "formats/VANDELS_CDFS_017433.fits"
UNTIMED = {("mandatory", f"HDU {hdu}, {key}") for hdu, key in ((0, "MJD-OBS"), (0, "MJD-END"), (1, "TELAPSE"), (1, "TMID"))}
PROGRAMME = {("mandatory", f"HDU 0, {key}") for key in ("OBID1", "NCOMBINE", "PROV1")}
UNPLACED = {("mandatory", f"HDU {hdu}, {key}") for hdu in (0, 1) for key in ("RA", "DEC")}
UNEXPOSED = {("mandatory", f"HDU 0, {key}") for key in ("EXPTIME", "TEXPTIME")}
UNUSED = UNEXPOSED | {("mandatory", "HDU 0, SNR")}
NOT_KNOWN: dict[str, set[tuple[str, str]]] = {
    "demo": set(),
    "sdss": set(),
    "esosdp": set(),
    "desi": UNUSED,  # fibres of which no exposure was good
    "easylife": UNTIMED | PROGRAMME,
    "vandels": UNTIMED | PROGRAMME | UNPLACED | UNEXPOSED,
}
"""What the sources do not tell, and the files therefore lack: nothing is invented to please the standard."""


@pytest.fixture(scope="module")
def demo_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sdp") / "demo"
    write_mock(path, Mock(spectra=60, seed=5), workers=1)
    return path


def written(name: str, request: pytest.FixtureRequest) -> list[Path]:
    bundle = request.getfixturevalue("demo_bundle") if name == "demo" else request.getfixturevalue("bundles") / name
    return sorted((bundle / "spectra").rglob("*.fits"))[:: 7 if name == "vandels" else 1]


surveys = pytest.mark.parametrize("name", NOT_KNOWN)


@surveys
def test_what_we_write_holds_to_the_standard(name: str, request: pytest.FixtureRequest) -> None:
    files = written(name, request)
    assert files
    found = [rules(path) for path in files]
    assert set.union(*found) == NOT_KNOWN[name]
    if name == "desi":
        assert sum(not one for one in found) == 3


@surveys
def test_what_the_source_does_not_tell_keeps_nothing_from_being_frozen(name: str, request: pytest.FixtureRequest) -> None:
    """Freezing asks `ingest.standard`: only what the manifest has NULL for may be missing, and it is counted."""
    written(name, request)
    path = request.getfixturevalue("demo_bundle") if name == "demo" else request.getfixturevalue("bundles") / name
    bundle = check_bundle(path, read_files=False)
    unknown = check_products(bundle)
    assert set(unknown) == {where.rpartition(" ")[2] for _, where in NOT_KNOWN[name]}
    if name == "desi":
        assert unknown == {"EXPTIME": 3, "TEXPTIME": 3, "SNR": 3}
        rows = pq.read_table(path / "manifest.parquet", columns=["exptime", "n_exposures", "n_valid"]).to_pylist()
        assert [row["exptime"] is None for row in rows] == [row["n_valid"] == 0 for row in rows]
        assert [row["exptime"] is None for row in rows] == [row["n_exposures"] is None for row in rows]


@given(identifiers=st.sets(st.from_regex("[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True), min_size=2))
@example(identifiers={"U" * 64, "U" * 63 + "V", "U" * 63})
def test_names_of_files_are_short_and_differ(identifiers: set[str]) -> None:
    names = {identifier: file_name(identifier) for identifier in identifiers}
    assert max(map(len, names.values())) <= LONGEST_NAME
    assert len(set(names.values())) == len(names)
    assert all(name == f"{identifier}.fits" for identifier, name in names.items() if len(identifier) < 64)


@surveys
def test_fitsverify_finds_nothing(name: str, request: pytest.FixtureRequest) -> None:
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed (Debian package fitsverify)")
    files = written(name, request)
    done = subprocess.run(["fitsverify", "-q", *map(str, files)], capture_output=True, text=True, check=False)
    assert done.stdout.count("verification OK") == len(files), done.stdout
    assert done.returncode == 0


@surveys
def test_specutils_makes_a_spectrum_of_the_row(name: str, request: pytest.FixtureRequest) -> None:
    path = written(name, request)[0]
    row = QTable.read(path, hdu=1)[0]
    spectrum = Spectrum(
        flux=row["FLUX"], spectral_axis=row["WAVE"], uncertainty=StdDevUncertainty(row["ERR"]), mask=row["QUAL"] != 0
    )
    with fits.open(path) as hdus:
        data, header = hdus[1].data, hdus[0].header
        np.testing.assert_array_equal(spectrum.flux.value, data["FLUX"][0])
        np.testing.assert_array_equal(spectrum.wavelength.to_value("Angstrom"), data["WAVE"][0])
        assert spectrum.flux.unit.is_equivalent("erg/(s cm2 Angstrom)")
        assert spectrum.uncertainty.unit == spectrum.flux.unit
        good = ~spectrum.mask
        snr = np.median((spectrum.flux / spectrum.uncertainty.quantity).value[good])
        assert snr == pytest.approx(header["SNR"], rel=1e-3)


def test_the_file_of_esos_archive(data: Path) -> None:
    """What VIPGI wrote in 2018 and ESO archived, by the standard as it is now; docs/spectrum-file.md explains each."""
    path = data / ESO_FILE
    assert rules(path) == {
        ("mandatory", "HDU 0, RADESYS"),  # the older name RADECSYS
        ("conditional", "HDU 0, ASSOC1"),  # ASSON1 without its category
        ("mandatory", "HDU 1, TUTYP5"),
        ("mandatory", "HDU 1, TUCD5"),
        ("ucd", "HDU 1, TUCD3"),  # no meta.main
        ("utype", "HDU 1, TUTYP4"),  # vandels: instead of eso:
    }
    assert rules(path, notes=True) - rules(path) == {("reserved", f"HDU 0, {key}") for key in ("ARCFILE", "ORIGFILE", "P3ORIG")}


def test_programme_and_provenance_of_an_eso_file_are_kept(data: Path, bundles: Path) -> None:
    source = fits.getheader(data / ESO_FILE)
    header = fits.getheader(next((bundles / "esosdp" / "spectra").rglob("*.fits")))
    kept = [key for key in source if key.startswith(("PROV", "OBID", "PROGID", "PROG_ID"))]
    assert len(kept) == 63 + 11 + 3 + 1
    assert {key: header[key] for key in kept} == {key: source[key] for key in kept}


@surveys
def test_what_we_write_is_read_quickly(name: str, request: pytest.FixtureRequest) -> None:
    for path in written(name, request)[:3]:
        plain = read_plain(path.read_bytes())
        assert plain is not None, path
        with fits.open(path) as hdus:
            for unit, hdu in zip((plain.primary, plain.table), hdus, strict=True):
                said = {keyword: value for keyword, value in unit.values.items() if keyword not in {"COMMENT", "HISTORY", ""}}
                assert said == {keyword: hdu.header[keyword] for keyword in said}
                assert set(said) == set(hdu.header) - {"COMMENT", "HISTORY", ""}
            for column, values in plain.arrays.items():
                np.testing.assert_array_equal(values, hdus[1].data[column][0])


def test_several_fluxes_are_version_two(tmp_path: Path) -> None:
    plain = spectrum()
    path = tmp_path / "two.fits"
    path.write_bytes(content(SpectrumData(plain.wave, plain.flux, plain.err, plain.qual, (model(plain),))))
    assert rules(path) == set()
    header = fits.getheader(path, 1)
    assert header["VOCLASS"] == "SPECTRUM v2.0"
    assert [header[f"TUTYP{n}"] for n in range(1, 6)] == [
        "spec:Data.SpectralAxis.Value", "spec:Data.FluxAxis.Value", "spec:Data.FluxAxis.Accuracy.StatError",
        "spec:Data.FluxAxis.Accuracy.QualityStatus", "eso:Data.FluxAxis.Value",
    ]  # fmt: skip
    assert [n for n in range(1, 6) if "meta.main" in header[f"TUCD{n}"]] == [2, 3]
    path.write_bytes(content())
    assert fits.getheader(path, 1)["VOCLASS"] == "SPECTRUM v1.0"


def test_normalised_fluxes_say_so(tmp_path: Path) -> None:
    path = tmp_path / "ratio.fits"
    path.write_bytes(content(flux_calib="NORMALIZED", flux_unit=""))
    assert rules(path) == set()
    assert fits.getheader(path)["CONTNORM"] is True


@settings(max_examples=60, deadline=None)
@given(
    wave=st.lists(st.floats(1000, 20000, width=32), min_size=2, max_size=80, unique=True),
    scale=st.floats(-3, 3),
    further=st.booleans(),
    title=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=90).filter(str.strip),
    medium=st.sampled_from(["air", "vacuum"]),
    kind=st.sampled_from(["f4", "f8"]),
)
def test_whatever_the_numbers_the_file_is_right(tmp_path_factory, wave, scale, further, title, medium, kind):
    axis = np.sort(np.array(wave)).astype(kind)
    flux = (scale * np.cos(axis)).astype(kind)
    err = np.full(axis.size, 0.7, dtype=kind)
    extras = (Extra("EXR1D", flux, ROW["flux_unit"], "phot.flux.density;em.wl", "extraction"),) if further else ()
    data = SpectrumData(axis, flux, err, np.zeros(axis.size, "i4"), extras)
    path = tmp_path_factory.mktemp("any") / "spectrum.fits"
    path.write_bytes(content(data, title=title, wave_medium=medium))
    assert rules(path) == set()
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        np.testing.assert_array_equal(hdus[1].data["WAVE"][0], axis)
        assert hdus[1].header["WAVEMED"] == medium
        assert hdus[1].header["NOISEDEF"] == "STDDEV"
        assert units.Unit(hdus[1].header["TUNIT2"]).is_equivalent("erg/(s cm2 Angstrom)")

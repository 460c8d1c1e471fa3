"""Spectrum files and ESO's Science Data Product standard: what we write holds to it, and what does not is found."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

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
from typer.testing import CliRunner

from ingest.check import check_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from ingest.standard import check_products
from specola.cli import app
from specola_bundle.build import derived, file_name
from specola_bundle.sdp.plain import read_plain
from specola_bundle.sdp.validate import LONGEST_NAME, validate
from specola_bundle.specfile import Extra, SpectrumData, fits_bytes

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


def rules(path: Path, *, notes: bool = False) -> set[tuple[str, str]]:
    """Rules that a file breaks; whether it is read by our own quick reader or by astropy makes no difference."""
    quick = validate(path)
    with patch("specola_bundle.sdp.validate.read_plain", return_value=None):
        assert {(one.rule, one.where, one.note) for one in validate(path)} == {(one.rule, one.where, one.note) for one in quick}
    return {(one.rule, one.where) for one in quick if notes or not one.note}


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


ROW: dict[str, Any] = {
    "spectrum_id": "S1", "target_name": "It's one", "target_class": "GALAXY", "title": "A spectrum", "ra": 10.0, "dec": -5.0,
    "wave_medium": "air", "wave_frame": "BARYCENT", "flux_unit": "erg.s**-1.cm**-2.Angstrom**-1", "flux_calib": "ABSOLUTE",
    "simulated": True, "t_min": 60000.0, "t_max": 60000.5, "exptime": 3600.0, "n_exposures": 2, "res_power": 580.0,
    "aperture": 1 / 3600, "facility": "Telescope", "instrument": "Spectrograph", "created": datetime(2025, 1, 1),  # noqa: DTZ001
}  # fmt: skip
CARDS = {"PROCSOFT": "tests 1"}


def spectrum(pixels: int = 50, extras: tuple[Extra, ...] = ()) -> SpectrumData:
    wave = np.linspace(5000.0, 9000.0, pixels)
    qual = np.zeros(pixels, dtype=np.int32)
    qual[:3] = 1
    return SpectrumData(wave, np.sin(wave / 100) + 2, np.full(pixels, 0.5), qual, extras)


def content(data: SpectrumData | None = None, **changes: Any) -> bytes:
    data = data or spectrum()
    return fits_bytes({**ROW, **derived(data), **changes}, data, CARDS)


def model(values: SpectrumData) -> Extra:
    return Extra("MODEL", values.flux, ROW["flux_unit"], "phot.flux.density;em.wl", "best model")


Edit = Callable[[fits.HDUList], None]


def put(hdu: int, keyword: str, value: Any) -> Edit:
    return lambda hdus: hdus[hdu].header.set(keyword, value)


def drop(hdu: int, keyword: str) -> Edit:
    return lambda hdus: hdus[hdu].header.remove(keyword)


def pixel(column: str, index: int, value: float) -> Edit:
    def edit(hdus: fits.HDUList) -> None:
        hdus[1].data[column][0, index] = value

    return edit


def several(edit: Edit, then: Edit) -> Edit:
    return lambda hdus: (edit(hdus), then(hdus))[1]


BROKEN: list[tuple[Edit, str, str]] = [
    *[(drop(0, key), "mandatory", f"HDU 0, {key}") for key in (
        "DATE", "PRODCATG", "ORIGIN", "TELESCOP", "INSTRUME", "RADESYS", "EXPTIME", "TEXPTIME", "OBSTECH", "PROCSOFT", "REFERENC",
        "SPECSYS", "CONTNORM", "TOT_FLUX", "WAVELMIN", "WAVELMAX", "SPEC_BIN", "SNR", "SPEC_RES", "EXT_OBJ")],
    *[(drop(1, key), "mandatory", f"HDU 1, {key}") for key in (
        "EXTNAME", "OBJECT", "RA", "NELEM", "VOCLASS", "VOPUB", "TITLE", "APERTURE", "TELAPSE", "TMID", "SPEC_VAL", "SPEC_BW",
        "TDMIN1", "TUCD2", "TUTYP4", "TUNIT4")],
    (put(0, "PRODCATG", "SCIENCE.IMAGE"), "value", "HDU 0, PRODCATG"),
    (put(0, "DATE", "yesterday"), "value", "HDU 0, DATE"),
    (put(0, "RADESYS", "FK4"), "value", "HDU 0, RADESYS"),
    (put(0, "RADESYS", "FK5"), "conditional", "HDU 0, EQUINOX"),
    (put(0, "TIMESYS", "TT"), "conditional", "HDU 0, TIMESYS"),
    (put(0, "ASSON1", "two.fits"), "conditional", "HDU 0, ASSOC1"),
    (put(0, "TELESCOP", "ESO-VLT-U3"), "mandatory", "HDU 0, PROG_ID"),
    (put(0, "FLUXCAL", "RELATIVE"), "value", "HDU 0, FLUXCAL"),
    (put(0, "FLUXCAL", "UNCALIBRATED"), "flux", "HDU 0, FLUXERR"),
    (put(0, "FLUXERR", -1.0), "flux", "HDU 0, FLUXERR"),
    (put(0, "FLUXERR", 140.0), "value", "HDU 0, FLUXERR"),
    (several(put(0, "TOT_FLUX", True), several(put(0, "FLUXCAL", "UNCALIBRATED"), put(0, "FLUXERR", -1.0))), "flux",
     "HDU 0, TOT_FLUX"),
    (put(0, "SPECSYS", "MOON"), "value", "HDU 0, SPECSYS"),
    (put(0, "CONTNORM", "F"), "type", "HDU 0, CONTNORM"),
    (put(0, "RA", 400.0), "value", "HDU 0, RA"),
    (put(0, "BUNIT", "ct"), "forbidden", "HDU 0, BUNIT"),
    (put(1, "CDELT1", 1.0), "forbidden", "HDU 1, CDELT1"),
    (put(0, "CD1_1", 1.0), "forbidden", "HDU 0, CD1_1"),
    (put(0, "PROV001", "x.fits"), "provenance", "HDU 0, PROV001"),
    (put(0, "OBID01", 7), "provenance", "HDU 0, OBID01"),
    (put(0, "TEXPTIME", 60.0), "time", "HDU 0, TEXPTIME"),
    (put(0, "MJD-END", 59999.0), "time", "HDU 0, MJD-END"),
    (put(1, "TELAPSE", 43200.2), "time", "HDU 1, TELAPSE"),
    (put(0, "TEXPTIME", 50000.0), "time", "HDU 1, TELAPSE"),
    (put(1, "TMID", 60000.0), "time", "HDU 1, TMID"),
    (put(0, "WAVELMIN", 400.0), "axis", "HDU 0, WAVELMIN"),
    (put(1, "SPEC_VAL", 701.0), "axis", "HDU 1, SPEC_VAL"),
    (put(1, "SPEC_BW", 401.0), "axis", "HDU 1, SPEC_BW"),
    (put(0, "SPEC_BIN", 0.8163 * 20), "axis", "HDU 0, SPEC_BIN"),
    (put(1, "TDMAX1", 9001.0), "axis", "HDU 1, TDMAX1"),
    (put(0, "SNR", 9.0), "snr", "HDU 0, SNR"),
    (put(1, "APERTURE", 1.0), "value", "HDU 1, APERTURE"),
    (put(1, "VOCLASS", "SPECTRUM"), "value", "HDU 1, VOCLASS"),
    (put(1, "VOPUB", "us"), "value", "HDU 1, VOPUB"),
    (put(1, "OBJECT", "another"), "consistency", "HDU 1, OBJECT"),
    (put(1, "TUCD1", "em.wl;obs.nothing"), "ucd", "HDU 1, TUCD1"),
    (put(1, "TUCD1", "em.freq"), "ucd", "HDU 1, TUCD1"),
    (put(1, "TUCD2", "src"), "ucd", "HDU 1, TUCD2"),
    (put(1, "TUCD3", "phot.flux.density"), "ucd", "HDU 1, TUCD3"),
    (put(1, "TUTYP2", "spec:Data.FluxAxis.Value"), "utype", "HDU 1, TUTYP2"),
    (put(1, "TUNIT3", "adu"), "unit", "HDU 1, TUNIT3"),
    (put(1, "TUNIT1", "furlong"), "unit", "HDU 1, TUNIT1"),
    (put(1, "TTYPE2", "POWER"), "column", "HDU 1, TTYPE2"),
    (put(1, "NELEM", 49), "column", "HDU 1, TFORM1"),
    (put(0, "CONTNORM", True), "flux", "HDU 1, TUCD2"),
    (pixel("WAVE", 7, 5000.0), "axis", "HDU 1, WAVE"),
    (pixel("WAVE", 7, np.nan), "axis", "HDU 1, WAVE"),
    (pixel("FLUX", 0, np.inf), "numbers", "HDU 1, FLUX"),
    (pixel("ERR", 20, -1.0), "numbers", "HDU 1, ERR"),
    (pixel("FLUX", 20, np.nan), "numbers", "HDU 1, ERR"),
    (lambda hdus: hdus.append(fits.ImageHDU()), "layout", "file"),
    (put(0, "REFERENC", "x" * 80), "forbidden", "HDU 0, CONTINUE"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "rule", "where"), BROKEN, ids=lambda value: value if isinstance(value, str) else "")
def test_every_rule_is_held(edit: Edit, rule: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "spectrum.fits"
    path.write_bytes(content())
    assert rules(path) == set()
    path_again = tmp_path / "again.fits"
    with fits.open(path) as hdus:
        edit(hdus)
        hdus.writeto(path_again, checksum=True, output_verify="ignore")
    found = rules(path_again)
    assert (rule, where) in found
    assert {one for one in found if one[0] == "checksum"} == set()


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "spectrum.fits"
    changed = bytearray(content())
    changed[2 * 2880 + 5000] ^= 1
    path.write_bytes(changed)
    assert {"checksum"} == {rule for rule, _ in rules(path) if rule == "checksum"}


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


@settings(max_examples=60, deadline=None)
@example(place=30, value=0, cut=False)  # the value of SIMPLE: astropy calls the HDU corrupted
@given(st.integers(0, 12_000), st.integers(0, 255), st.booleans())
def test_damaged_files_are_findings_and_no_crashes(tmp_path_factory, place, value, cut):
    good = content()
    bad = bytearray(good)
    bad[place % len(bad)] = value
    if cut:
        del bad[place % len(bad) :]
    path = tmp_path_factory.mktemp("damaged") / "spectrum.fits"
    path.write_bytes(bad)
    found = rules(path)
    assert bool(found) == (bytes(bad) != good)


@pytest.mark.parametrize("junk", [b"", b"SIMPLE  =", b"\x00" * 5760, b"<html>not found</html>"])
def test_no_fits_at_all(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "spectrum.fits"
    path.write_bytes(junk)
    assert {rule for rule, _ in rules(path)} == {"fits"}


def test_long_file_names(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 64}.fits"
    path.write_bytes(content())
    assert rules(path) == {("filename", "file name")}


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


def test_command(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.fits", tmp_path / "bad.fits"
    good.write_bytes(content())
    with fits.open(io.BytesIO(content())) as hdus:
        hdus[0].header["BUNIT"] = "[red]"
        hdus.writeto(bad, checksum=True)
    run = CliRunner().invoke
    assert run(app, ["validate", str(good)]).exit_code == 0
    failed = run(app, ["validate", str(tmp_path)])
    assert failed.exit_code == 1
    for word in ("forbidden", "BUNIT", "bad.fits", "1 right, 1 wrong"):
        assert word in failed.output
    found = run(app, ["validate", "--json", str(tmp_path)])
    assert found.exit_code == 1
    report = json.loads(found.stdout)
    assert (report["files"], report["failed"]) == (2, 1)
    assert report["findings"] == [
        {"file": str(bad), "rule": "forbidden", "note": False, "where": "HDU 0, BUNIT", "found": "the keyword",
         "expected": "none: it is forbidden in spectra", "remedy": "remove it"}
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    assert run(app, ["validate", str(tmp_path / "empty")]).exit_code == 2

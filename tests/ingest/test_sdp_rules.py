"""What does not hold to ESO's Science Data Product standard is found: every rule, damaged files, and the command."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from specola.cli import app
from tests.ingest.sdp_files import content, rules

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

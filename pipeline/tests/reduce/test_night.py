"""A made-up night through the command's own function: truth recovered, and every bad input a line in the report."""

import json
import os

import numpy as np
import pytest
from astropy.io import fits

from specola_pipeline.errors import PipelineError
from specola_pipeline.reduce.run import run
from specola_pipeline.reduce.steps import Store

from .conftest import GRISM


def problems(result):
    return " | ".join(words for _, words in result.problems)


def only_row(result):
    assert len(result.rows) == 1
    return result.rows[0]


def test_flux_wavelength_and_errors_are_those_put_in_and_a_second_run_gives_the_same_bytes(night, tmp_path):
    night.calibrations()
    night.science()
    first = run(night.folder, tmp_path / "one")
    row = only_row(first)
    assert (row["status"], row["objects"], first.problems) == ("reduced", 1, [])
    assert row["wavelength_rms"] < 0.05
    assert row["sky_chi"] < 1.05
    with fits.open(first.files[0]) as hdus:
        table, factor = hdus["OBJECT1"].data, hdus[0].header["BARYCORR"]
    part = slice(100, 1900)
    pull = ((table["COUNTS"] - 400) / table["COUNTS_ERR"])[part]
    assert abs(np.mean(table["COUNTS"][part]) / 400 - 1) < 0.01
    assert 0.9 < np.std(pull) < 1.1
    true = GRISM.wavelength(table["ROW"] - GRISM.reference_pixel)
    offset = (table["WAVE"] / factor - true)[part] / 1.03
    assert np.sqrt(np.mean(offset**2)) < 0.05
    assert 0.9998 < factor < 1.0002
    second = run(night.folder, tmp_path / "two", workers=2)
    assert [path.read_bytes() for path in first.files] == [path.read_bytes() for path in second.files]
    assert (tmp_path / "one/qc.json").read_text() == (tmp_path / "two/qc.json").read_text()


def test_a_run_resumes_and_redoes_only_what_changed(night, tmp_path):
    night.calibrations()
    night.science()
    run(night.folder, tmp_path / "out")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/work").iterdir()}
    next(iter(sorted(kept))).with_suffix(".123.part").write_bytes(b"left by a killed worker")
    night.science("second", objects=((25.0, 2.0, 300.0),), header={"DATE-BEG": "2015-05-20T05:00:00"})
    result = run(night.folder, tmp_path / "out")
    assert len(result.rows) == 2
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    broken = max(kept, key=lambda path: path.stat().st_size)
    broken.write_bytes(broken.read_bytes()[:1000])
    assert len(run(night.folder, tmp_path / "out").rows) == 2


def test_a_missing_arc_is_named_and_nothing_is_reduced(night, tmp_path):
    night.calibrations()
    night.science()
    (night.folder / "arc.fits").unlink()
    result = run(night.folder, tmp_path / "out")
    assert "science.fits: 0 arc frames" in problems(result)
    assert result.rows == []


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(PipelineError, match="holds no FITS files"):
        run(tmp_path, tmp_path / "out")


def test_a_saturated_flat_fails_its_slit(night, tmp_path):
    night.calibrations(flat=lambda raw: np.where(raw > 5000, 65535, raw))
    night.science()
    row = only_row(run(night.folder, tmp_path / "out"))
    assert row["status"] == "failed"
    assert "of its flat is saturated" in row["flags"][0]


def test_the_wrong_lamp_fails_the_slit(night, tmp_path):
    night.calibrations(arc_lists=("ArI", "KrI"))
    night.science()
    row = only_row(run(night.folder, tmp_path / "out"))
    assert row["status"] == "failed"
    assert "lamp" in row["flags"][0]


def test_broken_foreign_and_duplicate_files_are_listed_and_the_rest_is_reduced(night, tmp_path):
    night.calibrations()
    good = night.science()
    (night.folder / "copy.fits").write_bytes(good.read_bytes())
    cut = night.science("cut")
    cut.write_bytes(cut.read_bytes()[:200_000])
    night.science("nodate", header={"DATE-BEG": None})
    (night.folder / "text.fits").write_text("no FITS file")
    fits.PrimaryHDU(np.zeros((5, 5))).writeto(night.folder / "foreign.fits")
    result = run(night.folder, tmp_path / "out")
    said = problems(result)
    for words in (
        "same bytes as",
        "cut.fits",
        "nodate.fits: the header has no",
        "text.fits: no readable FITS",
        "no known instrument",
    ):
        assert words in said
    assert [row["status"] for row in result.rows] == ["reduced"]
    report = json.loads((tmp_path / "out/qc.json").read_text())
    assert len(report["problems"]) == 5


def test_a_dead_amplifier_and_nan_columns_are_masked_and_said(night, tmp_path):
    def damage(raw):
        raw[:, :1024] = 950.0
        raw[:, 1500:1510] = np.nan
        return raw

    night.calibrations()
    night.science(change=damage)
    result = run(night.folder, tmp_path / "out")
    assert any("amplifier 1 is dead" in flag for flag in only_row(result)["flags"])
    with fits.open(result.files[0]) as hdus:
        counts, row = hdus["OBJECT1"].data["COUNTS"], hdus["OBJECT1"].data["ROW"]
    assert not np.isfinite(counts[row < 1024]).any()
    assert not np.isfinite(counts[(row >= 1500) & (row < 1510)]).any()
    assert abs(np.nanmean(counts[(row > 1100) & (row < 1900)]) / 400 - 1) < 0.02


def test_an_empty_slit_has_no_object(night, tmp_path):
    night.calibrations()
    night.science(objects=())
    row = only_row(run(night.folder, tmp_path / "out"))
    assert (row["status"], row["objects"]) == ("reduced", 0)


def test_two_overlapping_objects_keep_their_fluxes(night, tmp_path):
    night.calibrations()
    night.science(objects=((26.0, 2.0, 500.0), (34.0, 2.0, 300.0)))
    result = run(night.folder, tmp_path / "out")
    assert only_row(result)["objects"] == 2
    with fits.open(result.files[0]) as hdus:
        means = sorted(float(np.nanmean(hdus[f"OBJECT{k}"].data["COUNTS"][100:1900])) for k in (1, 2))
    assert abs(means[0] / 300 - 1) < 0.03
    assert abs(means[1] / 500 - 1) < 0.03


def test_a_slit_mostly_full_of_object_says_that_its_sky_is_poorly_known(night, tmp_path):
    night.calibrations()
    night.science(objects=((30.0, 5.5, 30000.0),))
    assert any("the sky is poorly known" in flag for flag in only_row(run(night.folder, tmp_path / "out"))["flags"])


def test_a_full_disk_leaves_no_half_written_result(tmp_path, monkeypatch):
    store = Store(tmp_path / "work")

    def full(*_: object):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.once("key", lambda: np.zeros(3))
    assert list((tmp_path / "work").iterdir()) == []

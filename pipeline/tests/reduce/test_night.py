"""A made-up night through the command's own function: truth recovered, and every bad input a line among the problems."""

import numpy as np
import pytest
from astropy.io import fits

from specola_pipeline.errors import PipelineError
from specola_pipeline.organise import plan, scan
from specola_pipeline.reduce.run import run
from specola_pipeline.reduce.steps import Store, code_hash
from specola_pipeline.reduce.tasks import Calibrate, Parameters, perform

from .conftest import GRISM


def problems(result):
    return " | ".join(f"{one.file}: {one.words}" for one in result.problems)


def only_slit(result):
    assert len(result.masks) == 1
    assert len(result.masks[0].exposures) == 1
    assert len(result.masks[0].exposures[0].quality) == 1
    return result.masks[0].exposures[0].quality[0]


def spectra(result):
    return result.masks[0].images(0, 1).spectra


def rows_of(result):
    rows = result.masks[0].images(0, 1).window[0]
    return rows.start, rows.stop


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_flux_wavelength_and_errors_are_those_put_in_and_two_workers_make_the_same_bytes(night, tmp_path):
    night.calibrations()
    night.science()
    first = run(night.folder, tmp_path / "one")
    row, factor = only_slit(first), first.masks[0].exposures[0].barycentric
    assert (row.objects, first.problems) == (1, ())
    assert row.wavelength_rms < 0.05
    assert row.sky_chi < 1.05
    assert row.photon_limit < 1.15
    (one,) = spectra(first)
    part = slice(100, 1900)
    pull = ((one.flux - 400) / np.sqrt(one.variance))[part]
    assert abs(np.mean(one.flux[part]) / 400 - 1) < 0.01
    assert 0.9 < np.std(pull) < 1.1
    true = GRISM.wavelength(np.arange(*rows_of(first)) - GRISM.reference_pixel)
    assert np.sqrt(np.mean(((one.wavelength - true)[part] / 1.03) ** 2)) < 0.05
    assert 0.9998 < factor < 1.0002
    combined = next(first.masks[0].slits()).objects[0]
    seen = (combined.wavelength > 3600) & (combined.wavelength < 5300)
    assert abs(np.mean(combined.counts[seen]) / np.mean(400 / np.gradient(true)) - 1) < 0.02
    assert "no standard frame" in first.masks[0].odd[0]
    run(night.folder, tmp_path / "two", workers=2)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


@pytest.mark.slow
def test_workers_of_a_dask_scheduler_make_the_same_bytes(night, tmp_path):
    distributed = pytest.importorskip("distributed")
    night.calibrations()
    night.science()
    run(night.folder, tmp_path / "one")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        result = run(night.folder, tmp_path / "dask", scheduler=cluster.scheduler_address)
    assert result.problems == ()
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "dask")


def test_a_run_resumes_and_redoes_only_what_changed(night, tmp_path):
    night.calibrations()
    night.science()
    run(night.folder, tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.pickle")}
    next(iter(sorted(kept))).with_suffix(".123.part").write_bytes(b"left by a killed worker")
    run(night.folder, tmp_path, parameters=Parameters(objects=1))
    again = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.pickle")}
    assert {path: again[path] for path in kept} == kept
    assert len(again) - len(kept) == 4  # exposure and mask, each with one slit; the calibration is the same
    broken = max(kept, key=lambda path: path.stat().st_size)
    whole = broken.read_bytes()
    broken.write_bytes(whole[:1000])
    run(night.folder, tmp_path)
    assert broken.read_bytes() == whole


def test_keys_hold_the_code_of_the_run_and_a_worker_of_another_version_does_nothing(night, tmp_path):
    night.calibrations()
    night.science()
    (group,) = (one for one in plan(scan(night.folder)).groups if one.reducible)
    task = Calibrate.of(group)
    assert task.code == code_hash()
    other = Calibrate(task.setup, "another code")
    assert other.key != task.key
    with pytest.raises(PipelineError, match="another version"):
        perform(other, tmp_path / "work")
    assert list(tmp_path.glob("work/*")) == []


def test_a_missing_arc_is_named_and_nothing_is_reduced(night, tmp_path):
    night.calibrations()
    night.science()
    (night.folder / "arc.fits").unlink()
    result = run(night.folder, tmp_path / "out")
    assert "science.fits: no arc frame" in problems(result)
    assert result.masks == ()


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(PipelineError, match="holds no FITS files"):
        run(tmp_path, tmp_path / "out")


def test_a_saturated_flat_is_refused(night, tmp_path):
    night.calibrations(flat=lambda raw: np.where(raw > 5000, 65535, raw))
    night.science()
    assert "of the pixels are saturated" in problems(run(night.folder, tmp_path / "out"))


def test_the_wrong_lamp_fails_the_slit(night, tmp_path):
    night.calibrations(arc_lists=("ArI", "KrI"))
    night.science()
    assert "lamp" in problems(run(night.folder, tmp_path / "out"))


def test_broken_foreign_and_duplicate_files_are_listed_and_the_rest_is_reduced(night, tmp_path):
    night.calibrations()
    good = night.science()
    (night.folder / "twin.fits").write_bytes(good.read_bytes())
    cut = night.science("cut")
    cut.write_bytes(cut.read_bytes()[:200_000])
    night.science("nodate", header={"DATE-BEG": None})
    (night.folder / "text.fits").write_text("no FITS file")
    fits.PrimaryHDU(np.zeros((5, 5))).writeto(night.folder / "foreign.fits")
    result = run(night.folder, tmp_path / "out")
    said = problems(result)
    for words in (
        "same header and pixels as",
        "cut.fits: broken",
        "nodate.fits: unclear",
        "text.fits: broken",
        "foreign.fits: for",
    ):
        assert words in said
    assert len(result.problems) == 5
    assert only_slit(result).objects == 1


def test_a_dead_amplifier_and_nan_columns_are_masked_and_said(night, tmp_path):
    def damage(raw):
        raw[:, :1024] = 950.0
        raw[:, 1500:1510] = np.nan
        return raw

    night.calibrations()
    night.science(change=damage)
    result = run(night.folder, tmp_path / "out")
    assert any("amplifier 1 is dead" in word for word in result.masks[0].exposures[0].odd)
    counts, row = spectra(result)[0].flux, np.arange(*rows_of(result))
    assert not np.isfinite(counts[row < 1024]).any()
    assert not np.isfinite(counts[(row >= 1500) & (row < 1510)]).any()
    assert abs(np.nanmean(counts[(row > 1100) & (row < 1900)]) / 400 - 1) < 0.02


@pytest.mark.parametrize(("place", "first", "light"), [(31, 1000, 0.2), (30, 0, 0.2), (31, 0, 0.6)])
def test_a_bad_column_is_masked_looks_like_no_object_and_costs_no_flux(night, tmp_path, place, first, light):
    """It sees part of the light, in the flat, too; in the middle of the object or beside it, from a row on or all along."""

    def damage(raw):
        raw[place, first:2048] = 950 + light * (raw[place, first:2048] - 950)
        return raw

    night.calibrations(flat=damage)
    night.science(change=damage)
    images = run(night.folder, tmp_path / "out").masks[0].images(0, 1)
    (one,) = images.spectra
    part = slice(1050, 1900)
    bad = (images.mask[part] > 0).mean(axis=0) > 0.99
    assert bad.sum() == 1
    if first:
        assert not np.any((images.mask[:900, 3:-3] > 0).mean(axis=0) > 0.5)
    flux = one.flux[part]
    assert abs(np.mean(flux) / 400 - 1) < 0.01
    assert 0.9 < np.std((flux - np.mean(flux)) / np.sqrt(one.variance[part])) < 1.1


def test_an_empty_slit_has_no_object(night, tmp_path):
    night.calibrations()
    night.science(objects=())
    result = run(night.folder, tmp_path / "out")
    assert only_slit(result).objects == 0
    assert next(result.masks[0].slits()).objects == ()


def test_two_overlapping_objects_keep_their_fluxes(night, tmp_path):
    night.calibrations()
    night.science(objects=((26.0, 2.0, 500.0), (34.0, 2.0, 300.0)))
    found = spectra(run(night.folder, tmp_path / "out"))
    means = sorted(float(np.nanmean(one.flux[100:1900])) for one in found)
    assert len(means) == 2
    assert abs(means[0] / 300 - 1) < 0.03
    assert abs(means[1] / 500 - 1) < 0.03


def test_a_slit_mostly_full_of_object_says_that_its_sky_is_poorly_known(night, tmp_path):
    night.calibrations()
    night.science(objects=((30.0, 5.5, 30000.0),))
    assert any("the sky is poorly known" in word for word in only_slit(run(night.folder, tmp_path / "out")).odd)


def test_equal_results_are_equal_bytes_whoever_made_their_dtypes(tmp_path):
    store, own, copied = Store(tmp_path), np.zeros((3, 4)), np.zeros((3, 4)).view(np.dtype(float, copy=True))
    store.save("one", (own, own[:, ::2], np.float64(1.0)))
    store.save("two", (own, copied[:, ::2], np.float64(1.0)))
    assert store.path("one").read_bytes() == store.path("two").read_bytes()
    assert np.array_equal(store.load("two")[1], own[:, ::2])


def test_a_full_disk_leaves_no_half_written_result(tmp_path, monkeypatch):
    store = Store(tmp_path / "work")

    def full(*_: object):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="No space left"):
        store.save("key", np.zeros(3))
    assert list((tmp_path / "work").iterdir()) == []

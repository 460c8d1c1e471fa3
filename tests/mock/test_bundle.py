"""The mock as a bundle: the same for the same seed, right by the contract, and said to be simulated."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from ingest.check import check_bundle
from ingest.errors import BundleError
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock


def _digest(path: Path) -> dict[str, str]:
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def _table(bundle: Path, name: str) -> dict[str, list]:
    path = bundle / ("manifest.parquet" if name == "spectra" else f"catalogues/{name}.parquet")
    return pq.read_table(path).to_pydict()


def test_contract(bundle):
    opened = check_bundle(bundle)
    assert opened.schema == "demo_r1"
    assert opened.description["counts"]["spectra"] == 600
    assert 5900 < opened.description["counts"]["photometry"] < 6200


def test_same_bytes_for_any_number_of_workers(mock, bundle, tmp_path):
    write_mock(tmp_path / "again", mock, workers=1)
    assert _digest(tmp_path / "again") == _digest(bundle)


def test_another_seed_is_another_sky(mock, bundle, tmp_path):
    write_mock(tmp_path / "other", Mock(mock.spectra, mock.seed + 1))
    first, second = _table(bundle, "truth"), _table(tmp_path / "other", "truth")
    assert first["z_true"] != second["z_true"]


@pytest.mark.parametrize("count", [1, 2, 261])
def test_any_size(tmp_path, count):
    assert write_mock(tmp_path / "small", Mock(count, 2), workers=1)["spectra"] == count
    check_bundle(tmp_path / "small")


@pytest.mark.parametrize("wrong", [{"spectra": 0}, {"spectra": 2_000_000}, {"seed": -1}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Mock(**wrong)


def test_nothing_is_overwritten_unasked(mock, bundle):
    before = (bundle / "bundle.json").stat().st_mtime_ns
    with pytest.raises(BundleError, match="overwrite"):
        write_mock(bundle, mock)
    assert (bundle / "bundle.json").stat().st_mtime_ns == before


def test_tables_join(bundle):
    spectra, redshifts, truth = (_table(bundle, name) for name in ("spectra", "redshifts", "truth"))
    parents, slits, pointings = (_table(bundle, name) for name in ("photometry", "slits", "pointings"))
    assert set(spectra["object_id"]) <= set(parents["object_id"])
    assert len(set(parents["object_id"])) == len(parents["object_id"])
    assert set(slits["object_id"]) <= set(spectra["object_id"])
    assert spectra["spectrum_id"] == redshifts["spectrum_id"] == truth["spectrum_id"]
    assert set(spectra["slit_id"]) == set(slits["slit_id"])
    assert set(slits["pointing_id"]) == set(pointings["pointing_id"])
    position = dict(zip(parents["object_id"], zip(parents["ra"], parents["dec"], strict=True), strict=True))
    assert all(position[o] == (ra, dec) for o, ra, dec in zip(spectra["object_id"], spectra["ra"], spectra["dec"], strict=True))
    observed = {o for o, seen in zip(parents["object_id"], parents["observed"], strict=True) if seen}
    assert observed == set(spectra["object_id"])
    targets = {o for o, target in zip(parents["object_id"], parents["target"], strict=True) if target}
    assert set(slits["object_id"]) <= targets


def test_footprints_contain_their_slits(bundle):
    slits, pointings = _table(bundle, "slits"), _table(bundle, "pointings")
    footprints = {p: np.array(f).reshape(-1, 2) for p, f in zip(pointings["pointing_id"], pointings["footprint"], strict=True)}
    areas = [_area(corners) for corners in footprints.values()]
    np.testing.assert_allclose(areas, 56.0, rtol=1e-3)
    for pointing, ra, dec in zip(slits["pointing_id"], slits["ra"], slits["dec"], strict=True):
        corners = footprints[pointing]
        following = np.roll(corners, -1, axis=0)
        # Inside of a polygon that runs counter-clockwise on the sky, where longitude grows to the left, is left of every edge.
        east, north = (following - corners).T
        assert np.all(east * (dec - corners[:, 1]) - north * (ra - corners[:, 0]) > 0)


def _area(corners: np.ndarray) -> float:
    """Signed area, arcmin2."""
    x, y = corners[:, 0] * np.cos(np.radians(corners[:, 1].mean())) * 60, corners[:, 1] * 60
    return float(0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


def test_selection_is_in_the_catalogue(bundle):
    parents = _table(bundle, "photometry")
    for target, mag in zip(parents["target"], parents["mag_selection"], strict=True):
        assert not target or 17.5 < mag < 22.5
    rate = np.mean(parents["target"])
    assert 0.3 < rate < 0.55


def test_everything_says_it_is_simulated(bundle):
    description = json.loads((bundle / "bundle.json").read_text())
    assert description["simulated"] is True
    assert "simulated" in description["title"]
    assert "simulated" in description["notes"][0]
    spectra = _table(bundle, "spectra")
    assert all(spectra["simulated"])
    assert all(title.startswith("Simulated spectrum") for title in spectra["title"])
    assert all("imulated" in name for column in ("facility", "instrument", "disperser") for name in spectra[column])
    for path in spectra["file"][::97]:
        with fits.open(bundle / path, checksum=True) as hdus:
            assert hdus[0].header["SIMULATE"] is True
            assert hdus[0].header["OBJECT"].startswith("DEMO ")
            assert hdus[1].header["TITLE"].startswith("Simulated")


def test_files_are_what_the_manifest_says(bundle):
    spectra = _table(bundle, "spectra")
    for i in range(0, 600, 37):
        with fits.open(bundle / spectra["file"][i], checksum=True) as hdus:
            hdus.verify("exception")
            one = hdus[1].data[0]
            good = one["QUAL"] == 0
            assert good.sum() == spectra["n_valid"][i]
            assert np.median(one["FLUX"][good] / one["ERR"][good]) == pytest.approx(spectra["snr"][i], rel=1e-4)
            assert np.isfinite(one["FLUX"][good]).all()
            assert (one["ERR"][good] > 0).all()
            assert np.isnan(one["FLUX"][one["QUAL"] == 1]).all()
            covered = one["WAVE"][np.isfinite(one["FLUX"])]
            assert (covered[0], covered[-1]) == (spectra["wave_min"][i], spectra["wave_max"][i])
            assert hdus[1].header["TUNIT2"] == hdus[1].header["TUNIT3"] == hdus[1].header["TUNIT5"]


def test_masked_and_missing_pixels_occur(bundle):
    spectra = _table(bundle, "spectra")
    assert any(n < 557 for n in spectra["n_valid"])
    bits = 0
    for path in spectra["file"]:
        with fits.open(bundle / path) as hdus:
            bits |= int(np.bitwise_or.reduce(hdus[1].data[0]["QUAL"]))
    assert bits == 3


def test_labels_follow_their_components(bundle):
    redshifts = _table(bundle, "redshifts")
    for label, confidence, broad, second, agrees in zip(
        *(redshifts[name] for name in ("flag_label", "confidence", "broad_line", "secondary", "photoz_agreement")), strict=True
    ):
        decimal = {"inside": ".5", "near": ".4", "incompatible": ".2", "none": ".1", None: ""}[agrees]
        assert label == f"{'2' if second else ''}{'1' if broad else ''}{confidence}{decimal}"

"""The bundle of a reduction: numbers come through, files follow their standards, what failed is in it, provenance is whole."""

import hashlib
import json
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from specola_bundle.errors import BundleError, SourceError
from specola_bundle.sdp.validate import validate
from specola_bundle.survey import load_survey
from specola_bundle.workfile import WorkFile
from specola_pipeline.bundle.write import write_bundle
from specola_pipeline.instruments import Kind
from specola_pipeline.names import spectrum_name
from specola_pipeline.quality.rows import judge

from .conftest import RESPONSE, WAVE, exposure, mask, quality, reduction, slit, thing

SURVEY = """
[bundle]
survey = "deep"
release = "night1"
title = "A made-up survey"
description = "Spectra of galaxies that nobody observed, for tests."
creators = ["Nobody, N."]
rights = "CC0"

[reader]
target_name = "DEEP {object_id}"

[reader.cards]
DATE = "2026-11-25"
"""


@pytest.fixture
def survey(tmp_path):
    path = tmp_path / "survey.toml"
    path.write_text(SURVEY)
    return load_survey(path)


@pytest.fixture
def bundle(small, survey, tmp_path):
    write_bundle(small, judge(small), survey, tmp_path / "bundle")
    return tmp_path / "bundle"


def rows(bundle, name):
    path = "manifest.parquet" if name == "spectra" else f"catalogues/{name}.parquet"
    return pq.read_table(bundle / path).to_pylist()


def test_fluxes_errors_and_wavelengths_are_those_of_the_reduction(bundle):
    row = rows(bundle, "spectra")[0]
    assert (row["spectrum_id"], row["object_id"], row["target_name"]) == ("vimos_20141209_Q2_MR_77001_001_1", "GAL1", "DEEP GAL1")
    assert (row["wave_medium"], row["wave_frame"], row["flux_calib"], row["n_exposures"]) == ("vacuum", "BARYCENT", "ABSOLUTE", 2)
    assert (row["t_min"], row["n_valid"], row["exptime"]) == (57000.25, WAVE.size - 2, 2400.0)
    assert row["t_max"] == pytest.approx(57000.265 + 1200 / 86400, abs=1e-9)
    assert row["snr"] == pytest.approx(400 / np.sqrt(1300), rel=1e-6)
    with fits.open(bundle / row["file"], checksum=True) as hdus:
        table = {name: hdus[1].data[name][0] for name in hdus[1].columns.names}
    assert np.array_equal(table["WAVE"], WAVE)
    assert np.allclose(table["FLUX"][2:], 400 * RESPONSE[2:] * 1e17, rtol=1e-12)
    assert np.allclose(table["ERR"][2:], np.sqrt(1300) * RESPONSE[2:] * 1e17, rtol=1e-12)
    assert np.allclose(table["BGFLUX"][2:], 900 * RESPONSE[2:] * 1e17, rtol=1e-6)
    assert np.isnan(table["FLUX"][:2]).all()
    assert table["QUAL"].tolist() == [1, 1] + [0] * (WAVE.size - 2)
    assert set(table["EXPOSURE"]) == {2400.0}


def test_files_follow_esos_standard(bundle):
    for row in rows(bundle, "spectra"):
        header = fits.getheader(bundle / row["file"])
        assert [header[key] for key in ("PROG_ID", "OBID1", "PROV1", "PROV2", "OBSTECH", "FLUXERR")] == [
            "194.A-2003", 123, "first.fits", "second.fits", "MOS", 2.0,
        ]  # fmt: skip
        assert [str(breach) for breach in validate(bundle / row["file"]) if not breach.note] == []


def test_the_work_file_is_pandoras_with_the_slit_in_the_fluxs_unit(bundle, small):
    row = next(one for one in rows(bundle, "spectra") if one["object_id"] == "GAL3-2")
    work = WorkFile.read(bundle / row["work_file"])
    assert [hdu.name for hdu in work.hdus[1:]] == ["NOISE", "SKY", "EXR2D", "NOISE2D", "EXR1D"]
    assert np.allclose(work.wave, WAVE, rtol=1e-12)
    assert (work.pnd["OBJID"], work.pnd["SLIT"], work.pnd["OBJ"]) == ("GAL3-2", 3, 2)
    two = small.masks[0].load_slit(3).rectified.flux * RESPONSE * 1e17
    assert np.allclose(work.hdu("EXR2D").data[:, 2:], two[:, 2:], rtol=1e-5, atol=1e-6)
    band = np.abs(WAVE - 7640) < 40
    assert np.allclose(work.hdu("EXR1D").data[band], 0.5 * work.flux[band])
    assert hashlib.sha256((bundle / row["work_file"]).read_bytes()).hexdigest() == row["work_sha256"]


def test_without_a_standard_star_spectra_stay_in_electrons(uncalibrated, survey, tmp_path):
    write_bundle(uncalibrated, judge(uncalibrated), survey, tmp_path / "bundle")
    (row,) = rows(tmp_path / "bundle", "spectra")
    assert (row["flux_unit"], row["flux_calib"]) == ("ct", "UNCALIBRATED")
    with fits.open(tmp_path / "bundle" / row["file"]) as hdus:
        assert np.allclose(hdus[1].data["FLUX"][0][2:], 400 * 2.5)
        assert hdus[0].header["FLUXERR"] == -1


def test_quality_is_in_the_bundle_and_failed_slits_are_flagged(bundle):
    states = {row["object_id"]: row["qc_state"] for row in rows(bundle, "spectra")}
    assert states == {"GAL1": "accepted", "GAL3": "unsure", "GAL3-2": "unsure", "GAL9": "unsure"}
    rejected = {(row["file"], row["slit"]): row["flags"] for row in rows(bundle, "quality") if row["state"] == "rejected"}
    assert "saturated" in rejected["second.fits", "GAL9"]
    assert "can not be read" in rejected["cut.fits", None]
    assert len(rows(bundle, "slits")) == 4
    (pointing,) = rows(bundle, "pointings")
    assert (pointing["quadrant"], pointing["exptime"], pointing["n_slits"]) == (2, 2400.0, 4)


def test_provenance_leads_from_every_spectrum_to_every_raw_frame(bundle):
    document = json.loads((bundle / "provenance.json").read_text())
    made = {one["prov:entity"]: one["prov:activity"] for one in document["wasGeneratedBy"].values()}
    used = {one["prov:entity"]: one["prov:role"] for one in document["used"].values()}
    assert sorted(used.values()) == ["calibration"] * 3 + ["exposure"] * 2
    for row in rows(bundle, "spectra"):
        entity = f"specola:spectrum/{row['spectrum_id']}"
        assert document["entity"][entity]["specola:sha256"] == row["file_sha256"]
        assert made[entity] in document["activity"]
        sources = {one["prov:usedEntity"] for one in document["wasDerivedFrom"].values() if one["prov:generatedEntity"] == entity}
        assert sources == {name for name, role in used.items() if role == "exposure"}
    named = {one for kind in ("used", "wasDerivedFrom", "hadMember") for r in document[kind].values() for one in r.values()}
    assert {one for one in named if one.startswith("specola:") and "reduction/" not in one} <= set(document["entity"])
    assert all(len(document["entity"][one]["specola:sha256"]) == 64 for one in used)
    assert any(name.endswith("specola-pipeline") for name in document["agent"])


def test_twice_the_same_spectra_and_nothing_overwritten_unasked(small, survey, tmp_path):
    write_bundle(small, judge(small), survey, tmp_path / "bundle")
    first = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "bundle").rglob("*") if path.is_file()}
    with pytest.raises(BundleError, match="existing"):
        write_bundle(small, judge(small), survey, tmp_path / "bundle")
    write_bundle(small, judge(small), survey, tmp_path / "bundle", overwrite=True)
    again = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "bundle").rglob("*") if path.is_file()}
    assert set(first) == set(again)
    assert {path.name for path in first if first[path] != again[path]} <= {"bundle.json"}, "only its time of creation may differ"


def test_a_full_disk_leaves_what_was_there(small, survey, tmp_path, monkeypatch):
    write_bundle(small, judge(small), survey, tmp_path / "bundle")
    before = (tmp_path / "bundle/bundle.json").read_bytes()
    written = []

    def full(path, *_: object, **__: object):
        written.append(path)
        if len(written) > 2:
            raise OSError(28, "No space left on device")
        return 1, "0" * 64

    monkeypatch.setattr("specola_bundle.build.write_spectrum", full)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(small, judge(small), survey, tmp_path / "bundle", overwrite=True)
    assert (tmp_path / "bundle/bundle.json").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_a_reduction_of_nothing_but_standards_makes_no_bundle(survey, tmp_path):
    star = mask([slit(1)], [exposure("star.fits", [quality(1)])], kind=Kind.STANDARD)
    with pytest.raises(SourceError, match="no spectrum"):
        write_bundle(reduction([star]), judge(reduction([star])), survey, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_frame_without_position_makes_a_spectrum_without_one(survey, tmp_path):
    one = mask([slit(1, (replace(thing(), ra=None, dec=None),), ra=None, dec=None)], [exposure("a.fits", [quality(1)])])
    entry = replace(one.exposures[0].entry, frame=replace(one.exposures[0].entry.frame, ra=None, dec=None))
    one = replace(one, exposures=(replace(one.exposures[0], entry=entry),), group=replace(one.group, entries=(entry,)))
    write_bundle(reduction([one]), judge(reduction([one])), survey, tmp_path / "bundle")
    (row,) = rows(tmp_path / "bundle", "spectra")
    assert (row["ra"], row["pointing_id"], row["wave_frame"]) == (None, None, "TOPOCENT")


def test_names_are_unique_and_within_the_contract(small):
    group = small.masks[0].group
    long = replace(group, mask="a-very-long-name-of-a-mask-that-somebody-thought-of-in-the-night-before-observing")
    names = {spectrum_name(one, number, k) for one in (group, long) for number in (1, 12) for k in (1, 2)}
    assert len(names) == 8
    assert all(len(name) <= 64 for name in names)


def test_the_surveys_constants_are_kept(small, survey, tmp_path):
    told = replace(survey, constants=MappingProxyType({"reference": "2026A&A...1..1A", "simulated": True}))
    write_bundle(small, judge(small), told, tmp_path / "bundle")
    assert {(row["reference"], row["simulated"]) for row in rows(tmp_path / "bundle", "spectra")} == {("2026A&A...1..1A", True)}

"""From raw frames to the Virtual Observatory: the reduction's command, its bundle as it is, and what the archive then serves."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import pyvo
import requests
from astropy.io import fits

from ingest.check import check_bundle
from ingest.load import ingest_bundle
from ingest.present import loaded_releases
from ingest.readers import pandora
from ingest.removal import remove_release
from ops.house import Archive
from specola_bundle.sdp.validate import validate
from specola_bundle.survey import load_survey

SURVEY = """
[bundle]
survey = "kasttest"
release = "night1"
title = "A night with Shane/Kast"
description = "Raw frames of Shane/Kast (blue arm) that PypeIt's developers published, reduced by Specola."
creators = ["Nobody, N."]
rights = "BSD-3-Clause"
references = ["2020JOSS....5.2308P"]

[spectra]
reference = "2020JOSS....5.2308P"

[reader.cards]
DATE = "2026-11-25"
"""


@pytest.fixture(scope="module")
def reduced(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The command as a reducer types it, on the eight raw frames (the reduction beside them is not for it)."""
    frames = sorted((shared_data / "raw" / "kast_pypeit").glob("b*.fits.gz"))
    if len(frames) != 8:
        pytest.skip("the raw frames of Kast are not there (SPECOLA_SHARED_DATA)")
    folder = tmp_path_factory.mktemp("night")
    (folder / "raw").mkdir()
    for frame in frames:
        (folder / "raw" / frame.name).symlink_to(frame)
    (folder / "survey.toml").write_text(SURVEY)
    command = ["specola-reduce", "run", "raw", "reduced", "--survey", "survey.toml", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(folder=folder, said=json.loads(done.stdout), bundle=folder / "reduced" / "bundle", command=command)


@pytest.fixture(scope="module")
def row(reduced: SimpleNamespace) -> dict[str, Any]:
    """The science spectrum's row of the manifest."""
    (found,) = pq.read_table(reduced.bundle / "manifest.parquet").to_pylist()
    return dict(found)


@pytest.fixture(scope="module")
def served(reduced: SimpleNamespace, archive: Archive) -> Iterator[str]:
    """Schema of the release made of the bundle as it is."""
    if "kasttest_night1" in loaded_releases(archive):
        remove_release("kasttest_night1", archive)
    yield ingest_bundle(reduced.bundle, archive).schema
    remove_release("kasttest_night1", archive)


def test_the_bundle_holds_to_the_contract_and_its_files_to_esos_standard(reduced: SimpleNamespace, row: dict[str, Any]) -> None:
    opened = check_bundle(reduced.bundle)
    assert {name: table.rows for name, table in opened.tables.items()} == {"spectra": 1, "pointings": 1, "slits": 1, "quality": 2}
    assert [str(one) for one in validate(reduced.bundle / row["file"]) if not one.note] == []
    assert (row["object_id"], row["flux_calib"], row["wave_frame"]) == ("J1217p3905", "ABSOLUTE", "BARYCENT")
    # the blue arm has no sky line between 3450 and 5500 Angstrom: that the arc alone gives the zero point is to be said
    assert row["qc_state"] == "unsure"
    assert "zero point" in next(one["flags"] for one in reduced.said["rows"] if one["file"] == "b27.fits.gz")


def test_the_archive_serves_the_flux_of_the_reduction(
    reduced: SimpleNamespace, row: dict[str, Any], served: str, archive: Archive, web: requests.Session
) -> None:
    ssa = pyvo.dal.SSAService(f"{archive.url}/{served}/q/ssap/ssap.xml")
    (found,) = [one for one in ssa.search(pos=(row["ra"], row["dec"]), diameter=0.05, format="fits")]  # noqa: C416 - rows
    answer = web.get(found.acref)
    assert answer.content == (reduced.bundle / row["file"]).read_bytes()
    with fits.open(io.BytesIO(answer.content)) as hdus:
        table = {name: hdus[1].data[name][0] for name in hdus[1].columns.names}
    with fits.open(reduced.bundle / row["work_file"]) as hdus:
        assert np.allclose(hdus[0].data, table["FLUX"], rtol=1e-6, equal_nan=True)
        assert hdus["EXR2D"].data.shape[1] == table["FLUX"].size
    good = table["QUAL"] == 0
    assert good.sum() > 1500
    assert np.median(table["FLUX"][good] / table["ERR"][good]) == pytest.approx(row["snr"], rel=1e-6)


def test_datalink_leads_to_spectrum_work_file_and_plot(
    reduced: SimpleNamespace, row: dict[str, Any], served: str, archive: Archive, web: requests.Session
) -> None:
    identifier = f"ivo://{archive.authority}/{served}/q/ssap?{row['spectrum_id']}"
    address = requests.Request("GET", f"{archive.url}/{served}/q/dl/dlmeta", params={"ID": identifier}).prepare().url
    links = pyvo.dal.adhoc.DatalinkResults.from_result_url(address)
    urls = {str(link.semantics): link.access_url for link in links}
    assert {"#this", "#progenitor", "#thumbnail"} <= set(urls)
    assert web.get(urls["#progenitor"]).content == (reduced.bundle / row["work_file"]).read_bytes()


def test_the_table_of_quality_answers_in_adql(served: str, archive: Archive) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    table = tap.search(f"SELECT file, state, wavelength_rms, sky_chi FROM {served}.quality ORDER BY file").to_table()
    assert list(table["file"]) == ["b24.fits.gz", "b27.fits.gz"]
    assert all(table["wavelength_rms"] <= 0.05)


def test_the_work_file_is_one_that_the_reader_of_pandoras_files_takes(reduced: SimpleNamespace, row: dict[str, Any]) -> None:
    survey = load_survey(Path("easylife"))
    reading = pandora.read_file(reduced.bundle / row["work_file"], survey)
    assert reading.row["object_id"] == row["object_id"]
    with fits.open(reduced.bundle / row["file"]) as hdus:
        assert np.allclose(reading.data.wave, hdus[1].data["WAVE"][0], rtol=1e-9)


def test_the_same_command_again_resumes_and_gives_the_same_spectrum(reduced: SimpleNamespace, row: dict[str, Any]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (reduced.folder / "reduced" / "work").rglob("*") if path.is_file()}
    done = subprocess.run(reduced.command, cwd=reduced.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    (again,) = pq.read_table(reduced.bundle / "manifest.parquet").to_pylist()
    assert again == row

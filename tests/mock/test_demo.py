"""The demonstration's commands, and its questions to real services."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.load import ingest_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from ingest.present import loaded_releases
from ingest.removal import remove_release
from ops.house import Archive, House
from specola.cli import app
from specola.commands import demo
from specola.questions import ask


def test_mock_command_writes_a_bundle(tmp_path):
    run = CliRunner().invoke(app, ["mock", str(tmp_path / "m"), "--spectra", "50", "--seed", "4", "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["counts"]["spectra"] == 50
    again = CliRunner().invoke(app, ["mock", str(tmp_path / "m"), "--spectra", "50"])
    assert again.exit_code == 1
    assert "overwrite" in again.output


@pytest.mark.parametrize("command", ["mock", "demo"])
def test_help_has_examples(command):
    run = CliRunner().invoke(app, [command, "--help"])
    assert run.exit_code == 0
    assert f"specola {command}" in run.output
    assert "Examples" in run.output


def test_bundle_is_kept_for_the_same_parameters_and_made_anew_for_others(tmp_path):
    said: list[str] = []
    path = tmp_path / "bundles" / "demo_r1"
    demo._make_bundle(path, Mock(40, 1), said.append)
    made = (path / "bundle.json").stat().st_mtime_ns
    demo._make_bundle(path, Mock(40, 1), said.append)
    assert (path / "bundle.json").stat().st_mtime_ns == made
    demo._make_bundle(path, Mock(41, 1), said.append)
    assert (path / "bundle.json").stat().st_mtime_ns != made
    (path / "bundle.json").write_text("{ half of it")
    demo._make_bundle(path, Mock(41, 1), said.append)
    assert json.loads((path / "bundle.json").read_text())["counts"]["spectra"] == 41
    assert len(said) == 3


def test_silence_is_an_answer_with_an_error(tmp_path):
    nobody = House(var=tmp_path, base_port=64990, repository=Path(__file__).resolve().parents[2]).archive("public")
    answers = ask(nobody, "demo_r1")
    assert [answer.service for answer in answers] == ["TAP"]
    assert answers[0].error


@pytest.fixture(scope="module")
def archive(house: House, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The public archive of the tests' installation with a mock in it."""
    from ingest.check import check_bundle

    archive = house.archive("public")
    path = tmp_path_factory.mktemp("demo") / "demo"
    # The same mock as in tests/vo, so that whoever comes second finds it loaded.
    write_mock(path, Mock(spectra=200, seed=7))
    bundle = check_bundle(path)
    present = loaded_releases(archive).get(bundle.schema)
    if present is not None and present != bundle.identity:
        remove_release(bundle.schema, archive)
    ingest_bundle(path, archive)
    return archive


def test_all_questions_are_answered(archive):
    answers = ask(archive, "demo_r1")
    assert [(answer.service, answer.error) for answer in answers] == [("TAP", None), ("SSAP", None), ("Datalink", None)]
    assert all(len(answer.rows) >= 1 for answer in answers)
    assert "557 pixels" in answers[2].conclusion


def test_what_is_to_be_tried_works(archive):
    import pyvo

    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    histogram = tap.search(demo.HISTOGRAM).to_table()
    assert sum(histogram["n"]) > 100
    assert list(histogram["z_bin"]) == sorted(histogram["z_bin"])
    tap.search(demo.WRONG).to_table()


def test_a_release_that_is_not_there_is_said_to_be_missing(archive):
    answers = ask(archive, "nothing_r9")
    assert len(answers) == 1
    assert "nothing_r9" in str(answers[0].error)


def test_a_file_that_is_not_the_published_one_is_noticed(archive, monkeypatch):
    from specola import questions

    monkeypatch.setattr(questions, "_download", lambda _: b"something else")
    answers = ask(archive, "demo_r1")
    assert "checksum" in str(answers[-1].error)


def test_questions_follow_the_archive(archive):
    """Another address is asked at another address."""
    answers = ask(replace(archive, url="http://127.0.0.1:9"), "demo_r1")
    assert answers[0].address == "http://127.0.0.1:9/tap"
    assert answers[0].error is not None

"""What is wrong with what the command is given is said before anything is reduced."""

import sys

import pytest
from typer.testing import CliRunner

from specola_pipeline.cli import app


@pytest.fixture
def survey(tmp_path):
    path = tmp_path / "survey.toml"
    path.write_text('[bundle]\nsurvey = "deep"\n')
    (tmp_path / "raw").mkdir()
    return path


def call(folder, *options: str):
    done = CliRunner().invoke(app, ["run", str(folder / "raw"), str(folder / "out"), *options])
    assert not (folder / "out").exists()
    return done.exit_code, " ".join(done.output.split())


def test_a_survey_without_what_a_bundle_needs(survey, tmp_path):
    status, said = call(tmp_path, "--survey", str(survey))
    assert status == 1
    assert "found no release in [bundle], expected one" in said


def test_bundles_without_the_package_that_writes_them(survey, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "specola_bundle"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "specola_bundle", None)
    status, said = call(tmp_path, "--survey", str(survey))
    assert status == 1
    assert "pip install ./bundle" in said


def test_wrong_thresholds(survey, tmp_path):
    limits = tmp_path / "limits.toml"
    limits.write_text("[sky_chii]\nunsure = 1\n")
    status, said = call(tmp_path, "--thresholds", str(limits))
    assert status == 1
    assert "[sky_chii]" in said

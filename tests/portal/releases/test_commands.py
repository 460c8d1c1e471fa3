"""``specola release`` as a manager types it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from ops.house import House
from specola.cli import app
from tests.ingest.load.releases import write_release

Command = Callable[..., Result]


@pytest.fixture
def release(portal: House, people) -> Command:
    """``release("freeze", schema)``; who acts comes from the environment."""

    environment = {**portal.environment, "COLUMNS": "120", "NO_COLOR": "1"}

    def run(*words: object, user: str = people.manager.username) -> Result:
        done = CliRunner().invoke(app, ["release", *map(str, words)], env={**environment, "SPECOLA_USER": user})
        sys.stdout.write(f"$ specola release {' '.join(map(str, words))}\n{done.stdout}{done.stderr}\n")
        return done

    return run


def test_a_release_by_the_command_line(release: Command, name: str, another: str, tmp_path: Path) -> None:
    first = write_release(tmp_path / "one", "r", 12)
    second = write_release(tmp_path / "two", "s", 14, changes={3: {"redshift": 0.7}})
    (tmp_path / "chosen.txt").write_text("L000001\nL000003\n")
    assert release("create", name, "--bundle", first, "-m", "the first year").exit_code == 0
    assert "12 files" not in release("freeze", name, "-m", "all is reconciled").stdout
    assert release("create", another, "--title", "The second year", "-m", "the second year").exit_code == 0
    done = release("add", another, second, "--spectra", tmp_path / "chosen.txt", "--spectrum", "L000013", "-m", "three of them")
    assert f"{another} is candidate: 3 spectra in 1 bundles." in done.stdout
    frozen = json.loads(release("freeze", another, "-m", "ready", "--json").stdout)
    assert (frozen["state"], frozen["counts"], frozen["parent"]) == ("frozen", {"spectra": 3, "redshifts": 3}, name)

    told = release("diff", another).stdout
    assert "12 → 3" in told
    assert "L000003 redshift: 0.13 → 0.7" in told
    changes = json.loads(release("diff", name, another, "-o", tmp_path / "changes.parquet", "--json").stdout)
    table = changes["tables"]["spectra"]
    assert (table["came"], table["went"], table["values"]["redshift"]) == (1, 10, 1)
    assert pq.read_table(tmp_path / "changes.parquet").to_pylist() == changes["changes"]
    assert release("diff", first, second, "-o", tmp_path / "changes.csv").exit_code == 0
    with (tmp_path / "changes.csv").open() as stream:
        assert {row["key"] for row in csv.DictReader(stream) if row["change"] == "came"} == {"L000012", "L000013"}
    assert "hold the same" in release("diff", first, first).stdout
    assert release("diff", first, second, "-o", tmp_path / "changes.txt").exit_code == 2

    assert "is what was frozen" in release("verify", another).stdout
    assert release("export", another, tmp_path / "copy").exit_code == 0
    sums = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "copy", check=False)
    assert sums.returncode == 0
    assert release("export", another, tmp_path / "copy").exit_code == 1
    assert release("export", "--download", another, tmp_path / "files").exit_code == 0
    assert (tmp_path / "files" / "catalogues" / "redshifts.parquet").exists()
    states = {row["release"]: row["state"] for row in json.loads(release("list", "--survey", "loadtest", "--json").stdout)}
    assert (states[name], states[another]) == ("frozen", "frozen")

    assert release("stage", another, "-m", "for the team to try").exit_code == 0
    assert release("embargo", another, "2099-06-01", "-m", "until the paper").exit_code == 0
    refused = release("promote", another, "-m", "now")
    assert refused.exit_code == 1
    assert "found an embargo until 2099-06-01 00:00 UTC" in refused.stderr
    assert release("promote", another, "--despite-embargo", "-m", "the referee asks for it").exit_code == 0
    shown = release("show", another).stdout
    assert "public" in shown
    assert "the referee asks for it" in shown
    assert "loadtest-manager" in shown
    assert release("withdraw", another, "--yes", "-m", "wrong calibration").exit_code == 0
    assert json.loads(release("show", another, "--json").stdout)["state"] == "deprecated"


def test_what_keeps_a_release_from_being_frozen_is_a_table(release: Command, name: str, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", "r", 3, changes={1: {"snr": 9.0}, 2: {"snr": 9.0}})
    assert release("create", name, "--bundle", path, "-m", "x").exit_code == 0
    refused = release("freeze", name, "-m", "ready")
    assert refused.exit_code == 1
    assert "1 problem in the spectra" in refused.stderr
    row = next(line for line in refused.stderr.splitlines() if "SNR" in line)
    assert [cell.strip() for cell in row.split("│")[1:3]] == ["HDU 0, SNR of 2 spectra, first L000001", "9"]


def test_what_the_command_line_refuses(release: Command, name: str, people, tmp_path: Path) -> None:
    assert release("create", name, "-m", "x", user="nobody-here").stderr.count("found no user 'nobody-here'") == 1
    denied = release("create", name, "-m", "x", user=people.member.username)
    assert denied.exit_code == 1
    assert "may not make, freeze, stage, promote and withdraw releases" in denied.stderr
    assert "Traceback" not in denied.stderr
    missing = release("show", name)
    assert missing.exit_code == 1
    assert f"found no release '{name}'" in missing.stderr
    assert release("create", name).exit_code == 2, "a reason is wanted"

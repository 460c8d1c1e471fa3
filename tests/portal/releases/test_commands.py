"""``specola release`` as a manager types it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ops.house import House
from tests.ingest.load.releases import write_release

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def release(portal: House, people) -> Command:
    """``release("freeze", schema)``; who acts comes from the environment."""

    def run(*words: object, user: str = people.manager.username) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **portal.environment, "SPECOLA_USER": user, "COLUMNS": "120", "NO_COLOR": "1"}
        program = Path(sys.executable).parent / "specola"
        command = [program, "release", *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        sys.stdout.write(f"$ specola release {' '.join(map(str, words))}\n{done.stdout}{done.stderr}\n")
        return done

    return run


def test_a_release_by_the_command_line(release: Command, name: str, another: str, tmp_path: Path) -> None:
    first = write_release(tmp_path / "one", "r", 12)
    second = write_release(tmp_path / "two", "s", 14, changes={3: {"redshift": 0.7}})
    (tmp_path / "chosen.txt").write_text("L000001\nL000003\n")
    assert release("create", name, "--bundle", first, "-m", "the first year").returncode == 0
    assert "12 files" not in release("freeze", name, "-m", "all is reconciled").stdout
    assert release("create", another, "--title", "The second year", "-m", "the second year").returncode == 0
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
    assert release("diff", first, second, "-o", tmp_path / "changes.csv").returncode == 0
    with (tmp_path / "changes.csv").open() as stream:
        assert {row["key"] for row in csv.DictReader(stream) if row["change"] == "came"} == {"L000012", "L000013"}
    assert "hold the same" in release("diff", first, first).stdout
    assert release("diff", first, second, "-o", tmp_path / "changes.txt").returncode == 2

    assert "is what was frozen" in release("verify", another).stdout
    assert release("export", another, tmp_path / "copy").returncode == 0
    sums = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "copy", check=False)
    assert sums.returncode == 0
    assert release("export", another, tmp_path / "copy").returncode == 1
    states = {row["release"]: row["state"] for row in json.loads(release("list", "--survey", "loadtest", "--json").stdout)}
    assert (states[name], states[another]) == ("frozen", "frozen")

    assert release("stage", another, "-m", "for the team to try").returncode == 0
    assert release("embargo", another, "2099-06-01", "-m", "until the paper").returncode == 0
    refused = release("promote", another, "-m", "now")
    assert refused.returncode == 1
    assert "found an embargo until 2099-06-01 00:00 UTC" in refused.stderr
    assert release("promote", another, "--despite-embargo", "-m", "the referee asks for it").returncode == 0
    shown = release("show", another).stdout
    assert "public" in shown
    assert "the referee asks for it" in shown
    assert "loadtest-manager" in shown
    assert release("withdraw", another, "--yes", "-m", "wrong calibration").returncode == 0
    assert json.loads(release("show", another, "--json").stdout)["state"] == "deprecated"


def test_what_the_command_line_refuses(release: Command, name: str, people, tmp_path: Path) -> None:
    assert release("create", name, "-m", "x", user="nobody-here").stderr.count("found no user 'nobody-here'") == 1
    denied = release("create", name, "-m", "x", user=people.member.username)
    assert denied.returncode == 1
    assert "may not make, freeze, stage, promote and withdraw releases" in denied.stderr
    assert "Traceback" not in denied.stderr
    missing = release("show", name)
    assert missing.returncode == 1
    assert f"found no release '{name}'" in missing.stderr
    assert release("create", name).returncode == 2, "a reason is wanted"

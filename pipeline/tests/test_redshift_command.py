"""``specola-reduce redshift`` on files, stopped and gone on with, and in several processes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from pipeline.tests.made_spectra import made
from specola_pipeline.cli import app
from specola_pipeline.redshift.run import measure_all, resume


def test_command_writes_goes_on_and_prints(tmp_path: Path) -> None:
    for number in range(3):
        one = made("early", 0.6, snr=5.0, seed=number)
        np.savetxt(tmp_path / f"s{number}.dat", np.column_stack([one.wave, one.flux, one.err]))
    files = [str(tmp_path / f"s{number}.dat") for number in range(3)]
    output = tmp_path / "z.jsonl"
    arguments = ["redshift", *files, "--medium", "vacuum", "--workers", "1", "--class", "GALAXY"]
    assert CliRunner().invoke(app, [*arguments, "--output", str(output)]).exit_code == 0
    whole = output.read_text("utf-8")
    rows = [json.loads(line) for line in whole.splitlines()]
    assert [row["spectrum"] for row in rows] == ["s0", "s1", "s2"]
    assert all(abs(row["z"] - 0.6) < 0.003 for row in rows)
    # Killed in the middle of the second line: what is whole is kept, the rest is done anew, and the file is the same.
    first = whole.splitlines(keepends=True)[0]
    (tmp_path / "z.jsonl.part").write_text(first + '{"spectrum": "s1", "z": 0.', "utf-8")
    assert CliRunner().invoke(app, [*arguments, "--output", str(output)]).exit_code == 0
    assert output.read_text("utf-8") == whole
    assert resume(tmp_path / "nothing") == set()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s0.dat", "s1.dat", "s2.dat", "z.jsonl"]
    # Stopped, and gone on with with other options: nothing of before is kept.
    (tmp_path / "z.jsonl.part").write_text(first.replace("GALAXY", "QSO"), "utf-8")
    (tmp_path / "z.jsonl.options").write_text('{"classes": ["QSO"], "reading": ["vacuum", null], "templates": []}', "utf-8")
    assert CliRunner().invoke(app, [*arguments, "--output", str(output)]).exit_code == 0
    assert output.read_text("utf-8") == whole
    printed = CliRunner().invoke(app, [*arguments, "--json"])
    assert [json.loads(line) for line in printed.stdout.splitlines() if line.startswith("{")] == rows
    wrong = CliRunner().invoke(app, ["redshift", str(tmp_path / "none.fits")])
    assert wrong.exit_code == 1
    assert "none.fits" in wrong.output.replace("\n", "")


def test_workers_agree() -> None:
    spectra = [made("early", 0.6, snr=5.0, seed=number) for number in range(10)]
    assert list(measure_all(spectra, 2, classes=("STAR",))) == list(measure_all(spectra, 1, classes=("STAR",)))

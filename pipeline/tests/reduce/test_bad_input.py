"""Bad input through the command: a clear line in the report for that frame or slit, the rest is reduced, the exit status says it.

What the algorithms make of each (a dead amplifier, NaN columns, overlapping objects, no sky …) is in tests/reduce/test_night.py.
"""

import json
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.polynomial import Polynomial

from specola_pipeline.quality.report import write_report
from specola_pipeline.quality.rows import judge
from specola_pipeline.reduce import run as module
from specola_pipeline.reduce.calibrate import _MASK_SEEN
from specola_pipeline.reduce.run import run
from specola_pipeline.reduce.traces import Slit, mask_shift

from .conftest import Night

SURVEY = """
[bundle]
survey = "bad"
release = "night1"
title = "A night with everything wrong"
description = "Frames made up for tests, most of them broken."
creators = ["Nobody, N."]
rights = "CC0"
"""


def command(folder, output, *options: str, limit=None):
    """``specola-reduce run`` as a process of its own, where *limit* bounds the bytes of a file that it may write."""
    call = [sys.executable, "-c", "from specola_pipeline.cli import app; app()", "run", str(folder), str(output), *options]
    bound = None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return subprocess.run(call, capture_output=True, text=True, check=False, preexec_fn=bound)


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """One good science frame among broken ones, reduced by the command with a bundle."""
    folder = tmp_path_factory.mktemp("bad")
    night = Night(folder / "raw")
    night.calibrations()
    good = night.science()
    (night.folder / "twin.fits").write_bytes(good.read_bytes())
    cut = night.science("cut")
    cut.write_bytes(cut.read_bytes()[:200_000])
    night.science("nodate", header={"DATE-BEG": None})
    night.science("othergrism", header={"GRISM_N": "452/3306"})
    night.science("nan", change=lambda raw: np.where(np.arange(raw.shape[1]) % 400 < 8, np.nan, raw))
    (night.folder / "text.fits").write_text("no FITS file")
    (folder / "survey.toml").write_text(SURVEY)
    done = command(night.folder, folder / "out", "--survey", str(folder / "survey.toml"))
    return folder / "out", done


WORDS = {
    "cut.fits": "broken",
    "nodate.fits": "the header has no DATE-BEG",
    "othergrism.fits": "no",  # neither grism nor calibrations are known
    "text.fits": "broken",
    "twin.fits": "same header and pixels as",
}


def test_every_bad_frame_has_its_line_on_terminal_page_and_in_the_bundle(bad):
    out, done = bad
    assert done.returncode == 2, done.stderr
    page = (out / "report.html").read_text()
    rows = {row["file"]: row for row in pq.read_table(out / "bundle/catalogues/quality.parquet").to_pylist()}
    for file, words in WORDS.items():
        assert words in rows[file]["flags"], file
        assert rows[file]["state"] == ("unsure" if file == "twin.fits" else "rejected")
        assert file in page
        assert file in done.stderr
    assert page.index("What failed, and why") < page.index("cut.fits")


def test_the_rest_is_reduced(bad):
    out, _ = bad
    rows = {row["file"]: row for row in json.loads((out / "qc.json").read_text())["rows"]}
    assert rows["science.fits"]["objects"] == 1
    assert rows["science.fits"]["state"] != "rejected"
    assert rows["nan.fits"]["bad_part"] == pytest.approx(8 / 400, rel=0.2)
    assert pq.read_metadata(out / "bundle/manifest.parquet").num_rows >= 1


def test_a_write_that_fails_is_a_line_and_leaves_nothing_half_written(tmp_path):
    night = Night(tmp_path / "raw")
    night.calibrations()
    night.science()
    done = command(night.folder, tmp_path / "out", limit=300_000)
    assert done.returncode in {1, 2}
    assert "File too large" in done.stderr
    assert not list((tmp_path / "out").rglob("*.part"))
    again = command(night.folder, tmp_path / "out", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["rows"][0]["objects"] == 1


_PERFORM = module.perform


def _killed(task, folder):
    """Stands for the system's killer of processes that take too much memory."""
    if task.files == ("science.fits",) and type(task).__name__ == "Expose":
        os.kill(os.getpid(), signal.SIGKILL)
    return _PERFORM(task, folder)


def test_a_killed_worker_is_said_and_the_next_run_resumes(tmp_path, monkeypatch):
    night = Night(tmp_path / "raw")
    night.calibrations()
    night.science()
    monkeypatch.setattr(module, "perform", _killed)
    broken = run(night.folder, tmp_path / "work")
    found = judge(broken)
    assert found.failed
    assert "killed" in " ".join(row["flags"] for row in found.rows)
    write_report(found, broken, tmp_path)
    assert "killed" in (tmp_path / "report.html").read_text()
    monkeypatch.setattr(module, "perform", _PERFORM)
    assert [row["objects"] for row in judge(run(night.folder, tmp_path / "work")).rows] == [1]


def random_mask(seed, count=50, rows=400, columns=2048):
    """Slits at random places, none over another."""
    rng = np.random.default_rng(seed)
    left = np.sort(rng.uniform(40, columns - 60, count))
    right = left + np.minimum(rng.uniform(15, 60, count), np.append(np.diff(left) - 4, 40)).clip(6)
    return [
        Slit(number, (0, rows), Polynomial([a]), Polynomial([b])) for number, (a, b) in enumerate(zip(left, right, strict=True))
    ]


def flat_through(slits, moved=0.0, shape=(400, 2048)):
    x = np.arange(shape[1])
    lit = sum(((x > one.left(0) + moved) & (x < one.right(0) + moved)).astype(float) for one in slits)
    return 5000.0 * lit * np.ones(shape) + np.random.default_rng(2).normal(0, 70, shape)


def test_a_shifted_mask_is_followed_and_another_mask_is_not_taken_for_it():
    mask, other = random_mask(1), random_mask(1001)
    for moved in (-14, 0, 9):
        shift, clear = mask_shift(flat_through(mask, moved), mask)
        assert shift == moved
        assert clear > 8.0
    assert mask_shift(flat_through(other), mask)[1] < _MASK_SEEN

"""kill -9 while a release is being loaded: the archive is as before or complete, and running the ingest again completes it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.load import ingest_bundle
from ingest.removal import remove_release
from ops.house import Archive, House
from tests.ingest.load.driver import POINTS
from tests.ingest.load.releases import footprint, snapshot, write_release

SPECTRA = 400
MOMENTS = 20

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(house: House) -> Start:
    """Starts ``driver.py``."""

    def run(bundle: Path, *deadly: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "SPECOLA_VAR": str(house.var), "SPECOLA_PORT": str(house.base_port)}
        driver = Path(__file__).with_name("driver.py")
        command = [sys.executable, str(driver), "public", str(bundle), *deadly]
        environment["PYTHONPATH"] = str(house.repository)
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return run


def _loader_of(pid: int) -> int | None:
    """Process number of a driver's loader."""
    try:
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if b"vo.load" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return None


def _wait_for_loader(process: subprocess.Popen[str]) -> int | None:
    while process.poll() is None:
        if loader := _loader_of(process.pid):
            return loader
        time.sleep(0.01)
    return None


def _gone(pid: int | None) -> None:
    end = time.monotonic() + 60
    while pid and Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "an orphaned loader does not end"
        time.sleep(0.02)


def _tap(archive: Archive, query: str) -> str:
    form = urllib.parse.urlencode({"LANG": "ADQL", "FORMAT": "csv", "QUERY": query}).encode()
    try:
        with urllib.request.urlopen(f"{archive.url}/tap/sync", form, timeout=60) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def _services_answer(archive: Archive, schema: str) -> None:
    """All of a release is served."""
    assert _tap(archive, f"SELECT count(*) AS n FROM {schema}.spectra").split() == ["n", str(SPECTRA)]
    assert _tap(archive, f"SELECT count(*) AS n FROM ivoa.obscore WHERE obs_publisher_did LIKE '%/{schema}/%'").split() == [
        "n",
        str(SPECTRA),
    ]
    for path, part in (
        (f"{schema}/q/ssap/ssap.xml?REQUEST=queryData&MAXREC=3", "OVERFLOW"),
        (f"{schema}/q/dl/dlmeta?ID=L000007", "L000007"),
    ):
        with urllib.request.urlopen(f"{archive.url}/{path}", timeout=60) as response:
            assert part in response.read().decode()
    with urllib.request.urlopen(f"{archive.url}/getproduct/{schema}/spectra/L000007.fits", timeout=60) as response:
        assert response.read(6) == b"SIMPLE"


class Sequel:
    """What has to be true after a kill, whenever it came."""

    def __init__(self, archive: Archive, bundle: Path, schema: str) -> None:
        self._archive, self._bundle, self._schema = archive, bundle, schema
        self.before = snapshot(archive)
        ingest_bundle(bundle, archive, previews=False)
        self.complete = footprint(archive, schema)
        remove_release(schema, archive)
        self.before = snapshot(archive)
        self.outcomes: list[str] = []

    def check(self, moment: object, *, in_place: bool = False) -> str:
        """Look at the archive, run the ingest again, take the release out again."""
        now = snapshot(self._archive)
        if now["specola.releases"] == self.before["specola.releases"]:
            outcome = "as before"
            if in_place:
                now["files"] = self.before["files"]
            different = sorted(name for name in self.before.keys() | now.keys() if now.get(name) != self.before.get(name))
            assert not different, (moment, different)
            assert "ERROR" in _tap(self._archive, f"SELECT count(*) AS n FROM {self._schema}.spectra"), moment
        else:
            outcome = "complete"
            assert footprint(self._archive, self._schema) == self.complete, moment
        again = ingest_bundle(self._bundle, self._archive, previews=False)
        assert again.already == (outcome == "complete"), moment
        assert footprint(self._archive, self._schema) == self.complete, moment
        _services_answer(self._archive, self._schema)
        remove_release(self._schema, self._archive)
        self.before = snapshot(self._archive)
        self.outcomes.append(outcome)
        return outcome


@pytest.fixture
def sequel(archive: Archive, release: str, tmp_path: Path) -> Sequel:
    return Sequel(archive, write_release(tmp_path / "bundle", release, SPECTRA), f"loadtest_{release}")


@pytest.mark.slow
def test_kill_at_twenty_moments(sequel: Sequel, start: Start, tmp_path: Path) -> None:
    """Moments are drawn from the whole run; every second one hits the loader, the others the ingest itself."""
    begun = time.monotonic()
    process = start(tmp_path / "bundle")
    _wait_for_loader(process)
    first = time.monotonic() - begun
    assert process.wait() == 0, process.stdout and process.stdout.read()
    whole = time.monotonic() - begun
    sequel.check("after a whole run")
    draw = random.Random(20261122)  # noqa: S311 - the same moments in every run
    # One moment in each twentieth of the run, so that they are spread over it.
    moments = [(number + draw.random()) / MOMENTS for number in range(MOMENTS)]
    for number, moment in enumerate(moments):
        process = start(tmp_path / "bundle")
        loader = None
        if number % 2:
            loader = _wait_for_loader(process)
            time.sleep(moment * (whole - first))
            victim = loader
        else:
            time.sleep(moment * whole)
            loader = _loader_of(process.pid)
            victim = process.pid
        if process.poll() is None and victim and Path(f"/proc/{victim}").exists():
            os.kill(victim, signal.SIGKILL)
        process.communicate()
        _gone(loader)
        sequel.check((number, moment), in_place=True)
    assert "as before" in sequel.outcomes


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["ingest", "loader"])
def test_kill_between_any_two_steps(sequel: Sequel, start: Start, tmp_path: Path, victim: str) -> None:
    """The moments that count last microseconds: these are met exactly."""
    outcomes = {}
    for point in POINTS:
        process = start(tmp_path / "bundle", point, victim)
        loader = _wait_for_loader(process)
        output, _ = process.communicate(timeout=120)
        _gone(loader)
        if victim == "ingest":
            assert process.returncode == -signal.SIGKILL
        elif process.returncode:
            assert "the loader ended without an answer" in output
        outcomes[point] = sequel.check(point, in_place=victim == "ingest" and point in {"files in place", "commit sent"})
        if victim == "loader" and outcomes[point] == "complete":
            # Its death after the commit is not the ingest's failure.
            assert process.returncode == 0, output
    assert outcomes["committed"] == "complete"
    assert {outcomes[point] for point in list(POINTS)[:3]} == {"as before"}

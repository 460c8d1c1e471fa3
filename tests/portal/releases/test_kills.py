"""kill -9 at any moment of any step: the old state or the new one, in both databases, and a repeat completes it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ingest.present import loaded_releases
from ops.house import House
from tests.ingest.load.releases import footprint, snapshot, write_release
from tests.portal.releases.conftest import fresh_name

Run = Callable[[str, str, object], tuple[int, str]]

SPREAD = 9
LAST = (1, 5, 20)
"""Moments counted from the end, where the archive has committed and the survey database does not know it yet."""


@pytest.fixture(scope="module")
def run(portal: House, people: Any) -> Iterator[Run]:
    """``run("promote", schema, when)`` by ``driver.py``: status and output."""
    environment = {**os.environ, **portal.environment, "PYTHONPATH": str(portal.repository)}
    command = [sys.executable, str(Path(__file__).with_name("driver.py"))]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None

        def started(action: str, schema: str, when: object) -> tuple[int, str]:
            print(json.dumps([action, schema, people.manager.username, str(when)]), file=driver.stdin, flush=True)
            status, output = json.loads(driver.stdout.readline())
            return status, output

        yield started
        driver.stdin.close()


def _killed(done: tuple[int, str]) -> None:
    assert done[0] == -signal.SIGKILL, done


@pytest.fixture
def staged(leftovers: list[str], people: Any, to: Callable[..., Any], tmp_path: Path) -> Callable[[], str]:
    """Makes staged releases."""

    def make() -> str:
        schema = fresh_name(leftovers, "k")
        to("internal", schema, write_release(tmp_path / schema, "r", 12))
        return schema

    return make


@pytest.mark.slow
def test_promote_killed_at_a_dozen_moments(portal: House, life: ModuleType, run: Run, staged: Any, by: Any) -> None:
    public = portal.archive("public")
    schema = staged()
    status, output = run("promote", schema, 0)
    assert status == 0, output
    calls = int(output)
    complete = footprint(public, schema)
    assert life.get(schema).state == "public"
    draw = random.Random(20261125)  # noqa: S311 - the same moments in every run
    moments = [int(calls * (number + draw.random()) / SPREAD) + 1 for number in range(SPREAD)] + [calls - last for last in LAST]
    outcomes = []
    schema = staged()
    before = snapshot(public)
    for moment in moments:
        status, output = run("promote", schema, moment)
        there = schema in loaded_releases(public, settled=True)
        # Where the calls are a few less this time it lived, which is an outcome, too.
        assert status in {-signal.SIGKILL, 0}, output
        release, busy = life.reconcile(schema)
        assert not busy
        assert release.state == ("public" if there else "internal"), moment
        assert release.events.last().phase != "begun", moment
        outcomes.append(there)
        if there:
            assert footprint(public, schema) == complete, moment
            if moment != moments[-1]:
                schema = staged()
                before = snapshot(public)
        else:
            left = {place: count for place, count in footprint(public, schema).items() if count}
            assert left.keys() <= {"hidden files"}, moment
            # All else in the archive is looked at after every fourth: what a kill had changed there would stay.
            assert len(outcomes) % 4 or snapshot(public) == before, moment
    assert {True, False} == set(outcomes)
    release = life.get(schema) if outcomes[-1] else life.promote(schema, **by)
    assert release.state == "public"
    assert footprint(public, schema) == complete


STEPS = (
    # action, place of the kill, state after a look, whether the archive had committed
    ("freeze", "portal.releases.store.assemble:before", "candidate"),
    ("freeze", "portal.releases.store.seal:after", "candidate"),
    ("freeze", "portal.releases.life.note:before", "candidate"),
    ("freeze", None, "frozen"),
    ("stage", "portal.releases.archives.load_staging:before", "frozen"),
    ("stage", "portal.releases.archives.load_staging:after", "internal"),
    ("promote", "portal.releases.archives.verify_staged:after", "internal"),
    ("promote", "portal.releases.archives.copy_to_public:before", "internal"),
    ("promote", "portal.releases.archives.copy_to_public:after", "public"),
    ("withdraw", "portal.releases.archives.remove_release:before", "public"),
    # The staging archive has forgotten it, and its files are still there.
    ("withdraw", "ingest.removal.remove_files:before", "public"),
    ("withdraw", "portal.releases.archives.take_out:after", "deprecated"),
)


@pytest.mark.slow
def test_killed_between_any_two_steps_of_its_life(
    portal: House, life: ModuleType, run: Run, by: Any, name: str, tmp_path: Path
) -> None:
    """The moments between two commits, met exactly, one after the other on one release."""
    life.create(name, bundle=write_release(tmp_path / "bundle", "r", 8), **by)
    for action, place, state in STEPS:
        done = run(action, name, place or 0)
        if place is None:
            assert done[0] == 0, done[1]
        else:
            _killed(done)
        release, busy = life.reconcile(name)
        assert (release.state, busy) == (state, False), place
        assert name not in loaded_releases(portal.archive("public")) or state == "public", place
        for archive in portal.archives:
            assert name in loaded_releases(archive) or not any(footprint(archive, name).values()) or state == "frozen", place
    staging = portal.archive("staging")
    assert name not in loaded_releases(staging)
    assert [event.action for event in release.events.filter(phase="done")] == [
        "create", "add", "freeze", "stage", "promote", "withdraw",
    ]  # fmt: skip
    assert release.events.get(action="promote", phase="done").username == by["by"].username
    from portal.releases.history import broken_link

    assert broken_link(release) is None
    assert not [path for path in portal.releases.glob(f".{name}*") if state != "deprecated"]


def test_a_repeat_completes_what_was_committed(life: ModuleType, run: Run, staged: Any, by: Any) -> None:
    schema = staged()
    _killed(run("promote", schema, "portal.releases.archives.copy_to_public:after"))
    release = life.promote(schema, **by)
    assert release.state == "public"
    event = release.events.get(action="promote", phase="done")
    assert event.reason == "to be killed"
    assert event.details["settled"] == release.events.get(action="promote", phase="begun").number

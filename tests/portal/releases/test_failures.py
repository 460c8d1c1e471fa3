"""What breaks under a release (a connection, a disk), told in one clear sentence, with nothing half done."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ingest.errors import IngestError
from tests.ingest.load.releases import footprint, query, snapshot, write_release
from tests.support.releases import leftovers_of, state_of


def _lose_connection(portal: Any) -> None:
    """Have the server end our connection, as a restart of PostgreSQL would."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    other = psycopg2.connect(portal.survey_dsn)
    with other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()


def test_a_survey_database_lost_in_the_middle(portal, life, to, by, name, tmp_path: Path, monkeypatch) -> None:
    """Wherever the connection goes: a clear sentence, and the same command completes it."""
    from portal.releases import archives, store

    release = life.create(name, bundle=write_release(tmp_path / "bundle", "r", 3), **by)
    steps = (
        (life.freeze, store, "keep", "candidate", "frozen"),
        (life.stage, archives, "load_staging", "frozen", "internal"),
        (life.promote, archives, "copy_to_public", "internal", "public"),
        (life.withdraw, archives, "take_out", "public", "deprecated"),
    )
    for action, module, function, before, after in steps:
        work = getattr(module, function)

        def losing(*args: Any, work: Any = work, **words: Any) -> Any:
            result = work(*args, **words)
            _lose_connection(portal)
            return result

        monkeypatch.setattr(module, function, losing)
        with pytest.raises(IngestError, match=r"the survey database: .*nothing is half done"):
            action(name, **by)
        monkeypatch.undo()
        release.refresh_from_db()
        assert release.state == before
        assert action(name, **by).state == after
        assert release.events.filter(phase="done", after=after).count() == 1


LOADERS = """SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
  WHERE locktype = 'advisory' AND granted AND datname = current_database() AND pid <> pg_backend_pid()"""


def test_what_goes_wrong_inside_the_archives_transaction_takes_all_of_it_back(
    portal, life, to, by, name, tmp_path: Path, monkeypatch
) -> None:
    """The loader's backend is killed while it copies; or what comes out in the public archive is not what was staged."""
    import ingest.load

    public = portal.archive("public")
    release = to("internal", name, write_release(tmp_path / "bundle", "r", 5))
    before = snapshot(public)
    stream = ingest.load.copy_stream

    def killing(*args: Any, **words: Any) -> Any:
        for piece in stream(*args, **words):
            query(public, LOADERS)
            yield piece

    def other(*args: Any, **words: Any) -> Any:
        for piece in stream(*args, **words):
            yield piece.replace(b'"Target 3"', b'"Target 4"')

    for fault, said in (
        (killing, r"terminat|closed|ended|lost"),
        (other, "table spectra: found other values in its 5 rows, expected those that were staged"),
    ):
        monkeypatch.setattr(ingest.load, "copy_stream", fault)
        with pytest.raises(IngestError, match=said):
            life.promote(name, **by)
        monkeypatch.undo()
        assert snapshot(public) == before
        assert state_of(release)[0] == "internal"
        assert [(event.action, event.phase) for event in release.events.all()][-2:] == [
            ("promote", "begun"),
            ("promote", "abandoned"),
        ]
    assert life.promote(name, **by).state == "public"


@contextmanager
def _no_room_for_files() -> Iterator[None]:
    """No file of this process and of those it starts grows beyond 40 kB: what writes more meets an error, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _no_room_for_tables(archive: Any, monkeypatch: Any) -> Iterator[None]:
    """The loader's backend can not make any file larger from the first row on; PostgreSQL takes that for a full disk."""
    import ingest.load

    stream = ingest.load.copy_stream

    def filling(*args: Any, **words: Any) -> Any:
        for (pid,) in query(archive, LOADERS.replace("pg_terminate_backend(pid)", "pid")):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
        yield from stream(*args, **words)

    with monkeypatch.context() as patch:
        patch.setattr(ingest.load, "copy_stream", filling)
        yield


def test_no_room_for_an_archive(portal, life, to, by, name, tmp_path: Path, monkeypatch) -> None:
    """Neither for its files nor for its tables: staging and promoting say so, change nothing, and succeed when there is room."""
    release = to("frozen", name, write_release(tmp_path / "bundle", "r", 20))
    for action, archive, before, after in (
        (life.stage, portal.archive("staging"), "frozen", "internal"),
        (life.promote, portal.archive("public"), "internal", "public"),
    ):
        with _no_room_for_files(), pytest.raises(IngestError, match=r"disk refused.*File too large"):
            action(name, **by)
        assert (state_of(release)[0], any(footprint(archive, name).values())) == (before, False)
        with (
            _no_room_for_tables(archive, monkeypatch),
            pytest.raises(IngestError, match=r"database refused, and is as before: .*could not extend file.*File too large"),
        ):
            action(name, **by)
        assert (state_of(release)[0], any(footprint(archive, name).values())) == (before, False)
        assert action(name, **by).state == after
        assert [event.phase for event in release.events.filter(action=action.__name__)] == ["begun", "abandoned"] * 2 + [
            "begun",
            "done",
        ]


FULL = """
import sys
import threading
from pathlib import Path
from ingest.assemble import Source
from specola_bundle.bundle import sha256_of
from portal.setup import configure
configure()
from portal.releases.store import keep
from tests.ingest.load.releases import description
path, target = map(Path, sys.argv[1:])
try:
    keep(target, description("full"), [Source(path, sha256_of(path / "bundle.json"))]).settle()
except OSError as error:
    print(error, [entry.name for entry in target.parent.iterdir()])
"""


def test_a_full_disk(portal, tmp_path: Path) -> None:
    """A small tmpfs of our own, in a namespace of our own, really is full."""
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"user namespaces are not allowed here: {probe.stderr.decode().strip()}")
    path = write_release(tmp_path / "bundle", "r", 60)
    size = sum(file.stat().st_size for file in path.rglob("*.fits"))
    mount = tmp_path / "full"
    mount.mkdir()
    script = f"mount -t tmpfs -o size={size // 2} none {mount} && exec {sys.executable} -c '{FULL}' {path} {mount}/x"
    environment = {**os.environ, **portal.environment, "PYTHONPATH": str(portal.repository)}
    done = subprocess.run(["unshare", "-rm", "bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"No space left on device.* \[\]$", done.stdout.strip()), done.stdout


def test_a_full_disk_is_told_and_the_candidate_stays(portal, life, by, name, tmp_path: Path, monkeypatch) -> None:
    import ingest.assemble

    release = life.create(name, bundle=write_release(tmp_path / "bundle", "r", 8), **by)
    copy = ingest.assemble._copy

    def full(source: Path, old: str, new: str, folder: Path) -> None:
        if old.endswith("L000005.fits"):
            # A device that is always full stands in for the place of this file.
            with (source / old).open("rb") as reading, Path("/dev/full").open("wb", buffering=0) as writing:
                shutil.copyfileobj(reading, writing)
        copy(source, old, new, folder)

    monkeypatch.setattr(ingest.assemble, "_copy", full)
    before = state_of(release)
    with pytest.raises(
        IngestError, match=f"freeze {name}: the disk refused: .*No space left on device.*is a candidate as before"
    ):
        life.freeze(name, **by)
    monkeypatch.undo()
    assert state_of(release) == before
    assert not leftovers_of(portal, name)
    assert life.freeze(name, **by).state == "frozen"

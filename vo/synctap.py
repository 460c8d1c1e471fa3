"""Synchronous TAP queries without the records of an asynchronous job.

DaCHS 2.7 makes a synchronous query an asynchronous job with everything that belongs to one: a row of the jobs table that is
written, locked, changed five times and deleted, and a new connection to the database for the query itself. Of a small query's
time that is a large part, in DaCHS as in PostgreSQL. None of it can be seen from outside (the job is gone when the answer is
sent) but for one thing that is wrong: synchronous queries counted as running jobs, so that two of them kept asynchronous ones
waiting.

Here the job is an object with a folder of its own for uploads and the result, and the connection is used again. Everything that
has to do with the query (parameters, languages, formats, limits, ADQL, uploads, errors) is DaCHS' own.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from gavo import base, formats, svcs, utils
from gavo.protocols import adqlglue, tap, taprunner

from vo import turns

__all__ = ["install"]

PROFILE = "untrustedquery"
"""DaCHS' role that may read what TAP shows, and write nothing but temporary tables."""

_PREFIX = "sync-"
_idle: list[Any] = []
"""Connections that wait for their next query: at most as many as the server has threads."""


class _Job(tap.TAPJob):  # type: ignore[misc]
    """A job that nobody else knows of."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        utils.ensureDir(base.getConfig("uwsWD"), mode=0o775, setGroupTo=base.getGroupId())
        folder = Path(tempfile.mkdtemp("", _PREFIX, dir=base.getConfig("uwsWD"))).name
        super().__init__(self.getDefaults(None) | {"jobId": folder}, tap.WORKER_SYSTEM, writable=True)
        try:
            self.setParamsFromDict(parameters)
        except BaseException:
            self.prepareForDestruction()
            raise


def _configure(connection: Any, settings: Sequence[tuple[str, Any]]) -> list[Any]:
    """Settings for this transaction only, so there are none to be restored."""
    statement = "; ".join(f"SET LOCAL {name}=%s" for name, _ in settings)
    connection.cursor().execute(statement, [value for _, value in settings])
    return []


def _take() -> Any:
    """A connection in a read-only transaction. One that the database has left meanwhile is thrown away."""
    while True:
        try:
            connection = _idle.pop()
        except IndexError:
            connection = base.getDBConnection(PROFILE)
            connection.configure = functools.partial(_configure, connection)
            connection.cursor().execute("SET TRANSACTION READ ONLY")
            return connection
        try:
            connection.cursor().execute("SET TRANSACTION READ ONLY")
        except base.DBError:
            connection.close()
        else:
            return connection


@contextlib.contextmanager
def _connection(*, writing: bool) -> Iterator[Any]:
    """A connection for one query. With uploads it is a new one: temporary tables live as long as their connection."""
    connection = base.getDBConnection(PROFILE) if writing else _take()
    try:
        yield connection
        if not writing:
            connection.rollback()
            _idle.append(connection)
            connection = None
    finally:
        if connection is not None:
            connection.close()


def _query(job: _Job) -> tuple[IO[bytes], str]:
    """Run a job's query and write its result into the job's folder: the open file and its media type."""
    parameters = job.parameters
    wanted = parameters.get("responseformat") or parameters.get("format") or "votable"
    key = formats.getKeyFor(wanted)
    try:
        query, maxrec = taprunner._parseTAPParameters(job.jobId, parameters)  # noqa: SLF001
        uploads = parameters.get("upload")
        with _connection(writing=bool(uploads)) as connection:
            tables = taprunner._ingestUploads(job, uploads, connection)  # noqa: SLF001
            seconds = base.getConfig("async", "defaultExecTimeSync")
            table = adqlglue.runTAPQuery(query, seconds, connection, tables, maxrec, autoClose=False)
            media_type = formats.getMIMEFor(key, wanted)
            with job.openResult(media_type, "result") as target:
                taprunner.writeResultTo(key, taprunner._makeDataFor(table), turns.Watched(target))  # noqa: SLF001
    except Exception:  # noqa: BLE001 - DaCHS knows which of the database's errors are the caller's
        svcs.mapDBErrors(*sys.exc_info())
    path, media_type = job.getResult("result")
    # the open file outlives its folder
    return Path(path).open("rb"), media_type


def run(_core: Any, _service: Any, arguments: Any, _meta: Any) -> tuple[IO[bytes], str]:
    """What TAPCore.run does: the result of a synchronous query, open for reading, and its media type.

    Raises
    ------
    base.Error
        With the message of whatever went wrong, as DaCHS has it read back from its jobs table.
    """
    job = _Job(arguments.getParamDict())
    try:
        return _query(job)
    except Exception as error:
        if not isinstance(error, base.Error):
            base.ui.notifyError(f"While executing a synchronous TAP query: {error}")
        raise base.Error(str(error), hint=getattr(error, "hint", None)) from error
    finally:
        job.prepareForDestruction()


def install() -> None:
    """Answer synchronous queries of this process in this way."""
    for needed in ("_parseTAPParameters", "_ingestUploads", "_makeDataFor", "writeResultTo"):
        if not hasattr(taprunner, needed):
            return
    tap.TAPCore.run = run
    _forget_the_killed()


def _forget_the_killed(seconds: float = 86400) -> None:
    """Remove the folders of queries in which a server was killed; those of a living one are gone after a minute."""
    for folder in Path(base.getConfig("uwsWD")).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < time.time() - seconds:
                shutil.rmtree(folder)

"""Make a release in DaCHS' database and fill it from a pipe, all in one transaction.

Run by ingest as ``python3 -m vo.load`` under Debian's Python with GAVOSETTINGS set. The conversation on stdin and stdout:

============================================= ========================================================================
ingest says                                   the loader does, and answers
============================================= ========================================================================
``{"rd": ID, "inputs": DIR, "release": {…}}`` takes the lock, looks whether the release is there; if so ``{"state": "present",
                                              "bundle": SHA}``; else makes the tables of the RD, which is below DIR:
                                              ``{"state": "absent"}``; for a name that was withdrawn ``{"state": "withdrawn",
                                              "withdrawn": DATE, "reason": TEXT}``
``{"copy": TABLE, "columns": […]}`` + frames  COPY (CSV) of what the frames hold into the table; ``{"rows": N}``
``{"finish": true}``                          indexes, statistics, TAP_SCHEMA, registry, ObsCore; ``{"prepared": true}``
``{"ask": QUERY}``                            runs a query on what will be committed; ``{"row": […]}``, its first row
``{"refresh": ID}``                           takes the lock, makes a release's views anew and has DaCHS read all else that its RD
                                              says; the data stay; ``{"prepared": true}``
``{"remove": ID, "schema": NAME, …}``         takes the lock and drops a release with all that DaCHS knows of it; registry
                                              records become "deleted"; with ``"withdrawn": REASON`` a row of
                                              specola.withdrawn remembers it; ``{"prepared": true}``
``{"survey": ID, "schema": NAME, …}``         drops the views of a survey and, with ``"inputs": DIR``, makes those of its RD,
                                              which is below DIR; ``{"prepared": true}``
``{"commit": true}``                          commits; ``{"committed": true}``
============================================= ========================================================================

A frame is a length (4 bytes, big endian) and that many bytes; a length of 0 ends the table. Should stdin end before
``commit``, because ingest failed or was killed, everything is rolled back: PostgreSQL's DDL is transactional.

DaCHS itself commits along the way in several places (importing, publishing), in one of them on another connection; here its
connection's ``commit`` does nothing until the end and there is no other, so that its own code can be used and the whole still
be one transaction.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, BinaryIO

from gavo import base, rsc, rscdesc  # noqa: F401  (rscdesc: makes RDs loadable)
from gavo.protocols import tap
from gavo.registry import publication
from gavo.user import dropping

from vo import coverage, keys, limits, survey

__all__ = ["main"]

RELEASES_RD = "specola/releases"
PIECE = 1 << 18
"""Bytes handed to PostgreSQL at a time."""


class _Frames:
    """A file-like object on the frames of one table, for psycopg2's copy_expert."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = 0
        self._ended = False

    def read(self, size: int) -> bytes:
        if not self._left and not self._ended:
            self._left = struct.unpack(">I", _exactly(self._stream, 4))[0]
            self._ended = self._left == 0
        part = _exactly(self._stream, min(size, self._left))
        self._left -= len(part)
        return part


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise EOFError("the other side went away in the middle of a table")
    return content


class Loader:
    """One release being made; see the module's text for the protocol."""

    def __init__(self, commands: BinaryIO, answer: Callable[[dict[str, Any]], None]) -> None:
        self._commands = commands
        self._answer = answer
        self._connection = base.getDBConnection("admin")
        self._commit = self._connection.commit
        # see the module's text: only we say when
        self._connection.commit = lambda: None
        # Publishing dates the TAP service's record by way of a connection of its own.
        base.getWritableAdminConn = lambda: nullcontext(self._connection)
        self._rd: Any = None
        self._release: dict[str, Any] = {}
        self._tables: dict[str, Any] = {}

    def run(self) -> int:
        """Serve until the pipe ends; exit status 0 only after a commit (or when there was nothing to do)."""
        while line := self._commands.readline():
            command = json.loads(line)
            if "rd" in command:
                self._open(command["rd"], command["inputs"], command["release"])
            elif "copy" in command:
                self._copy(command["copy"], command["columns"])
            elif "ask" in command:
                self._answer({"row": list(next(iter(self._execute(command["ask"]))))})
            elif "refresh" in command:
                self._refresh(command["refresh"])
            elif "remove" in command:
                self._remove(command["remove"], command["schema"], command.get("withdrawn"))
            elif "finish" in command:
                self._finish()
            elif "survey" in command:
                self._survey(command["survey"], command["schema"], command["inputs"])
            elif "commit" in command:
                keys.put_in_order(self._connection)
                self._commit()
                self._answer({"committed": True})
                return 0
        self._connection.rollback()
        return 1

    def _execute(self, statement: str, parameters: dict[str, Any] | None = None) -> Any:
        return self._connection.query(statement, parameters or {})

    def _open(self, rd_id: str, inputs: str, release: dict[str, Any]) -> None:
        self._release = release
        self._lock()
        self._make_releases_table()
        found = list(self._execute("SELECT bundle FROM specola.releases WHERE schema_name=%(schema)s", release_key(release)))
        if found:
            self._answer({"state": "present", "bundle": found[0][0]})
            return
        gone = list(
            self._execute("SELECT withdrawn, reason FROM specola.withdrawn WHERE schema_name=%(schema)s", release_key(release))
        )
        if gone:
            self._answer({"state": "withdrawn", "withdrawn": f"{gone[0][0]:%Y-%m-%d}", "reason": gone[0][1]})
            return
        # The running server must not find the RD before there is something behind it.
        base.setConfig("inputsDir", inputs)
        self._read(rd_id)
        for table in self._tables.values():
            table.createIfNecessary()
        self._answer({"state": "absent"})

    def _read(self, rd_id: str) -> None:
        self._rd = base.caches.getRD(rd_id)
        self._data = rsc.Data.create(self._rd.getById("create"), connection=self._connection)
        self._tables = {
            table.tableDef.id: table
            for table in self._data
            if table.tableDef.rd is self._rd or table.tableDef.rd.sourceId == rd_id
        }

    def _refresh(self, rd_id: str) -> None:
        self._lock()
        self._read(rd_id)
        views = [table for table in self._tables.values() if table.tableDef.viewStatement]
        for view in reversed(views):
            # takes it out of ivoa.obscore, where it is in it
            view.runScripts("beforeDrop")
            self._connection.execute(f"DROP VIEW IF EXISTS {view.tableName}")
        for table in self._tables.values():
            if table in views:
                table.create()
            else:
                # A DataError says which column: then only a new ingest helps.
                table.ensureOnDiskMatches()
                self._count(table)
        self._publish()

    def _lock(self) -> None:
        """One change of an archive at a time; the lock goes with the transaction."""
        self._connection.execute("SELECT pg_advisory_xact_lock(hashtext('specola ingest'))")

    def _remove(self, rd_id: str, schema: str, withdrawn: str | None) -> None:
        self._lock()
        if withdrawn is not None:
            self._make_releases_table()
            self._connection.execute(
                "INSERT INTO specola.withdrawn (schema_name, survey, release, title, ingested, withdrawn, reason, bundle)"
                " SELECT schema_name, survey, release, title, ingested, now() AT TIME ZONE 'UTC', %(reason)s, bundle"
                " FROM specola.releases WHERE schema_name=%(schema)s",
                {"schema": schema, "reason": withdrawn},
            )
        options = SimpleNamespace(force=False, dropAll=True, systemImport=False)
        dropping._do_dropRD(options, rd_id, self._connection)  # noqa: SLF001  (what `dachs drop` does, less its commit)
        self._connection.execute("DELETE FROM specola.releases WHERE schema_name=%(schema)s", {"schema": schema})
        self._answer({"prepared": True})

    def _survey(self, rd_id: str, schema: str, inputs: str | None) -> None:
        self._lock()
        survey.forget(rd_id, schema, self._connection)
        if inputs is not None:
            survey.make(rd_id, inputs, self._connection)
        self._answer({"prepared": True})

    def _make_releases_table(self) -> None:
        rd = base.caches.getRD(RELEASES_RD)
        data = rsc.Data.create(rd.getById("create"), connection=self._connection)
        for table in data:
            if table.newlyCreated or not table.exists():
                table.createIfNecessary()
                table.importFinished(0)
                tap.publishToTAP(rd, self._connection)

    def _copy(self, name: str, columns: Sequence[str]) -> None:
        target = "dc.products" if name == "dc.products" else self._tables[name].tableDef.getQName()
        names = ", ".join(f'"{column}"' for column in columns)
        # FREEZE: the table is of this transaction, so nobody can see the rows too early, and no later vacuum is needed.
        options = "FORMAT csv, NULL ''" + ("" if name == "dc.products" else ", FREEZE true")
        # A trigger of dc.products looks for each row's key. Its plan is made once, and while the table was small that would be to
        # read it from end to end: the whole then costs the square of the rows.
        self._connection.execute("SET LOCAL enable_seqscan = off")
        cursor = self._connection.cursor()
        cursor.copy_expert(f"COPY {target} ({names}) FROM STDIN WITH ({options})", _Frames(self._commands), PIECE)
        rows = cursor.rowcount
        cursor.close()
        self._connection.execute("SET LOCAL enable_seqscan = on")
        self._answer({"rows": rows})

    def _finish(self) -> None:
        for table in self._tables.values():
            if table.tableDef.viewStatement:
                continue
            table.runScripts("preIndex")
            table.makeIndices()
            self._connection.execute(f"ANALYZE {table.tableName}")
            self._count(table)
        columns = sorted(self._release)
        self._connection.execute(
            f"INSERT INTO specola.releases ({', '.join(columns)}) VALUES ({', '.join(f'%({c})s' for c in columns)})",  # noqa: S608
            self._release,
        )
        self._publish()

    def _count(self, table: Any) -> None:
        """Have DaCHS note what it knows of a table, with its number of rows."""
        table.tableDef.nrows = next(iter(self._execute(f"SELECT count(*) FROM {table.tableName}")))[0]  # noqa: S608
        table.updateMeta()
        limits.write(table, self._connection)

    def _publish(self) -> None:
        tap.unpublishFromTAP(self._rd, self._connection)
        tap.publishToTAP(self._rd, self._connection)
        self._rd.updateMetaInDB(self._connection, "import")
        coverage.write(self._rd, self._tables, self._connection)
        publication.updateServiceList([self._rd], connection=self._connection, onlyWarn=False)
        # The view ivoa.obscore is made anew last: it is locked from here to the commit.
        for table in self._tables.values():
            table.runScripts("postCreation")
        self._answer({"prepared": True})


def release_key(release: dict[str, Any]) -> dict[str, Any]:
    """What identifies a release in specola.releases."""
    return {"schema": release["schema_name"]}


def main() -> int:
    """Serve one conversation on stdin and stdout."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # DaCHS and its scripts may print; the answers must stay clean.
    os.dup2(2, 1)

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        return Loader(sys.stdin.buffer, answer).run()
    except EOFError:
        return 1
    except Exception as error:  # everything goes to the other side as one clear sentence
        answer({"error": f"{type(error).__name__}: {error}"})
        if os.environ.get("SPECOLA_DEBUG"):
            raise
        return 1


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Without the half second DaCHS' libraries need to take their leave: all is committed, or PostgreSQL rolls it back.
    os._exit(status)

"""Queries that take as long as a test wants, and no processor: they wait for a table that is locked."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg2

from ops.house import Archive

__all__ = ["Lock", "until"]


class Lock:
    """A table nobody can read until it is released."""

    def __init__(self, archive: Archive, table: str) -> None:
        self.table = table
        self._holder, self._watcher = psycopg2.connect(archive.dsn), psycopg2.connect(archive.dsn)
        self._watcher.autocommit = True
        self._holder.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")

    def waiting(self) -> int:
        """How many queries wait for it."""
        with self._watcher.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted", (self.table,))
            row = cursor.fetchone()
            assert row is not None
            return int(row[0])

    def release(self) -> None:
        self._holder.close()
        self._watcher.close()


def until(condition: Callable[[], object]) -> None:
    """Wait for something to happen, for two minutes at the most."""
    tick = threading.Event()
    for _ in range(1200):
        if condition():
            return
        tick.wait(0.1)
    raise AssertionError("it did not happen")

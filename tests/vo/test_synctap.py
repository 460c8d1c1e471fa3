"""Synchronous queries as vo/synctap.py runs them: what a user sees is what DaCHS said, and nothing of a query remains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import psycopg2
import pytest
import pyvo
import requests
from astropy.table import Table

from ops.clusters import connect
from ops.house import Archive, House

CSV = {"LANG": "ADQL", "RESPONSEFORMAT": "csv"}


def servers(archive: Archive) -> list[str]:
    return [f"http://127.0.0.1:{server.port}/tap/sync" for server in archive.servers]


def readers(house: House) -> set[int]:
    """The backends that run users' queries."""
    cluster = next(c for c in house.clusters if c.name == "public")
    with closing(connect(house.superuser_dsn(cluster))) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE usename='untrusted'")
        return {row[0] for row in cursor.fetchall()}


@pytest.fixture
def counting(archive: Archive) -> Iterator[None]:
    """Counts what is written to the jobs table, in a table of the test's own."""
    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE public.specola_written (jobid text)")
        cursor.execute("GRANT ALL ON public.specola_written TO PUBLIC")
        cursor.execute(
            "CREATE FUNCTION public.specola_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO public.specola_written VALUES (NEW.jobid); RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER specola_note BEFORE INSERT OR UPDATE ON tap_schema.tapjobs"
            " FOR EACH ROW EXECUTE FUNCTION public.specola_note()"
        )
    yield
    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER specola_note ON tap_schema.tapjobs")
        cursor.execute("DROP FUNCTION public.specola_note")
        cursor.execute("DROP TABLE public.specola_written")


def written(archive: Archive) -> int:
    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.specola_written")
        row = cursor.fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.usefixtures("counting")
def test_a_query_leaves_neither_row_nor_folder(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    folders = archive.root / "state" / "uwsjobs"
    before = set(folders.glob("*"))
    for number, server in enumerate(servers(archive) * 3):
        query = f"SELECT count(*) AS n FROM {demo.schema}.spectra WHERE n_pixels > {number}"
        assert web.get(server, params={**CSV, "QUERY": query}).text.split() == ["n", "200"]
        assert web.get(server, params={**CSV, "QUERY": "SELECT nonsense"}).status_code == 400
    assert written(archive) == 0
    assert set(folders.glob("*")) == before
    # the counting counts: an asynchronous job is written
    pyvo.dal.TAPService(f"{archive.url}/tap").submit_job("SELECT TOP 1 table_name FROM tap_schema.tables").delete()
    assert written(archive) > 0


def test_the_connections_are_used_again(house: House, archive: Archive, web: requests.Session) -> None:
    def ask(number: int) -> None:
        for server in servers(archive):
            answer = web.get(
                server, params={**CSV, "QUERY": f"SELECT TOP 1 table_name FROM tap_schema.tables WHERE {number}={number}"}
            )
            assert answer.status_code == 200

    ask(0)
    first = readers(house)
    for number in range(1, 8):
        ask(number)
    assert first
    assert readers(house) >= first
    assert len(readers(house)) <= len(first) + 1


def test_connections_the_database_has_ended_are_replaced(house: House, archive: Archive, web: requests.Session) -> None:
    for _ in range(2):
        cluster = next(c for c in house.clusters if c.name == "public")
        with closing(connect(house.superuser_dsn(cluster))) as conn, conn.cursor() as cursor:
            cursor.execute("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename='untrusted'")
        for server in servers(archive):
            answer = web.get(server, params={**CSV, "QUERY": "SELECT TOP 1 schema_name FROM tap_schema.schemas"})
            assert answer.status_code == 200, answer.text


def test_a_failed_query_does_not_spoil_the_next(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    for server in servers(archive):
        wrong = web.get(server, params={**CSV, "QUERY": f"SELECT 1/(n_pixels-n_pixels) AS x FROM {demo.schema}.spectra"})
        assert wrong.status_code == 400
        assert "division by zero" in wrong.text
        right = web.get(server, params={**CSV, "QUERY": f"SELECT count(*) AS n FROM {demo.schema}.spectra"})
        assert right.text.split() == ["n", "200"]


def test_uploads_of_the_same_name_do_not_meet(archive: Archive) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    for length in (3, 5, 3):
        mine = Table({"number": np.arange(length)})
        found = tap.run_sync("SELECT number FROM TAP_UPLOAD.mine", uploads={"mine": mine}, maxrec=100).to_table()
        assert list(found["number"]) == list(range(length))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"LANG": "ADQL-2.0", "QUERY": "SELECT TOP 1 table_name FROM tap_schema.tables"}, None),
        ({"LANG": "ADQL-9", "QUERY": "SELECT 1"}, "version 9"),
        ({"LANG": "SQL", "QUERY": "SELECT 1"}, "does not support the query language SQL"),
        ({"LANG": "ADQL", "QUERY": "SELECT 1", "RESPONSEFORMAT": "zork"}, "zork"),
        ({"LANG": "ADQL", "QUERY": "SELECT * FROM nosuch"}, "nosuch"),
        ({"LANG": "ADQL", "QUERY": "JUST HANG around"}, "Could not parse"),
        ({"LANG": "ADQL", "QUERY": "MESSILY CRASH"}, "Could not parse"),
        ({"LANG": "ADQL", "QUERY": "SELECT TOP 1 a FROM tap_upload.x", "UPLOAD": "x,param:x"}, "file"),
    ],
    ids=str,
)
def test_errors_are_those_of_dachs(
    archive: Archive, web: requests.Session, parameters: dict[str, str], words: str | None
) -> None:
    answer = web.get(f"{archive.url}/tap/sync", params=parameters)
    assert answer.status_code == (400 if words else 200), answer.text
    if words:
        assert 'name="QUERY_STATUS" value="ERROR"' in answer.text
        assert words in answer.text

"""A release follows definitions that changed after it was taken in, without a new ingest."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg2
import pyvo

from ingest.announce import announce
from ingest.refresh import refresh_releases
from ops.house import Archive


def test_views_are_made_anew(archive: Archive, demo: SimpleNamespace) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    count = f"SELECT count(*) AS n FROM ivoa.obscore WHERE source_table='{demo.schema}.spectra'"
    before = tap.run_sync(count)["n"][0]
    # What an archive of an older version looks like: another view, and no note of today's definitions.
    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP VIEW {demo.schema}.ssa")
        cursor.execute(f"CREATE VIEW {demo.schema}.ssa AS SELECT 1 AS something_else")
    (archive.inputs / demo.schema / "definitions").unlink(missing_ok=True)
    announce(archive, f"{demo.schema}/q")
    said: list[str] = []
    assert demo.schema in refresh_releases(archive, said.append)
    assert any(demo.schema in line for line in said)
    found = pyvo.dal.SSAService(f"{archive.url}/{demo.schema}/q/ssap/ssap.xml").search(MAXREC=500)
    assert len(found) == before == 200
    assert tap.run_sync(count + " AND 1=1")["n"][0] == before
    tables = tap.run_sync(f"SELECT table_name FROM tap_schema.tables WHERE schema_name='{demo.schema}'")
    assert len(tables) == 6
    assert refresh_releases(archive, said.append) == []

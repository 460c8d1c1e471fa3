"""What a table of a release holds, as one short text: to tell that two archives hold the same to the last digit.

The fingerprint of a table is the number of its rows and the sum of their SHA-256, taken as numbers: it does not depend on their
order and needs one pass and no memory. PostgreSQL computes it from its own text form of each row, so a table that was loaded
twice from the same bundle has the same one in every archive, and any value that differs anywhere shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import psycopg2

from ingest.errors import IngestError
from ops.house import Archive

__all__ = ["Fingerprints", "differences", "fingerprint_query", "fingerprints"]

Fingerprints = Mapping[str, Mapping[str, Any]]
"""By table: ``rows``, and ``sum``, a text."""


def fingerprint_query(schema: str, table: str) -> str:
    """The query for one table: its rows and the sum, the first 30 hexadecimal digits of each row's SHA-256 in two halves."""
    halves = " || ':' || ".join(f"coalesce(sum(('x' || substr(h, {start}, 15))::bit(60)::bigint), 0)::text" for start in (1, 16))
    rows = f"SELECT encode(sha256(convert_to(t::text, 'UTF8')), 'hex') AS h FROM \"{schema}\".\"{table}\" AS t"  # noqa: S608 - checked names
    return f"SELECT count(*), {halves} FROM ({rows}) AS s"  # noqa: S608 - the same


def fingerprints(archive: Archive, schema: str, tables: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Fingerprints of tables of a release that is in an archive.

    Raises
    ------
    IngestError
        The database does not answer, or has no such table.
    """
    found = {}
    try:
        with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
            for table in tables:
                cursor.execute(fingerprint_query(schema, table))
                row = cursor.fetchone()
                found[table] = {"rows": row[0], "sum": row[1]} if row else {}
    except psycopg2.Error as error:
        raise IngestError(f"the {archive.name} archive's database: {str(error).strip()}; is it up (`specola status`)?") from error
    return found


def differences(found: Fingerprints, expected: Fingerprints) -> str:
    """What two sets of fingerprints differ in, in words; empty where they are the same."""
    said = []
    for table in sorted(found.keys() | expected.keys()):
        one, other = found.get(table), expected.get(table)
        if one == other:
            continue
        if one is None or other is None:
            said.append(f"table {table}: found {'none' if one is None else 'one'}, expected {'none' if other is None else 'one'}")
        elif one["rows"] != other["rows"]:
            said.append(f"table {table}: found {one['rows']} rows, expected {other['rows']}")
        else:
            said.append(f"table {table}: found other values in its {one['rows']} rows, expected those that were staged")
    return "; ".join(said)

"""Make the views of a survey anew, in the transaction that changes its releases (the RD: ingest/survey_rd.py)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gavo import base, rsc
from gavo.protocols import tap
from gavo.registry import publication
from gavo.user import dropping

from vo import limits

__all__ = ["forget", "make"]


def make(rd_id: str, inputs: str, connection: Any) -> None:
    """Make the views of the RD, which is below ``inputs``, and have DaCHS know of them."""
    base.setConfig("inputsDir", inputs)
    # to forget the old views DaCHS has read the old RD
    base.caches.clearForName(rd_id)
    rd = base.caches.getRD(rd_id)
    tables = list(rsc.Data.create(rd.getById("create"), connection=connection))
    for table in tables:
        table.createIfNecessary()
        table.tableDef.nrows = next(iter(connection.query(f"SELECT count(*) FROM {table.tableName}")))[0]  # noqa: S608
        table.updateMeta()
        source = table.tableDef.getProperty("whole_of", None)
        if source is not None:
            limits.copy(source, table.tableName, connection)
    tap.publishToTAP(rd, connection)
    rd.updateMetaInDB(connection, "import")
    publication.updateServiceList([rd], connection=connection, onlyWarn=False)


def forget(rd_id: str, schema: str, connection: Any) -> None:
    """Drop all views of a survey, with all that DaCHS knows of them."""
    options = SimpleNamespace(force=True, dropAll=True, systemImport=False)
    dropping._do_dropRD(options, rd_id, connection)  # noqa: SLF001  (what `dachs drop -f` does, less its commit)
    connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
    for table, column in (("tap_schema.schemas", "schema_name"), ("dc.rdmeta", "sourcerd")):
        name = schema if column == "schema_name" else rd_id
        connection.execute(f"DELETE FROM {table} WHERE {column}=%(name)s", {"name": name})  # noqa: S608

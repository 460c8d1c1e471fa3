"""The columns of a key of several columns, as TAP_SCHEMA lists them: always in one order.

TAP_SCHEMA has no column that says which comes first, and programs take them as they come (stilts taplint compares them so with
what VOSI says). They come as they lie in the table, where a row goes into any space that an earlier one has left.
"""

from __future__ import annotations

from typing import Any

__all__ = ["put_in_order"]

_OUT_OF_ORDER = """
    SELECT 1 FROM (
        SELECT from_column < lag(from_column) OVER (PARTITION BY key_id ORDER BY ctid) AS wrong FROM tap_schema.key_columns
    ) AS pairs WHERE wrong LIMIT 1"""


def put_in_order(connection: Any) -> None:
    """Have a key's columns lie in the order of their names; the table is locked only where they do not."""
    if not list(connection.query(_OUT_OF_ORDER)):
        return
    # DaCHS has the keys' names checked at the commit, until when a table with rows to be checked can not be rewritten
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    connection.execute("CREATE INDEX IF NOT EXISTS key_columns_in_order ON tap_schema.key_columns (key_id, from_column)")
    connection.execute("CLUSTER tap_schema.key_columns USING key_columns_in_order")

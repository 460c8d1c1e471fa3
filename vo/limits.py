"""Least and greatest value of each numeric column, which DaCHS writes into VOTables (VALUES), so that programs can scale axes.

`dachs limits` finds them, too, but on connections of its own, which do not see what a transaction has not committed yet, and with
percentiles that cost a sort of each column. Here it is one pass for all columns of a table.
"""

from __future__ import annotations

from typing import Any

from gavo import base

__all__ = ["copy", "write"]


def write(table: Any, connection: Any) -> None:
    """Put the limits of a table's numeric columns where DaCHS looks for them (dc.simple_col_stats)."""
    name = table.tableDef.getQName()
    connection.execute("DELETE FROM dc.simple_col_stats WHERE tablename=%(table)s", {"table": name})
    columns = [column.name for column in table.tableDef if column.type in base.NUMERIC_TYPES]
    if not columns:
        return
    items = ", ".join(f'min("{column}")::text, max("{column}")::text' for column in columns)
    limits = next(iter(connection.query(f"SELECT {items} FROM {name}")))  # noqa: S608 - names of an RD
    for column, low, high in zip(columns, limits[::2], limits[1::2], strict=True):
        if low is not None:
            connection.execute(
                "INSERT INTO dc.simple_col_stats (tablename, column_name, min_value, max_value)"
                " VALUES (%(table)s, %(column)s, %(low)s, %(high)s)",
                {"table": name, "column": column, "low": low, "high": high},
            )


def copy(source: str, target: str, connection: Any) -> None:
    """Give a view of a whole table, which has a column of the same name for each of its columns, that table's limits."""
    connection.execute(
        "INSERT INTO dc.simple_col_stats (tablename, column_name, min_value, max_value)"
        " SELECT %(target)s, column_name, min_value, max_value FROM dc.simple_col_stats WHERE tablename=%(source)s",
        {"source": source, "target": target},
    )

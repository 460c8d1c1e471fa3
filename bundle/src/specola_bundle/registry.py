"""The column registry: what every standard table and column of a bundle means.

The registry is data (``tables/*.toml`` beside it). This module reads it into typed objects and joins it
with the columns a bundle documents itself. Nothing else in Specola writes down a unit or a UCD.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

__all__ = ["ARROW_TYPES", "FILES", "Column", "FileColumns", "Table", "in_key_order", "standard_tables", "table_keys", "table_of"]

ARROW_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us"),
    # A polygon is a flat list of longitude and latitude in turn, in degrees (DALI 1.1, section 3.3.6).
    "spoly": pa.list_(pa.float64()),
}
"""Arrow type of each column type of the contract."""


@dataclass(frozen=True)
class FileColumns:
    """The columns of a table that tell of one file of each row."""

    path: str
    """Its path within the bundle; NULL where the row has no such file."""
    size: str
    sha256: str
    place: str
    """Folder for these files, in a bundle and in an archive."""


FILES: Mapping[str, tuple[FileColumns, ...]] = {
    "spectra": (
        FileColumns("file", "file_size", "file_sha256", "spectra"),
        FileColumns("work_file", "work_size", "work_sha256", "work"),
    ),
    "files": (FileColumns("file", "file_size", "file_sha256", "files"),),
}
"""The tables of the registry that bring files with them."""


@dataclass(frozen=True)
class Column:
    """A column: its type, meaning and limits."""

    name: str
    type: str
    description: str
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    required: bool = False
    """NULL is not allowed, and the column may not be left out."""
    unique: bool = False
    internal: bool = False
    """Needed on ingest, not published."""
    min: float | None = None
    max: float | None = None
    values: tuple[Any, ...] = ()
    pattern: str = ""
    ref: str = ""
    """``table.column`` in which every value must be found, where that table is in the bundle."""
    joins: str = ""
    """``table.column`` it joins with where not every value must be found: a parent catalogue may hold part of the objects."""

    @property
    def arrow_type(self) -> pa.DataType:
        """Its type in Parquet and Arrow."""
        return ARROW_TYPES[self.type]

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Column:
        """Make a column of a mapping as it stands in the registry or in bundle.json."""
        values = dict(mapping)
        values["values"] = tuple(values.get("values", ()))
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The inverse of `from_mapping`: only what differs from the defaults."""
        plain: dict[str, Any] = {"name": self.name, "type": self.type, "description": self.description}
        for name in ("unit", "ucd", "utype", "pattern", "ref", "joins"):
            if getattr(self, name):
                plain[name] = getattr(self, name)
        for name in ("required", "unique", "internal"):
            if getattr(self, name):
                plain[name] = True
        for name in ("min", "max"):
            if getattr(self, name) is not None:
                plain[name] = getattr(self, name)
        if self.values:
            plain["values"] = list(self.values)
        return plain


@dataclass(frozen=True)
class Table:
    """A table: its columns, key and indexes."""

    name: str
    title: str
    description: str
    primary: str
    columns: tuple[Column, ...]
    position: tuple[str, str] | None = None
    """Names of the columns of right ascension and declination (ICRS, deg)."""
    indexes: tuple[str, ...] = ()
    cone_search: bool = False

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def published(self) -> tuple[Column, ...]:
        """The columns the archive shows."""
        return tuple(column for column in self.columns if not column.internal)


def table_keys(tables: Mapping[str, Table]) -> list[tuple[str, str, str, str]]:
    """How tables join: table, column, the other table and its column, for all pairs of which both are in ``tables``."""
    found = []
    for table in tables.values():
        for column in table.published:
            target, _, name = (column.ref or column.joins).partition(".")
            if target in tables and target != table.name and name in tables[target].names:
                found.append((table.name, column.name, target, name))
    return found


def in_key_order(tables: Mapping[str, Table]) -> list[str]:
    """Names of tables, each after those its keys point to (as far as they do not point in a circle)."""
    targets: dict[str, set[str]] = {name: set() for name in tables}
    for source, _, target, _ in table_keys(tables):
        targets[source].add(target)
    order: list[str] = []
    waiting = list(tables)
    while waiting:
        name = next((name for name in waiting if targets[name] <= set(order)), waiting[0])
        order.append(name)
        waiting.remove(name)
    return order


@functools.cache
def standard_tables() -> Mapping[str, Table]:
    """All tables of the registry by name."""
    folder = Path(__file__).with_name("tables")
    tables = {}
    for path in sorted(folder.glob("*.toml")):
        raw = tomllib.loads(path.read_text("utf-8"))
        head = raw["table"]
        tables[head["name"]] = Table(
            name=head["name"],
            title=head["title"],
            description=head["description"],
            primary=head["primary"],
            columns=tuple(Column.from_mapping(column) for column in raw["column"]),
            position=tuple(head["position"]) if "position" in head else None,
            indexes=tuple(head.get("indexes", ())),
            cone_search=head.get("cone_search", False),
        )
    return tables


def table_of(name: str, extensions: Sequence[Column] = (), **head: Any) -> Table:
    """The definition of a bundle's table: the registry's, if it has one, and the bundle's own columns.

    Parameters
    ----------
    name
        Name of the table.
    extensions
        Columns the bundle documents itself. A name the registry has already is an error (ValueError): what
        is in the registry is not for a bundle to redefine.
    head
        ``title``, ``description``, ``primary``, ``position``, ``indexes`` of a table that the registry does not have.
    """
    standard = standard_tables().get(name)
    if standard is not None:
        clash = sorted(set(standard.names) & {column.name for column in extensions})
        if clash:
            raise ValueError(f"table {name}: columns {', '.join(clash)} are in the registry and can not be redefined")
        return replace(
            standard,
            columns=standard.columns + tuple(extensions),
            indexes=standard.indexes + tuple(i for i in head.get("indexes") or () if i not in standard.indexes),
        )
    position = head.get("position")
    return Table(
        name=name,
        title=head.get("title") or name,
        description=head.get("description") or "",
        primary=head.get("primary") or "",
        columns=tuple(extensions),
        position=(position[0], position[1]) if position else None,
        indexes=tuple(head.get("indexes") or ()),
    )

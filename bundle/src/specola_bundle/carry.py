"""Carry what is in a bundle over to a new one: its files without a second copy, its tables piece by piece."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from specola_bundle.bundle import Bundle, BundleTable
from specola_bundle.errors import BundleError, Finding
from specola_bundle.registry import FILES, Column, standard_tables

__all__ = ["batches", "carry_files", "described", "place"]

_BATCH = 2000


def place(source: str, target: str) -> None:
    """Link a file to another place, or copy it where it can not be linked.

    Paths are strings: making Path objects takes as long as making the link. Files of a bundle are never written to once they are
    there (a new one is written beside it and renamed), so what a link leads to stays what it was.

    Raises
    ------
    OSError
        There is no such source, or the target is there or can not be written.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # another file system, or a source that is not ours to link
        shutil.copyfile(source, target)


def described(table: BundleTable) -> tuple[list[Column], dict[str, Any]]:
    """What `BundleWriter.open_table` wants to know of a table beside its name: the columns the bundle documents itself, and the
    title, description, key, position and indexes of a table that the registry does not have.
    """
    definition = table.definition
    standard = standard_tables().get(definition.name)
    if standard is None:
        keys = ("title", "description", "primary", "position", "indexes")
        return list(definition.columns), {key: getattr(definition, key) or None for key in keys}
    return [column for column in definition.columns if column.name not in standard.names], {}


def batches(table: BundleTable, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a table, some at a time."""
    with pq.ParquetFile(table.path) as file:
        there = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(_BATCH, columns=there):
            yield pa.Table.from_batches([batch])


def carry_files(bundle: Bundle, name: str, rows: pa.Table, folder: Path) -> None:
    """Bring the files of some rows of a table to the same paths below ``folder``.

    Raises
    ------
    BundleError
        A file is not there, or not inside the bundle.
    """
    root = bundle.path.resolve()
    made: set[Path] = set()
    for column in (file.path for file in FILES.get(name, ()) if file.path in rows.column_names):
        for path in rows[column].to_pylist():
            if path is None:
                continue
            source, target = (root / path).resolve(), folder / path
            if not source.is_relative_to(root) or not source.is_file():
                where = f"{bundle.tables[name].path}, column {column}"
                raise BundleError([Finding(where, path, "a file inside the bundle", "fetch or write the bundle again")])
            if target.parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(target.parent)
            place(str(source), str(target))

"""Bundles on disk: written in one go by `BundleWriter`, opened by `Bundle`.

A bundle is a directory::

    bundle.json          what it is (bundle.schema.json), with the checksums of everything below
    manifest.parquet     the table spectra, one row a spectrum
    catalogues/*.parquet further tables
    spectra/*.fits       the spectrum files (specfile.py); spectra/00/*.fits … where there are many
    work/*               the files the spectra were made from, where they are to be served
    files/*              what else belongs to them (table files): two-dimensional spectra, models, pictures
    provenance.json      W3C PROV
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from specola_bundle.errors import BundleError, Finding
from specola_bundle.registry import Column, Table, table_of

__all__ = [
    "CONTRACT",
    "Bundle",
    "BundleTable",
    "BundleWriter",
    "TableWriter",
    "arrow_schema",
    "safe_name",
    "sha256_of",
    "write_whole",
]

CONTRACT = (1, 1)
"""Version of the bundle contract this code writes and reads."""

ROW_GROUP = 20_000
"""Rows of a Parquet row group."""

_FOLDERS = ("spectra", "catalogues", "work", "files")

MANIFEST = "spectra"
"""Name of the table that is the manifest."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def arrow_schema(table: Table, present: Iterable[str] | None = None) -> pa.Schema:
    """Arrow schema of a table, each field with its unit, UCD, utype and description as metadata."""
    wanted = set(table.names if present is None else present)
    return pa.schema(
        [
            pa.field(
                column.name,
                column.arrow_type,
                nullable=not column.required,
                metadata={
                    key: str(getattr(column, key)) for key in ("unit", "ucd", "utype", "description") if getattr(column, key)
                },
            )
            for column in table.columns
            if column.name in wanted
        ]
    )


class TableWriter:
    """A table being written: rows are gathered into row groups of `ROW_GROUP`, so memory stays flat."""

    def __init__(self, name: str, stream: pq.ParquetWriter, schema: pa.Schema) -> None:
        self.name = name
        self.rows = 0
        self._stream = stream
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0

    @property
    def waiting(self) -> int:
        """Rows that were appended and are not written yet; ``rows`` are those that are."""
        return self._n_waiting

    def append(self, rows: Sequence[Mapping[str, Any]] | pa.Table) -> None:
        """Add rows: mappings (a missing key is NULL), or an Arrow table with the columns announced."""
        if isinstance(rows, pa.Table):
            missing = sorted(set(self._schema.names) - set(rows.column_names))
            if missing:
                raise BundleError([Finding(f"table {self.name}", f"no columns {', '.join(missing)}", "them", "give them")])
            piece = rows.select(self._schema.names).cast(self._schema)
        else:
            unknown = sorted({key for row in rows for key in row} - set(self._schema.names))
            if unknown:
                raise BundleError(
                    [Finding(f"table {self.name}", f"columns {', '.join(unknown)}", "columns announced", "announce them")]
                )
            piece = pa.Table.from_pylist(list(rows), schema=self._schema)
        for field in self._schema:
            if not field.nullable and piece[field.name].null_count:
                row = self.rows + self._n_waiting + pc.index(pc.is_null(piece[field.name]), value=True).as_py() + 1
                raise BundleError([Finding(f"table {self.name} row {row}, column {field.name}", "NULL", "a value", "give it")])
        self._waiting.append(piece)
        self._n_waiting += piece.num_rows
        if self._n_waiting >= ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one row group (the first one even where it is empty, so that the file has its columns)."""
        if self._n_waiting:
            self._stream.write_table(pa.concat_tables(self._waiting).combine_chunks(), row_group_size=ROW_GROUP)
        self.rows += self._n_waiting
        self._waiting, self._n_waiting = [], 0


class BundleWriter:
    """Write a bundle; what is at the target path appears whole when the ``with`` block ends without an error.

    Use::

        with BundleWriter(path, survey="vandels", release="dr4", kind="spectra", title=…, …) as writer:
            size, sha = write_spectrum(writer.folder / "spectra" / "X.fits", row, data)
            writer.write_table("spectra", rows)             # a list of mappings, or an Arrow table
            writer.write_table("redshifts", rows, extensions=[Column(…)])

    The directory is made beside the target and renamed at the end; an error or a kill leaves the target as it was
    (a left-over ``NAME.part`` directory is removed by the next writer). An existing bundle is replaced only
    with ``overwrite=True``.
    """

    def __init__(self, path: Path, *, overwrite: bool = False, **description: Any) -> None:
        self.path = Path(path)
        self.folder = self.path.with_name(self.path.name + ".part")
        self._overwrite = overwrite
        self._description = {"contract": ".".join(map(str, CONTRACT)), **description}
        self._description.setdefault("created", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self._tables: list[dict[str, Any]] = []
        self._provenance: Mapping[str, Any] | None = None

    def __enter__(self) -> Self:
        if self.path.exists() and not self._overwrite:
            raise BundleError(
                [Finding(str(self.path), "an existing file or directory", "nothing there", "remove it, or overwrite")]
            )
        if self.folder.exists():
            shutil.rmtree(self.folder)
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True)
        return self

    def write_table(
        self, name: str, rows: Sequence[Mapping[str, Any]] | pa.Table, *, extensions: Sequence[Column] = (), **head: Any
    ) -> None:
        """Write a table; ``extensions`` documents columns the registry does not have (and the whole of a new table,
        whose ``title``, ``description``, ``primary``, ``position``, ``indexes`` go into ``head``).
        """
        given = rows.column_names if isinstance(rows, pa.Table) else {key for row in rows for key in row}
        with self.open_table(name, given, extensions=extensions, **head) as table:
            table.append(rows)

    @contextmanager
    def open_table(
        self, name: str, present: Iterable[str] | None = None, *, extensions: Sequence[Column] = (), **head: Any
    ) -> Iterator[TableWriter]:
        """Write a table piece by piece, for what is too large to be held: ``append`` rows to what this yields.

        ``present`` names the columns that will be given (by default all of the table); the rest as in `write_table`.
        """
        definition = table_of(name, extensions, **head)
        given = set(definition.names if present is None else present)
        unknown = sorted(given - set(definition.names))
        if unknown:
            raise BundleError(
                [
                    Finding(
                        f"table {name}",
                        f"columns {', '.join(unknown)}",
                        "columns of the registry or documented extensions",
                        "document them",
                    )
                ]
            )
        schema = arrow_schema(definition, given | {column.name for column in definition.columns if column.required})
        path = "manifest.parquet" if name == MANIFEST else f"catalogues/{name}.parquet"
        with pq.ParquetWriter(self.folder / path, schema, compression="zstd") as stream:
            table = TableWriter(name, stream, schema)
            yield table
            table.flush()
        entry: dict[str, Any] = {"name": name, "path": path, "sha256": sha256_of(self.folder / path), "rows": table.rows}
        entry |= {key: list(value) if isinstance(value, tuple) else value for key, value in head.items() if value is not None}
        if extensions:
            entry["columns"] = [column.to_mapping() for column in extensions]
        self._tables.append(entry)

    def provenance(self, document: Mapping[str, Any]) -> None:
        """Keep a PROV document (PROV-JSON) with the bundle."""
        self._provenance = document

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        document = dict(self._description)
        document["tables"] = self._tables
        document["counts"] = {table["name"]: table["rows"] for table in self._tables}
        if self._provenance is not None:
            path = self.folder / "provenance.json"
            write_whole(path, json.dumps(self._provenance, indent=1, ensure_ascii=False).encode())
            document["provenance"] = {"path": path.name, "sha256": sha256_of(path)}
        for name in _FOLDERS:
            if not any((self.folder / name).iterdir()):
                (self.folder / name).rmdir()
        write_whole(self.folder / "bundle.json", json.dumps(document, indent=1, ensure_ascii=False).encode())
        if self.path.exists():
            old = self.path.with_name(self.path.name + ".old")
            shutil.rmtree(old, ignore_errors=True)
            self.path.rename(old)
            self.folder.rename(self.path)
            shutil.rmtree(old)
        else:
            self.folder.rename(self.path)


@dataclass(frozen=True)
class BundleTable:
    """A table of a bundle: its definition and its file."""

    definition: Table
    path: Path
    sha256: str
    rows: int


class Bundle:
    """A bundle on disk, opened for reading. Opening reads bundle.json only; `ingest.check` looks at the rest."""

    def __init__(self, path: Path, description: Mapping[str, Any]) -> None:
        self.path = path
        self.description = description
        self.tables: dict[str, BundleTable] = {}
        for entry in description["tables"]:
            extensions = [Column.from_mapping(column) for column in entry.get("columns", ())]
            head = {key: entry.get(key) for key in ("title", "description", "primary", "position", "indexes")}
            self.tables[entry["name"]] = BundleTable(
                definition=table_of(entry["name"], extensions, **head),
                path=path / entry["path"],
                sha256=entry["sha256"],
                rows=entry["rows"],
            )

    @property
    def schema(self) -> str:
        """Name of the release's database schema, ``survey_release``."""
        return f"{self.description['survey']}_{self.description['release']}"

    @property
    def manifest(self) -> BundleTable | None:
        """The table of spectra, None for a bundle of catalogues."""
        return self.tables.get(MANIFEST)

    @property
    def identity(self) -> str:
        """SHA-256 of bundle.json, which holds the checksums of everything else: the identity of the bundle's content."""
        return sha256_of(self.path / "bundle.json")


def safe_name(text: str) -> str:
    """A string as a file and identifier name: what is not a letter, digit or one of ``_.-`` becomes ``_``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.") or "x"

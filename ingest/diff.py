"""What came, went and changed between two bundles: columns, rows, spectra, redshifts. `compare` is the function to call.

Rows are matched by the primary keys of their tables. Tables too large to be held are first dealt into buckets by their keys,
the same for both sides, and compared bucket by bucket, so that the cost is linear in the rows and the memory flat.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.findings import Progress
from specola_bundle.bundle import Bundle, BundleTable
from specola_bundle.registry import FILES, Column

__all__ = ["CHANGES", "Summary", "TableSummary", "compare", "differs"]

CHANGES = pa.schema(
    [
        pa.field("table", pa.string(), metadata={"description": "Name of the table."}),
        pa.field(
            "item", pa.string(), metadata={"description": "What changed: table, column, row, or value (of a row that stayed)."}
        ),
        pa.field("change", pa.string(), metadata={"description": "came, went, or changed."}),
        pa.field("key", pa.string(), metadata={"description": "Primary key of the row; NULL for tables and columns."}),
        pa.field("column", pa.string(), metadata={"description": "Name of the column; NULL for tables and rows."}),
        pa.field("before", pa.string(), metadata={"description": "Value, or definition of the column, before."}),
        pa.field("after", pa.string(), metadata={"description": "Value, or definition of the column, after."}),
    ]
)
"""Columns of the table of changes."""

BUCKET = 250_000
"""Rows of a table, both sides together, that are compared at a time."""
_BATCH = 50_000
_SKIPPED = frozenset(file.path for files in FILES.values() for file in files)
"""Paths within a bundle are no content: the files' checksums are."""

Receive = Callable[[pa.Table], None]
"""Called with rows of `CHANGES`."""


@dataclass
class TableSummary:
    """Counts of one table."""

    rows_before: int = 0
    rows_after: int = 0
    came: int = 0
    went: int = 0
    changed: int = 0
    """Rows that stayed, with at least one value that changed."""
    values: dict[str, int] = field(default_factory=dict)
    """Number of values that changed, by column."""
    columns: dict[str, str] = field(default_factory=dict)
    """Columns that came, went or changed their definition."""

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        return not (self.came or self.went or self.changed or self.columns) and self.rows_before == self.rows_after


@dataclass
class Summary:
    """Counts of a comparison."""

    before: str
    after: str
    tables: dict[str, TableSummary] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether the two hold the same."""
        return all(table.same for table in self.tables.values())


def compare(before: Bundle, after: Bundle, receive: Receive, progress: Progress | None = None) -> Summary:
    """Compare two bundles and hand every change to ``receive``, a piece at a time.

    Parameters
    ----------
    before, after
        The bundles, which have been checked.
    receive
        Called with tables of the columns `CHANGES`.
    progress
        Called with ``compare``, the rows done and all rows.
    """
    summary = Summary(before.schema, after.schema)
    names = [*before.tables, *(name for name in after.tables if name not in before.tables)]
    total = sum(table.rows for bundle in (before, after) for table in bundle.tables.values())
    done = 0
    for name in names:
        pair = before.tables.get(name), after.tables.get(name)
        summary.tables[name] = _compare_tables(name, pair, receive)
        done += sum(table.rows for table in pair if table is not None)
        if progress is not None:
            progress("compare", done, total)
    return summary


def _compare_tables(name: str, pair: tuple[BundleTable | None, BundleTable | None], receive: Receive) -> TableSummary:
    first, second = pair
    counts = TableSummary(first.rows if first else 0, second.rows if second else 0)
    if first is None or second is None:
        receive(_changes(name, "table", "came" if first is None else "went"))
        _note_columns(name, first, second, counts, lambda _: None)
        counts.came, counts.went = counts.rows_after, counts.rows_before
        return counts
    _note_columns(name, first, second, counts, receive)
    key = first.definition.primary
    if key != second.definition.primary:
        receive(_changes(name, "column", "changed", column=key, before="primary key", after=f"{second.definition.primary} is"))
        counts.columns[key] = "changed"
        counts.went, counts.came = counts.rows_before, counts.rows_after
        return counts
    with tempfile.TemporaryDirectory(prefix="specola-diff-") as scratch:
        for before, after in _buckets(first, second, key, Path(scratch)):
            _compare_rows(name, key, before, after, counts, receive)
    return counts


def _note_columns(
    name: str, first: BundleTable | None, second: BundleTable | None, counts: TableSummary, receive: Receive
) -> None:
    before, after = (_documented(table) for table in (first, second))
    for column in [*before, *(column for column in after if column not in before)]:
        old, new = before.get(column), after.get(column)
        if old != new:
            change = "came" if old is None else "went" if new is None else "changed"
            counts.columns[column] = change
            receive(_changes(name, "column", change, column=column, before=old, after=new))


def _documented(table: BundleTable | None) -> dict[str, str]:
    """What is said of each column that is there."""
    if table is None:
        return {}
    present = set(pq.read_schema(table.path).names)
    return {column.name: _definition(column) for column in table.definition.columns if column.name in present}


def _definition(column: Column) -> str:
    words = [column.type, column.unit and f"unit {column.unit}", column.ucd and f"UCD {column.ucd}", column.description]
    return "; ".join(filter(None, words))


def _changes(table: str, item: str, change: str, **values: Any) -> pa.Table:
    """One or many changes; each of key, column, before, after is an array, a string for all, or absent."""
    length = max((len(value) for value in values.values() if isinstance(value, pa.Array | pa.ChunkedArray)), default=1)
    given = {"table": table, "item": item, "change": change, **values}
    arrays = []
    for name in CHANGES.names:
        value = given.get(name)
        arrays.append(value if isinstance(value, pa.Array | pa.ChunkedArray) else pa.array([value] * length, pa.string()))
    return pa.table(arrays, schema=CHANGES)


def _compare_rows(name: str, key: str, before: pa.Table, after: pa.Table, counts: TableSummary, receive: Receive) -> None:
    old, new = before[key].combine_chunks(), after[key].combine_chunks()
    if old.type != new.type:
        old, new = old.cast(pa.string()), new.cast(pa.string())
    place = pc.index_in(new, value_set=old)
    gone = pc.invert(pc.is_in(old, value_set=new))
    for change, keys in (("went", old.filter(gone)), ("came", new.filter(pc.is_null(place)))):
        if len(keys):
            receive(_changes(name, "row", change, key=_text(keys)))
            setattr(counts, change, getattr(counts, change) + len(keys))
    stayed = pc.is_valid(place)
    before, after, keys = before.take(place.filter(stayed)), after.filter(stayed), new.filter(stayed)
    touched = np.zeros(len(keys), bool)
    for column in before.column_names:
        if column == key or column in _SKIPPED or column not in after.column_names:
            continue
        left, right = before[column].combine_chunks(), after[column].combine_chunks()
        different = differs(left, right)
        if number := pc.sum(different).as_py() or 0:
            touched |= different.to_numpy(zero_copy_only=False)
            counts.values[column] = counts.values.get(column, 0) + number
            values = {"before": _text(left.filter(different)), "after": _text(right.filter(different))}
            receive(_changes(name, "value", "changed", key=_text(keys.filter(different)), column=column, **values))
    if touched.any():
        counts.changed += int(touched.sum())
        receive(_changes(name, "row", "changed", key=_text(keys.filter(pa.array(touched)))))


def differs(left: pa.Array, right: pa.Array) -> pa.Array:
    """Where two arrays differ: NULL equals NULL, NaN equals NaN, numbers of two types are compared as numbers."""
    if pa.types.is_nested(left.type) or pa.types.is_nested(right.type):
        return pa.array([a != b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)], pa.bool_())
    if left.type != right.type:
        common = pa.float64() if _is_number(left.type) and _is_number(right.type) else pa.string()
        left, right = left.cast(common), right.cast(common)
    unequal = pc.fill_null(pc.not_equal(left, right), False)
    if pa.types.is_floating(left.type):
        unequal = pc.and_not(unequal, pc.fill_null(pc.and_(pc.is_nan(left), pc.is_nan(right)), False))
    return pc.or_(unequal, pc.xor(pc.is_null(left), pc.is_null(right)))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _text(values: pa.Array) -> pa.Array:
    if pa.types.is_nested(values.type):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def _buckets(first: BundleTable, second: BundleTable, key: str, scratch: Path) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Both tables in parts such that a key is in the same part of both."""
    number = -(-(first.rows + second.rows) // BUCKET)
    if number <= 1:
        yield pq.read_table(first.path), pq.read_table(second.path)
        return
    for side, table in (("before", first), ("after", second)):
        _deal(table.path, key, number, scratch / side)
    for bucket in range(number):
        before, after = (_bucket(scratch / side / str(bucket)) for side in ("before", "after"))
        yield before, after


def _bucket(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as stream, pa.ipc.open_stream(stream) as reader:
        table = reader.read_all()
    path.unlink()
    return table


def _deal(path: Path, key: str, number: int, folder: Path) -> None:
    """Write the rows of a table into so many files by their keys."""
    folder.mkdir()
    with ExitStack() as stack:
        file = stack.enter_context(pq.ParquetFile(path))
        writers = []
        for bucket in range(number):
            stream = stack.enter_context(pa.OSFile(str(folder / str(bucket)), "wb"))
            writers.append(stack.enter_context(pa.ipc.new_stream(stream, file.schema_arrow)))
        for batch in file.iter_batches(_BATCH):
            places = _bucket_of(batch.column(key), number)
            order = np.argsort(places, kind="stable")
            ordered = batch.take(pa.array(order))
            ends = np.searchsorted(places[order], np.arange(number + 1))
            for bucket, writer in enumerate(writers):
                if size := int(ends[bucket + 1] - ends[bucket]):
                    writer.write_batch(ordered.slice(int(ends[bucket]), size))


_PRIME = np.uint64(0x9E3779B97F4A7C15)
_WEIGHTS = np.random.default_rng(20261125).integers(1, 2**63, 256, np.uint64) | np.uint64(1)


def _bucket_of(keys: pa.Array, number: int) -> npt.NDArray[np.int64]:
    """A number from 0 to ``number`` - 1 for each key, which depends on its text alone."""
    text = keys.cast(pa.binary()) if pa.types.is_string(keys.type) else keys.cast(pa.string()).cast(pa.binary())
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1].astype(np.int64)
    content = np.frombuffer(text.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    starts, lengths = offsets[:-1] - offsets[0], np.diff(offsets)
    position = np.arange(content.size) - np.repeat(starts, lengths)
    weighted = np.concatenate([[np.uint64(0)], np.cumsum((content.astype(np.uint64) + np.uint64(1)) * _WEIGHTS[position % 256])])
    with np.errstate(over="ignore"):
        sums = (weighted[starts + lengths] - weighted[starts]) * _PRIME
    places: npt.NDArray[np.int64] = ((sums >> np.uint64(33)) % np.uint64(number)).astype(np.int64)
    return places

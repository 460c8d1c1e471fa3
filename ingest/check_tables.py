"""Checking the tables of a bundle against their definitions: vectorised, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.findings import Findings, Progress, known_unit
from specola_bundle.bundle import Bundle, BundleTable
from specola_bundle.registry import FILES, Column

__all__ = ["check_tables"]

BATCH = 20_000
"""Rows held at a time."""

_PAIRS = (
    ("wave_min", "wave_max", True), ("t_min", "t_max", False), ("photoz_min", "photoz_max", False), ("n_valid",
    "n_pixels", False),
)  # fmt: skip
"""Columns of which the first must not exceed the second, and whether they must differ."""

_PATHS = {name: tuple(one.path for one in files) for name, files in FILES.items()}
"""By table, the columns that are paths within the bundle."""
_SAFE_PATH = r"^(?:[A-Za-z0-9_+-][A-Za-z0-9_.+-]*/)*[A-Za-z0-9_+-][A-Za-z0-9_.+-]*$"
_CORNERS = 3


def check_tables(bundle: Bundle, findings: Findings, progress: Progress | None) -> None:
    """Check all tables: columns, then values, then keys and references."""
    for table in bundle.tables.values():
        _TableCheck(bundle, table, findings).run(progress)


@dataclass
class _TableCheck:
    bundle: Bundle
    table: BundleTable
    findings: Findings

    @property
    def name(self) -> str:
        return self.table.path.relative_to(self.bundle.path).as_posix()

    def run(self, progress: Progress | None) -> None:
        try:
            with pq.ParquetFile(self.table.path) as file:
                if file.metadata.num_rows != self.table.rows:
                    self.findings.add(
                        self.name,
                        f"{file.metadata.num_rows} rows",
                        f"{self.table.rows} as bundle.json says",
                        "write the bundle again",
                    )
                columns = self._check_columns(file.schema_arrow)
                done = 0
                for batch in file.iter_batches(BATCH, columns=[column.name for column in columns]):
                    self._check_batch(batch, columns, done)
                    done += batch.num_rows
                    if progress:
                        progress(f"table {self.table.definition.name}", done, self.table.rows)
                self._check_keys(file, columns)
        except (pa.ArrowException, OSError) as error:
            self.findings.add(self.name, str(error).splitlines()[0], "a whole Parquet file", "write or fetch the bundle again")

    def _check_columns(self, schema: pa.Schema) -> list[Column]:
        """The columns whose values can be checked: those there and of the right type."""
        definition = self.table.definition
        documented = {column.name: column for column in definition.columns}
        usable = []
        for field in schema:
            column = documented.pop(field.name, None)
            where = f"{self.name}, column {field.name}"
            if column is None:
                self.findings.add(
                    where,
                    "a column without documentation",
                    "only columns of the registry or documented in bundle.json",
                    "document it or leave it out",
                )
                continue
            unit = (field.metadata or {}).get(b"unit", b"").decode()
            if unit != column.unit:
                self.findings.add(where, f"unit {unit!r}", f"unit {column.unit!r}", "convert the values and set the field's unit")
            if field.type != column.arrow_type:
                self.findings.add(where, f"type {field.type}", f"{column.arrow_type}", "write the column with this type")
                continue
            usable.append(column)
        for column in documented.values():
            if column.required:
                self.findings.add(
                    f"{self.name}, column {column.name}", "no such column", "it, as it is required", "add the column"
                )
        return usable

    def _check_batch(self, batch: pa.RecordBatch, columns: list[Column], first: int) -> None:
        for column in columns:
            values = batch.column(column.name)
            for bad, expected in _breaches(column, values):
                self._report(batch, bad, column.name, expected, first=first)
        names = set(batch.schema.names)
        for low, high, strict in _PAIRS:
            if {low, high} <= names:
                bad = (pc.greater_equal if strict else pc.greater)(batch.column(low), batch.column(high))
                expected = f"a value {'below' if strict else 'not above'} {high}"
                self._report(batch, bad, low, expected, first=first, beside=high)
        for name in _PATHS.get(self.table.definition.name, ()):
            if name in names:
                bad = pc.invert(pc.match_substring_regex(batch.column(name), _SAFE_PATH))
                self._report(batch, bad, name, "a relative path inside the bundle", first=first)

    def _report(self, batch: pa.RecordBatch, bad: pa.Array, column: str, expected: str, *, first: int, beside: str = "") -> None:
        mask = pc.fill_null(bad, False)
        if not pc.any(mask).as_py():
            return
        for row in np.flatnonzero(mask.to_numpy(zero_copy_only=False)):
            if self.findings.full:
                self.findings.more += 1
                continue
            found = _text(batch.column(column)[int(row)])
            if beside:
                found += f" beside {beside} {_text(batch.column(beside)[int(row)])}"
            key = self.table.definition.primary
            identifier = batch.column(key)[int(row)].as_py() if key in batch.schema.names else None
            self.findings.add(_where(self.name, first + int(row) + 1, identifier, column), found, expected)

    def _check_keys(self, file: pq.ParquetFile, columns: list[Column]) -> None:
        """Uniqueness and references, which need whole columns."""
        definition = self.table.definition
        for column in columns:
            if not (column.unique or column.ref or column.name == definition.primary):
                continue
            values = file.read(columns=[column.name]).column(0)
            if column.unique or column.name == definition.primary:
                self._check_unique(column.name, values)
            if column.ref:
                self._check_reference(file, column, values)

    def _check_unique(self, name: str, values: pa.ChunkedArray) -> None:
        filled = values.drop_null()
        if pc.count_distinct(filled).as_py() == len(filled):
            return
        counts = pc.value_counts(filled)
        repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        rows: dict[object, list[int]] = {}
        for row in np.flatnonzero(pc.is_in(values, value_set=repeated).to_numpy()):
            rows.setdefault(values[int(row)].as_py(), []).append(int(row) + 1)
        for value, where in rows.items():
            listed = ", ".join(map(str, where[:5])) + (" and more" if len(where) > 5 else "")
            self.findings.add(
                f"{self.name} row {where[1]} ({value}), column {name}",
                f"{value!r} in rows {listed}",
                "every value once",
                "give each row its own",
            )

    def _check_reference(self, file: pq.ParquetFile, column: Column, values: pa.ChunkedArray) -> None:
        table, name = column.ref.split(".")
        other = self.bundle.tables.get(table)
        if other is None:
            return
        try:
            known = pq.read_table(other.path, columns=[name]).column(0)
        except (pa.ArrowException, OSError, KeyError):
            return  # the other table's own check says what is wrong with it
        bad = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=known.combine_chunks())))
        if not pc.any(bad).as_py():
            return
        key = self.table.definition.primary
        identifiers = file.read(columns=[key]).column(0) if key in file.schema_arrow.names else None
        for row in np.flatnonzero(bad.to_numpy()):
            identifier = identifiers[int(row)].as_py() if identifiers is not None else None
            self.findings.add(
                _where(self.name, int(row) + 1, identifier, column.name), _text(values[int(row)]), f"a value of {column.ref}"
            )
            if self.findings.full:
                break


def _where(file: str, row: int, identifier: object, column: str) -> str:
    return f"{file} row {row}{f' ({identifier})' if identifier is not None else ''}, column {column}"


def _text(scalar: pa.Scalar) -> str:
    value = scalar.as_py()
    if value is None:
        return "NULL"
    return repr(value)[:80] if isinstance(value, str | list) else str(value)


def _breaches(column: Column, values: pa.Array) -> Iterator[tuple[pa.Array, str]]:
    """Masks of the values that break a rule of the column, each with what was expected."""
    if column.required and values.null_count:
        yield pc.is_null(values), "a value"
    if pa.types.is_floating(values.type):
        yield pc.invert(pc.is_finite(values)), "a finite number or NULL"
    if column.min is not None or column.max is not None:
        low = -float("inf") if column.min is None else column.min
        high = float("inf") if column.max is None else column.max
        numbers = values.cast(pa.float64(), safe=False)
        expected = f"{_limit(column.min)} to {_limit(column.max)}{' ' + column.unit if column.unit else ''}"
        # Infinities are told of above; a limit of single precision is compared in double precision.
        yield pc.and_(pc.is_finite(numbers), pc.or_(pc.less(numbers, low), pc.greater(numbers, high))), expected
    if column.values:
        known = pa.array(column.values, values.type)
        yield (
            pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, value_set=known))),
            f"one of {', '.join(map(str, column.values))}",
        )
    if column.pattern:
        yield pc.invert(pc.match_substring_regex(values, f"^(?:{column.pattern})$")), f"a match of {column.pattern}"
    if column.ucd.startswith("meta.unit"):
        wrong = [unit for unit in pc.unique(values).drop_null().to_pylist() if not known_unit(unit)]
        yield pc.is_in(values, value_set=pa.array(wrong, values.type)), "a VOUnit string"
    if column.type == "spoly":
        yield from _polygon_breaches(values)


def _limit(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def _polygon_breaches(values: pa.Array) -> Iterator[tuple[pa.Array, str]]:
    lengths = pc.list_value_length(values)
    odd = pc.equal(pc.bit_wise_and(lengths, pa.scalar(1, lengths.type)), 1)
    yield pc.or_(odd, pc.less(lengths, 2 * _CORNERS)), "pairs of longitude and latitude of three corners or more"
    rows = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
    numbers = pc.list_flatten(values).to_numpy(zero_copy_only=False)
    if not numbers.size:
        return
    # Even places within a list are longitudes.
    starts = np.searchsorted(rows, rows)
    longitude = (np.arange(rows.size) - starts) % 2 == 0
    with np.errstate(invalid="ignore"):
        good = np.where(longitude, (numbers >= 0) & (numbers <= 360), np.abs(numbers) <= 90)
    bad = np.zeros(len(values), dtype=bool)
    bad[rows[~good]] = True
    yield pa.array(bad), "longitudes from 0 to 360 and latitudes from -90 to 90"

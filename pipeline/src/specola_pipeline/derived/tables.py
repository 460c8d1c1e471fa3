"""The tables of the new bundle: those of the old one, some rows at a time, and the rows of what was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from specola_bundle.bundle import MANIFEST, Bundle, BundleTable, BundleWriter, TableWriter
from specola_bundle.carry import batches, carry_files, described, place
from specola_bundle.registry import standard_tables
from specola_pipeline.derived.context import Context
from specola_pipeline.derived.journal import Journal
from specola_pipeline.derived.rows import MARK, candidate_rows, file_row, index_rows, line_rows, redshift_row

__all__ = ["write_tables"]

_MEASURED = ("redshifts", "candidates", "lines", "indices", "files")
"""The tables that get rows."""
_FILLED = {"redshift": None, "target_class": "UNKNOWN"}
"""Columns of the manifest that are filled in, and what stands there, beside NULL, where nothing is known."""
_SOME = 500

Progress = Callable[[str, int, int], None]
Best = Mapping[str, tuple[float | None, str | None, str]]
"""By objects: redshift, class and spectrum of the automatic measurement that is the object's best."""


def write_tables(
    writer: BundleWriter, bundle: Bundle, context: Context, journal: Journal, method: str, report: Progress
) -> dict[str, int]:
    """Write all tables and bring the files over; returns the numbers of rows.

    An object that nobody has measured gets one recommended redshift: of its spectra the one with the highest probability.
    """
    manifest = bundle.tables[MANIFEST]
    best = _best(manifest, context, journal)
    streams: dict[str, TableWriter] = {}
    with ExitStack() as stack:
        for name in dict.fromkeys((*bundle.tables, *_MEASURED)):
            table = bundle.tables.get(name)
            added = _added(name, context)
            extensions, head = ([], {}) if table is None else described(table)
            present = dict.fromkeys([*([] if table is None else pq.read_schema(table.path).names), *added])
            stream = streams[name] = stack.enter_context(writer.open_table(name, present, extensions=extensions, **head))
            if table is not None:
                for rows in batches(table):
                    kept = _without_own(rows, table.definition.primary) if name in _MEASURED else rows
                    carry_files(bundle, name, kept, writer.folder)
                    stream.append(_filled(kept, context, best) if name == MANIFEST else _widened(kept, added))
        _append_measured(writer, manifest, context, journal, method, best, streams, report)
    return {name: stream.rows for name, stream in streams.items()}


def _added(name: str, context: Context) -> tuple[str, ...]:
    """The registry's columns that are written where the old table has them not."""
    if name == MANIFEST:
        return tuple(_FILLED)
    if name not in _MEASURED:
        return ()
    left_out = {"reference"} | (set() if context.states else {"z_state"})
    return tuple(column for column in standard_tables()[name].names if column not in left_out)


def _records(manifest: BundleTable, journal: Journal, columns: list[str]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What was measured, each with the spectrum's row of the manifest; both are in the same order."""
    records = journal.records()
    record = next(records, None)
    for rows in batches(manifest, columns):
        for row in rows.to_pylist():
            if record is not None and record["spectrum"] == row["spectrum_id"]:
                yield record, row
                record = next(records, None)


def _best(manifest: BundleTable, context: Context, journal: Journal) -> Best:
    """Of each object that nobody has measured the best automatic redshift."""
    found: dict[str, tuple[float, tuple[float | None, str | None, str]]] = {}
    for record, row in _records(manifest, journal, ["spectrum_id", "object_id"]):
        name = row["object_id"]
        if name not in context.recommended and (name not in found or record["probability"] > found[name][0]):
            found[name] = (record["probability"], (record["z"], record["class"], record["spectrum"]))
    return {name: best for name, (_, best) in found.items()}


def _without_own(rows: pa.Table, key: str) -> pa.Table:
    """Rows that no earlier run of this program has written."""
    pairs = zip(rows[key].to_pylist(), rows["spectrum_id"].to_pylist(), strict=True)
    return rows.filter(pa.array([not name.startswith(f"{spectrum}{MARK}") for name, spectrum in pairs], pa.bool_()))


def _widened(rows: pa.Table, columns: tuple[str, ...]) -> pa.Table:
    """Rows with NULL in the columns that they have not."""
    for column in columns:
        if column not in rows.column_names:
            rows = rows.append_column(column, pa.nulls(rows.num_rows))
    return rows


def _filled(rows: pa.Table, context: Context, best: Best) -> pa.Table:
    """Rows of the manifest with redshift and class where they were not known; those of blank sky stay as they are."""
    known = [
        (None, None) if spectrum in context.sky else (context.recommended.get(name) or best.get(name) or (None, None))[:2]
        for spectrum, name in zip(rows["spectrum_id"].to_pylist(), rows["object_id"].to_pylist(), strict=True)
    ]
    for place_, (column, unknown) in enumerate(_FILLED.items()):
        new = pa.array([one[place_] for one in known], standard_tables()[MANIFEST].column(column).arrow_type)
        if column not in rows.column_names:
            rows = rows.append_column(column, new)
            continue
        old = rows[column]
        empty = pc.is_null(old) if unknown is None else pc.fill_null(pc.equal(old, unknown), fill_value=True)
        values = pc.if_else(empty, pc.coalesce(new, old), old)
        rows = rows.set_column(rows.schema.get_field_index(column), column, values)
    return rows


def _append_measured(
    writer: BundleWriter, manifest: BundleTable, context: Context, journal: Journal, method: str, best: Best,
    streams: Mapping[str, TableWriter], report: Progress,
) -> None:  # fmt: skip
    """Append the rows of what was measured, and bring the models' files over."""
    waiting: dict[str, list[dict[str, Any]]] = {name: [] for name in _MEASURED}
    columns = ["spectrum_id", "object_id", "slit_id", "ra", "dec", "flux_unit", "flux_calib"]
    for number, (record, row) in enumerate(_records(manifest, journal, columns), start=1):
        target = context.targets.get(row.get("slit_id") or "")
        redshift = redshift_row(
            record, row, context.scheme, method,
            best=row["object_id"] in best and best[row["object_id"]][2] == record["spectrum"],
            secondary=target is not None and target != row["object_id"],
            photoz=context.photoz.get(row["object_id"], (None, None, None)),
        )  # fmt: skip
        if not context.states:
            del redshift["z_state"]
        waiting["redshifts"].append(redshift)
        waiting["candidates"] += candidate_rows(record, row, method)
        waiting["lines"] += line_rows(record, row, method)
        waiting["indices"] += index_rows(record, row, method)
        if "model" in record:
            waiting["files"].append(file_row(record))
            path = record["model"]["file"]
            (writer.folder / path).parent.mkdir(parents=True, exist_ok=True)
            place(str(journal.folder / path), str(writer.folder / path))
        if number % _SOME == 0 or number == len(journal.done):
            _flush(streams, waiting)
            report("rows", number, manifest.rows - len(context.sky))
    _flush(streams, waiting)


def _flush(streams: Mapping[str, TableWriter], waiting: dict[str, list[dict[str, Any]]]) -> None:
    for name, rows in waiting.items():
        streams[name].append(rows)
        rows.clear()

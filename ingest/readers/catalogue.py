"""Catalogues in CSV (also .gz), Parquet, FITS or VOTable with the column mapping of a survey.toml.

CSV, Parquet and FITS are read in batches, so memory does not grow with the number of rows; a VOTable is read whole,
as XML has to be.
"""

from __future__ import annotations

import csv
import gzip
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from astropy import units
from astropy.io import fits, votable
from astropy.utils.exceptions import AstropyWarning

from ingest.errors import SourceError
from ingest.readers.mapping import TableMap, table_maps
from specola_bundle.build import Progress, Report
from specola_bundle.bundle import BundleWriter, sha256_of
from specola_bundle.provenance import provenance, software
from specola_bundle.survey import Survey

__all__ = ["batches", "read"]

BATCH = 50_000
"""Rows read at a time."""


def read(source: Path, target: Path, survey: Survey, *, overwrite: bool = False, progress: Progress | None = None) -> Report:
    """Make a bundle of tables of one catalogue file.

    Raises
    ------
    SourceError
        The file can not be read, lacks a column of the mapping, has a value that does not fit, or repeats a primary key.
    """
    maps = table_maps(survey.tables, str(survey.path))
    report = Report(target)
    started = datetime.now(UTC)
    description: dict[str, Any] = {**survey.bundle, "kind": "catalogue"}
    description["software"] = [*survey.bundle.get("software", ()), *software()]
    keys: dict[str, dict[str, int]] = {one.definition.name: {} for one in maps}
    with BundleWriter(target, overwrite=overwrite, **description) as writer:
        with ExitStack() as stack:
            tables = {
                one.definition.name: stack.enter_context(
                    writer.open_table(one.definition.name, one.present, extensions=one.extensions, **one.head)
                )
                for one in maps
            }
            row = 1
            for batch in batches(source, sorted(frozenset().union(*(one.sources for one in maps))), survey.source):
                for one in maps:
                    made = one.apply(batch, source.name, row)
                    _refuse_duplicates(made, one, keys[one.definition.name], source.name, row)
                    tables[one.definition.name].append(made)
                row += batch.num_rows
                if progress:
                    progress("catalogue rows", row - 1, 0)
        report.counts = {name: table.rows for name, table in tables.items()}
        writer.provenance(provenance(survey, [source], {source: sha256_of(source)}, started))
    return report


def batches(path: Path, columns: Sequence[str], options: Mapping[str, Any]) -> Iterator[pa.Table]:
    """A catalogue's rows as Arrow tables of at most `BATCH` rows with the named columns, in the order of the file.

    The format follows from the name: .csv, .csv.gz, .parquet, .fits, .fits.gz, .vot, .xml. ``options`` are the
    ``[source]`` part of survey.toml: ``delimiter`` and ``types`` (column to Arrow type name) for CSV, ``hdu`` for FITS.
    """
    if not path.exists():
        raise SourceError(f"{path}: found nothing, expected a catalogue")
    name = path.name.lower().removesuffix(".gz")
    readers = {
        ".csv": _csv,
        ".parquet": _parquet,
        ".fits": _fits,
        ".fit": _fits,
        ".vot": _votable,
        ".xml": _votable,
        ".votable": _votable,
    }
    reader = readers.get(Path(name).suffix)
    if reader is None:
        raise SourceError(f"{path.name}: found this name, expected one that ends in {', '.join(readers)}")
    try:
        for batch in reader(path, columns, options):
            missing = sorted(set(columns) - set(batch.column_names))
            if missing:
                raise SourceError(
                    f"{path.name}: found no column {', '.join(missing)}, expected one beside {', '.join(batch.column_names[:40])}"
                )
            yield batch.select(list(columns))
    except (pa.ArrowException, OSError, EOFError, TypeError, ValueError, AstropyWarning) as error:
        # TypeError and ValueError are what astropy raises on tables that end too early.
        raise SourceError(f"{path.name}: found {str(error).splitlines()[0]}, expected a whole and valid file") from error


def _opened(path: Path) -> IO[bytes]:
    """A file opened for reading, uncompressed if its name ends in .gz."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _csv(path: Path, columns: Sequence[str], options: Mapping[str, Any]) -> Iterator[pa.Table]:
    delimiter = str(options.get("delimiter", ","))
    types = {name: pa.type_for_alias(kind) for name, kind in options.get("types", {}).items()}
    # Types are guessed from the first block only, so numbers that look whole there but are not later would fail: read all
    # columns without a declared type as double where they are numbers.
    with _opened(path) as binary, io.TextIOWrapper(binary, "utf-8", newline="") as stream:
        header = next(csv.reader(stream, delimiter=delimiter), [])
        sample = [row for _, row in zip(range(1000), csv.reader(stream, delimiter=delimiter), strict=False)]
    for number, name in enumerate(header):
        values = [row[number] for row in sample if number < len(row) and row[number].strip()]
        types.setdefault(name, _guess(values))
    wanted = [name for name in columns if name in header]
    with pacsv.open_csv(
        path,
        read_options=pacsv.ReadOptions(block_size=8 << 20),
        parse_options=pacsv.ParseOptions(delimiter=delimiter),
        convert_options=pacsv.ConvertOptions(column_types=types, include_columns=wanted or header, strings_can_be_null=True),
    ) as stream:
        for batch in stream:
            table = pa.Table.from_batches([batch])
            for start in range(0, table.num_rows, BATCH):
                yield table.slice(start, BATCH)


def _guess(values: Sequence[str]) -> pa.DataType:
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        return pa.string()
    if (
        values
        and all(number.is_integer() for number in numbers)
        and not any("." in value or "e" in value.lower() for value in values)
    ):
        # Identifiers of 18 digits do not survive as doubles.
        return pa.int64()
    return pa.float64()


def _parquet(path: Path, columns: Sequence[str], _options: Mapping[str, Any]) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        wanted = [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(BATCH, columns=wanted or None):
            yield pa.Table.from_batches([batch])


def _arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """A column of a FITS table or VOTable as an Arrow array; masked values become NULL."""
    mask = np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else None
    plain = np.ma.getdata(values)
    if plain.ndim > 1:
        raise SourceError(f"found an array column of shape {plain.shape[1:]}, expected single values")
    if plain.dtype.kind in "SUO":
        texts = [one.decode() if isinstance(one, bytes) else str(one) for one in plain.tolist()]
        return pa.array([one.strip() for one in texts], pa.string(), mask=mask)
    return pa.array(np.ascontiguousarray(plain, plain.dtype.newbyteorder("=")), mask=mask)


def _fits(path: Path, columns: Sequence[str], options: Mapping[str, Any]) -> Iterator[pa.Table]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyWarning)
        warnings.simplefilter("ignore", units.UnitsWarning)
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        with fits.open(path, memmap=path.suffix != ".gz", character_as_bytes=True) as hdus:
            hdu = hdus[options.get("hdu", 1)]
            names = {column.name.lower(): column for column in hdu.columns}
            wanted = [name for name in columns if name.lower() in names]
            for start in range(0, len(hdu.data), BATCH):
                rows = hdu.data[start : start + BATCH]
                made = {}
                for name in wanted:
                    column = names[name.lower()]
                    values = rows[column.name]
                    if column.null is not None:
                        values = np.ma.masked_equal(values, column.null)
                    made[name] = _arrow(values)
                yield pa.table(made)


def _votable(path: Path, columns: Sequence[str], _options: Mapping[str, Any]) -> Iterator[pa.Table]:
    with _opened(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = votable.parse_single_table(stream)
    ids = {field.name: field.ID for field in table.fields}
    wanted = [name for name in columns if name in ids]
    for start in range(0, len(table.array), BATCH):
        rows = table.array[start : start + BATCH]
        yield pa.table({name: _arrow(rows[ids[name] if ids[name] in (rows.dtype.names or ()) else name]) for name in wanted})


def _refuse_duplicates(made: pa.Table, one: TableMap, seen: dict[str, int], where: str, first_row: int) -> None:
    key = one.definition.primary
    for number, value in enumerate(made[key].to_pylist(), start=first_row):
        before = seen.setdefault(value, number)
        if before != number:
            raise SourceError(
                f"{where} row {number}: found {key} {value!r}, which row {before} has too, expected identifiers to be unique; "
                "remove one of the rows, or make the identifier of more columns"
            )

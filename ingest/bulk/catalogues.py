"""The tables of a release as Parquet and as FITS, both with units, UCDs and descriptions inside; memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.bulk.votable import votable_of
from specola_bundle.bundle import ROW_GROUP, Bundle, BundleTable
from specola_bundle.fitsbytes import Card, hdu_bytes, write_hdu
from specola_bundle.registry import Column
from specola_bundle.specfile import fits_unit

__all__ = ["batches", "parquet_schema", "published_columns", "write_fits", "write_parquet"]

_NULLS = {"smallint": -(2**15), "integer": -(2**31), "bigint": -(2**63)}
_NUMBERS = {
    "smallint": (">i2", "I"),
    "integer": (">i4", "J"),
    "bigint": (">i8", "K"),
    "real": (">f4", "E"),
    "double": (">f8", "D"),
}
_TIME = 26
"""Characters of an ISO time with microseconds."""


def published_columns(table: BundleTable) -> list[Column]:
    """The columns of a bundle's table that are there and published, in the order of its definition."""
    there = set(pq.read_schema(table.path).names)
    return [column for column in table.definition.published if column.name in there]


def batches(table: BundleTable, columns: list[Column]) -> Iterator[pa.Table]:
    """A bundle's table piece by piece: the columns wanted, with the types of the registry."""
    names = [column.name for column in columns]
    schema = pa.schema([pa.field(column.name, column.arrow_type) for column in columns])
    with pq.ParquetFile(table.path) as file:
        for batch in file.iter_batches(ROW_GROUP, columns=names):
            yield pa.Table.from_batches([batch]).select(names).replace_schema_metadata().cast(schema)


def parquet_schema(bundle: Bundle, table: BundleTable, columns: list[Column], *, rows: int | None = None) -> pa.Schema:
    """The Arrow schema of a published table: fields with unit, UCD, utype and description, and the VOTable in its metadata."""
    fields = []
    for column in columns:
        about = {key: getattr(column, key) for key in ("unit", "ucd", "utype", "description") if getattr(column, key)}
        fields.append(pa.field(column.name, column.arrow_type, metadata=about))
    text = votable_of(bundle.description, table.definition, columns, table.rows if rows is None else rows)
    return pa.schema(fields, {"IVOA.VOTable-Parquet.version": "1.0", "IVOA.VOTable-Parquet.content": text})


def write_parquet(bundle: Bundle, table: BundleTable, path: Path) -> None:
    """Write a table as Parquet (zstd), by the VOParquet convention."""
    columns = published_columns(table)
    schema = parquet_schema(bundle, table, columns)
    with pq.ParquetWriter(path, schema, compression="zstd") as stream:
        for piece in batches(table, columns):
            stream.write_table(piece.cast(schema), row_group_size=ROW_GROUP)


def write_fits(bundle: Bundle, table: BundleTable, path: Path) -> None:
    """Write a table as a FITS binary table with the VOTable of its columns in the primary HDU (fits-plus).

    NULL is NaN in floating-point columns, TNULLn in whole numbers, '' in text, the zero byte in logical ones. Times are ISO text;
    polygons are arrays of longitude and latitude in turn, filled up with NaN. FITS text is ASCII: another character is a '?'.
    """
    columns = published_columns(table)
    widths = _widths(table, columns)
    dtype = np.dtype([(column.name, *_kind(column, widths[column.name])) for column in columns])
    metadata = votable_of(bundle.description, table.definition, columns, table.rows).encode()
    with path.open("wb") as stream:
        stream.write(hdu_bytes(_primary(len(metadata)), metadata))
        _write(stream, table, columns, dtype)


def _write(stream: BinaryIO, table: BundleTable, columns: list[Column], dtype: np.dtype[Any]) -> None:
    def chunks() -> Iterator[bytes]:
        for piece in batches(table, columns):
            rows = np.zeros(piece.num_rows, dtype)
            for column in columns:
                rows[column.name] = _values(column, piece[column.name].combine_chunks(), dtype[column.name])
            yield rows.tobytes()

    write_hdu(stream, list(_cards(table, columns, dtype)), chunks())


def _primary(size: int) -> list[Card]:
    return [
        ("SIMPLE", True, "conforms to FITS standard"), ("BITPIX", 8, "characters"), ("NAXIS", 1, ""),
        ("NAXIS1", size, "bytes of the VOTable"), ("EXTEND", True, ""), ("VOTMETA", True, "this HDU is a VOTable of the next"),
    ]  # fmt: skip


def _cards(table: BundleTable, columns: list[Column], dtype: np.dtype[Any]) -> Iterator[Card]:
    yield from (
        ("XTENSION", "BINTABLE", "binary table extension"), ("BITPIX", 8, ""), ("NAXIS", 2, ""),
        ("NAXIS1", dtype.itemsize, "bytes of a row"), ("NAXIS2", table.rows, "rows"), ("PCOUNT", 0, ""), ("GCOUNT", 1, ""),
        ("TFIELDS", len(columns), "columns"), ("EXTNAME", table.definition.name, ""),
        ("LONGSTRN", "OGIP 1.0", "descriptions may go on over CONTINUE cards"),
    )  # fmt: skip
    for number, column in enumerate(columns, start=1):
        yield f"TTYPE{number}", column.name, ""
        yield f"TFORM{number}", _form(column, dtype[column.name]), ""
        if column.unit:
            yield f"TUNIT{number}", fits_unit(column.unit), ""
        if column.ucd:
            yield f"TUCD{number}", column.ucd, ""
        if column.utype:
            yield f"TUTYP{number}", column.utype, ""
        if column.type in _NULLS and not column.required:
            yield f"TNULL{number}", _NULLS[column.type], ""
        yield f"TCOMM{number}", column.description.encode("ascii", "replace").decode(), ""


def _widths(table: BundleTable, columns: list[Column]) -> dict[str, int]:
    """Longest text (characters) or polygon (numbers) of each column, 1 at least."""
    widths = dict.fromkeys((column.name for column in columns), 1)
    measured = [column for column in columns if column.type in {"text", "spoly"}]
    for piece in batches(table, measured) if measured else ():
        for column in measured:
            length = pc.utf8_length if column.type == "text" else pc.list_value_length
            longest = pc.max(length(piece[column.name])).as_py()
            widths[column.name] = max(widths[column.name], longest or 1)
    return widths


def _kind(column: Column, width: int) -> tuple[Any, ...]:
    if column.type == "text":
        return (f"S{width}",)
    if column.type == "timestamp":
        return (f"S{_TIME}",)
    if column.type == "boolean":
        return ("S1",)
    if column.type == "spoly":
        return (">f8", (width,))
    return (_NUMBERS[column.type][0],)


def _form(column: Column, dtype: np.dtype[Any]) -> str:
    if column.type == "boolean":
        return "1L"
    if column.type == "spoly":
        return f"{dtype.itemsize // 8}D"
    if dtype.kind == "S":
        return f"{dtype.itemsize}A"
    return f"1{_NUMBERS[column.type][1]}"


def _values(column: Column, array: pa.Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A column's values as FITS has them, shape (rows,) or, for polygons, (rows, numbers)."""
    if column.type == "text":
        return np.array([(text or "").encode("ascii", "replace") for text in array.to_pylist()], dtype)
    if column.type == "timestamp":
        texts = pc.fill_null(pc.strftime(array, format="%Y-%m-%dT%H:%M:%S"), "")
        return np.array([text.encode("ascii") for text in texts.to_pylist()], dtype)
    if column.type == "boolean":
        return np.array([{True: b"T", False: b"F", None: b"\0"}[value] for value in array.to_pylist()], dtype)
    if column.type == "spoly":
        width = dtype.itemsize // 8
        filled = np.full((len(array), width), np.nan)
        for row, numbers in enumerate(array.to_pylist()):
            filled[row, : len(numbers or ())] = numbers or ()
        return filled
    if column.type in _NULLS:
        return np.asarray(pc.fill_null(array, _NULLS[column.type]))
    return np.asarray(array.to_numpy(zero_copy_only=False))

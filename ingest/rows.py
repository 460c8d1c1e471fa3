"""A bundle's tables as streams of CSV for PostgreSQL's COPY, a chunk of rows at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from ingest.products import extra_accref, preview_accref, spectrum_accref, work_accref
from specola_bundle.bundle import Bundle, BundleTable

__all__ = ["BATCH", "MADE", "copy_columns", "copy_stream", "product_columns", "product_stream", "pub_did"]

BATCH = 5000
"""Rows held in memory at a time."""

_FITS = "application/fits"
_VOTABLE = "application/x-votable+xml"
MADE = {
    "spectra": ("accref", "owner", "embargo", "mime", "accsize", "pub_did", "preview", "work_product", "coverage"),
    "files": ("file_product",),
}
"""By table, the columns the archive makes (resdir/streams.rd, the stream of the table's name)."""
_OPTIONS = pacsv.WriteOptions(include_header=False, quoting_style="needed")
_CORNERS = 4
"""Of an outline. pgsphere's cost of reading and indexing one grows with their square: eight make an ingest twice as long."""


def pub_did(authority: str, schema: str, spectrum_id: str) -> str:
    """The IVOA identifier of a spectrum: its service's, with its own as the tail (Dataset identifiers note 1.0)."""
    return f"ivo://{authority}/{schema}/q/ssap?{spectrum_id}"


def _present(table: BundleTable) -> list[str]:
    names = set(pq.read_schema(table.path).names)
    return [column.name for column in table.definition.published if column.name in names]


def copy_columns(table: BundleTable) -> list[str]:
    """Names of the columns `copy_stream` writes, in order."""
    return [*_present(table), *MADE.get(table.definition.name, ())]


def product_columns() -> list[str]:
    """Names of the columns of dc.products that `product_stream` writes, in order."""
    return ["accref", "mime", "accesspath", "sourcetable", "preview", "preview_mime"]


def copy_stream(bundle: Bundle, table: BundleTable, authority: str, *, previews: bool) -> Iterator[bytes]:
    """CSV of a table's rows for COPY with ``NULL ''``: strings quoted, so that an empty string is not NULL."""
    parquet = pq.ParquetFile(table.path)
    for batch in parquet.iter_batches(batch_size=BATCH):
        rows = pa.Table.from_batches([batch])
        arrays = [_plain(rows[name]) for name in _present(table)]
        if table.definition.name == "spectra":
            arrays += _made(bundle.schema, rows, authority, previews=previews)
        elif table.definition.name == "files":
            arrays.append(pa.array(_extra_accrefs(bundle.schema, rows)))
        yield _csv(arrays)


def product_stream(bundle: Bundle, folder: str, url: str, *, previews: bool) -> Iterator[bytes]:
    """CSV of the rows of dc.products: spectra (the file, and the VOTable made from it), what they were made from, further files.

    ``folder`` is the path of the archive's folder of products, ``url`` the archive's address.
    """
    if "files" in bundle.tables:
        names = ["file_id", "file_format"]
        for batch in pq.ParquetFile(bundle.tables["files"].path).iter_batches(batch_size=BATCH, columns=names):
            accrefs = _extra_accrefs(bundle.schema, pa.Table.from_batches([batch]))
            paths, nothing = pa.array([f"{folder}/{accref}" for accref in accrefs]), pa.nulls(len(accrefs), pa.string())
            source = pa.array([f"{bundle.schema}.files"] * len(accrefs), pa.string())
            yield _csv([pa.array(accrefs, pa.string()), batch.column("file_format"), paths, source, nothing, nothing])
    if bundle.manifest is None:
        return
    parquet = pq.ParquetFile(bundle.manifest.path)
    names = [n for n in ("spectrum_id", "work_file", "work_format") if n in parquet.schema_arrow.names]
    for batch in parquet.iter_batches(batch_size=BATCH, columns=names):
        rows: list[tuple[str | None, ...]] = []
        for row in batch.to_pylist():
            accref = spectrum_accref(bundle.schema, row["spectrum_id"])
            plot = f"{folder}/{preview_accref(bundle.schema, row['spectrum_id'])}" if previews else None
            source = f"{bundle.schema}.spectra"
            rows.append((accref, _FITS, f"{folder}/{accref}", source, plot, "image/png" if plot else None))
            service = f"{url}/{bundle.schema}/q/dl/dlget?ID={row['spectrum_id']}"
            rows.append((accref.removesuffix(".fits") + ".vot", _VOTABLE, service, source, None, None))
            if row.get("work_file"):
                accref = work_accref(bundle.schema, row["spectrum_id"], row["work_file"])
                rows.append((accref, row["work_format"], f"{folder}/{accref}", source, None, None))
        yield _csv([pa.array(column, pa.string()) for column in zip(*rows, strict=True)])


def _extra_accrefs(schema: str, rows: pa.Table) -> list[str]:
    pairs = zip(rows["file_id"].to_pylist(), rows["file_format"].to_pylist(), strict=True)
    return [extra_accref(schema, file_id, file_format) for file_id, file_format in pairs]


def _csv(arrays: Sequence[Any]) -> bytes:
    buffer = io.BytesIO()
    pacsv.write_csv(pa.table(list(arrays), names=[str(n) for n in range(len(arrays))]), buffer, _OPTIONS)
    return buffer.getvalue()


def _plain(values: pa.ChunkedArray) -> Any:
    """A column as CSV can hold it: NaN is no number and becomes NULL, a polygon becomes pgsphere's text."""
    if pa.types.is_floating(values.type):
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if pa.types.is_list(values.type):
        return pa.array([None if v is None else _polygon(np.asarray(v).reshape(-1, 2)) for v in values.to_pylist()], pa.string())
    return values


def _polygon(corners: npt.NDArray[np.float64]) -> str:
    return "{" + ",".join(f"({lon!r}d,{lat!r}d)" for lon, lat in corners.tolist()) + "}"


def _made(schema: str, rows: pa.Table, authority: str, *, previews: bool) -> list[Any]:
    ids = rows["spectrum_id"].to_pylist()
    nothing = pa.nulls(len(ids), pa.string())
    works = rows["work_file"].to_pylist() if "work_file" in rows.column_names else [None] * len(ids)
    return [
        pa.array([spectrum_accref(schema, i) for i in ids]),
        nothing,
        nothing,
        pa.array([_FITS] * len(ids), pa.string()),
        rows["file_size"],
        pa.array([pub_did(authority, schema, i) for i in ids]),
        pa.array([preview_accref(schema, i) for i in ids]) if previews else nothing,
        pa.array([work_accref(schema, i, work) if work else None for i, work in zip(ids, works, strict=True)], pa.string()),
        _coverage(rows),
    ]


def _coverage(rows: pa.Table) -> pa.Array:
    """Squares around the circles (ra, dec, diameter aperture); NULL where one of the three is unknown."""
    if not {"ra", "dec", "aperture"} <= set(rows.column_names):
        return pa.nulls(rows.num_rows, pa.string())
    ra, dec, aperture = (rows[name].to_numpy(zero_copy_only=False).astype(np.float64) for name in ("ra", "dec", "aperture"))
    known = np.isfinite(ra) & np.isfinite(dec) & (aperture > 0)
    angle = np.pi * (2 * np.arange(_CORNERS) + 1) / _CORNERS
    # the circle is inside the square
    radius = np.where(known, aperture, 0.0)[:, None] / 2 / np.cos(np.pi / _CORNERS)
    lat = np.clip(np.where(known, dec, 0.0)[:, None] + radius * np.sin(angle), -90, 90)
    shrink = np.maximum(np.cos(np.radians(np.where(known, dec, 0.0))), 1e-6)[:, None]
    lon = (np.where(known, ra, 0.0)[:, None] + radius * np.cos(angle) / shrink) % 360
    # 1e-9 deg are a few microarcseconds
    corners = np.stack([lon, lat], axis=-1).round(9)
    return pa.array([_polygon(one) if ok else None for ok, one in zip(known.tolist(), corners, strict=True)], pa.string())

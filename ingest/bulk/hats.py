"""A table with positions as a HATS catalogue (IVOA Note, HATS 1.0): Parquet files by HEALPix pixel, as LSDB reads them.

Rows without a position are left out: HATS has no place for them; they are in the plain catalogues. The layout is written here
and not by the library ``hats-import``, which needs dask and writes the day into its files: a release has the same bytes
whenever it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cdshealpix.nested
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import Latitude, Longitude

from ingest.bulk.catalogues import batches, parquet_schema, published_columns
from specola_bundle.bundle import ROW_GROUP, Bundle, BundleTable

__all__ = ["MAX_ROWS", "partitions", "write_hats"]

MAX_ROWS = 200_000
"""Rows of a partition; a pixel with more is divided."""
_ORDER = 29
_DEEPEST = 12
_INDEX = "_healpix_29"

Pixel = tuple[int, int]
"""Order and number (nested)."""


def write_hats(bundle: Bundle, table: BundleTable, folder: Path, *, max_rows: int = MAX_ROWS) -> bool:
    """Write a table as a HATS catalogue into a folder that is made; False, and nothing, where no row has a position."""
    position = table.definition.position
    columns = published_columns(table)
    if position is None or not set(position) <= {column.name for column in columns}:
        return False
    indexes = np.sort(
        np.concatenate([_healpix(piece, position)[1] for piece in batches(table, columns)] or [np.zeros(0, np.int64)])
    )
    if not indexes.size:
        return False
    pixels = partitions(indexes, max_rows)
    schema = parquet_schema(bundle, table, columns, rows=int(indexes.size))
    schema = pa.schema([pa.field(_INDEX, pa.int64()), *schema], schema.metadata)
    files = [
        folder / "dataset" / f"Norder={order}" / f"Dir={pixel // 10000 * 10000}" / f"Npix={pixel}.parquet"
        for order, pixel in pixels
    ]
    _distribute(table, schema, pixels, files, position)
    collected = []
    for file in files:
        rough = pq.read_table(file)
        pq.write_table(rough.sort_by(_INDEX).cast(schema), file, compression="zstd", row_group_size=ROW_GROUP)
        metadata = pq.read_metadata(file)
        metadata.set_file_path(file.relative_to(folder / "dataset").as_posix())
        collected.append(metadata)
    plain = pq.read_schema(files[0])
    pq.write_metadata(plain, folder / "dataset" / "_common_metadata")
    pq.write_metadata(plain, folder / "dataset" / "_metadata", metadata_collector=collected)
    lines = ["Norder,Npix", *(f"{order},{pixel}" for order, pixel in pixels)]
    (folder / "partition_info.csv").write_text("\n".join(lines) + "\n")
    text = "\n".join(f"{key}={value}" for key, value in _properties(bundle, table, position, pixels, int(indexes.size), max_rows))
    for name in ("hats.properties", "properties"):
        (folder / name).write_text(text + "\n")
    return True


def partitions(indexes: npt.NDArray[np.int64], max_rows: int) -> list[Pixel]:
    """The pixels that hold some rows each, at most ``max_rows`` as far as order 12 allows.

    Parameters
    ----------
    indexes
        HEALPix numbers of the rows at order 29 (nested), sorted, shape (rows,).
    """
    found: list[Pixel] = []
    waiting = [(0, int(pixel)) for pixel in np.unique(indexes >> (2 * _ORDER))]
    while waiting:
        order, pixel = waiting.pop()
        shift = 2 * (_ORDER - order)
        first, last = np.searchsorted(indexes, [pixel << shift, (pixel + 1) << shift])
        if first == last:
            continue
        if last - first <= max_rows or order == _DEEPEST:
            found.append((order, pixel))
        else:
            waiting += [(order + 1, 4 * pixel + child) for child in range(4)]
    return sorted(found, key=lambda one: one[1] << (2 * (_ORDER - one[0])))


def _healpix(piece: pa.Table, position: tuple[str, str]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Which rows have a position, and the HEALPix numbers (order 29) of these."""
    ra, dec = (piece[name].combine_chunks().to_numpy(zero_copy_only=False).astype(float) for name in position)
    there = np.isfinite(ra) & np.isfinite(dec)
    numbers = cdshealpix.nested.lonlat_to_healpix(Longitude(ra[there], "deg"), Latitude(dec[there], "deg"), _ORDER)
    return there, np.asarray(numbers).astype(np.int64)


def _distribute(table: BundleTable, schema: pa.Schema, pixels: list[Pixel], files: list[Path], position: tuple[str, str]) -> None:
    """Send every row to its partition's file, in the order of the table."""
    starts = np.array([pixel << (2 * (_ORDER - order)) for order, pixel in pixels], np.int64)
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    writers = [pq.ParquetWriter(file, schema, compression="zstd") for file in files]
    try:
        for piece in batches(table, published_columns(table)):
            there, numbers = _healpix(piece, position)
            rows = piece.filter(pa.array(there)).add_column(0, _INDEX, pa.array(numbers, pa.int64()))
            owner = np.searchsorted(starts, numbers, side="right") - 1
            for one in np.unique(owner):
                writers[one].write_table(rows.filter(pa.array(owner == one)).cast(schema))
    finally:
        for writer in writers:
            writer.close()


def _properties(
    bundle: Bundle, table: BundleTable, position: tuple[str, str], pixels: list[Pixel], rows: int, max_rows: int
) -> Iterator[tuple[str, object]]:
    about = bundle.description
    yield "obs_collection", f"{bundle.schema}_{table.definition.name}"
    yield "dataproduct_type", "object"
    yield "hats_nrows", rows
    yield "hats_col_ra", position[0]
    yield "hats_col_dec", position[1]
    yield "hats_col_healpix", _INDEX
    yield "hats_col_healpix_order", _ORDER
    yield "hats_max_rows", max_rows
    yield "hats_order", max(order for order, _ in pixels)
    yield "hats_npix_suffix", ".parquet"
    yield "moc_sky_fraction", f"{sum(1 / (12 * 4**order) for order, _ in pixels):.6g}"
    yield "hats_builder", "specola"
    yield "hats_creation_date", about["created"].rstrip("Z")
    yield "hats_release_date", "2024-09-18"
    yield "hats_version", "v0.1"
    yield "obs_title", f"{about['title']}: {table.definition.title}"
    yield "obs_copyright", " ".join(str(about["rights"]).split())

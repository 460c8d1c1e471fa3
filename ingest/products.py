"""Put a bundle's files where the archive serves them from: spectra, what they were made from, plots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from specola_bundle.bundle import Bundle
from specola_bundle.carry import place
from specola_bundle.registry import FILES

__all__ = ["Progress", "extra_accref", "placed_files", "preview_accref", "spectrum_accref", "stage_products", "work_accref"]

Progress = Callable[[str, int, int], None]
"""Called with the name of a step, what is done and what is to be done."""

_ENDINGS = {
    "application/fits": ".fits", "application/x-votable+xml": ".vot", "application/json": ".json", "application/pdf": ".pdf",
    "image/jpeg": ".jpg", "image/png": ".png", "text/csv": ".csv", "text/plain": ".txt",
}  # fmt: skip
"""Of the names of files, by media type: nginx tells the type by them (etc/nginx-archive.conf.in)."""


def spectrum_accref(schema: str, spectrum_id: str) -> str:
    """Product key of a spectrum: its path below the archive's folder of products and below ``/getproduct/``."""
    return f"{schema}/spectra/{spectrum_id}.fits"


def work_accref(schema: str, spectrum_id: str, work_file: str) -> str:
    """Product key of the file a spectrum was made from; it keeps the ending of its name."""
    return f"{schema}/work/{spectrum_id}{Path(work_file).suffix}"


def preview_accref(schema: str, spectrum_id: str) -> str:
    """Product key of the plot of a spectrum."""
    return f"{schema}/previews/{spectrum_id}.png"


def extra_accref(schema: str, file_id: str, file_format: str) -> str:
    """Product key of a file of the table ``files``."""
    return f"{schema}/files/{file_id}{_ENDINGS[file_format]}"


def placed_files(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Every file of a bundle that an archive serves: its path in the bundle, and its product key."""
    schema = bundle.schema
    if entry := bundle.description.get("provenance"):
        yield entry["path"], f"{schema}/provenance.json"
    for row in _rows(bundle, "spectra", ("spectrum_id", "file", "work_file")):
        yield row["file"], spectrum_accref(schema, row["spectrum_id"])
        if work := row.get("work_file"):
            yield work, work_accref(schema, row["spectrum_id"], work)
    for row in _rows(bundle, "files", ("file_id", "file", "file_format")):
        yield row["file"], extra_accref(schema, row["file_id"], row["file_format"])


def _rows(bundle: Bundle, name: str, wanted: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    if name not in bundle.tables:
        return
    parquet = pq.ParquetFile(bundle.tables[name].path)
    columns = [column for column in wanted if column in parquet.schema_arrow.names]
    for batch in parquet.iter_batches(batch_size=5000, columns=columns):
        yield from batch.to_pylist()


def stage_products(
    bundle: Bundle, products: Path, *, previews: bool, plots: Path | None = None, progress: Progress | None = None
) -> Path:
    """Bring the files of a bundle to a hidden folder beside its place, ready to be renamed, and return that folder.

    Files are hard links where the file system allows it and copies otherwise. Plots that an interrupted run has made of the very
    same bundle are kept, and those of the folder ``plots`` are linked; everything else is laid out anew: links cost next to
    nothing.
    """
    folder = products / f".{bundle.schema}.{bundle.identity[:16]}.part"
    for other in products.glob(f".{bundle.schema}.*.part"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
    if not previews:
        shutil.rmtree(folder / "previews", ignore_errors=True)
    for name in ("spectra", "work", "files"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    (folder / "provenance.json").unlink(missing_ok=True)  # of a loader that was killed
    # work files are not counted: their number is known only when all rows were read
    total = sum(bundle.tables[name].rows for name in FILES if name in bundle.tables)
    done = 0
    for path, accref in placed_files(bundle):
        # Paths as strings: making Path objects takes as long as making the link.
        name = accref.partition("/")[2]
        _place(f"{bundle.path}/{path}", f"{folder}/{name}")
        done += name.startswith(("spectra/", "files/"))
        if progress is not None and (done % 500 == 0 or done == total):
            progress("files", done, total)
    if previews and plots is not None:
        _take_plots(plots, folder / "previews")
    if previews and bundle.manifest is not None and bundle.manifest.rows:
        from ingest.previews import make_previews  # Pillow, only where plots are drawn

        make_previews(
            bundle.path,
            folder / "previews",
            progress=None if progress is None else lambda done, of: progress("plots", done, of),
        )
    return folder


def _take_plots(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for entry in os.scandir(source) if source.is_dir() else ():
        place = f"{target}/{entry.name}"
        if not os.path.exists(place):  # noqa: PTH110
            _place(entry.path, place)


def _place(source: str, target: str) -> None:
    place(source, target)
    if os.stat(target).st_mode & 0o044 != 0o044:  # noqa: PTH116
        # nginx serves it
        os.chmod(target, 0o644)  # noqa: PTH101

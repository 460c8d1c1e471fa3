"""Put a bundle's files where the archive serves them from: spectra, what they were made from, plots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from specola_bundle.bundle import Bundle

__all__ = ["Progress", "preview_accref", "spectrum_accref", "stage_products", "work_accref"]

Progress = Callable[[str, int, int], None]
"""Called with the name of a step, what is done and what is to be done."""

_COLUMNS = ("spectrum_id", "file", "work_file")


def spectrum_accref(schema: str, spectrum_id: str) -> str:
    """Product key of a spectrum: its path below the archive's folder of products and below ``/getproduct/``."""
    return f"{schema}/spectra/{spectrum_id}.fits"


def work_accref(schema: str, spectrum_id: str, work_file: str) -> str:
    """Product key of the file a spectrum was made from; it keeps the ending of its name."""
    return f"{schema}/work/{spectrum_id}{Path(work_file).suffix}"


def preview_accref(schema: str, spectrum_id: str) -> str:
    """Product key of the plot of a spectrum."""
    return f"{schema}/previews/{spectrum_id}.png"


def _manifest_files(bundle: Bundle) -> Iterator[Mapping[str, Any]]:
    if bundle.manifest is None:
        return
    parquet = pq.ParquetFile(bundle.manifest.path)
    columns = [name for name in _COLUMNS if name in parquet.schema_arrow.names]
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
    for name in ("spectra", "work"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    total = bundle.manifest.rows if bundle.manifest is not None else 0
    for done, row in enumerate(_manifest_files(bundle), start=1):
        spectrum_id = row["spectrum_id"]
        # Paths as strings: making Path objects takes as long as making the link.
        _place(f"{bundle.path}/{row['file']}", f"{folder}/spectra/{spectrum_id}.fits")
        if row.get("work_file"):
            name = work_accref(bundle.schema, spectrum_id, row["work_file"]).rpartition("/")[2]
            _place(f"{bundle.path}/{row['work_file']}", f"{folder}/work/{name}")
        if progress is not None and (done % 500 == 0 or done == total):
            progress("files", done, total)
    if previews and plots is not None:
        _take_plots(plots, folder / "previews")
    if previews and total:
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
    try:
        os.link(source, target)
    except OSError:
        # another file system, or a source that is not ours to link
        shutil.copyfile(source, target)
    if os.stat(target).st_mode & 0o044 != 0o044:  # noqa: PTH116
        # nginx serves it
        os.chmod(target, 0o644)  # noqa: PTH101

"""Pictures of spectra, as files: a plot of 1200 pixels and a thumbnail of 200, as palette PNGs.

`make_previews` draws all spectra of a bundle; `ingest.spectrum_plot` draws one.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ingest.spectrum_plot import render_preview, render_thumbnail
from specola_bundle.bundle import Bundle, write_whole
from specola_bundle.fitsbytes import read_row
from specola_bundle.specfile import SpectrumData

__all__ = ["make_previews", "read_spectrum", "render_preview", "render_thumbnail"]

BATCH = 40
"""Spectra a task of the process pool draws."""
COLUMNS = ("spectrum_id", "target_name", "redshift", "target_class", "snr", "flux_unit", "wave_medium", "simulated", "file")


def read_spectrum(path: Path) -> SpectrumData:
    """The arrays WAVE, FLUX, ERR and QUAL of a spectrum file, in the machine's byte order.

    Raises
    ------
    OSError, ValueError, KeyError
        The file is not there, is no FITS file with a table of one row, or lacks one of the columns.
    """
    columns = read_row(path.read_bytes())
    wave, flux, err, qual = (
        columns[name].astype(columns[name].dtype.newbyteorder("=")) for name in ("WAVE", "FLUX", "ERR", "QUAL")
    )
    return SpectrumData(wave, flux, err, qual)


def make_previews(
    bundle_path: Path, out_folder: Path, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> int:
    """Draw every spectrum of a bundle: ``<spectrum_id>.png`` and ``<spectrum_id>.thumb.png``.

    Files appear whole, and what is there already is left alone, so an interrupted run goes on where it stopped.

    Parameters
    ----------
    bundle_path
        The bundle's directory.
    out_folder
        Where the pictures go; made where it is missing.
    workers
        Processes to use.
    progress
        Called with the number of spectra done and of all.

    Returns
    -------
    The number of spectra drawn now.
    """
    path = Path(bundle_path)
    bundle = Bundle(path, json.loads((path / "bundle.json").read_text("utf-8")))
    out_folder.mkdir(parents=True, exist_ok=True)
    if bundle.manifest is None:
        return 0
    total, done, drawn = bundle.manifest.rows, 0, 0
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(max(1, workers), mp_context=context) as pool:
        waiting = []
        for rows in _batches(bundle.manifest.path):
            left = [row for row in rows if not _there(out_folder, row["spectrum_id"])]
            task = pool.submit(_draw, bundle.path, out_folder, left) if left else None
            waiting.append((len(rows), len(left), task))
            while waiting and (len(waiting) > 3 * workers or waiting[0][2] is None):
                done, drawn = _finished(waiting.pop(0), done, drawn, total, progress)
        for one in waiting:
            done, drawn = _finished(one, done, drawn, total, progress)
    return drawn


def _finished(one: tuple[int, int, Any], done: int, drawn: int, total: int,
              progress: Callable[[int, int], None] | None) -> tuple[int, int]:  # fmt: skip
    rows, left, task = one
    if task is not None:
        task.result()
    if progress is not None:
        progress(done + rows, total)
    return done + rows, drawn + left


def _batches(manifest: Path) -> Iterator[list[dict[str, Any]]]:
    parquet = pq.ParquetFile(manifest)
    columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
    for batch in parquet.iter_batches(batch_size=BATCH, columns=columns):
        yield batch.to_pylist()


def _there(folder: Path, spectrum_id: str) -> bool:
    return (folder / f"{spectrum_id}.png").exists() and (folder / f"{spectrum_id}.thumb.png").exists()


def _draw(bundle: Path, folder: Path, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        data = read_spectrum(bundle / row["file"])
        write_whole(folder / f"{row['spectrum_id']}.png", render_preview(data, row))
        write_whole(folder / f"{row['spectrum_id']}.thumb.png", render_thumbnail(data))

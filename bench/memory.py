"""Peak resident memory of an ingest: ``python -m bench.memory BUNDLE`` loads it and prints figures as JSON."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ingest.load import ingest_bundle
from ingest.loader import Loader
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from ingest.removal import remove_release
from ops.house import House
from specola_bundle.bundle import BundleWriter
from specola_bundle.specfile import SpectrumData, write_spectrum

__all__ = ["write_tiny"]

PIXELS = 16
PIECE = 5000


def write_tiny(path: Path, spectra: int) -> None:
    """Write a bundle of many spectra of a few pixels: rows as long as the mock's, files as small as FITS allows.

    The rows are those of a small mock, again and again with other identifiers.
    """
    model = path.with_name("model")
    write_mock(model, Mock(spectra=200), overwrite=True)
    rows = pq.read_table(model / "manifest.parquet").to_pylist()
    measured = pq.read_table(model / "catalogues" / "redshifts.parquet").to_pylist()
    head = json.loads((model / "bundle.json").read_text())
    kept = {key: head[key] for key in head if key not in {"contract", "tables", "counts", "provenance", "release"}}
    wave = np.linspace(5500.0, 9500.0, PIXELS)
    data = SpectrumData(wave, wave.astype(np.float32), np.ones(PIXELS, np.float32), np.zeros(PIXELS, np.int32))
    with (
        BundleWriter(path, overwrite=True, **kept, release="memory") as writer,
        writer.open_table("spectra", rows[0].keys()) as manifest,
        writer.open_table("redshifts", measured[0].keys()) as redshifts,
    ):
        for start in range(0, spectra, PIECE):
            made = [_row(rows[number % len(rows)], number) for number in range(start, min(start + PIECE, spectra))]
            for row in made:
                file = writer.folder / row["file"]
                file.parent.mkdir(exist_ok=True)
                row["file_size"], row["file_sha256"] = write_spectrum(file, row, data)
            manifest.append(made)
            redshifts.append([_measured(measured[0], row) for row in made])


def _row(model: dict[str, Any], number: int) -> dict[str, Any]:
    name = f"M{number:07d}"
    return {
        **model, "spectrum_id": name, "wave_min": 5500.0, "wave_max": 9500.0, "n_pixels": PIXELS, "n_valid": PIXELS,
        "slit_id": None, "file": f"spectra/{number // 1000:04d}/{name}.fits",
    }  # fmt: skip


def _measured(model: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    name = row["spectrum_id"]
    return {**model, "redshift_id": name, "spectrum_id": name, "object_id": row["object_id"], "ra": row["ra"], "dec": row["dec"]}


def peak(pid: int | str) -> float:
    """Peak resident memory of a process in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    """Load the bundle into the public archive, print seconds and peaks, and take it out again."""
    archive = House.from_environment().archive("public")
    peaks: dict[str, float] = {}
    say = Loader.say

    def watched(self: Loader, message: Any, frames: Any = None) -> dict[str, Any]:
        if "commit" in message:
            peaks["loader"] = peak(self.pid)
        return say(self, message, frames)

    Loader.say = watched  # type: ignore[method-assign]
    begun = time.perf_counter()
    done = ingest_bundle(Path(sys.argv[1]), archive, previews=False)
    seconds = time.perf_counter() - begun
    peaks["ingest"] = peak("self")
    remove_release(done.schema, archive)
    print(json.dumps({"spectra": done.rows["spectra"], "seconds": seconds, "peak_mb": peaks}))


if __name__ == "__main__":
    main()

"""What was measured, kept in a folder until everything is: a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from specola_bundle.bundle import write_whole
from specola_pipeline.derived.measure import Measured
from specola_pipeline.redshift.run import resume

__all__ = ["Journal"]


class Journal:
    """Records as lines of JSON in ``records.jsonl``, in the order of the bundle's spectra, and models below ``files/``.

    The first line says what was measured with what; a folder whose first line says something else is begun anew.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self._path = folder / "records.jsonl"
        head = json.dumps({"about": about}, sort_keys=True) + "\n"
        if not self._path.exists() or self._first() != head:
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "files").mkdir(parents=True)
            write_whole(self._path, head.encode())
        self.done = resume(self._path)

    def _first(self) -> str:
        with self._path.open("rb") as stream:
            return stream.readline().decode("utf-8", "replace")

    def __enter__(self) -> Self:
        self._stream = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def add(self, measured: Measured) -> None:
        """Keep what was measured on a spectrum; its model first, so that a record's file is there."""
        record = dict(measured.record)
        if measured.model is not None:
            name = record["spectrum"]
            path = f"files/auto/{zlib.crc32(name.encode()) % 256:02x}/{name}_model.fits"
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / path, measured.model)
            record["model"] = {
                "file": path, "size": len(measured.model), "sha256": hashlib.sha256(measured.model).hexdigest(),
            }  # fmt: skip
        self._stream.write(json.dumps(record, allow_nan=False) + "\n")
        self._stream.flush()
        self.done.add(record["spectrum"])

    def records(self) -> Iterator[dict[str, Any]]:
        """All records, in the order of the bundle's spectra."""
        with self._path.open(encoding="utf-8") as stream:
            next(stream)
            for line in stream:
                yield json.loads(line)

    def remove(self) -> None:
        """Forget all of it."""
        shutil.rmtree(self.folder)

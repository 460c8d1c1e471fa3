"""The report of quality control: ``qc.json`` for scripts, ``qc.parquet`` for tables, ``report.html`` for people.

Nothing in them depends on the clock or on the machine: the same reduction gives the same bytes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from specola_pipeline.quality.page import page
from specola_pipeline.quality.rows import Quality, column_definitions
from specola_pipeline.reduce.results import Reduction

__all__ = ["write_report"]


def write_report(quality: Quality, reduction: Reduction, folder: Path) -> Path:
    """Write the three files into *folder*, each whole or not at all; returns the path of the page.

    Raises OSError where they can not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "software": reduction.software,
        "parameters": reduction.parameters,
        "failed": quality.failed,
        "limits": {limit.figure: {"unsure": limit.unsure, "rejected": limit.rejected} for limit in quality.limits},
        "rows": quality.rows,
        "problems": [vars(problem) for problem in quality.problems],
    }
    _replace(folder / "qc.json", (json.dumps(said, indent=1, sort_keys=True, allow_nan=False, default=str) + "\n").encode())
    _replace(folder / "qc.parquet", _parquet(quality))
    path = folder / "report.html"
    _replace(path, page(quality, reduction).encode())
    return path


def _parquet(quality: Quality) -> bytes:
    """The rows as a Parquet file; every field carries its unit, UCD and description as metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds: dict[str, Any] = {"text": pa.string(), "integer": pa.int32(), "real": pa.float32(), "boolean": pa.bool_()}
    fields = [
        pa.field(
            column["name"],
            kinds[column["type"]],
            nullable=not column.get("required", False),
            metadata={key: column[key] for key in ("unit", "ucd", "description") if key in column},
        )
        for column in column_definitions()[1]
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(quality.rows), schema=pa.schema(fields)), sink, compression="zstd")
    return bytes(sink.getvalue())


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

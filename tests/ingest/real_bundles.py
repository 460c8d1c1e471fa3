"""What is in a bundle of real data, for the tests that hold it against its sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits

__all__ = ["rows", "same", "spectrum"]


def rows(bundles: Path, bundle: str, table: str = "spectra") -> list[dict]:
    name = "manifest.parquet" if table == "spectra" else f"catalogues/{table}.parquet"
    return pq.read_table(bundles / bundle / name).to_pylist()


def spectrum(bundles: Path, bundle: str, row: dict) -> dict[str, np.ndarray]:
    with fits.open(bundles / bundle / row["file"], memmap=False, checksum=True) as hdus:
        table = hdus[1]
        return {name: np.array(table.data[name][0]) for name in table.columns.names}


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Bit for bit the same numbers, NaNs included; byte order does not matter."""
    native = [np.ascontiguousarray(one, one.dtype.newbyteorder("=")) for one in (left, right)]
    return native[0].dtype == native[1].dtype and native[0].tobytes() == native[1].tobytes()

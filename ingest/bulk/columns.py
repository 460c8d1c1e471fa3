"""Columns of a table as arrays."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Floats", "Truths", "counted", "numbers", "truths"]

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


def numbers(array: Any) -> Floats:
    """Numbers, shape (n,); NaN where there is none."""
    return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def truths(array: Any) -> Truths:
    """True or false, shape (n,); false where it is not said."""
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)


def counted(array: Any) -> list[tuple[Any, int]]:
    """Each value and how often it is there."""
    return [(value, number) for value, number in Counter(array.to_pylist()).items() if value is not None]

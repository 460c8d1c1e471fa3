"""Content-hashed steps: a result is kept under the hash of all that went into it, and never made twice.

The key of a step is the SHA-256 of its name, the code and tables of this package, its parameters, and the keys or hashes of its
inputs. So an interrupted run resumes, a changed parameter redoes only what depends on it, and a result can not be stale.
The code is hashed once, by the process that begins the run: were it hashed by each worker, a file edited meanwhile would give
results keys under which nobody looks.
Files are written under another name and renamed: a killed worker leaves nothing that looks like a result.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Store", "code_hash", "key_of"]


@cache
def code_hash() -> str:
    """Hash of every source and data file of the package, as they were when this process first asked."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".py", ".toml", ".csv", ".npz"}:
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def key_of(step: str, code: str, inputs: list[str], **parameters: Any) -> str:
    """The key of a step done by a package of this :func:`code_hash`."""
    said = json.dumps([step, code, inputs, parameters], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


class _Pickler(pickle.Pickler):
    """Pickles equal results to equal bytes.

    pickle writes an object once and then refers to it, by identity. Arrays of code that numba compiled share numpy's own dtype
    objects, those of code that it found in its cache have copies: without this, the first run on a machine made other bytes.
    """

    def reducer_override(self, obj: Any) -> Any:
        """An array with numpy's own dtype; all else as usual."""
        if type(obj) is np.ndarray and obj.dtype.kind in "biuf":
            return obj.view(np.dtype(obj.dtype.str)).__reduce_ex__(5)
        return NotImplemented


class Store:
    """Results in a folder, one pickle a key (they are this package's own and never leave the machine)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the result of *key* is or will be."""
        return self.folder / f"{key}.pickle"

    def load(self, key: str) -> Any:
        """The result of *key*. Raises KeyError where there is none, or it can not be read (it is then made again)."""
        try:
            with self.path(key).open("rb") as stream:
                return pickle.load(stream)  # noqa: S301 - written by this class
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise KeyError(key) from error

    def save(self, key: str, result: Any) -> None:
        """Keep a result, whole or not at all."""
        partial = self.path(key).with_suffix(f".{os.getpid()}.part")
        try:
            with partial.open("wb") as stream:
                _Pickler(stream, protocol=5).dump(result)
            partial.replace(self.path(key))
        finally:
            partial.unlink(missing_ok=True)

"""What the parts of the check share: gathering findings, and paths that stay inside the bundle."""

from __future__ import annotations

import stat
import warnings
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

from astropy import units

from ingest.errors import BundleError, Finding

__all__ = ["LIMIT", "Findings", "Progress", "folder_inside", "inside", "known_unit"]

LIMIT = 50
"""Findings kept in words; the rest are counted."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are."""


class Findings:
    """Gathers what is wrong with a bundle."""

    def __init__(self) -> None:
        self._kept: list[Finding] = []
        self.more = 0
        """Findings beyond `LIMIT`."""

    def add(self, where: str, found: str, expected: str, remedy: str = "") -> None:
        """Keep a finding, or count it where there are too many already."""
        if self.full:
            self.more += 1
        else:
            self._kept.append(Finding(where, found, expected, remedy))

    @property
    def full(self) -> bool:
        """Whether further findings are only counted."""
        return len(self._kept) >= LIMIT

    def __bool__(self) -> bool:
        return bool(self._kept)

    def stop(self) -> None:
        """Raise BundleError where there is a finding."""
        if self._kept:
            raise BundleError(self._kept, self.more)


@cache
def known_unit(text: str) -> bool:
    """Whether a string is a VOUnit (or one of the names of counts that FITS files use)."""
    if text in {"adu", "ct", "count"}:
        return True
    with warnings.catch_warnings():
        # VOUnits deprecates erg and Angstrom, which spectra are nevertheless published in.
        warnings.simplefilter("ignore", units.UnitsWarning)
        try:
            units.Unit(text, format="vounit")
        except ValueError:
            return False
    return True


def inside(root: Path, relative: str) -> Path | None:
    """The file of a relative path, None where it is none or, by ``..``, an absolute path or a link, outside of root."""
    file = root / relative
    # Most files lie in few folders and are no links: then the folder's place is known already.
    if not folder_inside(root, file.parent) or file.name in {"", ".", ".."}:
        return None
    try:
        kind = file.lstat().st_mode
        if stat.S_ISREG(kind):
            return file
        return file if file.is_file() and file.resolve(strict=True).is_relative_to(root.resolve()) else None
    except (OSError, RuntimeError):
        return None


@lru_cache(maxsize=4096)
def folder_inside(root: Path, folder: Path) -> bool:
    """Whether a folder lies in root. The answer is kept until `check_bundle` begins anew (``cache_clear``)."""
    try:
        return folder.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False

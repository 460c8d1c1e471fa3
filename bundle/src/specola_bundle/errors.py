"""What can go wrong with a bundle, as one small tree::

IngestError                 anything that is refused on the way into an archive, with what to do about it
├── FindingsError           several things at once, each with file and row
│   └── BundleError         the bundle is not what the contract says
└── SourceError             a file of the outside world could not be read as what it should be
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BundleError", "Finding", "FindingsError", "IngestError", "SourceError"]


class IngestError(Exception):
    """Base of all errors about what goes into an archive that are raised on purpose; its text is meant for the user."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a bundle: where, what was found, what was expected, what to do."""

    where: str
    """File, and row or HDU where there is one, e.g. ``manifest.parquet row 17 (X_001), column ra``."""
    found: str
    expected: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: found {self.found}, expected {self.expected}"
        return f"{text}; {self.remedy}" if self.remedy else text


class FindingsError(IngestError):
    """Several things are wrong at once. ``findings`` lists them, ``more`` counts those beyond."""

    where = ""
    """In what they were found."""

    def __init__(self, findings: Sequence[Finding], more: int = 0) -> None:
        self.findings = tuple(findings)
        self.more = more
        total = len(self.findings) + more
        heading = f"{total} problem{'s' if total != 1 else ''} in {self.where}"
        lines = [heading, *(f"  {finding}" for finding in self.findings)]
        if more:
            lines.append(f"  and {more} more")
        super().__init__("\n".join(lines))


class BundleError(FindingsError):
    """The bundle breaks the contract."""

    where = "the bundle"


class SourceError(IngestError):
    """A file of the outside world is not what a reader expects."""

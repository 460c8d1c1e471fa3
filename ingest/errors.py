"""What can go wrong in ingest, as one small tree::

IngestError                 anything ingest refuses, with what to do about it
├── BundleError             the bundle is not what the contract says (has findings)
├── SourceError             a file of the outside world could not be read as what it should be
└── ReleaseError            the archive can not take the release (it exists, names clash)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BundleError", "Finding", "IngestError", "ReleaseError", "SourceError"]


class IngestError(Exception):
    """Base of all errors that ingest raises on purpose; its text is meant for the user."""


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


class BundleError(IngestError):
    """The bundle breaks the contract. ``findings`` lists the breaches that were found, ``more`` counts those beyond them."""

    def __init__(self, findings: Sequence[Finding], more: int = 0) -> None:
        self.findings = tuple(findings)
        self.more = more
        total = len(self.findings) + more
        lines = [f"{total} problem{'s' if total != 1 else ''} in the bundle", *(f"  {finding}" for finding in self.findings)]
        if more:
            lines.append(f"  and {more} more")
        super().__init__("\n".join(lines))


class SourceError(IngestError):
    """A file of the outside world is not what a reader expects."""


class ReleaseError(IngestError):
    """The archive can not take the release as it is."""

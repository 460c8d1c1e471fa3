"""What can go wrong in ingest, as one small tree; what a bundle is made of brings the upper part of it::

IngestError                 anything that is refused on the way into an archive, with what to do about it
├── FindingsError           several things at once, each with file and row
│   ├── BundleError         the bundle is not what the contract says
│   ├── ProductError        spectra are not what the standard of spectrum files says
│   └── SealError           a sealed file is not what it was
├── SourceError             a file of the outside world could not be read as what it should be
└── ReleaseError            the archive can not take the release (it exists, names clash)
"""

from __future__ import annotations

from specola_bundle.errors import BundleError, Finding, FindingsError, IngestError, SourceError

__all__ = ["BundleError", "Finding", "FindingsError", "IngestError", "ProductError", "ReleaseError", "SealError", "SourceError"]


class ProductError(FindingsError):
    """Spectra break ESO's standard: a finding a rule and place, in however many files."""

    where = "the spectra"


class SealError(FindingsError):
    """A frozen release is not what it was when it was frozen."""

    where = "the frozen release"


class ReleaseError(IngestError):
    """The archive can not take the release as it is."""

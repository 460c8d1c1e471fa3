"""Which definitions (resdir/*.rd) a release was made with: a checksum in a file beside its RD."""

from __future__ import annotations

import hashlib

from ops.house import Archive
from specola_bundle.bundle import write_whole

__all__ = ["follows_definitions", "note_definitions"]


def _checksum(archive: Archive) -> str:
    digest = hashlib.sha256()
    for path in sorted((archive.repository / "resdir").glob("*.rd")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def follows_definitions(archive: Archive, schema: str) -> bool:
    """True when nothing has changed in the definitions since the release was made or last followed them."""
    marker = archive.inputs / schema / "definitions"
    return marker.exists() and marker.read_text() == _checksum(archive)


def note_definitions(archive: Archive, schema: str) -> None:
    """Remember that the release is made with the definitions as they are now."""
    write_whole(archive.inputs / schema / "definitions", _checksum(archive).encode())

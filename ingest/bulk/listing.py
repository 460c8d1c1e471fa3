"""The list of all downloads of an archive, ``/bulk/``, made of what is among its products whenever a release comes or goes."""

from __future__ import annotations

import json
from typing import Any

from ingest.bulk.page import index_page, size_text
from ops.house import Archive
from specola_bundle.bundle import write_whole

__all__ = ["ABOUT", "FOLDER", "refresh_listing"]

FOLDER = "bulk"
"""Name of the folder of a release's download among its products."""
ABOUT = "release.json"
"""The file in it that the list is made of."""


def refresh_listing(archive: Archive) -> None:
    """Write the list anew, whole or not at all; OSError where the disk refuses."""
    found: list[tuple[str, str, str]] = []
    # Folders that are hidden are being made.
    for path in sorted(archive.products.glob(f"[!.]*/{FOLDER}/{ABOUT}")):
        about: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found.append((about["schema"], about["title"], size_text(about["size"])))
    target = archive.products / f"{FOLDER}.html"
    write_whole(target, index_page(archive.title, found).encode())
    target.chmod(0o644)

"""Put the download of a release that is in an archive where the archive serves it."""

from __future__ import annotations

from ingest.bulk.export import Exported, export_release
from ingest.bulk.listing import FOLDER, refresh_listing
from ingest.errors import ReleaseError
from ingest.findings import Progress
from ingest.present import change_lock, loaded_releases
from ops.house import Archive
from specola_bundle.bundle import Bundle

__all__ = ["publish_bulk"]


def publish_bulk(bundle: Bundle, archive: Archive, *, progress: Progress | None = None) -> Exported:
    """Make the download of a release that is in an archive, where its nginx serves it: ``/bulk/<schema>/``.

    Made again it replaces the former one. It goes away with the release. A release that goes through `specola release` has it
    from the beginning (``download`` of `ingest.load.ingest_bundle`).

    Raises
    ------
    ReleaseError
        The archive does not have this very bundle.
    IngestError
        The disk refused.
    """
    with change_lock(archive):
        present = loaded_releases(archive, settled=True).get(bundle.schema)
        if present != bundle.identity:
            found = "no such release" if present is None else f"a release made of another bundle ({present[:12]}…)"
            raise ReleaseError(
                f"{bundle.path}: found {found} in the {archive.name} archive, expected {bundle.schema} made of this bundle;"
                " ingest or promote it first"
            )
        if marker := next((archive.products / bundle.schema).rglob("*.embargo"), None):
            raise ReleaseError(
                f"{marker}: found an embargo, expected a release that is public as a whole;"
                " its tars would give away what is held back"
            )
        folder = archive.products / bundle.schema / FOLDER
        done = export_release(bundle, folder, url=archive.url, publisher=archive.title, overwrite=True, progress=progress)
        refresh_listing(archive)
    return done

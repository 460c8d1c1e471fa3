"""What is done to an archive in the life of a release. Nothing here writes to the survey database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from ingest.check import check_bundle
from ingest.errors import IngestError, ReleaseError
from ingest.findings import Progress
from ingest.fingerprint import Fingerprints, differences, fingerprints
from ingest.load import ingest_bundle
from ingest.present import follow, loaded_releases
from ingest.products import placed_files
from ingest.removal import remove_release
from ops.house import Archive
from portal.releases.models import Release
from specola_bundle.bundle import Bundle, sha256_of

__all__ = [
    "copy_to_public", "follow", "holds", "load_staging", "public", "staging", "tables_of", "take_out", "verify_staged",
]  # fmt: skip


def staging() -> Archive:
    """The team's archive."""
    archive: Archive = settings.HOUSE.archive("staging")
    return archive


def public() -> Archive:
    """The world's archive."""
    archive: Archive = settings.HOUSE.archive("public")
    return archive


def holds(archive: Archive, release: Release) -> bool:
    """Whether an archive has exactly this release; waits for a change of the archive that is under way.

    Raises
    ------
    ReleaseError
        It has another one of this name.
    """
    present = loaded_releases(archive, settled=True).get(release.schema)
    if present is not None and present != release.bundle_sha256:
        raise ReleaseError(
            f"{release.schema}: found bundle {present[:12]}… in the {archive.name} archive, expected the frozen one,"
            f" {release.bundle_sha256[:12]}…; somebody has loaded another by `specola ingest`: `specola remove {release.schema}`"
        )
    return present is not None


def tables_of(archive: Archive, release: Release) -> Fingerprints:
    """Fingerprints of a release's tables in an archive."""
    return fingerprints(archive, release.schema, release.counts)


def load_staging(folder: Path, release: Release, progress: Progress | None = None) -> Fingerprints:
    """Load a verified bundle into the staging archive; returns what came out."""
    found: dict[str, Fingerprints] = {}
    archive = staging()
    done = ingest_bundle(
        folder,
        archive,
        read_files=False,
        download=True,
        approve=lambda tables: found.update(tables=tables),
        progress=progress,
    )
    return tables_of(archive, release) if done.already or "tables" not in found else found["tables"]


def verify_staged(folder: Path, release: Release, expected: Fingerprints, progress: Progress | None = None) -> None:
    """Verify that the staging archive holds what was staged: the bundle, its tables to the last digit, every file.

    Raises
    ------
    ReleaseError
        It does not; the message names the table or the file.
    """
    archive = staging()
    if not holds(archive, release):
        raise ReleaseError(f"{release.schema}: found nothing of it in the staging archive, expected what was staged; withdraw it")
    if said := differences(tables_of(archive, release), expected):
        raise ReleaseError(
            f"{release.schema} in the staging archive is not what was staged: {said}; withdraw it, and stage a new one"
        )
    bundle = check_bundle(folder, read_files=False)
    total = release.counts.get("spectra", 0)
    for number, (sealed, served) in enumerate(_files(bundle, archive), start=1):
        if not _same_file(sealed, served):
            raise ReleaseError(
                f"{served}: found another content than {sealed}, which was staged; restore it from there, or withdraw the release"
            )
        if progress is not None and (number % 500 == 0 or number >= total):
            progress("compare", min(number, total), total)


def _files(bundle: Bundle, archive: Archive) -> Iterator[tuple[str, str]]:
    """Each sealed file, and where an archive serves it from."""
    for path, accref in placed_files(bundle):
        yield f"{bundle.path}/{path}", f"{archive.products}/{accref}"


def _same_file(sealed: str, served: str) -> bool:
    """A hard link, or a copy, of a file that was verified."""
    try:
        return os.path.samefile(sealed, served) or sha256_of(Path(sealed)) == sha256_of(Path(served))  # noqa: PTH121 - many
    except OSError:
        return False


def copy_to_public(folder: Path, release: Release, expected: Fingerprints, progress: Progress | None = None) -> Fingerprints:
    """Load what was staged into the public archive in one transaction, which is committed only when its tables are equal.

    Returns what the tables hold.

    Raises
    ------
    IngestError
        They are not, or the archive can not take it: it is as before.
    """

    def approve(found: Fingerprints) -> None:
        if said := differences(found, expected):
            raise IngestError(
                f"{release.schema}: what came out in the public archive is not what was staged: {said}; nothing was changed"
            )

    plots = staging().products / release.schema / "previews"
    archive = public()
    done = ingest_bundle(folder, archive, read_files=False, plots=plots, download=True, approve=approve, progress=progress)
    if done.already:
        approve(tables_of(archive, release))
    return expected


def take_out(release: Release, reason: str) -> list[str]:
    """Take a release out of the archives that have it, which remember why; returns their names.

    The public one comes last: were this interrupted before that, a release that is public still is, and says so.
    """
    taken = []
    for archive in (staging(), public()):
        if holds(archive, release):
            remove_release(release.schema, archive, withdrawn=reason)
            taken.append(str(archive.name))
    return taken

"""Where frozen releases are kept: a folder each below ``releases`` in SPECOLA_VAR.

==============  ========================================================================================
``bundle/``     the release as a bundle (docs/bundle.md), every file read-only
``SHA256SUMS``  SHA-256 and path of every file of the bundle, as ``sha256sum -c`` reads it
==============  ========================================================================================

The survey database holds the SHA-256 of SHA256SUMS. Archives serve hard links to these files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from django.conf import settings

from ingest.assemble import Source, assemble
from ingest.bulk.export import export_release
from ingest.check import check_bundle
from ingest.errors import IngestError, ReleaseError
from ingest.findings import Progress
from ingest.readiness import check_ready, what_is_said
from ingest.seal import seal, sealed_files, verify_seal
from ingest.standard import check_products
from portal.releases.models import Release
from portal.releases.states import FROZEN, State
from specola_bundle.bundle import Bundle
from specola_bundle.registry import FILES

__all__ = ["Sealed", "bundle_folder", "export", "export_download", "keep", "verify"]

SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class Sealed:
    """A bundle that was just put together and sealed, not yet in its place."""

    part: Path
    place: Path
    identity: str
    """SHA-256 of its bundle.json."""
    description: Mapping[str, Any]
    """Its bundle.json."""
    said: Mapping[str, bool]
    """Whether it spoke of quality control and reconciliation."""
    unknown: Mapping[str, int]
    """Keywords that spectra lack because nobody knows their values, and the number of spectra."""
    seal_sha256: str
    """SHA-256 of its SHA256SUMS."""
    files: int

    def settle(self) -> None:
        """Rename it into its place, with all of it on the disk before the database says so."""
        os.sync()
        _remove(self.place)
        self.part.rename(self.place)
        directory = os.open(self.place.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def bundle_folder(release: Release) -> Path:
    """The bundle of a frozen release.

    Raises
    ------
    ReleaseError
        It is not frozen.
    """
    if State(release.state) not in FROZEN or not release.seal_sha256:
        raise ReleaseError(
            f"{release.schema}: found a {release.state} without frozen content, expected a frozen release; freeze it first"
        )
    return release.folder / "bundle"


def keep(folder: Path, description: Mapping[str, Any], sources: list[Source], progress: Progress | None = None) -> Sealed:
    """Put a release together from its sources beside its place, check all of it, and seal it.

    What an interrupted run left there goes away first.

    Raises
    ------
    BundleError
        A source or the whole breaks the contract, or somebody is not done with a spectrum or a redshift.
    ProductError
        Spectra break the standard of spectrum files.
    """
    part = folder.with_name(f".{folder.name}.part")
    _remove(part)
    part.mkdir(parents=True)
    try:
        assemble(part / "bundle", description, sources, progress)
        # Every file is hashed here, once; the seal takes the sums from the manifest, which it has just been found to agree with.
        bundle = check_bundle(part / "bundle", progress=progress)
        check_ready(bundle)
        unknown = check_products(bundle, progress)
        sums = seal(part / "bundle", part / SUMS, _known(bundle))
        with (part / SUMS).open("rb") as lines:
            files = sum(1 for _ in lines)
    except BaseException:
        _remove(part)
        raise
    return Sealed(part, folder, bundle.identity, bundle.description, what_is_said(bundle), unknown, sums, files)


def verify(release: Release, progress: Progress | None = None) -> Path:
    """Verify every byte of a frozen release against the sum in the survey database; returns its bundle's folder.

    Raises
    ------
    SealError
        Naming each file that was changed, taken away or added.
    """
    folder = bundle_folder(release)
    verify_seal(folder, release.folder / SUMS, release.seal_sha256, total=release.files, progress=progress)
    return folder


def export(release: Release, target: Path, progress: Progress | None = None) -> int:
    """Copy a frozen release, verified, with its SHA256SUMS to a folder, which appears whole; returns the number of files.

    Raises
    ------
    SealError
        A file has changed since the release was frozen.
    ReleaseError
        Something is at the target.
    """
    if target.exists():
        raise ReleaseError(f"export {release.schema}: found {target}, expected nothing there; remove it, or name another folder")
    folder = verify(release, progress)
    part = target.with_name(f".{target.name}.part")
    _remove(part)
    try:
        number = 0
        for number, (name, _) in enumerate(sealed_files(release.folder / SUMS), start=1):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, part / name)
            if progress is not None and (number % 500 == 0 or number == release.files):
                progress("files", number, release.files)
        shutil.copyfile(release.folder / SUMS, part / SUMS)
        part.rename(target)
    except OSError as error:
        _remove(part)
        raise IngestError(f"export {release.schema}: the disk refused: {error}; nothing is at {target}") from error
    return number


def export_download(release: Release, target: Path, progress: Progress | None = None) -> int:
    """Make the files that the archive offers for download (`ingest.bulk`) of a frozen release, verified; returns their number.

    Raises
    ------
    SealError
        A file has changed since the release was frozen.
    ReleaseError
        Something is at the target.
    """
    bundle = check_bundle(verify(release, progress), read_files=False)
    public = settings.HOUSE.archive("public")
    url = public.url if State(release.state) in {State.PUBLIC, State.OBSOLETE} else ""
    return export_release(bundle, target, url=url, publisher=public.title, progress=progress).files


def _known(bundle: Bundle) -> dict[str, str]:
    """SHA-256 of the files of spectra by their paths."""
    sums: dict[str, str] = {}
    for name, file in ((name, file) for name, files in FILES.items() if name in bundle.tables for file in files):
        parquet = pq.ParquetFile(bundle.tables[name].path)
        if {file.path, file.sha256} <= set(parquet.schema_arrow.names):
            for batch in parquet.iter_batches(columns=[file.path, file.sha256]):
                sums.update((k, v) for k, v in zip(*(column.to_pylist() for column in batch.columns), strict=True) if k and v)
    return sums


def _remove(folder: Path) -> None:
    """Remove a sealed folder, whose folders are read-only."""
    if not folder.exists():
        return
    for parent, _, _ in os.walk(folder):
        os.chmod(parent, 0o755)  # noqa: PTH101, S103 - served to the world
    shutil.rmtree(folder)

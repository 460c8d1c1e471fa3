"""The spectra of a release as one tar a pointing; the same release gives the same bytes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq

from ingest.findings import Progress
from specola_bundle.bundle import Bundle, safe_name

__all__ = ["NO_POINTING", "write_tars"]

NO_POINTING = "no_pointing"
"""Name of the tar of spectra that belong to no single pointing."""


def write_tars(bundle: Bundle, folder: Path, progress: Progress | None = None) -> dict[str, int]:
    """Write ``<pointing>.tar`` for each pointing, with its spectra as ``<schema>/<pointing>/<spectrum_id>.fits`` in their order.

    Owner, mode and time of every member are the same (the release's date), so nothing of the machine is in them.

    Returns
    -------
    Number of spectra by tar (file name).
    """
    if bundle.manifest is None:
        return {}
    folder.mkdir(parents=True)
    moment = int(datetime.fromisoformat(bundle.description["created"]).timestamp())
    members = sorted(_members(bundle))
    names = _names({pointing for pointing, _, _ in members})
    counts: dict[str, int] = {}
    archive: tarfile.TarFile | None = None
    try:
        for done, (pointing, identifier, file) in enumerate(members, start=1):
            name = names[pointing]
            if f"{name}.tar" not in counts:
                if archive is not None:
                    archive.close()
                archive = tarfile.open(folder / f"{name}.tar", "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed below
            assert archive is not None  # noqa: S101 - for the type checker: a new name opens one
            counts[f"{name}.tar"] = counts.get(f"{name}.tar", 0) + 1
            content = (bundle.path / file).read_bytes()
            member = tarfile.TarInfo(f"{bundle.schema}/{name}/{identifier}.fits")
            member.size, member.mtime, member.mode = len(content), moment, 0o644
            archive.addfile(member, io.BytesIO(content))
            if progress is not None and (done % 500 == 0 or done == len(members)):
                progress("tars", done, len(members))
    finally:
        if archive is not None:
            archive.close()
    return counts


def _members(bundle: Bundle) -> Iterator[tuple[str, str, str]]:
    assert bundle.manifest is not None  # noqa: S101 - the caller looked
    file = pq.ParquetFile(bundle.manifest.path)
    wanted = [name for name in ("spectrum_id", "file", "pointing_id") if name in file.schema_arrow.names]
    for batch in file.iter_batches(columns=wanted):
        for row in batch.to_pylist():
            yield row.get("pointing_id") or "", row["spectrum_id"], row["file"]


def _names(pointings: set[str]) -> dict[str, str]:
    """File names of pointings: as they are, where that is a name; a number keeps two apart that would be the same."""
    names: dict[str, str] = {}
    for pointing in sorted(pointings):
        name = safe_name(pointing) if pointing else NO_POINTING
        taken, number = set(names.values()), 2
        stem = name
        while name in taken:
            name, number = f"{stem}-{number}", number + 1
        names[pointing] = name
    return names

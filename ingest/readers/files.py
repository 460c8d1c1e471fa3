"""Bundles of sources that hold one spectrum a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ingest.errors import SourceError
from specola_bundle.build import Progress, Reading, Report, spectra_bundle
from specola_bundle.survey import Survey

__all__ = ["ReadFile", "read_files"]

ReadFile = Callable[[Path, Survey], Reading]
"""Reads one file; SourceError where it is broken."""


def read_files(
    read_file: ReadFile, tables: Sequence[str], sources: Sequence[Path], target: Path, survey: Survey, *, overwrite: bool = False,
    skip_broken: bool = False, progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Make a bundle of files, with the tables named beside that of spectra.

    :raises SourceError: where a file is broken and ``skip_broken`` is not given
    """
    report = Report(target)
    with spectra_bundle(target, survey, sources, tables, expected=len(sources), overwrite=overwrite, report=report) as builder:
        for done, path in enumerate(sources, start=1):
            try:
                builder.add(read_file(path, survey))
            except SourceError as error:
                if not skip_broken:
                    raise
                report.skipped.append(str(error))
            if progress:
                progress("spectra", done, len(sources))
    return report

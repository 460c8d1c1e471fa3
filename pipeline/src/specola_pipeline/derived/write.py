"""Measure the spectra of a bundle and write the new one. `measure_bundle` is the function to call."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specola_bundle.bundle import Bundle, BundleTable, BundleWriter
from specola_bundle.carry import batches
from specola_pipeline.derived.context import Context, context_of
from specola_pipeline.derived.journal import Journal
from specola_pipeline.derived.measure import Job, measure_some
from specola_pipeline.derived.provenance import provenance
from specola_pipeline.derived.tables import write_tables
from specola_pipeline.errors import SpectrumError
from specola_pipeline.redshift.readers import read_spectra
from specola_pipeline.redshift.run import in_chunks
from specola_pipeline.redshift.templates import FILES

__all__ = ["METHOD", "Options", "measure_bundle", "open_bundle"]

METHOD = "specola-pipeline redshift"
"""What the column method begins with; the version follows."""
_FROM_BUNDLE = frozenset({"contract", "tables", "counts", "provenance", "created"})
"""Fields of bundle.json that come from the content."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """How a bundle is to be measured."""

    templates: tuple[Path, ...] = ()
    """Files in redrock's format instead of the package's own."""
    classes: tuple[str, ...] = ()
    """Only these; none are all."""
    res_power: float | None = None
    """Instead of what the bundle says."""
    scheme: str | None = None
    """Of the flags; the bundle's own without it."""
    release: str | None = None
    """Name of the new release; the bundle's own without it."""
    workers: int = 1
    scheduler: str | None = None
    """Address of a dask scheduler, whose workers measure instead of own processes."""


def measure_bundle(
    source: Path, target: Path, options: Options, *, overwrite: bool = False, progress: Progress | None = None
) -> dict[str, int]:
    """Measure the spectra of a bundle and write a new one that has the results, too; returns its numbers of rows by table.

    What is in the old bundle stays: its files are linked (copied where that is not possible), its tables get rows. ``redshift``
    and ``target_class`` of a spectrum are filled in where they were not known. Redshifts that people measured stay the
    recommended ones. A run that was stopped goes on where it was: what was measured is kept beside the target until the target
    is there. Memory does not grow with the number of spectra but by some hundred bytes each (identifiers, and what is known of
    objects).

    Raises
    ------
    SpectrumError
        The source is no bundle of spectra, or the target is the source.
    specola_bundle.errors.BundleError
        There is something at the target (and not ``overwrite``), or a file of the source is not there.
    """
    report = progress or (lambda _what, _done, _total: None)
    bundle = open_bundle(source)
    manifest = bundle.manifest
    if manifest is None or not manifest.rows:
        raise SpectrumError(f"{source}: found a bundle without spectra, expected one of kind spectra")
    if target.resolve() == source.resolve():
        raise SpectrumError(f"{target}: found the bundle itself, expected another place for the new one; give another --bundle")
    method = f"{METHOD} {importlib.metadata.version('specola-pipeline')}"
    context = context_of(bundle, manifest, options.scheme, METHOD)
    description = {key: value for key, value in bundle.description.items() if key not in _FROM_BUNDLE}
    description["release"] = options.release or description["release"]
    name, _, version = method.rpartition(" ")
    description["software"] = [*description["software"], {"name": name, "version": version}]
    description["notes"] = [*description.get("notes", ()), _note(method, context)]
    with BundleWriter(target, overwrite=overwrite, **description) as writer:
        about = {"bundle": bundle.identity, "method": method, **_said(options)}
        journal = Journal(target.with_name(target.name + ".measured"), about)
        _measure(bundle, manifest, context, journal, options, method, report)
        counts = write_tables(writer, bundle, context, journal, method, report)
        writer.provenance(provenance(bundle, description, about))
    journal.remove()
    return counts


def open_bundle(source: Path) -> Bundle:
    """Open a bundle for reading. Raises SpectrumError where there is none."""
    path = source / "bundle.json"
    try:
        return Bundle(source, json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpectrumError(f"{path}: found {error}, expected the description of a bundle (docs/bundle.md)") from error


def _said(options: Options) -> dict[str, Any]:
    """What of the options the result depends on, with the hashes of the templates."""
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in options.templates or FILES}
    return {"templates": hashes, "classes": list(options.classes), "res_power": options.res_power}


def _note(method: str, context: Context) -> str:
    return (
        f"Redshifts with the method '{method}' are automatic, as are candidates, lines, indices and models of that method: "
        f"nobody has looked at them. Their flags are written in the scheme {context.scheme}; how far to trust them is in the "
        "program's manual."
    )


def _measure(
    bundle: Bundle, manifest: BundleTable, context: Context, journal: Journal, options: Options, method: str, report: Progress
) -> None:
    """Measure what is not in the journal yet."""
    task = functools.partial(measure_some, options.templates, options.classes, method)
    jobs = _jobs(bundle, manifest, context, journal, options)
    done, total = len(journal.done), manifest.rows - len(context.sky)
    report("redshifts", done, total)
    with journal:
        for number, measured in enumerate(in_chunks(task, jobs, options.workers, options.scheduler), start=done + 1):
            journal.add(measured)
            report("redshifts", number, total)


def _jobs(bundle: Bundle, manifest: BundleTable, context: Context, journal: Journal, options: Options) -> Iterator[Job]:
    left_out = context.sky | journal.done
    rows = (row for row in _rows(manifest, ["spectrum_id", "object_id"]) if row["spectrum_id"] not in left_out)
    spectra = read_spectra(bundle.path, res_power=options.res_power, leave_out=left_out)
    for row, spectrum in zip(rows, spectra, strict=True):
        z, kind = context.recommended.get(row["object_id"], (None, None))
        yield Job(spectrum, z, kind == "QSO")


def _rows(table: BundleTable, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    for rows in batches(table, columns):
        yield from rows.to_pylist()

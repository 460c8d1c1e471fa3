"""Take a bundle into an archive: check it, lay out its files, load its tables in one transaction, tell DaCHS.

Everything is prepared out of sight: files and RD in folders nobody asks for, tables in a transaction that is the loader's
(`vo.load`) and ends with this process. Then files and RD are renamed into place, and the transaction is committed. A
kill before the renaming leaves the archive as it was, a kill after the commit leaves it complete; between the two are a few
milliseconds, after which there are files without a release. They are replaced by the next run.
docs/decisions/0010-one-transaction.md says why.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ingest.bulk.listing import FOLDER
from ingest.check import ReadFiles, check_bundle
from ingest.definitions import note_definitions
from ingest.errors import IngestError, ReleaseError
from ingest.fingerprint import Fingerprints, fingerprint_query
from ingest.loader import Loader
from ingest.present import change_lock, loaded_releases, remove_files, tell
from ingest.products import Progress, stage_products
from ingest.rd import ServiceTests, published_title, rd_id, release_rd
from ingest.rows import copy_columns, copy_stream, product_columns, product_stream
from ingest.surveys import SurveyViews, check_name, incoming, survey_of
from ops.house import Archive
from specola_bundle.bundle import Bundle, write_whole
from specola_bundle.registry import FILES

__all__ = ["Approve", "Ingested", "ingest_bundle"]

Approve = Callable[[Fingerprints], None]
"""Called with what is in the tables, after COPY and before the commit; where it raises an IngestError nothing is changed."""


@dataclass(frozen=True)
class Ingested:
    """What an ingest did."""

    schema: str
    rows: Mapping[str, int]
    """Rows of each table of the release."""
    already: bool
    """True where the very same bundle was in the archive before; nothing was done then."""


def ingest_bundle(
    path: Path,
    archive: Archive,
    *,
    read_files: ReadFiles = True,
    previews: bool = True,
    plots: Path | None = None,
    download: bool = False,
    approve: Approve | None = None,
    progress: Progress | None = None,
) -> Ingested:
    """Take a bundle into an archive.

    Parameters
    ----------
    path
        The bundle's directory.
    archive
        Where it goes.
    read_files
        What to look at of each spectrum file: all of it (its checksum, headers and wavelengths), ``"headers"``, or nothing
        (False) for bundles that were checked already.
    previews
        Make the plots.
    plots
        A folder of plots of these spectra that another archive has made; those that are there are linked and not drawn again.
    download
        Make its files for download (docs/bulk.md), which appear with it.
    approve
        Looks at what was loaded, before the commit.

    Raises
    ------
    BundleError
        The bundle breaks the contract; nothing was changed.
    ReleaseError
        The archive has a release of this name with another content; nothing was changed.
    IngestError
        The database or the disk refused; the archive is as before.
    """
    bundle = check_bundle(path, read_files=read_files, progress=progress)
    check_name(survey_of(bundle.schema))
    with change_lock(archive):
        present = loaded_releases(archive, settled=True).get(bundle.schema)
        if present is not None:
            return _already(bundle, archive, present)
        try:
            with Loader(archive) as loader:
                archive.products.mkdir(parents=True, exist_ok=True)
                part = stage_products(bundle, archive.products, previews=previews, plots=plots, progress=progress)
                if download:
                    _make_download(bundle, archive, part, progress)
                rows = _load(loader, bundle, archive, part, previews=previews, approve=approve, progress=progress)
        except (IngestError, OSError) as error:
            _clean_up(bundle, archive, error)
            rows = dict(bundle.description["counts"])
        finally:
            _discard_preparations(bundle, archive)
        note_definitions(archive, bundle.schema)
        tell(archive, bundle.schema)
    return Ingested(bundle.schema, rows, already=False)


def _clean_up(bundle: Bundle, archive: Archive, error: Exception) -> None:
    """After an error leave the archive as it was and raise IngestError, but return where the release was committed."""
    try:
        present = loaded_releases(archive, settled=True).get(bundle.schema)
    except IngestError as failure:
        raise IngestError(f"{error}; whether the release is in could not be asked ({failure}): run the ingest again") from error
    if present == bundle.identity:
        return
    if present is None:
        remove_files(archive, bundle.schema)
        tell(archive, bundle.schema)
    if isinstance(error, IngestError):
        raise error
    raise IngestError(f"the disk refused, and the archive is as before: {error}") from error


def _discard_preparations(bundle: Bundle, archive: Archive) -> None:
    for part in archive.products.glob(f".{bundle.schema}.*.part"):
        shutil.rmtree(part, ignore_errors=True)
    for name in (bundle.schema, survey_of(bundle.schema)):
        shutil.rmtree(incoming(archive) / name, ignore_errors=True)


def _make_download(bundle: Bundle, archive: Archive, part: Path, progress: Progress | None) -> None:
    from ingest.bulk.export import export_release  # HEALPix and the like, only where files are made

    export_release(bundle, part / FOLDER, url=archive.url, publisher=archive.title, overwrite=True, progress=progress)


def _already(bundle: Bundle, archive: Archive, present: str) -> Ingested:
    if present == bundle.identity:
        # An ingest that was killed right after its commit has told nobody.
        tell(archive, bundle.schema)
        return Ingested(bundle.schema, bundle.description["counts"], already=True)
    raise ReleaseError(
        f"{bundle.path / 'bundle.json'}: found release {bundle.schema}, expected one the archive does not have:"
        f" it has a release of this name with another content (bundle {present[:12]}…, this one {bundle.identity[:12]}…);"
        " a release never changes, so give the new one another name"
    )


def _service_tests(bundle: Bundle) -> ServiceTests:
    """A position and a target that are in the release, for its services' test queries."""
    for name in ("redshifts", "spectra"):
        table = bundle.tables.get(name)
        if table is None:
            continue
        columns = [n for n in ("ra", "dec", "target_name") if n in pq.read_schema(table.path).names]
        if not {"ra", "dec"} <= set(columns):
            continue
        for batch in pq.ParquetFile(table.path).iter_batches(columns=columns):
            for row in batch.to_pylist():
                if row["ra"] is not None and row["dec"] is not None:
                    return ServiceTests(row["ra"], row["dec"], row.get("target_name") or "")
    if bundle.manifest is not None and bundle.manifest.rows:
        first = next(pq.ParquetFile(bundle.manifest.path).iter_batches(batch_size=1, columns=["target_name"])).to_pylist()
        return ServiceTests(target=first[0]["target_name"])
    return ServiceTests()


def _write_rd(bundle: Bundle, archive: Archive) -> Path:
    """Write the RD to `incoming` and return the folder that is to be renamed into inputsDir."""
    folder = incoming(archive) / bundle.schema
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_whole(folder / "q.rd", release_rd(bundle, _service_tests(bundle)))
    return folder


def _load(
    loader: Loader,
    bundle: Bundle,
    archive: Archive,
    part: Path,
    *,
    previews: bool,
    approve: Approve | None,
    progress: Progress | None,
) -> dict[str, int]:
    rows: dict[str, int] = {}
    rd = _write_rd(bundle, archive)
    # From here on the loader holds the database's lock: no other machine can take in the same release.
    state = loader.say({"rd": rd_id(bundle.schema), "inputs": str(incoming(archive)), "release": _release_row(bundle)})
    if state["state"] == "present":
        return dict(_already(bundle, archive, state["bundle"]).rows)
    if state["state"] == "withdrawn":
        raise ReleaseError(
            f"{bundle.path / 'bundle.json'}: found release {bundle.schema}, which the {archive.name} archive had until"
            f" {state['withdrawn']} ({state['reason']}); the name of a withdrawn release is not used again, give this one another"
        )
    total = sum(table.rows for table in bundle.tables.values())
    for name, table in bundle.tables.items():
        frames = copy_stream(bundle, table, archive.authority, previews=previews)
        rows[name] = loader.say({"copy": name, "columns": copy_columns(table)}, frames)["rows"]
        if progress is not None:
            progress("rows", sum(rows.values()), total)
    if FILES.keys() & bundle.tables.keys():
        products = product_stream(bundle, str(archive.products), archive.url, previews=previews)
        loader.say({"copy": "dc.products", "columns": product_columns()}, products)
    if progress is not None:
        progress("indexes", 0, 1)
    loader.say({"finish": True})
    if approve is not None:
        answers = {name: loader.say({"ask": fingerprint_query(bundle.schema, name)})["row"] for name in bundle.tables}
        approve({name: {"rows": rows, "sum": total} for name, (rows, total) in answers.items()})
    views = SurveyViews.of(archive, survey_of(bundle.schema), set(loaded_releases(archive)), coming={bundle.schema: rd / "q.rd"})
    views.make(loader)
    remove_files(archive, bundle.schema)
    part.rename(archive.products / bundle.schema)
    rd.rename(archive.inputs / bundle.schema)
    views.put()
    loader.say({"commit": True})
    if progress is not None:
        progress("indexes", 1, 1)
    return rows


def _release_row(bundle: Bundle) -> dict[str, Any]:
    """The release's row of specola.releases (resdir/releases.rd)."""
    description = bundle.description
    return {
        "schema_name": bundle.schema,
        "survey": description["survey"],
        "release": description["release"],
        "kind": description["kind"],
        "title": published_title(description),
        "simulated": description["simulated"],
        "n_spectra": description["counts"].get("spectra", 0),
        "n_redshifts": description["counts"].get("redshifts", 0),
        "rights": description["rights"],
        "citation": description.get("citation"),
        "created": description["created"].rstrip("Z"),
        "ingested": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "bundle": bundle.identity,
    }

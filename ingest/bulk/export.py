"""Make the files of a release for download, and put them where the archive serves them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.bulk.catalogues import write_fits, write_parquet
from ingest.bulk.citation import bibtex, citation_cff, datacite, readme
from ingest.bulk.hats import write_hats
from ingest.bulk.page import File, index_page, release_page, size_text
from ingest.bulk.statistics import statistics_of
from ingest.bulk.tars import write_tars
from ingest.errors import IngestError, ReleaseError
from ingest.findings import Progress
from ingest.load import change_lock, loaded_releases
from ingest.rd import published_title
from ops.house import Archive
from specola_bundle.bundle import Bundle, sha256_of, write_whole

__all__ = ["FOLDER", "Exported", "export_release", "publish_bulk", "refresh_index"]

FOLDER = "bulk"
"""Name of the folder of these files among a release's products."""
_SUMS = "SHA256SUMS"
_ABOUT = "release.json"


@dataclass(frozen=True)
class Exported:
    """What was made."""

    folder: Path
    files: int
    size: int
    """Bytes of all files."""


def export_release(
    bundle: Bundle,
    folder: Path,
    *,
    url: str = "",
    publisher: str = "",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Make the download of a release from its bundle.

    The folder appears whole or not at all; the same bundle, url and publisher give the same bytes.

    Parameters
    ----------
    bundle
        A checked bundle (`ingest.check.check_bundle`).
    folder
        Where it goes: catalogues/ (Parquet and FITS), hats/, spectra/ (a tar a pointing), README.md, CITATION.cff, citation.bib,
        datacite.json, bundle.json, index.html and SHA256SUMS.
    url
        Base address of the archive that serves the release; '' where none does.
    publisher
        Who publishes it; the survey's creators where nothing is given.
    overwrite
        Replace what is there.

    Raises
    ------
    ReleaseError
        The folder exists.
    IngestError
        The disk refused; nothing is at ``folder`` that was not there before.
    """
    if folder.exists() and not overwrite:
        raise ReleaseError(f"{folder}: found an existing folder, expected none; remove it, or overwrite")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        done = _make(bundle, part, url, publisher or "; ".join(bundle.description["creators"]), progress)
        if folder.exists():
            old = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
            part.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            part.rename(folder)
    except OSError as error:
        raise IngestError(f"{folder}: the disk refused: {error}; nothing was changed there") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Exported(folder, *done)


def _make(bundle: Bundle, folder: Path, url: str, publisher: str, progress: Progress | None) -> tuple[int, int]:
    about = bundle.description
    page_url = f"{url}/bulk/{bundle.schema}/" if url else ""
    _catalogues(bundle, folder, progress)
    spectra = write_tars(bundle, folder / "spectra", progress)
    for name in ("bundle.json", "provenance.json"):
        if (bundle.path / name).exists():
            shutil.copyfile(bundle.path / name, folder / name)
    entry = bibtex(about, publisher, page_url)
    (folder / "citation.bib").write_text(entry, "utf-8")
    (folder / "CITATION.cff").write_text(citation_cff(about, page_url), "utf-8")
    (folder / "README.md").write_text(readme(about, about["counts"], _contents(folder), page_url), "utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    record = datacite(about, publisher, page_url, size=size)
    (folder / "datacite.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    summary = {"schema": bundle.schema, "title": published_title(about), "bundle": bundle.identity, "size": size}
    (folder / _ABOUT).write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", "utf-8")
    files = [_file(path, folder, spectra) for path in sorted(folder.rglob("*")) if path.is_file()]
    order = ("Catalogues", "Spectra", "About the release", "Catalogue by HEALPix pixel (HATS)")
    files.sort(key=lambda one: order.index(one.group))
    (folder / "index.html").write_text(release_page(bundle, statistics_of(bundle), files, entry, url), "utf-8")
    every = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    lines = []
    for number, path in enumerate(every, start=1):
        path.chmod(0o644)  # nginx sends them
        lines.append(f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n")
        if progress is not None:
            progress("checksums", number, len(every))
    (folder / _SUMS).write_text("".join(lines))
    return len(every) + 1, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _catalogues(bundle: Bundle, folder: Path, progress: Progress | None) -> None:
    (folder / "catalogues").mkdir()
    for number, (name, table) in enumerate(bundle.tables.items(), start=1):
        write_parquet(bundle, table, folder / "catalogues" / f"{name}.parquet")
        write_fits(bundle, table, folder / "catalogues" / f"{name}.fits")
        write_hats(bundle, table, folder / "hats" / name)
        if progress is not None:
            progress("catalogues", number, len(bundle.tables))


def _contents(folder: Path) -> list[tuple[str, str]]:
    about = {
        "catalogues": "every table, as Parquet (VOParquet) and FITS (fits-plus), with units, UCDs and descriptions inside",
        "hats": "tables with positions, partitioned by HEALPix pixel (HATS), for LSDB",
        "spectra": "the spectra, a tar a pointing",
        "bundle.json": "what the release is made of, with checksums",
        "provenance.json": "how it was made (W3C PROV)",
    }
    return [(name, text) for name, text in about.items() if (folder / name).exists()]


def _file(path: Path, folder: Path, spectra: Mapping[str, int]) -> File:
    name = path.relative_to(folder).as_posix()
    size = path.stat().st_size
    kind, _, rest = name.partition("/")
    if kind == "spectra":
        return File(name, size, "Spectra", f"{spectra[rest]:,} spectra")
    if kind == "catalogues":
        form = "Parquet" if rest.endswith(".parquet") else "FITS"
        return File(name, size, "Catalogues", f"table {rest.rpartition('.')[0]}, {form}")
    if kind == "hats":
        return File(name, size, "Catalogue by HEALPix pixel (HATS)", f"table {rest.partition('/')[0]}")
    about = {
        "README.md": "to begin with", "CITATION.cff": "how to cite, for GitHub and Zenodo", "citation.bib": "BibTeX",
        "datacite.json": "metadata of a DOI", "bundle.json": "contents and checksums", "provenance.json": "W3C PROV",
        _ABOUT: "name and size, for programs",
    }  # fmt: skip
    return File(name, size, "About the release", about.get(name, ""))


def publish_bulk(bundle: Bundle, archive: Archive, *, sitename: str = "", progress: Progress | None = None) -> Exported:
    """Make the download of a release that is in an archive, where its nginx serves it: ``/bulk/<schema>/``.

    Made again it replaces the former one. It goes away with the release.

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
        done = export_release(bundle, folder, url=archive.url, publisher=sitename, overwrite=True, progress=progress)
        refresh_index(archive, sitename)
    return done


def refresh_index(archive: Archive, sitename: str = "") -> None:
    """Write the list of all downloads of an archive, ``/bulk/``."""
    found: list[tuple[str, str, str]] = []
    for path in sorted(archive.products.glob(f"*/{FOLDER}/{_ABOUT}")):
        about: dict[str, Any] = json.loads(path.read_text("utf-8"))
        found.append((about["schema"], about["title"], size_text(about["size"])))
    target = archive.products / f"{FOLDER}.html"
    write_whole(target, index_page(sitename or "Archive", found).encode())
    target.chmod(0o644)

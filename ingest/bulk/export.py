"""Make the files of a release for download."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ingest.bulk.catalogues import write_fits, write_parquet
from ingest.bulk.citation import bibtex, citation_cff, datacite, readme
from ingest.bulk.hats import write_hats
from ingest.bulk.listing import ABOUT
from ingest.bulk.page import File, release_page
from ingest.bulk.statistics import statistics_of
from ingest.bulk.tars import write_tars
from ingest.errors import IngestError, ReleaseError
from ingest.findings import Progress
from ingest.rd import published_title
from specola_bundle.bundle import Bundle, sha256_of

__all__ = ["Exported", "export_release"]

_SUMS = "SHA256SUMS"


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
    (folder / ABOUT).write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", "utf-8")
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
        ABOUT: "name and size, for programs",
    }  # fmt: skip
    return File(name, size, "About the release", about.get(name, ""))

"""The page about a release, static HTML made of the release itself; nothing on it comes from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ingest.bulk import charts
from ingest.bulk.catalogues import published_columns
from ingest.bulk.completeness import RECTANGLE, Rate
from ingest.bulk.statistics import Statistics
from ingest.rd import published_title
from specola_bundle.bundle import Bundle

__all__ = ["File", "index_page", "release_page", "size_text"]

_TEMPLATE = Path(__file__).with_name("page.html.in")


@dataclass(frozen=True)
class File:
    """A file of the download."""

    path: str
    """Relative to the page."""
    size: int
    """Bytes."""
    group: str
    about: str


def size_text(size: int) -> str:
    """A size as people read it."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _document(title: str, body: str) -> str:
    values = {"title": escape(title), "body": body}
    return re.sub(r"@\{(\w+)\}", lambda match: values[match[1]], _TEMPLATE.read_text("utf-8"))


def release_page(bundle: Bundle, statistics: Statistics, files: Sequence[File], bibtex: str, url: str = "") -> str:
    """The page of a release.

    Parameters
    ----------
    files
        What can be downloaded, in the order of the page.
    bibtex
        The entry to be cited.
    url
        Base address of the archive that serves the release, for links to its services; '' where none does.
    """
    return _document(published_title(bundle.description), "\n".join(_body(bundle, statistics, files, bibtex, url)))


def _body(bundle: Bundle, statistics: Statistics, files: Sequence[File], bibtex: str, url: str) -> Iterator[str]:
    about = bundle.description
    line = f"{about['survey'].upper()}, release {about['release']}, {about['created'][:10]}"
    yield f'<header><p class="soft">{escape(line)}</p>'
    yield f"<h1>{escape(published_title(about))}</h1>"
    yield f"<p>{escape(' '.join(about['description'].split()))}</p>"
    if about["simulated"]:
        yield '<p class="warning">Everything in this release is simulated. Nothing of it was observed.</p>'
    yield "</header><main>"
    yield '<dl class="facts">'
    for name, number in statistics.counts.items():
        yield f"<div><dt>{escape(name)}</dt><dd>{number:,}</dd></div>"
    for name, text in statistics.summary.items():
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>"
    yield "</dl>"
    yield from _charts(statistics)
    yield from _downloads(files)
    if url:
        yield from _services(bundle, url)
    if about.get("notes"):
        yield '<h2 id="notes">What you have to know</h2><ul>'
        yield from (f"<li>{escape(note)}</li>" for note in about["notes"])
        yield "</ul>"
    yield from _citation(bundle, bibtex)
    yield from _columns(bundle)
    software = ", ".join(f"{one['name']} {one['version']}" for one in about["software"])
    yield f"</main><footer>Made with {escape(software)}. Bundle <code>{bundle.identity}</code>.</footer>"


def _charts(statistics: Statistics) -> Iterator[str]:
    figures = []
    if statistics.outlines or len(statistics.points):
        what = "Positions" + (" and the outlines of the pointings" if statistics.outlines else "")
        figures.append((charts.sky(statistics.outlines, statistics.points, "Sky coverage"), f"{what}."))
    if statistics.redshifts is not None:
        text = f"Redshifts of objects. Beyond the picture: {statistics.redshifts.outside:,}."
        figures.append((charts.histogram(statistics.redshifts, "redshift", "objects", "Redshift distribution n(z)"), text))
    if statistics.snr is not None:
        text = f"Median signal-to-noise ratio per pixel. Beyond the picture: {statistics.snr.outside:,} spectra."
        figures.append(
            (charts.histogram(statistics.snr, "S/N per pixel", "spectra", "Signal-to-noise ratio of the spectra"), text)
        )
    if statistics.flags:
        figures.append((charts.bars(statistics.flags, "Redshift flags"), "Quality flags of the redshifts, all measurements."))
    if statistics.classes:
        figures.append((charts.bars(statistics.classes, "Spectroscopic classes"), "Spectroscopic classes, all measurements."))
    if statistics.rates:
        label = f"{statistics.band or 'selection'} magnitude"
        figures.append(
            (charts.rates(statistics.rates, label, "Completeness as a function of magnitude"), _rates(statistics.rates))
        )
    if statistics.local is not None:
        text = f"TSR in a rectangle of {RECTANGLE[0]:.0f} (RA) by {RECTANGLE[1]:.0f} (Dec) arcsec about each detected target."
        svg = charts.histogram(statistics.local, "local TSR", "detected targets", "Target sampling rate in small rectangles")
        figures.append((svg, text))
    if statistics.colour is not None:
        one = [statistics.colour]
        figures.append((charts.rates(one, "photometric redshift", "Completeness as a function of redshift"), _rates(one)))
    if figures:
        yield '<h2 id="figures">In figures</h2><div class="charts">'
        yield from (f"<figure>{svg}<figcaption>{caption}</figcaption></figure>" for svg, caption in figures)
        yield "</div>"
        yield from _numbers(statistics)


def _rates(data: Sequence[Rate]) -> str:
    return " ".join(f"{one.name}: {escape(one.meaning)}; {one.total * 100:.1f} % over all." for one in data)


def _numbers(statistics: Statistics) -> Iterator[str]:
    """The numbers behind the charts, for those who read and do not look."""
    yield "<details><summary>The numbers of these charts</summary>"
    histograms = (("Redshift", statistics.redshifts), ("S/N per pixel", statistics.snr), ("Local TSR", statistics.local))
    for title, data in histograms:
        if data is not None:
            yield f'<h3>{title}</h3><div class="scroll"><table><tr><th scope="col">from</th><th scope="col">to</th>'
            yield "".join(f'<th scope="col" class="number">{escape(name)}</th>' for name in data.counts) + "</tr>"
            for number in range(len(data.edges) - 1):
                cells = "".join(f'<td class="number">{counts[number]:,}</td>' for counts in data.counts.values())
                yield f"<tr><td>{data.edges[number]:.6g}</td><td>{data.edges[number + 1]:.6g}</td>{cells}</tr>"
            yield "</table></div>"
    for one in (*statistics.rates, *([statistics.colour] if statistics.colour else [])):
        yield f'<h3>{one.name}</h3><div class="scroll"><table><tr><th scope="col">from</th><th scope="col">to</th>'
        yield '<th scope="col" class="number">good</th><th scope="col" class="number">of</th></tr>'
        for number in range(len(one.edges) - 1):
            if one.all[number]:
                yield f"<tr><td>{one.edges[number]:.6g}</td><td>{one.edges[number + 1]:.6g}</td>"
                yield f'<td class="number">{one.good[number]:,}</td><td class="number">{one.all[number]:,}</td></tr>'
        yield "</table></div>"
    yield "</details>"


def _downloads(files: Sequence[File]) -> Iterator[str]:
    total = sum(one.size for one in files)
    yield f'<h2 id="download">Download</h2><p>{_files(len(files))}, {size_text(total)} in all. Every file can be resumed: '
    yield "<code>wget -c</code>, <code>curl -C -</code>. <code>sha256sum -c SHA256SUMS</code> checks them.</p>"
    for group in dict.fromkeys(one.group for one in files):
        members = [one for one in files if one.group == group]
        open_ = " open" if len(members) <= 12 else ""
        size = size_text(sum(one.size for one in members))
        yield f"<details{open_}><summary><strong>{escape(group)}</strong> ({_files(len(members))}, {size})</summary>"
        yield _table_head("file", "what it is", size=True)
        for one in members:
            yield f'<tr><td><a href="{escape(one.path)}">{escape(one.path)}</a></td><td>{escape(one.about)}</td>'
            yield f'<td class="number">{size_text(one.size)}</td></tr>'
        yield "</table></div></details>"


def _files(number: int) -> str:
    return f"{number:,} file{'s' if number != 1 else ''}"


def _services(bundle: Bundle, url: str) -> Iterator[str]:
    yield '<h2 id="services">Services</h2><ul>'
    yield f'<li>TAP, tables <code>{bundle.schema}.…</code>: <a href="{url}/tap">{url}/tap</a></li>'
    if bundle.manifest is not None:
        address = f"{url}/{bundle.schema}/q/ssap/ssap.xml"
        yield f'<li>Simple Spectral Access: <a href="{address}?REQUEST=queryData&amp;MAXREC=5">{address}</a></li>'
    address = f"{url}/browse/{bundle.schema}/q"
    yield f'<li>All services of the release: <a href="{address}">{address}</a></li></ul>'


def _citation(bundle: Bundle, bibtex: str) -> Iterator[str]:
    about = bundle.description
    yield '<h2 id="cite">How to cite</h2>'
    if about.get("citation"):
        yield f"<p>{escape(about['citation'])}</p>"
    if about.get("doi"):
        yield f'<p>DOI: <a href="https://doi.org/{escape(about["doi"])}">{escape(about["doi"])}</a></p>'
    uri = about.get("rights_uri")
    yield f"<p>Rights: {escape(about['rights'])}" + (f' (<a href="{escape(uri)}">{escape(uri)}</a>)' if uri else "") + "</p>"
    yield f"<p>Authors: {escape('; '.join(about['creators']))}</p>"
    yield f"<pre>{escape(bibtex.strip())}</pre>"


def _columns(bundle: Bundle) -> Iterator[str]:
    yield '<h2 id="columns">Columns</h2>'
    for table in bundle.tables.values():
        columns = published_columns(table)
        yield f"<details><summary><strong>{escape(table.definition.name)}</strong>: {table.rows:,} rows, {len(columns)} columns. "
        yield f"{escape(table.definition.description)}</summary>"
        yield _table_head("column", "type", "unit", "UCD", "what it is")
        for column in columns:
            cells = (column.type, column.unit, column.ucd, column.description)
            yield f"<tr><td><code>{column.name}</code></td>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        yield "</table></div></details>"


def _table_head(*names: str, size: bool = False) -> str:
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    last = '<th scope="col" class="number">size</th>' if size else ""
    return f'<div class="scroll"><table><tr>{heads}{last}</tr>'


def index_page(sitename: str, releases: Sequence[tuple[str, str, str]]) -> str:
    """The list of releases that can be downloaded: schema, title, size in words of each."""
    title = f"{sitename}: releases as files"
    lines = [
        f"<header><h1>{escape(title)}</h1>",
        "<p>Catalogues, spectra and how to cite them, a release a folder.</p></header><main>",
        _table_head("release", "title", size=True),
        *(
            f'<tr><td><a href="{schema}/">{schema}</a></td><td>{escape(title)}</td><td class="number">{size}</td></tr>'
            for schema, title, size in releases
        ),
        "</table></div>",
        "" if releases else "<p>There are none yet.</p>",
        "</main><footer></footer>",
    ]
    return _document(title, "\n".join(lines))

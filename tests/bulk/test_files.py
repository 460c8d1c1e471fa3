"""The files of a download hold the bundle's rows and spectra, with their meaning, the same bytes whenever they are made."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
import warnings
from datetime import date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from datacite import schema45
from hypothesis import given, settings
from hypothesis import strategies as st
from pybtex.database import parse_string

from ingest.bulk import charts
from ingest.bulk.catalogues import batches, published_columns
from ingest.bulk.citation import bibtex, citation_cff, datacite
from ingest.bulk.completeness import completeness
from ingest.bulk.export import export_release
from ingest.bulk.hats import partitions, write_hats
from ingest.bulk.statistics import statistics_of
from ingest.errors import IngestError, ReleaseError
from specola_bundle.bundle import Bundle
from tests.bulk.conftest import URL

TABLES = ("spectra", "redshifts", "photometry", "slits", "pointings", "truth")


def expected(bundle: Bundle, name: str) -> list[dict[str, Any]]:
    table = bundle.tables[name]
    return [row for piece in batches(table, published_columns(table)) for row in piece.to_pylist()]


@pytest.mark.parametrize("name", TABLES)
def test_parquet_has_rows_and_meaning(bundle: Bundle, download: Path, name: str) -> None:
    path = download / "catalogues" / f"{name}.parquet"
    assert pq.read_table(path).to_pylist() == expected(bundle, name)
    metadata = pq.read_schema(path).metadata
    assert metadata[b"IVOA.VOTable-Parquet.version"] == b"1.0"
    fields = parse_single_table(io.BytesIO(metadata[b"IVOA.VOTable-Parquet.content"])).fields
    columns = published_columns(bundle.tables[name])
    assert [field.name for field in fields] == [column.name for column in columns] == pq.read_schema(path).names
    for field, column in zip(fields, columns, strict=True):
        assert (field.ucd or "", field.description) == (column.ucd, column.description)
        assert (field.unit is None) == (not column.unit)
        about = pq.read_schema(path).field(column.name).metadata
        assert about[b"description"].decode() == column.description


@pytest.mark.parametrize("name", TABLES)
def test_fits_has_rows_and_meaning(bundle: Bundle, download: Path, name: str) -> None:
    path = download / "catalogues" / f"{name}.fits"
    rows = expected(bundle, name)
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
        assert all(hdu.verify_checksum() == 1 and hdu.verify_datasum() == 1 for hdu in hdus)
        table, header = hdus[1].data, hdus[1].header
        assert len(table) == len(rows)
        raw = np.frombuffer(table.tobytes(), table.dtype)
        for number, column in enumerate(published_columns(bundle.tables[name]), start=1):
            assert header[f"TTYPE{number}"] == column.name
            assert header.get(f"TUCD{number}", "") == column.ucd
            assert header[f"TCOMM{number}"] == column.description
            wanted = [row[column.name] for row in rows]
            if column.type == "boolean":
                assert [{b"T": True, b"F": False, b"": None}[bytes(v)] for v in raw[column.name].view("S1")] == wanted
            elif column.type in {"smallint", "integer", "bigint"}:
                null = header.get(f"TNULL{number}")
                assert [None if v == null else int(v) for v in table[column.name]] == wanted
            elif column.type == "spoly":
                assert [[float(v) for v in one if np.isfinite(v)] for one in table[column.name]] == wanted
            elif column.type in {"real", "double"}:
                np.testing.assert_array_equal(table[column.name], np.array([np.nan if v is None else v for v in wanted]))
            elif column.type == "timestamp":
                assert [datetime.fromisoformat(v) if v else None for v in table[column.name]] == wanted
            else:
                assert [str(v) for v in table[column.name]] == [v or "" for v in wanted]


def test_stilts_and_fitsverify_read_the_fits(download: Path) -> None:
    if shutil.which("stilts") is None or shutil.which("fitsverify") is None:
        pytest.skip("stilts or fitsverify is not installed (Debian packages of these names)")
    files = sorted((download / "catalogues").glob("*.fits"))
    done = subprocess.run(["fitsverify", "-q", *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    path = download / "catalogues" / "redshifts.fits"
    told = subprocess.run(
        ["stilts", "tpipe", f"in={path}", "cmd=meta name units ucd description", "ofmt=csv"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "z,,src.redshift;meta.main,Redshift; NULL where none could be measured." in told.replace('"', "")
    table = subprocess.run(["stilts", "tpipe", f"in={path}", "ofmt=csv"], capture_output=True, text=True, check=True).stdout
    read = Table.read(table, format="ascii.csv")
    original = pq.read_table(download / "catalogues" / "redshifts.parquet")
    np.testing.assert_array_equal(np.ma.filled(read["z"].astype(float), np.nan), original["z"].to_numpy())
    assert [None if v is np.ma.masked else v == "true" for v in read["secure"]] == original["secure"].to_pylist()


def test_tars_hold_the_spectra(bundle: Bundle, download: Path) -> None:
    rows = pq.read_table(download / "catalogues" / "spectra.parquet").to_pylist()
    found = {}
    for path in sorted((download / "spectra").glob("*.tar")):
        with tarfile.open(path) as archive:
            names = archive.getnames()
            assert names == sorted(names)
            for member in archive:
                assert (member.uid, member.gid, member.mode, member.uname) == (0, 0, 0o644, "")
                stream = archive.extractfile(member)
                assert stream is not None
                found[Path(member.name).stem] = (path.stem, hashlib.sha256(stream.read()).hexdigest())
    assert found == {row["spectrum_id"]: (row["pointing_id"], row["file_sha256"]) for row in rows}


def test_the_same_release_has_the_same_bytes(bundle: Bundle, download: Path, tmp_path: Path) -> None:
    again = export_release(bundle, tmp_path / "again", url=URL, publisher="Somebody").folder
    files = sorted(path.relative_to(download) for path in download.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    for path in files:
        assert (download / path).read_bytes() == (again / path).read_bytes(), path


def test_checksums_are_those_of_the_files(download: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=download, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    every = {path.relative_to(download).as_posix() for path in download.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert {line.split("  ", 1)[1] for line in (download / "SHA256SUMS").read_text().splitlines()} == every


def test_hats_is_opened_by_lsdb(download: Path) -> None:
    lsdb = pytest.importorskip("lsdb")
    from hats.io.validation import is_valid_catalog

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("spectra", "redshifts", "photometry"):
            assert is_valid_catalog(download / "hats" / name, strict=True)
        plain = pq.read_table(download / "catalogues" / "redshifts.parquet").to_pandas()
        catalogue = lsdb.open_catalog(download / "hats" / "redshifts")
        rows = catalogue.compute()
        assert sorted(rows["redshift_id"]) == sorted(plain["redshift_id"])
        first = plain.iloc[0]
        cone = catalogue.cone_search(first["ra"], first["dec"], radius_arcsec=200).compute()
    cosine = np.cos(np.radians(first["dec"]))
    near = np.hypot((plain["ra"] - first["ra"]) * cosine, plain["dec"] - first["dec"]) * 3600 < 200
    assert set(cone["redshift_id"]) == set(plain["redshift_id"][near])


def test_hats_divides_full_pixels(bundle: Bundle, tmp_path: Path) -> None:
    lsdb = pytest.importorskip("lsdb")
    assert write_hats(bundle, bundle.tables["photometry"], tmp_path / "hats", max_rows=300)
    files = sorted((tmp_path / "hats").rglob("Npix=*.parquet"))
    counts = [pq.read_metadata(path).num_rows for path in files]
    assert len(files) > 3
    assert max(counts) <= 300
    assert sum(counts) == bundle.tables["photometry"].rows
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(lsdb.open_catalog(tmp_path / "hats").compute()) == sum(counts)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12 * 4**29 - 1), min_size=1, max_size=200), st.integers(1, 50))
def test_partitions_hold_every_row_once(indexes: list[int], most: int) -> None:
    numbers = np.sort(np.array(indexes, dtype=np.int64))
    pixels = partitions(numbers, most)
    counts = []
    for order, pixel in pixels:
        inside = numbers >> (2 * (29 - order)) == pixel
        counts.append(int(inside.sum()))
        assert inside.any()
        assert inside.sum() <= most or order == 12
    assert sum(counts) == len(indexes)


def _cff(text: str) -> dict[str, Any]:
    """A CITATION.cff, held to version 1.2.0 (its own validator wants a jsonschema that is too old for us)."""
    found = yaml.safe_load(text)
    assert found["cff-version"] == "1.2.0"
    assert found["type"] == "dataset"
    assert found.keys() >= {"message", "title", "authors"}
    assert found.keys() <= {
        "cff-version", "message", "type", "title", "abstract", "authors", "version", "date-released", "license", "license-url",
        "keywords", "references", "doi", "url", "identifiers",
    }  # fmt: skip
    assert all(isinstance(found[key], str) for key in ("message", "title", "version"))
    assert isinstance(found["date-released"], date)
    for one in (found, *found.get("references", [])):
        assert one["authors"]
        assert all(who.keys() <= {"name"} or who.keys() == {"family-names", "given-names"} for who in one["authors"])
        assert one["title"]
        assert all(known.keys() == {"type", "value"} for known in one.get("identifiers", []))
        assert {known["type"] for known in one.get("identifiers", [])} <= {"doi", "url", "swh", "other"}
    return dict(found)


def test_citation_files_are_what_they_should_be(bundle: Bundle, download: Path) -> None:
    about = bundle.description
    record = json.loads((download / "datacite.json").read_text())
    assert [error.message for error in schema45.validator.iter_errors(record)] == []
    assert record["types"]["resourceTypeGeneral"] == "Dataset"
    assert record["publicationYear"] == "2025"
    assert record["rightsList"][0]["rightsIdentifier"] == "CC0-1.0"
    assert {one["relatedIdentifier"] for one in record["relatedIdentifiers"]} == set(about["references"])
    text = (download / "CITATION.cff").read_text()
    assert "SIMULATED" in _cff(text)["title"]
    assert _cff(text)["authors"] == [{"name": "Specola developers"}]
    assert (download / "citation.bib").read_text().startswith("@misc{demo_r1,\n  author = {{Specola developers}},")
    assert "sha256sum -c SHA256SUMS" in (download / "README.md").read_text()


def test_people_and_teams_are_told_apart() -> None:
    about = {
        "survey": "s", "release": "r", "title": '50% of "it": a & b', "description": "what", "simulated": False,
        "creators": ["McLure, R. J.", "The VANDELS team", "de la Cruz, María"], "created": "2024-02-03T00:00:00Z",
        "rights": "CC BY", "rights_uri": "https://creativecommons.org/licenses/by/4.0/", "doi": "10.5281/zenodo.1",
        "references": ["2021A&A...647A.150G", "10.1051/0004-6361/201630114", "a talk"],
    }  # fmt: skip
    record = datacite(about, "Us")
    assert [error.message for error in schema45.validator.iter_errors(record)] == []
    assert [one["nameType"] for one in record["creators"]] == ["Personal", "Organizational", "Personal"]
    assert (record["creators"][0]["familyName"], record["creators"][0]["givenName"]) == ("McLure", "R. J.")
    assert [one["relatedIdentifierType"] for one in record["relatedIdentifiers"]] == ["bibcode", "DOI"]
    assert record["doi"] == "10.5281/zenodo.1"
    entry = bibtex(about, "Us")
    (read,) = parse_string(entry, "bibtex").entries.values()
    assert [str(person) for person in read.persons["author"]][:2] == ["McLure, R. J.", "{The VANDELS team}"]
    assert r"50\% of" in entry
    assert "McLure, R. J. and {The VANDELS team}" in entry
    text = citation_cff(about)
    cff = _cff(text)
    assert cff["title"] == '50% of "it": a & b'
    assert cff["license"] == "CC-BY-4.0"
    assert {"name": "The VANDELS team"} in cff["authors"]


class _Page(HTMLParser):
    """Gathers what a page refers to, and whether its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []
        self.svgs: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [str(values[key]) for key in ("href", "src") if values.get(key)]
        if tag == "svg":
            self.svgs.append(values)
        if tag not in {"meta", "path", "rect", "ellipse", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"path", "rect", "ellipse"}:
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_its_links_lead_somewhere(download: Path) -> None:
    text = (download / "index.html").read_text()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert len(page.svgs) == 8
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.svgs)
    assert "<script" not in text
    assert "@import" not in text
    assert "url(" not in text
    local = [link for link in page.links if not link.startswith(("http", "data:"))]
    assert len(local) > 30
    assert all((download / link).is_file() for link in local)


def test_figures_of_the_page_are_those_of_the_tables(bundle: Bundle) -> None:
    found = statistics_of(bundle)
    redshifts = expected(bundle, "redshifts")
    photometry = {row["object_id"]: row for row in expected(bundle, "photometry")}
    known = [row for row in redshifts if row["best"] and row["z"] is not None]
    assert found.redshifts is not None
    assert found.redshifts.counts["all"].sum() + found.redshifts.outside >= len(known)
    assert found.redshifts.counts["secure"].sum() <= sum(row["secure"] for row in known)
    assert sum(number for _, number in found.flags) == len(redshifts)
    tsr, ssr = found.rates
    targets = [row for row in photometry.values() if row["target"]]
    grades = {row["object_id"]: row["confidence"] for row in redshifts if row["best"] and not row["secondary"]}
    detected = [grades[row["object_id"]] for row in targets if grades.get(row["object_id"], -1) >= 0]
    areas = [np.reshape(row["footprint"], (-1, 2)) for row in expected(bundle, "pointings")]
    limits = np.array([[area.min(axis=0), area.max(axis=0)] for area in areas])
    places = np.array([[row["ra"], row["dec"]] for row in targets])[:, None]
    inside = ((places >= limits[:, 0]) & (places <= limits[:, 1])).all(axis=2).any(axis=1).sum()
    # in the gaps between VIMOS' quadrants nothing can be observed
    assert (tsr.good.sum(), tsr.all.sum()) == (len(detected), inside)
    assert inside < len(targets)
    assert (ssr.good.sum(), ssr.all.sum()) == (sum(grade >= 2 for grade in detected), len(detected))
    assert found.local is not None
    assert found.local.counts["targets"].sum() + found.local.outside == len(detected)
    csr = found.colour
    assert csr is not None
    brightest, faintest = (function(row["mag_selection"] for row in targets) for function in (min, max))
    bright = [row for row in photometry.values() if row["photoz"] is not None and brightest <= row["mag_selection"] <= faintest]
    for low, high, good, every in zip(csr.edges, csr.edges[1:], csr.good, csr.all, strict=False):
        inside = [row["target"] for row in bright if low <= row["photoz"] < high]
        assert (good, every) == (sum(inside), len(inside))
    assert 0 < csr.good.sum() < csr.all.sum() <= len(bright)


def _field(ra: float, dec: float) -> tuple[dict[str, Any], dict[str, Any], np.ndarray]:
    """Targets every 20 arcsec, of which a pointing covers the western half, and every third of those there was detected."""
    step, size = 20 / 3600, 24
    grid = [(i, j) for i in range(size) for j in range(size)]
    scale = np.cos(np.radians(dec))
    covered = [i >= size // 2 for i, _ in grid]
    detected = [(i + j) % 3 == 0 and inside for (i, j), inside in zip(grid, covered, strict=True)]
    names = [f"{i}-{j}" for i, j in grid]
    photometry = {
        "object_id": pa.array(names),
        "mag_selection": pa.array([21.0 + 0.01 * j for _, j in grid]),
        "target": pa.array([True] * len(grid)),
        "observed": pa.array([inside and (i + j) % 3 != 1 for (i, j), inside in zip(grid, covered, strict=True)]),
        "ra": pa.array([(ra + (size / 2 - 0.5 - i) * step / scale) % 360 for i, _ in grid]),
        "dec": pa.array([dec + (j - size / 2 + 0.5) * step for _, j in grid]),
    }
    measured = [
        (name, 3 if seen else -10) for name, seen, at in zip(names, detected, photometry["observed"], strict=True) if at.as_py()
    ]
    redshifts = {
        "object_id": pa.array([name for name, _ in measured]),
        "confidence": pa.array([grade for _, grade in measured]),
        "best": pa.array([True] * len(measured)),
    }
    half = size / 2 * step
    east, west = ra, (ra - half / scale) % 360
    return photometry, redshifts, np.array([[west, dec - half], [west, dec + half], [east, dec + half], [east, dec - half]])


@pytest.mark.parametrize(("ra", "dec"), [(150.0, 2.0), (0.001, -60.0), (210.0, 82.0)])
def test_sampling_is_counted_where_there_was_a_pointing_and_in_rectangles(ra: float, dec: float) -> None:
    photometry, redshifts, footprint = _field(ra, dec)
    found = completeness(photometry, redshifts, [footprint])
    tsr, ssr = found.rates
    assert (tsr.all.sum(), tsr.good.sum()) == (24 * 12, 24 * 12 // 3)
    assert "inside the pointings" in tsr.meaning
    # observed and not detected is no success that failed: 1/(TSR SSR) is the weight of a redshift
    assert (ssr.good.sum(), ssr.all.sum()) == (96, 96)
    # In 60 by 100 arcsec are three columns and five rows about each, as far as the pointing reaches.
    expected_local = []
    for i, j in ((i, j) for i in range(12, 24) for j in range(24) if (i + j) % 3 == 0):
        near = [(x + y) % 3 == 0 for x in (i - 1, i, i + 1) if 12 <= x < 24 for y in range(j - 2, j + 3) if 0 <= y < 24]
        expected_local.append(sum(near) / len(near))
    np.testing.assert_allclose(found.local, expected_local)
    everywhere = completeness(photometry, redshifts, [])
    assert everywhere.rates[0].all.sum() == 24 * 24
    assert everywhere.local.size == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 359.999), st.floats(-90, 90)), min_size=1, max_size=30),
    st.lists(st.tuples(st.floats(0, 359), st.floats(-80, 80)), max_size=3),
)
def test_any_positions_can_be_drawn(points: list[tuple[float, float]], corners: list[tuple[float, float]]) -> None:
    outlines = [np.array([(ra, dec), (ra + 0.5, dec), (ra + 0.5, dec + 0.5)]) for ra, dec in corners]
    svg = charts.sky(outlines, np.array(points), "sky")
    numbers = [float(one) for one in re.findall(r"-?\d+\.\d", "".join(re.findall(r' d="([^"]*)"', svg)))]
    assert all(np.isfinite(number) and -50 <= number <= 700 for number in numbers)


def test_what_is_there_stays(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine").write_text("precious")
    with pytest.raises(ReleaseError, match="found an existing folder"):
        export_release(bundle, folder)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ingest.bulk.export.write_tars", full)
    with pytest.raises(IngestError, match="the disk refused"):
        export_release(bundle, folder, overwrite=True)
    assert (folder / "mine").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]

"""All that can be around a spectrum (files, candidates, lines, indices, other spectra), as links, as tables, as joins."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvo
import requests
from astropy.io import fits
from astropy.table import Table

from ingest.load import ingest_bundle
from ingest.present import loaded_releases
from ingest.refresh import refresh_releases
from ingest.removal import remove_release
from ops.house import Archive
from specola_bundle.registry import standard_tables
from tests.ingest.load.releases import query, write_release

SCHEMA = "linktest_r1"
FIRST, SECOND, OTHER = "L000000", "L000001", "L000002"
"""Two spectra of one object, and one of another."""


def _contents() -> dict[str, tuple[str, str, bytes]]:
    """Kind, media type and content of the files of FIRST, by their paths in the bundle."""
    image = io.BytesIO()
    fits.PrimaryHDU(np.arange(12, dtype="f4").reshape(3, 4)).writeto(image)
    model = io.BytesIO()
    wave = np.linspace(5000.0, 9000.0, 41)
    table = Table({"wave": wave, "flux": np.sin(wave / 100), "model": np.sin(wave / 100) * 0.9})
    table.write(model, format="votable")
    return {
        "files/a.fits": ("spectrum2d", "application/fits", image.getvalue()),
        "files/b.vot": ("model", "application/x-votable+xml", model.getvalue()),
        "files/c.png": ("thumbnail", "image/png", b"\x89PNG\r\n\x1a\n and so on"),
        "files/d.txt": ("report", "text/plain", b"all went well\n"),
        "files/e.fits": ("raw", "application/fits", image.getvalue()),
        "files/f.fits": ("calibration", "application/fits", image.getvalue()),
        "files/g.csv": ("sky", "text/csv", b"wave,sky\n5000,1\n"),
    }


def _tables() -> dict[str, tuple[list[dict[str, Any]], dict[str, Any]]]:
    files = [
        {
            "file_id": f"{FIRST}_{kind}", "spectrum_id": FIRST, "kind": kind, "title": f"A {kind}", "file": path,
            "file_format": media_type, "file_size": len(content), "file_sha256": hashlib.sha256(content).hexdigest(),
        }
        for path, (kind, media_type, content) in _contents().items()
    ]  # fmt: skip
    of = {"spectrum_id": FIRST, "object_id": "O0", "method": "test 1"}
    candidates = [
        {
            "candidate_id": f"{FIRST}_{rank}",
            "rank": rank,
            "z": 0.1 * rank,
            "class": "GALAXY",
            "delta_chi2": 9.0 * (rank - 1),
            **of,
        }
        for rank in (1, 2)
    ]
    lines = [
        {
            "line_id": f"{FIRST}_{n}", "line_name": name, "component": "single", "wave_rest": wave, "z": 0.1,
            "detected": n == 1, "flux": flux, "flux_err": 1e-18, "snr": flux / 1e-18, "flux_limit": None if n == 1 else 3e-18,
            **of,
        }
        for n, (name, wave, flux) in enumerate((("H beta", 4862.68, 5e-17), ("[O III] 5007", 5008.24, 1e-18)), start=1)
    ]  # fmt: skip
    indices = [
        {"index_id": f"{FIRST}_D4000n", "index_name": "D4000n", "z": 0.1, "index_value": 1.4, "index_unit": "", **of},
    ]
    pointings = [{"pointing_id": "P1", "ra": 10.0, "dec": -5.0, "t_min": 60000.0, "seeing": 0.8}]
    photometry = [{"object_id": name, "ra": 10.0, "dec": -5.0, "mag_selection": 22.5, "photoz": 0.12} for name in ("O0", "O2")]
    return {
        "files": (files, {}), "candidates": (candidates, {}), "lines": (lines, {}), "indices": (indices, {}),
        "pointings": (pointings, {}), "photometry": (photometry, {}),
    }  # fmt: skip


@pytest.fixture(scope="module")
def release(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A release in which one spectrum has all that a spectrum can have."""
    path = tmp_path_factory.mktemp("links") / "bundle"
    pointed = {number: {"pointing_id": "P1"} for number in range(3)}
    pointed[1] |= {"object_id": "O0", "t_min": 60100.0, "t_max": 60100.01}
    write_release(
        path, "r1", 3, survey="linktest", changes=pointed, tables=_tables(),
        files={name: content for name, (_, _, content) in _contents().items()},
        provenance={"prefix": {"prov": "http://www.w3.org/ns/prov#"}, "entity": {"specola:x": {"prov:label": "x"}}},
    )  # fmt: skip
    if SCHEMA in loaded_releases(archive):
        remove_release(SCHEMA, archive)
    ingest_bundle(path, archive)
    yield SimpleNamespace(bundle=path, base=f"{archive.url}/{SCHEMA}/q")
    remove_release(SCHEMA, archive)


def _links(release: SimpleNamespace, *ids: str) -> list[Any]:
    address = f"{release.base}/dl/dlmeta?" + "&".join(f"ID={name}" for name in ids)
    return list(pyvo.dal.adhoc.DatalinkResults.from_result_url(address))


def vocabulary() -> set[str]:
    """Terms of http://www.ivoa.net/rdf/datalink/core, from the copy that comes with pyvo."""
    copy = Path(pyvo.__file__).parent / "dal" / "tests" / "data" / "datalink" / "datalink.desise"
    return set(json.loads(copy.read_text())["terms"])


def test_every_link_delivers_what_it_says(release: SimpleNamespace, web: requests.Session) -> None:
    links = _links(release, FIRST)
    assert {link.semantics.lstrip("#") for link in links} <= vocabulary()
    for link in links:
        if link.semantics == "#proc":
            continue
        answer = web.get(link.access_url)
        assert answer.status_code == 200, link.access_url
        assert answer.headers["Content-Type"].replace(" ", "").lower() == link.content_type, link.access_url
        length = link.content_length
        if length is not None and not np.ma.is_masked(length) and length > 0:
            assert len(answer.content) == length, link.access_url
        else:
            # made on request
            assert link.content_type.startswith(("application/x-votable+xml", "text/html"))


def test_files_are_linked_by_what_they_are(release: SimpleNamespace, web: requests.Session) -> None:
    links = {str(link.description): link for link in _links(release, FIRST)}
    wanted = {
        "spectrum2d": "#progenitor", "raw": "#progenitor", "model": "#derivation", "thumbnail": "#counterpart",
        "calibration": "#calibration", "report": "#documentation", "sky": "#auxiliary",
    }  # fmt: skip
    for path, (kind, media_type, content) in _contents().items():
        link = links[f"A {kind}"]
        assert (link.semantics, link.content_type, link["local_semantics"]) == (wanted[kind], media_type, kind)
        assert web.get(link.access_url).content == content, path
    model = Table.read(io.BytesIO(web.get(links["A model"].access_url).content), format="votable")
    assert np.array_equal(model["model"], model["flux"] * 0.9)
    (provenance,) = [link for link in links.values() if link["local_semantics"] == "provenance"]
    assert web.get(provenance.access_url).json()["entity"] == {"specola:x": {"prov:label": "x"}}


def test_measurements_and_other_spectra(release: SimpleNamespace, web: requests.Session) -> None:
    links = _links(release, FIRST)
    rows = {}
    for link in links:
        if link["local_semantics"] in {"redshifts", "candidates", "lines", "indices"}:
            assert link.semantics == "#derivation"
            rows[link["local_semantics"]] = Table.read(io.BytesIO(web.get(link.access_url).content), format="votable")
    assert {name: len(table) for name, table in rows.items()} == {"redshifts": 1, "candidates": 2, "lines": 2, "indices": 1}
    assert list(rows["lines"]["line_name"]) == ["H beta", "[O III] 5007"]
    assert str(rows["lines"]["flux"].unit) == "erg / (s cm2)"
    others = [link.access_url for link in links if link.semantics == "#counterpart" and link["local_semantics"] == "same-object"]
    assert [address.rpartition("/")[2] for address in others] == [f"{SECOND}.fits"]
    # a spectrum that has none of it
    plain = {str(link["local_semantics"]) for link in _links(release, OTHER)}
    assert not plain & {"candidates", "lines", "indices", "model", "same-object"}
    assert {"redshifts", "fits", "votable", "preview", "thumbnail"} <= plain


def test_the_same_under_the_surveys_name(release: SimpleNamespace, archive: Archive) -> None:
    def told(base: str) -> list[tuple[str, str]]:
        found = pyvo.dal.adhoc.DatalinkResults.from_result_url(f"{base}/dl/dlmeta?ID={FIRST}")
        return [(str(link.access_url), link.semantics) for link in found if link.semantics != "#proc"]

    assert told(f"{archive.url}/linktest/q") == told(release.base)


def test_many_at_once(release: SimpleNamespace) -> None:
    found = _links(release, FIRST, SECOND, OTHER, "nosuch")
    alone = [len(_links(release, name)) for name in (FIRST, SECOND, OTHER, "nosuch")]
    assert len(found) == sum(alone)
    assert alone[3] == 1


@pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed (Debian package stilts)")
def test_datalinklint(release: SimpleNamespace, web: requests.Session, tmp_path: Path) -> None:
    document = tmp_path / "links.vot"
    document.write_bytes(web.get(f"{release.base}/dl/dlmeta", params={"ID": [FIRST, SECOND, "nosuch"]}).content)
    command = ["stilts", "datalinklint", f"votable={document}", "maxrepeat=1000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    # without the network STILTS knows the vocabulary as it was when DataLink was young
    late = {f"Unknown predicate '{term}' from core DataLink vocabulary" for term in vocabulary()}
    errors = re.findall(r"^E-\S+ (.*?)(?: at row \d+)?$", done.stdout, re.MULTILINE)
    assert [text for text in errors if text not in late] == [], done.stdout


def test_tables_join(release: SimpleNamespace, archive: Archive) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    joined = tap.search(
        f"SELECT s.spectrum_id, r.z, p.photoz, o.seeing, l.line_name, l.flux, i.index_value, f.kind FROM {SCHEMA}.spectra AS s"
        f" JOIN {SCHEMA}.redshifts AS r ON r.spectrum_id=s.spectrum_id"
        f" JOIN {SCHEMA}.photometry AS p ON p.object_id=s.object_id"
        f" JOIN {SCHEMA}.pointings AS o ON o.pointing_id=s.pointing_id"
        f" JOIN {SCHEMA}.lines AS l ON l.spectrum_id=s.spectrum_id"
        f" JOIN {SCHEMA}.indices AS i ON i.spectrum_id=s.spectrum_id"
        f" JOIN {SCHEMA}.candidates AS c ON c.spectrum_id=s.spectrum_id AND c.rank=1"
        f" JOIN {SCHEMA}.files AS f ON f.spectrum_id=s.spectrum_id AND f.kind='model' WHERE l.detected='True'"
    ).to_table()
    assert len(joined) == 1
    assert (joined["line_name"][0], joined["flux"][0], joined["seeing"][0]) == ("H beta", 5e-17, np.float32(0.8))
    keys = query(
        archive, "SELECT from_table, from_column, target_table FROM tap_schema.keys JOIN tap_schema.key_columns USING (key_id)"
        " WHERE from_table LIKE %s", [f"{SCHEMA}.%"],
    )  # fmt: skip
    for name in ("candidates", "lines", "indices", "files", "redshifts"):
        assert (f"{SCHEMA}.{name}", "spectrum_id", f"{SCHEMA}.spectra") in keys
    for name in ("candidates", "lines", "indices", "redshifts", "spectra"):
        assert (f"{SCHEMA}.{name}", "object_id", f"{SCHEMA}.photometry") in keys


def test_columns_mean_what_the_registry_says(release: SimpleNamespace, archive: Archive) -> None:
    for name in ("candidates", "lines", "indices", "files"):
        rows = query(
            archive, "SELECT column_name, unit, ucd, description, indexed FROM tap_schema.columns WHERE table_name=%s",
            [f"{SCHEMA}.{name}"],
        )  # fmt: skip
        told = {column: rest for column, *rest in rows}
        table = standard_tables()[name]
        for column in table.published:
            assert told[column.name][:3] == [column.unit, column.ucd, column.description], (name, column.name)
        assert all(told[column][3] for column in table.indexes)
        assert "file" not in told


def test_images_are_in_obscore_and_siap(release: SimpleNamespace, archive: Archive, web: requests.Session) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    rows = tap.search(f"SELECT * FROM ivoa.obscore WHERE source_table='{SCHEMA}.images' ORDER BY dataproduct_subtype").to_table()
    assert list(rows["dataproduct_subtype"]) == ["spectrum2d", "thumbnail"]
    assert len(set(rows["obs_publisher_did"])) == 2
    assert (rows["em_min"][0], rows["t_exptime"][0], rows["em_ucd"][0]) == (5e-7, 600.0, "em.wl")
    assert np.ma.is_masked(rows["em_min"][1])  # a picture was not taken with the spectrograph
    # spectra are counted as before
    assert tap.search("SELECT count(*) AS n FROM ivoa.obscore WHERE obs_collection='LINKTEST'")["n"][0] == 3 + 2
    service = f"{archive.url}/__system__/siap2/sitewide/siap2.xml"
    for position, kinds in (("CIRCLE 10.0 -5.0 0.001", ["spectrum2d", "thumbnail"]), ("CIRCLE 80.0 5.0 0.001", [])):
        answer = web.get(service, params={"POS": position, "COLLECTION": "LINKTEST"})
        assert answer.status_code == 200, answer.text
        found = Table.read(io.BytesIO(answer.content), format="votable", table_id=0)
        assert sorted(found["obs_id"]) == [f"{FIRST}_{kind}" for kind in kinds]
        for row in found:
            file = web.get(row["access_url"])
            assert file.headers["Content-Type"] == row["access_format"]
            assert -(-len(file.content) // 1024) == row["access_estsize"]


def test_images_follow_changed_definitions(release: SimpleNamespace, archive: Archive) -> None:
    """Their view is part of ivoa.obscore, which would not let go of it."""
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    images = f"SELECT obs_publisher_did, access_url FROM ivoa.obscore WHERE source_table='{SCHEMA}.images' ORDER BY 1"
    before = tap.run_sync(images).to_table()
    assert len(before) > 0
    (archive.inputs / SCHEMA / "definitions").unlink()
    assert SCHEMA in refresh_releases(archive, lambda _: None)
    # another text, so that it is not the answer of a minute ago
    assert tap.run_sync(images + " ASC").to_table().pformat() == before.pformat()

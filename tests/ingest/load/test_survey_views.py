"""A survey's plain name answers for its newest release, and its all_… tables for every one, whatever comes and goes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pyvo
import requests
from lxml import etree

from ingest.errors import IngestError, ReleaseError
from ingest.load import ingest_bundle
from ingest.loader import Loader
from ingest.present import loaded_releases
from ingest.refresh import refresh_releases
from ingest.removal import remove_release, remove_releases
from ingest.survey_rd import RELEASE, survey_rd
from ingest.surveys import RESERVED, SurveyViews
from ops.house import Archive
from specola_bundle.bundle import sha256_of
from specola_bundle.registry import Column
from tests.ingest.load.releases import footprint, query, snapshot, write_release

SURVEY = "viewtest"
EXTENSIONS = {
    "r1": (Column("note", "text", "A note of the first release."), Column("grade", "integer", "A grade in numbers.")),
    "r2": (Column("grade", "text", "A grade in letters."), Column("extra", "real", "A column that came later.", unit="Angstrom")),
}
CREATED = {"r1": "2024-01-01T00:00:00Z", "r2": "2025-01-01T00:00:00Z"}


def _remove_all(archive: Archive) -> None:
    if present := [schema for schema in loaded_releases(archive) if schema.startswith(f"{SURVEY}_")]:
        remove_releases(present, archive)


@pytest.fixture(scope="module")
def bundles(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Bundles of two releases of a survey; nothing of it is in the archive after the module."""
    folder = tmp_path_factory.mktemp("views")
    things = {name: [{"thing_id": n, "spectrum_id": f"L{n:06d}"} for n in range(count)] for name, count in (("r1", 2), ("r2", 5))}
    columns = [
        Column("thing_id", "bigint", "Identifier.", required=True, unique=True, ucd="meta.id;meta.main"),
        Column("spectrum_id", "text", "Its spectrum.", ucd="meta.id;meta.dataset", ref="spectra.spectrum_id"),
    ]
    head = {"title": "Things", "description": "Things of the survey.", "primary": "thing_id", "indexes": ["spectrum_id"]}
    yield {
        name: write_release(
            folder / name, name, count, survey=SURVEY, created=CREATED[name], extensions=EXTENSIONS[name],
            tables={"things": (things[name], {"extensions": columns, **head})},
        )
        for name, count in (("r1", 6), ("r2", 9))
    }  # fmt: skip
    _remove_all(archive)


@pytest.fixture
def both(archive: Archive, bundles: dict[str, Path]) -> None:
    """Both releases are in the archive; they stay for the next test that needs them."""
    present = loaded_releases(archive)
    if any(present.get(f"{SURVEY}_{name}", sha256_of(path / "bundle.json")) != sha256_of(path / "bundle.json")
           for name, path in bundles.items()):  # fmt: skip
        _remove_all(archive)
    for bundle in bundles.values():
        ingest_bundle(bundle, archive, previews=False)


@pytest.fixture
def none(archive: Archive) -> None:
    """Nothing of the survey is in the archive."""
    _remove_all(archive)


def _counts(archive: Archive) -> dict[str, int]:
    tables = query(archive, "SELECT table_name, nrows FROM tap_schema.tables WHERE schema_name=%s", [SURVEY])
    for table, rows in tables:
        assert query(archive, f"SELECT count(*) FROM {table}") == [(rows,)]
    return {table.partition(".")[2]: rows for table, rows in tables}


@pytest.mark.usefixtures("both")
def test_a_union_has_what_every_release_has(archive: Archive) -> None:
    assert _counts(archive) == {
        "spectra": 9, "redshifts": 9, "things": 5, "all_spectra": 15, "all_redshifts": 15, "all_things": 7,
    }  # fmt: skip
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    # where releases differ in a column's type there is no such column in the union
    described = {
        str(row["column_name"]): row
        for row in tap.search(f"SELECT * FROM tap_schema.columns WHERE table_name='{SURVEY}.all_spectra'")
    }
    assert {"release", "note", "extra", "pub_did", "accref", "coverage"} <= set(described)
    assert "grade" not in described
    assert (described["extra"]["unit"], described["extra"]["description"]) == ("Angstrom", "A column that came later.")
    assert described["redshift"]["indexed"] == described["ra"]["indexed"] == 1
    found = tap.search(
        f"SELECT s.release, s.pub_did, s.extra, r.z, t.thing_id FROM {SURVEY}.all_spectra AS s"
        f" JOIN {SURVEY}.all_redshifts AS r ON r.release=s.release AND r.spectrum_id=s.spectrum_id"
        f" JOIN {SURVEY}.all_things AS t ON t.release=s.release AND t.spectrum_id=s.spectrum_id"
    ).to_table()
    assert sorted(found["release"]) == ["r1"] * 2 + ["r2"] * 5
    for row in found:
        assert f"/{SURVEY}_{row['release']}/q/ssap?" in row["pub_did"]
    keys = query(
        archive,
        "SELECT target_table, array_agg(from_column || '=' || target_column ORDER BY from_column) FROM tap_schema.keys"
        " JOIN tap_schema.key_columns USING (key_id) WHERE from_table=%s GROUP BY key_id, target_table",
        [f"{SURVEY}.all_things"],
    )
    assert keys == [(f"{SURVEY}.all_spectra", ["release=release", "spectrum_id=spectrum_id"])]


@pytest.mark.usefixtures("both")
def test_columns_of_a_key_come_in_the_order_that_vosi_has(archive: Archive, web: requests.Session) -> None:
    """Where rows come to lie depends on what was there before them; a program that takes them as they come must not mind."""
    listed = "SELECT key_id, from_column, target_column FROM tap_schema.key_columns"
    query(archive, f"UPDATE tap_schema.key_columns SET from_column=from_column WHERE from_column='{RELEASE}'; SELECT 1")
    assert not _in_order(query(archive, listed))
    # the next change of the archive
    remove_release(f"{SURVEY}_r1", archive)
    assert _in_order(query(archive, listed))
    tables = etree.fromstring(web.get(f"{archive.url}/tap/tables").content)
    pairs = [
        [(key.findtext("targetTable"), column.findtext("fromColumn")) for column in key.findall("fkColumn")]
        for key in tables.findall(".//foreignKey")
    ]
    assert [(f"{SURVEY}.all_spectra", RELEASE), (f"{SURVEY}.all_spectra", "spectrum_id")] in pairs
    assert all(pair == sorted(pair) for pair in pairs)


def _in_order(rows: list[tuple[Any, ...]]) -> bool:
    """Whether the columns of each key are in the order of their names."""
    columns: dict[str, list[str]] = {}
    for key, column, _ in rows:
        columns.setdefault(key, []).append(column)
    return all(names == sorted(names) for names in columns.values())


@pytest.mark.usefixtures("both")
def test_queries_on_views_use_the_tables_indexes(archive: Archive) -> None:
    # the tables are small: without sequential scans the plan shows what can be used at all
    for view, arms in (("spectra", 1), ("all_spectra", 2)):
        for condition, index in (("q3c_join(10.0, -5.0, ra, dec, 0.01)", "spectra_q3c"), ("redshift > 0.4", "spectra_redshift")):
            statement = f"EXPLAIN SELECT spectrum_id FROM {SURVEY}.{view} WHERE {condition}"
            plan = str(query(archive, f"SET enable_seqscan = off; {statement}"))
            scans = re.findall(r"(\w+ Scan)(?: using \w+)? on spectra(?: spectra_\d+)?  \(", plan)
            assert len(scans) == arms, plan
            assert "Seq Scan" not in scans, plan
            assert index in plan
    # and DaCHS writes the condition that the index is for
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    adql = f"SELECT spectrum_id FROM {SURVEY}.all_spectra WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE(10.0, -5.0, 0.001))"
    assert sorted(tap.search(adql)["spectrum_id"]) == ["L000000"] * 2


@pytest.mark.usefixtures("both")
def test_services_answer_under_the_plain_name(archive: Archive, web: requests.Session) -> None:
    base = f"{archive.url}/{SURVEY}/q"
    spectra = pyvo.dal.SSAService(f"{base}/ssap/ssap.xml").search(MAXREC=100)
    assert len(spectra) == 9
    assert all(f"/{SURVEY}_r2/" in record.getdataurl() for record in spectra)
    assert len(pyvo.dal.SCSService(f"{base}/cone/scs.xml").search(pos=(10.0, -5.0), radius=0.0001)) == 1
    # links of a spectrum of whichever release, by its identifier
    for release in ("r1", "r2"):
        did = f"ivo://{archive.authority}/{SURVEY}_{release}/q/ssap?L000003"
        answer = web.get(f"{base}/dl/dlmeta", params={"ID": did, "RESPONSEFORMAT": "votable/td"})
        assert f"/getproduct/{SURVEY}_{release}/spectra/L000003.fits" in answer.text, release
    # another survey's are not ours to answer
    other = f"ivo://{archive.authority}/{SURVEY}x_r1/q/ssap?L000003"
    assert "NotFoundFault" in web.get(f"{base}/dl/dlmeta", params={"ID": other, "RESPONSEFORMAT": "votable/td"}).text
    records = web.get(f"{archive.url}/oai.xml?verb=ListIdentifiers&metadataPrefix=ivo_vor").text
    assert f"/{SURVEY}_r2/q/ssap" in records
    assert f"/{SURVEY}/q/ssap" not in records


@pytest.mark.usefixtures("none")
def test_the_newest_release_is_the_one_made_last(archive: Archive, bundles: dict[str, Path]) -> None:
    if query(archive, "SELECT to_regclass('specola.withdrawn')") == [(None,)]:
        # the very first release of an archive brings the lists of releases, which stay
        ingest_bundle(bundles["r1"], archive, previews=False)
        remove_release(f"{SURVEY}_r1", archive)
    before = snapshot(archive)
    for name in ("r2", "r1"):
        ingest_bundle(bundles[name], archive, previews=False)
    assert _counts(archive) == {
        "spectra": 9, "redshifts": 9, "things": 5, "all_spectra": 15, "all_redshifts": 15, "all_things": 7,
    }  # fmt: skip
    remove_release(f"{SURVEY}_r2", archive)
    assert _counts(archive) == {
        "spectra": 6, "redshifts": 6, "things": 2, "all_spectra": 6, "all_redshifts": 6, "all_things": 2,
    }  # fmt: skip
    remove_release(f"{SURVEY}_r1", archive)
    after = snapshot(archive)
    # the registry remembers services that were there, as it should
    ours = {
        "dc.resources",
        "dc.sets",
        "dc.interfaces",
        "dc.authors",
        "dc.subjects",
        "dc.res_dependencies",
        "dc.rdmeta",
        "dc.resources_join",
    }
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed <= ours
    assert not query(archive, "SELECT 1 FROM pg_namespace WHERE nspname=%s", [SURVEY])
    assert not query(archive, "SELECT 1 FROM tap_schema.schemas WHERE schema_name=%s", [SURVEY])


@pytest.mark.usefixtures("none")
def test_a_refused_release_leaves_the_views_alone(
    archive: Archive, bundles: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_bundle(bundles["r1"], archive, previews=False)
    before = snapshot(archive)
    say = Loader.say

    def fail(self: Loader, message: Mapping[str, Any], frames: Iterable[bytes] | None = None) -> dict[str, Any]:
        if "commit" in message:
            # the new RD of the survey is in place already, or the old one is gone
            rd = archive.inputs / SURVEY / "q.rd"
            assert not rd.exists() or f"{SURVEY}_r2" in rd.read_text()
            raise IngestError("the line is dead")
        return say(self, message, frames)

    monkeypatch.setattr(Loader, "say", fail)
    with pytest.raises(IngestError, match="the line is dead"):
        ingest_bundle(bundles["r2"], archive, previews=False)
    assert snapshot(archive) == before
    with pytest.raises(IngestError, match="the line is dead"):
        remove_release(f"{SURVEY}_r1", archive)
    monkeypatch.undo()
    assert snapshot(archive) == before
    assert SurveyViews.of(archive, SURVEY, set(loaded_releases(archive))).in_place()


@pytest.mark.usefixtures("none")
def test_views_that_are_missing_or_old_are_made_anew(archive: Archive, bundles: dict[str, Path]) -> None:
    """An archive of an older version has none; a kill in the last milliseconds may leave an RD that is not the views'."""
    ingest_bundle(bundles["r1"], archive, previews=False)
    (archive.inputs / SURVEY / "q.rd").write_text("<resource schema='viewtest'/>")
    query(archive, f"DROP SCHEMA {SURVEY} CASCADE; SELECT 1")
    # other releases of a kept archive may follow changed definitions in the same go
    assert [name for name in refresh_releases(archive, lambda _: None) if name.startswith(SURVEY)] == [SURVEY]
    assert _counts(archive)["all_spectra"] == 6
    assert refresh_releases(archive, lambda _: None) == []


@pytest.mark.usefixtures("none")
def test_several_releases_go_together_or_none_does(archive: Archive, bundles: dict[str, Path]) -> None:
    for name in ("r1", "r2"):
        ingest_bundle(bundles[name], archive, previews=False)
    before = snapshot(archive)
    with pytest.raises(ReleaseError, match=f"found no release '{SURVEY}_r9'"):
        remove_releases([f"{SURVEY}_r1", f"{SURVEY}_r9"], archive)
    assert snapshot(archive) == before
    remove_releases([f"{SURVEY}_r1", f"{SURVEY}_r2"], archive)
    assert not any(any(footprint(archive, f"{SURVEY}_{name}").values()) for name in ("r1", "r2"))
    assert query(archive, f"SELECT to_regnamespace('{SURVEY}')") == [(None,)]
    assert not (archive.inputs / SURVEY).exists()


def test_names_the_archive_needs_itself(archive: Archive, tmp_path: Path) -> None:
    assert {schema for (schema,) in query(archive, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^[a-z][a-z0-9]*$'")} >= {
        "dc", "ivoa", "specola",
    }  # fmt: skip
    own = query(archive, "SELECT DISTINCT schemaname FROM dc.tablemeta, split_part(tablename, '.', 1) AS schemaname")
    assert {name for (name,) in own if "_" not in name} - {SURVEY} <= RESERVED | {"demo", "loadtest"} | _surveys(archive)
    for survey in ("specola", "tap"):
        bundle = write_release(tmp_path / survey, "r1", 2, survey=survey)
        with pytest.raises(ReleaseError, match=f"found a survey '{survey}'"):
            ingest_bundle(bundle, archive, previews=False)


def _surveys(archive: Archive) -> set[str]:
    return {schema.partition("_")[0] for schema in loaded_releases(archive)}


def test_a_table_of_a_bundle_may_be_named_like_a_union() -> None:
    tables = "".join(
        f'<table id="{name}" primary="a"><meta name="description">x</meta><column name="a" type="text"/></table>'
        for name in ("things", "all_things")
    )
    release = etree.fromstring(f'<resource schema="x_r1"><meta name="description">y</meta>{tables}<data id="create"/></resource>')
    made = etree.fromstring(survey_rd("x", [release]))
    assert [table.get("id") for table in made.findall("table")] == ["things", "all_things", "all_all_things"]

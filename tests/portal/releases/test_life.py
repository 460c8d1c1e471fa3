"""A release from its making to its end, in the survey database and in both archives."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from ingest.errors import ReleaseError
from ingest.load import ingest_bundle
from ingest.present import loaded_releases
from specola_bundle.bundle import sha256_of
from tests.ingest.load.releases import footprint, query, write_release


def _name(schema: str) -> str:
    return schema.partition("_")[2]


def test_from_candidate_to_public_and_withdrawn(portal, life, to, by, name, tmp_path: Path, monkeypatch) -> None:
    staging, public = portal.archive("staging"), portal.archive("public")
    path = write_release(tmp_path / "bundle", _name(name), 30)
    release = to("frozen", name, path)
    assert release.counts == {"spectra": 30, "redshifts": 30}
    assert (release.folder / "SHA256SUMS").exists()
    assert sha256_of(release.folder / "SHA256SUMS") == release.seal_sha256
    assert release.files == len([file for file in (release.folder / "bundle").rglob("*") if file.is_file()])
    assert name not in loaded_releases(staging)
    release = life.stage(name, **by)
    assert loaded_releases(staging)[name] == release.bundle_sha256
    assert name not in loaded_releases(public)
    assert {table: one["rows"] for table, one in release.staged_tables.items()} == release.counts
    monkeypatch.setattr("ingest.previews._draw", lambda *_: pytest.fail("a plot was drawn again"))
    release = life.promote(name, **by)
    assert loaded_releases(public)[name] == release.bundle_sha256
    assert footprint(public, name) == footprint(staging, name) | {"interfaces": footprint(public, name)["interfaces"]}
    address = f"{public.url}/getproduct/{name}/spectra/L000007.fits"
    assert requests.get(address, timeout=60).content == (path / "spectra" / "07" / "L000007.fits").read_bytes()
    # Plots are those of staging.
    drawn, shown = (archive.products / name / "previews" for archive in (staging, public))
    assert len(list(drawn.iterdir())) == 60
    assert all((shown / path.name).samefile(path) for path in drawn.iterdir())
    # All of it for download appeared with it.
    sums = requests.get(f"{public.url}/bulk/{name}/SHA256SUMS", timeout=60).text
    digest, tar = next(line.split("  ", 1) for line in sums.splitlines() if line.endswith(".tar"))
    assert hashlib.sha256(requests.get(f"{public.url}/bulk/{name}/{tar}", timeout=60).content).hexdigest() == digest
    assert f'href="{name}/"' in requests.get(f"{public.url}/bulk/", timeout=60).text
    assert f"{public.url}/bulk/{name}/" in requests.get(f"{public.url}/bulk/{name}/citation.bib", timeout=60).text
    assert [event.action for event in release.events.filter(phase="done")] == ["create", "add", "freeze", "stage", "promote"]

    release = life.withdraw(name, **by)
    assert release.state == "deprecated"
    for archive in (staging, public):
        assert name not in loaded_releases(archive)
        assert not any(footprint(archive, name).values())
    ((reason, bundle),) = query(public, "SELECT reason, bundle FROM specola.withdrawn WHERE schema_name=%s", [name])
    assert (reason, bundle) == (by["reason"], release.bundle_sha256)
    assert query(public, "SELECT count(*) > 0 FROM dc.resources WHERE sourcerd=%s AND deleted", [f"{name}/q"]) == [(True,)]
    # A harvester is told.
    records = requests.get(
        f"{public.url}/oai.xml", {"verb": "GetRecord", "metadataPrefix": "ivo_vor", "identifier": f"ivo://{public.authority}/{name}/q/ssap"},
        timeout=60,
    ).text  # fmt: skip
    assert 'status="deleted"' in records
    assert requests.get(f"{public.url}/bulk/{name}/SHA256SUMS", timeout=60).status_code == 404
    assert name not in requests.get(f"{public.url}/bulk/", timeout=60).text
    assert (release.folder / "SHA256SUMS").exists()
    with pytest.raises(ReleaseError, match="found state deprecated"):
        life.promote(name, **by)
    # Nor does the archive take another release of this name, from anybody.
    with pytest.raises(
        ReleaseError, match=f"found release {name}, which the public archive had until .* .{by['reason']}.; the name"
    ):
        ingest_bundle(path, public, previews=False)
    assert query(public, "SELECT count(*) FROM specola.releases WHERE schema_name=%s", [name]) == [(0,)]


def test_the_newest_is_public_and_the_one_before_obsolete_but_served(life, to, by, portal, name, another, tmp_path: Path) -> None:
    public = portal.archive("public")
    first = to("public", name, write_release(tmp_path / "one", _name(name), 3))
    second = to("public", another, write_release(tmp_path / "two", _name(another), 4))
    first.refresh_from_db()
    assert (first.state, second.state) == ("obsolete", "public")
    assert second.parent is not None
    assert query(public, f"SELECT count(*) FROM {name}.spectra") == [(3,)]
    life.withdraw(another, **by)
    first.refresh_from_db()
    assert first.state == "public"
    assert [event.action for event in first.events.all()][-2:] == ["supersede", "reinstate"]


def test_an_embargo_holds_until_its_date_or_a_reason(life, to, by, name, another, tmp_path: Path) -> None:
    end = datetime(2031, 5, 6, 12, tzinfo=UTC)
    for schema in (name, another):
        to("internal", schema, write_release(tmp_path / schema, _name(schema), 2))
        release = life.embargo(schema, end - timedelta(days=9), **by)
        release = life.embargo(schema, end, **by)
        assert (release.state, release.embargo_until) == ("embargo", end)
    with pytest.raises(ReleaseError, match="found an embargo until 2031-05-06 12:00 UTC"):
        life.promote(name, at=end - timedelta(seconds=1), **by)
    with pytest.raises(ReleaseError, match="no reason"):
        life.promote(name, by=by["by"], reason="  ", despite_embargo=True)
    assert life.promote(name, at=end, **by).state == "public"
    release = life.promote(
        another, by=by["by"], reason="the referee asks for it", despite_embargo=True, at=end - timedelta(days=1)
    )
    event = release.events.last()
    assert (event.reason, event.details["despite_embargo_until"]) == ("the referee asks for it", end.isoformat())
    with pytest.raises(ReleaseError, match="without a time zone"):
        life.embargo(another, datetime(2031, 1, 1), **by)  # noqa: DTZ001 - that is the mistake


def test_some_spectra_of_two_bundles(life, by, name, portal, tmp_path: Path) -> None:
    first, second = write_release(tmp_path / "one", "x", 5), write_release(tmp_path / "two", "y", 9)
    life.create(name, head={"title": "Two halves"}, **by)
    life.add(name, first, **by)
    life.add(name, second, spectra=["L000007", "L000008"], **by)
    release = life.freeze(name, **by)
    assert release.counts == {"spectra": 7, "redshifts": 7}
    assert release.head["title"] == "Two halves"
    assert release.head["creators"] == ["Nobody, N."]
    assert [program["name"] for program in release.head["software"]] == ["tests", "specola release"]
    # The bundles it was made from may go or change: it is a release of its own.
    write_release(first, "x", 1)
    life.stage(name, **by)
    assert query(portal.archive("staging"), f"SELECT count(*) FROM {name}.spectra") == [(7,)]

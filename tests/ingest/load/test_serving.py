"""A running DaCHS sees a new release at once, and does not serve one that is gone."""

from __future__ import annotations

import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
import pyvo

from ingest.announce import announce
from ingest.load import ingest_bundle
from ingest.removal import remove_release
from ops.house import Archive
from specola_bundle.registry import Column
from tests.ingest.load.releases import write_release


def _get(archive: Archive, path: str, **query: str) -> tuple[int, str]:
    address = f"{archive.url}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    try:
        with urllib.request.urlopen(address, timeout=60) as response:
            return response.status, response.read().decode("latin-1")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("latin-1")


def _not_served(archive: Archive, schema: str) -> None:
    """Clean errors everywhere, and nobody links to it. Asking also fills the server's caches with "not there"."""
    with pytest.raises(pyvo.dal.DALQueryError, match=schema):
        pyvo.dal.TAPService(f"{archive.url}/tap").run_sync(f"SELECT * FROM {schema}.spectra")
    for path in (f"{schema}/q/ssap/ssap.xml?REQUEST=queryData", f"{schema}/q/ssap/info", f"{schema}/q/dl/dlmeta?ID=L000001"):
        assert _get(archive, path)[0] == 404, path
    assert _get(archive, f"getproduct/{schema}/spectra/L000001.fits")[0] == 404
    for page in ("", "tap/info", "tap/tables"):
        status, text = _get(archive, page)
        assert status == 200
        assert schema not in text, page


def _served(archive: Archive, schema: str, rows: int) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    assert len(tap.run_sync(f"SELECT * FROM {schema}.spectra")) == rows
    assert len(tap.run_sync(f"SELECT obs_id FROM ivoa.obscore WHERE obs_publisher_did LIKE '%/{schema}/%'")) == rows
    ssap = pyvo.dal.SSAService(f"{archive.url}/{schema}/q/ssap/ssap.xml")
    assert len(ssap.search()) == rows
    for page in ("", "tap/info", "tap/tables", f"{schema}/q/ssap/info"):
        status, text = _get(archive, page)
        assert status == 200
        assert schema in text, page
    assert _get(archive, f"{schema}/q/dl/dlmeta", ID="L000001")[0] == 200
    assert _get(archive, f"getproduct/{schema}/spectra/L000001.fits")[0] == 200


def test_what_is_served_follows_what_is_loaded(archive: Archive, release: str, tmp_path: Path) -> None:
    schema = f"loadtest_{release}"
    _not_served(archive, schema)
    ingest_bundle(write_release(tmp_path / "one", release, 5), archive, previews=False)
    _served(archive, schema, 5)
    remove_release(schema, archive)
    _not_served(archive, schema)
    extra = Column("extra", "real", "Only in the second one.", unit="mag", ucd="phot.mag")
    title = "Quite another title"
    other = write_release(tmp_path / "two", release, 7, changes={2: {"extra": 1.5}}, extensions=[extra], title=title)
    ingest_bundle(other, archive, previews=False)
    _served(archive, schema, 7)
    found = pyvo.dal.TAPService(f"{archive.url}/tap").run_sync(f"SELECT extra FROM {schema}.spectra WHERE extra > 0")
    assert found["extra"].tolist() == [1.5]
    assert found.getdesc("extra").unit == "mag"
    assert title in _get(archive, f"{schema}/q/ssap/info")[1]


def test_queries_of_others_do_not_notice(archive: Archive, release: str, tmp_path: Path) -> None:
    """The server forgets its RDs while it answers; what is being answered goes on."""
    answers: list[tuple[int, str]] = []
    done = threading.Event()

    def ask(table: str) -> None:
        while not done.is_set():
            answers.append(_get(archive, "tap/sync", LANG="ADQL", FORMAT="csv", QUERY=f"SELECT count(*) AS n FROM {table}"))

    threads = [threading.Thread(target=ask, args=(table,)) for table in ("ivoa.obscore", "tap_schema.tables", "specola.releases")]
    for thread in threads:
        thread.start()
    schema = ingest_bundle(write_release(tmp_path / "one", release, 5), archive, previews=False).schema
    for _ in range(10):
        assert announce(archive, f"{schema}/q")
    remove_release(schema, archive)
    done.set()
    for thread in threads:
        thread.join()
    assert len(answers) > 10
    assert [answer for answer in answers if answer[0] != 200 or not answer[1].startswith("n")] == []


def test_a_server_that_does_not_run_is_no_obstacle(archive: Archive) -> None:
    away = tuple(replace(server, port=1) for server in archive.servers)
    assert not announce(replace(archive, servers=away), "specola/releases")

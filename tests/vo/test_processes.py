"""The public archive's processes are one archive, and what nginx keeps of its answers is never old."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import pyvo
import requests

from ingest.load import ingest_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import describe, write_mock
from ingest.removal import remove_release
from ops.house import Archive

QUERY = {"LANG": "ADQL", "FORMAT": "csv"}


def test_every_process_serves_the_release(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    assert len(archive.servers) == 2
    for server in archive.servers:
        answer = web.get(
            f"http://127.0.0.1:{server.port}/tap/sync",
            params={**QUERY, "QUERY": f"SELECT count(*) AS n FROM {demo.schema}.spectra"},
        )
        assert answer.text.split() == ["n", "200"]


def test_a_job_of_one_process_is_known_to_the_other(archive: Archive, demo: SimpleNamespace) -> None:
    first, second = (f"http://127.0.0.1:{server.port}/tap" for server in archive.servers)
    job = pyvo.dal.TAPService(first).submit_job(f"SELECT spectrum_id FROM {demo.schema}.spectra")
    elsewhere = pyvo.dal.AsyncTAPJob(job.url.replace(first, second))
    elsewhere.run().wait(timeout=60)
    elsewhere.raise_if_error()
    assert len(elsewhere.fetch_result()) == 200
    elsewhere.delete()


def test_identical_gets_come_from_the_cache(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    parameters = {**QUERY, "QUERY": f"SELECT count(*) AS cached FROM {demo.schema}.slits"}
    answers = [web.get(f"{archive.url}/tap/sync", params=parameters) for _ in range(2)]
    assert answers[1].headers["X-Cache"] == "HIT"
    assert answers[0].content == answers[1].content
    assert answers[1].headers["Access-Control-Allow-Origin"] == "*"
    with_name = web.get(f"{archive.url}/tap/sync", params=parameters, auth=("somebody", "x"))
    assert with_name.headers.get("X-Cache") != "HIT"
    posted = web.post(f"{archive.url}/tap/sync", data=parameters)
    assert posted.content == answers[0].content
    assert posted.headers.get("X-Cache") in {None, "MISS", "BYPASS"}


@pytest.mark.parametrize("first", ["gzip", "identity"])
def test_what_is_kept_is_compressed_for_nobody_who_did_not_ask(archive: Archive, demo: SimpleNamespace, first: str) -> None:
    """Some clients, DaCHS' own tests among them, can read no gzip; who asks for it gets it."""
    second = "identity" if first == "gzip" else "gzip"
    for path in ("tap/sync", f"{demo.schema}/q/ssap/ssap.xml"):
        parameters = {"REQUEST": "queryData", "MAXREC": f"5{len(first)}"}
        if path == "tap/sync":
            parameters = {"LANG": "ADQL", "QUERY": f"SELECT TOP 50 spectrum_id AS after_{first} FROM {demo.schema}.spectra"}
        content = set()
        for coding, state in ((first, "MISS"), (second, "HIT"), (first, "HIT")):
            answer = requests.get(
                f"{archive.url}/{path}", params=parameters, headers={"Accept-Encoding": coding}, stream=True, timeout=60
            )
            raw = answer.raw.read()
            assert answer.headers["X-Cache"] == state, path
            assert answer.headers.get("Content-Encoding", "identity") == coding, path
            assert (raw[:2] == b"\x1f\x8b") == (coding == "gzip"), path
            assert "Accept-Encoding" in answer.headers.get("Vary", ""), path
            content.add(gzip.decompress(raw) if coding == "gzip" else raw)
        assert len(content) == 1, path


def test_pages_that_dachs_keeps_are_what_they_say(archive: Archive, web: requests.Session) -> None:
    """The list of all services is such a page; asked of the server itself, past nginx."""
    straight = f"http://127.0.0.1:{archive.servers[0].port}/"
    for coding in ("gzip", "identity", "gzip"):
        answer = web.get(straight, headers={"Accept-Encoding": coding})
        assert answer.status_code == 200
        assert "</html>" in answer.text
        assert "Content-Encoding" not in answer.headers


def test_errors_are_not_kept(archive: Archive, web: requests.Session) -> None:
    for _ in range(2):
        answer = web.get(f"{archive.url}/tap/sync", params={**QUERY, "QUERY": "SELECT nothing FROM nowhere"})
        assert answer.status_code == 400
        assert answer.headers.get("X-Cache") == "MISS"


def test_a_new_release_is_seen_at_once_and_a_removed_one_is_gone(archive: Archive, web: requests.Session, tmp_path: Path) -> None:
    mock = Mock(spectra=20, seed=3)
    assert describe(mock)["survey"] == "demo"
    write_mock(tmp_path / "b", mock)
    _rename(tmp_path / "b", "cachetest")
    count = {**QUERY, "QUERY": "SELECT count(*) AS n FROM specola.releases WHERE survey='cachetest'"}
    address = f"{archive.url}/tap/sync"
    assert web.get(address, params=count).text.split() == ["n", "0"]
    schema = ingest_bundle(tmp_path / "b", archive, previews=False).schema
    try:
        assert web.get(address, params=count).text.split() == ["n", "1"]
    finally:
        remove_release(schema, archive)
    assert web.get(address, params=count).text.split() == ["n", "0"]
    shutil.rmtree(tmp_path / "b")


def _rename(bundle: Path, survey: str) -> None:
    path = bundle / "bundle.json"
    path.write_text(path.read_text("utf-8").replace('"survey": "demo"', f'"survey": "{survey}"'), "utf-8")

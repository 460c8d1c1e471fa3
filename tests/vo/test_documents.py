"""Every kind of answer there is, with its errors: VOTables by STILTS' votlint, everything else by the IVOA's schemas."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import pyvo
import requests
from typer.testing import CliRunner

from ops.house import Archive
from specola.cli import app
from specola.vocheck import check
from specola.vocheck.schemas import xsd_errors
from specola.vocheck.stilts import votlint

PLAIN = "SELECT TOP 5 spectrum_id, ra, dec, t_min, exptime, redshift FROM {s}.spectra"
"""votlint 3.4 itself loses count in a BINARY stream with a column of xtype polygon, which STILTS' reader reads well."""
UPLOAD = (
    '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE><FIELD name="a" datatype="int"/>'
    "<DATA><TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
)


def tap(query: str, **more: str) -> dict[str, str]:
    return {"LANG": "ADQL", "QUERY": query, **more}


# what it is, path ({s}: schema, {id}: a spectrum), parameters, status
VOTABLES: list[tuple[str, str, dict[str, Any], int]] = [
    ("SSA", "{s}/q/ssap/ssap.xml", {"REQUEST": "queryData", "MAXREC": "200"}, 200),
    ("SSA, cut", "{s}/q/ssap/ssap.xml", {"REQUEST": "queryData", "MAXREC": "3"}, 200),
    ("SSA, nothing found", "{s}/q/ssap/ssap.xml", {"REQUEST": "queryData", "POS": "180,80", "SIZE": "0.1"}, 200),
    ("SSA, metadata", "{s}/q/ssap/ssap.xml", {"REQUEST": "queryData", "FORMAT": "METADATA"}, 200),
    ("SSA, error", "{s}/q/ssap/ssap.xml", {"REQUEST": "queryData", "POS": "here"}, 200),
    ("SSA, nonsense", "{s}/q/ssap/ssap.xml", {"REQUEST": "queryData", "MAXREC": "-1"}, 400),
    ("cone", "{s}/q/cone/scs.xml", {"RA": "34.5", "DEC": "-5", "SR": "1", "VERB": "3"}, 200),
    ("cone, metadata", "{s}/q/cone/scs.xml", {"RA": "34.5", "DEC": "-5", "SR": "0"}, 200),
    ("cone, error", "{s}/q/cone/scs.xml", {"RA": "34.5", "DEC": "-95", "SR": "1"}, 200),
    ("TAP", "tap/sync", tap(PLAIN), 200),
    ("TAP, BINARY2", "tap/sync", tap(PLAIN, RESPONSEFORMAT="application/x-votable+xml;serialization=binary2"), 200),
    ("TAP, TABLEDATA", "tap/sync", tap("SELECT TOP 5 * FROM {s}.spectra", RESPONSEFORMAT="votable/td"), 200),
    ("TAP, ObsCore", "tap/sync", tap("SELECT TOP 5 * FROM ivoa.obscore", RESPONSEFORMAT="votable/td"), 200),
    ("TAP, cut", "tap/sync", tap(PLAIN, MAXREC="2"), 200),
    ("TAP, metadata", "tap/sync", tap(PLAIN, MAXREC="0"), 200),
    ("TAP, upload", "tap/sync", tap("SELECT * FROM TAP_UPLOAD.x", UPLOAD="x,param:f"), 200),
    ("TAP, error", "tap/sync", tap("SELECT nothing FROM nowhere"), 400),
    ("TAP, nonsense", "tap/sync", tap("SELECT \0"), 400),
    ("Datalink", "{s}/q/dl/dlmeta", {"ID": ["{id}", "nosuch"]}, 200),
    ("Datalink, nothing asked", "{s}/q/dl/dlmeta", {}, 200),
    ("SODA", "{s}/q/dl/dlget", {"ID": "{id}"}, 200),
    ("SODA, a part", "{s}/q/dl/dlget", {"ID": "{id}", "BAND": "6e-7 7e-7", "RESPONSEFORMAT": "votable"}, 200),
    ("spectrum by its address", "getproduct/{s}/spectra/{id}.vot", {}, 200),
]


@pytest.fixture(scope="module")
def fill(demo: SimpleNamespace) -> Callable[[Any], Any]:
    first = next((demo.bundle / "spectra").rglob("*.fits")).stem

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        return value.replace("{s}", demo.schema).replace("{id}", first)

    return filled


@pytest.fixture(scope="module")
def votables(archive: Archive, fill: Callable[[Any], Any]) -> dict[str, tuple[int, str, bytes]]:
    """Status, media type and content of each of the table's answers, and of an asynchronous job's."""
    found = {}
    with requests.Session() as web:
        for name, path, parameters, _status in VOTABLES:
            given = {key: fill(value) for key, value in parameters.items()}
            files = {"f": ("f", UPLOAD)} if "UPLOAD" in given else None
            answer = web.request("POST" if files else "GET", f"{archive.url}/{fill(path)}", timeout=120, **{
                "data" if files else "params": given, "files": files
            })  # fmt: skip
            found[name] = answer.status_code, answer.headers["Content-Type"], answer.content
        service = pyvo.dal.TAPService(f"{archive.url}/tap")
        for name, query in (("TAP, job", fill(PLAIN)), ("TAP, failed job", "SELECT nothing FROM nowhere")):
            job = service.submit_job(query).run().wait(timeout=120)
            url = f"{job.url}/results/result" if job.phase == "COMPLETED" else f"{job.url}/error"
            answer = web.get(url, timeout=60)
            found[name] = answer.status_code, answer.headers["Content-Type"], answer.content
            found[f"{name}: UWS"] = 200, "text/xml", web.get(job.url, timeout=60).content
            job.delete()
        found["job list: UWS"] = 200, "text/xml", web.get(f"{archive.url}/tap/async", timeout=60).content
    return found


def test_statuses(votables: dict[str, tuple[int, str, bytes]]) -> None:
    assert {name: votables[name][0] for name, *_ in VOTABLES} == {name: status for name, *_, status in VOTABLES}


def test_votables(votables: dict[str, tuple[int, str, bytes]]) -> None:
    if shutil.which("stilts") is None:
        pytest.skip("stilts is not installed (Debian package stilts)")
    tables = {name: content for name, (_, _, content) in votables.items() if "UWS" not in name}
    with ThreadPoolExecutor(2) as pool:
        errors = dict(zip(tables, pool.map(votlint, tables.values()), strict=True))
    assert {name: found for name, found in errors.items() if found} == {}


def test_documents_are_valid(votables: dict[str, tuple[int, str, bytes]]) -> None:
    """Both VOTables (their structure) and UWS' documents."""
    errors = {name: xsd_errors(content) for name, (_, _, content) in votables.items()}
    assert {name: found for name, found in errors.items() if found} == {}


def test_capabilities_by_the_command_line(archive: Archive, demo: SimpleNamespace) -> None:
    for path in ("tap/capabilities", f"{demo.schema}/q/ssap/availability", f"{demo.schema}/q/dl/capabilities"):
        answer = CliRunner().invoke(app, ["check-vo", f"{archive.url}/{path}"])
        assert answer.exit_code == 0, answer.output
    report = check(f"{archive.url}/oai.xml?verb=ListRecords&metadataPrefix=ivo_vor")
    assert (report.kind, report.errors) == ("xml", 0), report.findings


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ((b"available>true<", b"available>perhaps<"), "perhaps"),
        ((b"</avl:availability>", b"<more/></avl:availability>"), "more"),
        ((b"avl:availability", b"avl:availibility"), "availibility"),
        ((b"http://www.ivoa.net/xml/VOSIAvailability/v1.0", b"http://example.org/none"), "no schema"),
        ((b"</avl:availability>", b""), "no XML"),
    ],
    ids=["value", "element", "root", "namespace", "cut"],
)
def test_what_is_wrong_is_found(archive: Archive, web: requests.Session, spoil: tuple[bytes, bytes], message: str) -> None:
    content = web.get(f"{archive.url}/tap/availability", timeout=60).content
    assert xsd_errors(content) == []
    assert spoil[0] in content, content
    assert message in " ".join(xsd_errors(content.replace(*spoil)))

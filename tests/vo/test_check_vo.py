"""``specola check-vo``: finds nothing wrong with our services, and what is wrong with one that is made wrong here."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import requests
from typer.testing import CliRunner

from ops.house import Archive
from specola.cli import app
from specola.vocheck import check

Change = Callable[[str, bytes], tuple[int, bytes]]


@contextmanager
def spoiled(address: str, change: Change) -> Iterator[str]:
    """A service that passes on what another one says, changed."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = requests.get(f"{address}?{self.path.partition('?')[2]}", timeout=60)
            status, content = change(self.path, answer.content)
            self.send_response(status or answer.status_code)
            self.send_header("Content-Type", answer.headers["Content-Type"])
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/ssa"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def ssap(archive: Archive, demo: SimpleNamespace) -> str:
    return f"{archive.url}/{demo.schema}/q/ssap/ssap.xml"


def test_our_ssa_has_no_finding(ssap: str) -> None:
    answer = CliRunner().invoke(app, ["check-vo", "--json", "--sample", "3", ssap])
    found = json.loads(answer.stdout)
    assert answer.exit_code == 0, found
    assert found["kind"] == "ssa"
    assert [finding["level"] for finding in found["findings"]] == ["passed"], found


def _without(pattern: bytes, replacement: bytes) -> Change:
    return lambda _path, content: (0, re.sub(pattern, replacement, content))


WRONG: list[tuple[str, Change]] = [
    (r"ssa:Dataset.Length, which is mandatory", _without(rb'utype="ssa:Dataset.Length"', b"")),
    (
        r"ssa:Dataset.Length: found datatype double",
        _without(rb'datatype="int" name="ssa_length"', b'datatype="double" name="ssa_length"'),
    ),
    (r"no PARAM INPUT:BAND", _without(rb"INPUT:BAND", b"INPUT:BEND")),
    (r"QUERY_STATUS ERROR", _without(rb'"ERROR"', b'"OK"')),
    (r"found HTTP status 500", lambda path, content: (500 if "POS=nonsense" in path else 0, content)),
    (r"found HTTP status 404", _without(rb"/spectra/", b"/nowhere/")),
    (r"found spectra, expected none", _without(rb"(?s).*", b"")),
    (r"expected a VOTable", lambda _path, _content: (0, b"<html>Hello</html>")),
]


@pytest.mark.parametrize(("expected", "change"), WRONG, ids=[case[0][:30] for case in WRONG])
def test_what_is_wrong_is_found(ssap: str, expected: str, change: Change) -> None:
    if "expected none" in expected:
        whole = requests.get(ssap, params={"REQUEST": "queryData", "MAXREC": "2"}, timeout=60).content
        change = lambda path, content: (0, whole if "BAND=" in path else content)  # noqa: E731
    with spoiled(ssap, change) as address:
        report = check(address, "ssa", sample=1)
    assert report.errors
    assert any(re.search(expected, finding.message) for finding in report.findings), report.findings


def test_a_radius_for_a_diameter_is_found(ssap: str) -> None:
    wide = requests.get(ssap, params={"REQUEST": "queryData", "MAXREC": "500"}, timeout=60).content
    with spoiled(ssap, lambda path, content: (0, wide if "SIZE=0.2" in path else content)) as address:
        report = check(address, "ssa", sample=1)
    assert any("SIZE is a diameter" in finding.message for finding in report.findings)


def test_a_cut_out_beyond_its_limits_is_found(ssap: str) -> None:
    # a service that forgets BAND: its SODA block leads to the whole spectrum
    with spoiled(ssap, _without(rb'value="([^"]*)/dl/dlget"', rb'value="\1/dl/dlget?forget=1"')) as address:
        report = check(address, "ssa", sample=1)
    assert any(finding.check == "SODA" for finding in report.findings)


def test_nothing_there() -> None:
    answer = CliRunner().invoke(app, ["check-vo", "http://127.0.0.1:9/nothing"])
    assert answer.exit_code == 1


def test_other_services_are_recognised(archive: Archive, demo: SimpleNamespace) -> None:
    if not shutil.which("stilts"):
        pytest.skip("stilts is not installed")
    first = next((demo.bundle / "spectra").rglob("*.fits")).stem
    for kind, address in (
        ("cone", f"{archive.url}/{demo.schema}/q/cone/scs.xml"),
        ("datalink", f"{archive.url}/{demo.schema}/q/dl/dlmeta?ID={first}"),
    ):
        report = check(address)
        assert (report.kind, report.errors) == (kind, 0), report.findings

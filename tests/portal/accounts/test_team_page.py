"""What docs/team.md tells a member to type, typed by one."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import threading
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from specola.cli import app
from specola.vocheck import Login
from specola.vocheck.documents import Service
from tests.support.markdown import ROOT, blocks

PAGE = ROOT / "docs" / "team.md"


def _mine(text: str, staged: SimpleNamespace) -> str:
    """The page's text with a member's name and token, and with the addresses of the tests' installation."""
    token = staged.people["member"].token
    for written, here in (
        ("http://127.0.0.1:8082", staged.url), ("--user anna http", f"--user member:{token} http"), ("anna", "member"),
        ("specola_…", token), ("TOKEN ", f"{token} "), ("SCHEMA", staged.schemas["gatea"]), ("NAME", "L000001"),
    ):  # fmt: skip
        text = text.replace(written, here)
    return text


def test_python(staged: SimpleNamespace) -> None:
    (block,) = blocks(PAGE, "python")
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(_mine(block.text, staged), PAGE.name, "exec"), {})  # noqa: S102 - the manual's own
    assert all(schema in printed.getvalue() for schema in staged.schemas.values())


def test_curl(staged: SimpleNamespace, tmp_path: Path) -> None:
    (block,) = blocks(PAGE, "sh")
    member = staged.people["member"]
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {member.username} password {member.token}\n")
    netrc.chmod(0o600)
    environment = {**os.environ, "HOME": str(tmp_path), "TOKEN": member.token}
    script = "set -e\nalias curl='curl -fsS'\nshopt -s expand_aliases\n" + _mine(block.text, staged)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("</vosi:capabilities>") + done.stdout.count("</cap:capabilities>") == 2, done.stdout[-300:]
    assert (tmp_path / "L000001.fits").read_bytes().startswith(b"SIMPLE")


@pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed (Debian package stilts)")
def test_stilts(staged: SimpleNamespace) -> None:
    (line,) = (line for block in blocks(PAGE, "") for line in block.text.splitlines() if line.startswith("stilts "))
    done = subprocess.run(["bash", "-c", _mine(line, staged)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(schema in done.stdout for schema in staged.schemas.values())


def test_check_vo(staged: SimpleNamespace) -> None:
    (line,) = (line for block in blocks(PAGE, "") for line in block.text.splitlines() if line.startswith("specola check-vo"))
    words = _mine(line.replace("--user anna", "--user=anna"), staged).split()[1:]
    member = staged.people["member"]
    done = CliRunner().invoke(app, [*words, "--sample", "1"], env={"SPECOLA_PASSWORD": member.token})
    assert done.exit_code == 0, done.output
    assert "ssa: " in done.stdout
    refused = CliRunner().invoke(app, [*words, "--kind", "ssa", "--sample", "1"], env={"SPECOLA_PASSWORD": "wrong"})
    assert refused.exit_code == 1
    assert "401" in refused.stdout


def test_check_vo_tells_the_password_to_nobody_else() -> None:
    """Access URLs may lead anywhere."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.headers["Host"], self.headers["Authorization"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        service = Service(f"http://127.0.0.1:{port}/ssa", Login("anna", "secret"))
        service.ask(REQUEST="queryData")
        service.get(f"http://localhost:{port}/elsewhere")
        server.shutdown()
    assert [bool(told) for _, told in seen] == [True, False]
    assert "secret" not in repr(service.login)

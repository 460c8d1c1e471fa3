"""Every example of the manual runs on the demonstration survey (or the release it names) and gives something."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pyvo
from astropy.table import Table

from ops.house import Archive
from tests.support.markdown import MANUAL, Block, blocks

WRITTEN = "http://127.0.0.1:8081"
"""The archive's address as the manual has it."""
QUERIES = [block for page in MANUAL for block in blocks(page, "sql")]
SHELL = [block for page in MANUAL for block in blocks(page, "sh") if not block.not_run]
PYTHON = [page for page in MANUAL if blocks(page, "python")]
RELEASES = {"zcosmos": "zcosmos_bright20k", "vandels": "vandels_g24"}
RAN = {"sql", "sh", "python"}
SHOWN = {"", "console", "text", "toml", "json"}
"""Languages of blocks that are only to be looked at."""


@pytest.fixture(scope="module")
def tap(archive: Archive, demo: SimpleNamespace) -> pyvo.dal.TAPService:
    assert demo.schema == "demo_r1"
    return pyvo.dal.TAPService(f"{archive.url}/tap")


@pytest.fixture(scope="module")
def mine(tap: pyvo.dal.TAPService) -> Table:
    """A list of objects as a user would upload it."""
    found = tap.search("SELECT TOP 3 target_name AS name, ra, dec FROM demo_r1.spectra ORDER BY spectrum_id").to_table()
    return Table({"name": [str(name) for name in found["name"]], "ra": list(found["ra"]), "dec": list(found["dec"])})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder a user works in; the snippets of a page build on each other."""
    path, before = tmp_path_factory.mktemp("user"), Path.cwd()
    os.chdir(path)
    yield path
    os.chdir(before)


def test_there_are_examples() -> None:
    assert len(QUERIES) > 20
    assert len(SHELL) > 5
    assert PYTHON


def test_every_block_is_run_or_only_shown() -> None:
    for page in MANUAL:
        for block in blocks(page):
            assert block.language in RAN | SHOWN, block.name
            if block.language in {"sh", "python"}:
                assert block.check or block.not_run, f"{block.name}: nothing tells whether it worked"


@pytest.mark.parametrize("block", QUERIES, ids=lambda block: block.name)
def test_query(block: Block, tap: pyvo.dal.TAPService, mine: Table, request: pytest.FixtureRequest) -> None:
    if block.needs:
        assert request.getfixturevalue("real")[block.needs].schema == RELEASES[block.needs]
    elif "demo_r1" not in block.text:
        assert any(name in block.text for name in ("demo.", "ivoa.obscore", "specola.releases", "tap_schema"))
    uploads = {block.upload: mine} if block.upload else None
    found = tap.run_sync(block.text, uploads=uploads).to_table()
    assert len(found) > 0, block.text


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.name)
def test_python(page: Path, archive: Archive, demo: SimpleNamespace, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session: dict[str, Any] = {"__name__": "session"}
    for block in blocks(page, "python"):
        if block.not_run:
            continue
        exec(compile(block.text.replace(WRITTEN, archive.url), block.name, "exec"), session)  # noqa: S102 - our own manual
        assert eval(block.check, session), f"{block.name}: {block.check}"  # noqa: S307 - our own manual


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_shell(block: Block, archive: Archive, demo: SimpleNamespace, folder: Path) -> None:
    if "stilts" in block.text and shutil.which("stilts") is None:
        pytest.skip("stilts is not installed (Debian package stilts)")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text.replace(WRITTEN, archive.url)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert eval(block.check, {"out": done.stdout, "Path": Path}), f"{block.name}: {done.stdout}"  # noqa: S307 - our own manual

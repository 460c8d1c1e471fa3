"""What the manual names is there: commands, pages, pictures, columns; and it names nothing of one machine."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import pyvo
import requests
from typer.main import get_command
from typer.testing import CliRunner

from ops.house import Archive, House
from specola.cli import app
from tests.support.markdown import MANUAL, ROOT, blocks, headings, links

pages = pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)


def _commands(page: Path) -> list[list[str]]:
    """Calls of `specola` on a page, in blocks and between backquotes, as words after it."""
    text = page.read_text("utf-8")
    code = re.findall(r"`((?:bin/)?specola [a-z][^`\n]*)`", text)
    code += [
        line
        for block in blocks(page)
        for line in block.text.splitlines()
        if re.match(r"(?:\S+=\S+ |\$ |# )*(?:bin/)?specola [a-z]", line)
    ]
    code += re.findall(r"^    (specola [a-z].*)$", text, re.MULTILINE)
    calls = []
    for line in code:
        words = shlex.split(line.replace("…", ""), comments=not line.startswith("# "))
        start = next(i for i, word in enumerate(words) if word.endswith("specola"))
        calls.append(words[start + 1 :])
    return calls


@pages
def test_commands_exist(page: Path) -> None:
    for words in _commands(page):
        command = get_command(app)
        depth = 0
        while depth < len(words) and hasattr(command, "commands") and not words[depth].isupper():
            assert words[depth] in command.commands, f"{page.name}: specola {' '.join(words)}"
            command, depth = command.commands[words[depth]], depth + 1
        if hasattr(command, "commands"):
            continue  # `specola import FORMAT …` is about all of them
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)} | {"--help", "-h"}
        for word in words[depth:]:
            option = word.strip("[]").split("=")[0]
            if option.startswith("-") and not option[1:].isdigit():
                assert option in known, f"{page.name}: {option}"


def test_the_manual_names_commands() -> None:
    assert sum(len(_commands(page)) for page in MANUAL) > 30


def test_every_command_is_in_the_manual() -> None:
    named = {words[0] for page in MANUAL for words in _commands(page) if words}
    assert set(get_command(app).commands) <= named


@pages
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^\$ |^# |[A-Z]=\S+ )make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE))
    assert named <= targets


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?:|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in headings(target), f"{page.name}: {link}"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    decisions = {page for page in MANUAL if page.parent.name == "decisions"}
    assert {page for page in MANUAL if page.parent == index.parent} - {index} <= listed
    assert not decisions or (ROOT / "docs" / "decisions") in listed


def test_pictures_are_small_and_used() -> None:
    used = {(page.parent / link).resolve() for page in MANUAL for link in links(page) if link.endswith(".png")}
    present = set((ROOT / "docs" / "images").glob("*.png"))
    assert used == present
    for picture in present:
        assert picture.read_bytes().startswith(b"\x89PNG"), picture.name
        assert picture.stat().st_size < 300_000, picture.name


@pages
def test_no_page_names_one_machine(page: Path) -> None:
    text = page.read_text("utf-8")
    assert not re.findall(r"/work/|/var/tmp|/root/|/tmp/tmp|[a-z]+@[a-z]+:[~/]", text)
    assert not re.findall(r"127\.0\.0\.1:(?!80[89]\d|9[01]\d\d)\d+", text)


def test_tables_are_up_to_date() -> None:
    """Else: python docs/tables.py, and its output into docs/tables.md."""
    made = runpy.run_path(str(ROOT / "docs" / "tables.py"))["page"]()
    assert (ROOT / "docs" / "tables.md").read_text("utf-8") == made


def test_every_published_column_is_documented(archive: Archive, demo: SimpleNamespace) -> None:
    documented: dict[str, set[str]] = {}
    for page in ("bundle.md", "tables.md"):
        table = ""
        for line in (ROOT / "docs" / page).read_text("utf-8").splitlines():
            if heading := re.match(r"#+ .*`([\w.]+)`", line):
                table = heading[1]
            elif row := re.match(r"\| `(\w+)` \|", line):
                documented.setdefault(table.removeprefix("demo_r1."), set()).add(row[1])
    found = pyvo.dal.TAPService(f"{archive.url}/tap").search(
        "SELECT table_name, column_name FROM tap_schema.columns"
        f" WHERE table_name LIKE '{demo.schema}.%' OR table_name = 'specola.releases' OR table_name = 'ivoa.obscore'",
        maxrec=10_000,
    )
    for row in found:
        name = str(row["table_name"]).removeprefix(f"{demo.schema}.")
        assert str(row["column_name"]).strip('"') in documented[name], f"{name}.{row['column_name']}"


@pages
def test_addresses_of_the_archive_answer(page: Path, archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    """Those of recorded sessions left out: their spectra may not be in the tests' smaller survey."""
    text = re.sub(r"```console.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for address in sorted(set(re.findall(r"http://127\.0\.0\.1:8081(/[\w./?=&%-]*)", text))):
        query = "?REQUEST=doQuery&LANG=ADQL&QUERY=SELECT+1+FROM+specola.releases" if address.endswith("/sync") else ""
        spectrum = "W1P001Q1S001-1" if address.endswith("?ID=") else ""
        assert web.get(archive.url + address + query + spectrum).status_code == 200, address


def test_addresses_that_commands_print_answer(
    house: House, demo: SimpleNamespace, web: requests.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECOLA_VAR", str(house.var))
    monkeypatch.setenv("SPECOLA_PORT", str(house.base_port))
    printed = CliRunner().invoke(app, ["releases"])
    assert printed.exit_code == 0
    addresses = re.findall(r"http\S+", printed.stdout)
    assert any(demo.schema in address for address in addresses)
    assert all(web.get(address).status_code == 200 for address in addresses)

"""STILTS' own validators, where it is installed: votlint, taplint, datalinklint, and a cone search."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from specola.vocheck.documents import Login, Service, query_status, read
from specola.vocheck.findings import Report
from specola.vocheck.schemas import check_xml

__all__ = ["NEWER_TERM", "check_cone", "check_datalink", "check_tap", "votlint"]

MOST = 20
"""Messages of one kind that are passed on."""

NEWER_TERM = re.compile(r"Unknown predicate '(?:thumbnail|documentation)' from core DataLink vocabulary")
"""What STILTS says of terms that are in http://www.ivoa.net/rdf/datalink/core, and not in the edition that Debian's carries."""


def _run(*arguments: str, login: Login | None = None, timeout: float = 900) -> str | None:
    """What stilts prints; None where there is no stilts."""
    program = shutil.which("stilts")
    if program is None:
        return None
    environment = dict(os.environ)
    if login is not None:
        # Not on the command line, where everybody on the machine could read it.
        said = {"user": login.user, "password": login.password}
        environment["JAVA_TOOL_OPTIONS"] = " ".join(_quoted(f"-Dstar.basicauth.{name}={value}") for name, value in said.items())
    # Most runs are so short that compiling well does not pay.
    command = [program, "-J-XX:TieredStopAtLevel=1", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)
    printed = done.stdout + done.stderr
    # Java says what it was told.
    return "\n".join(line for line in printed.splitlines() if "JAVA_TOOL_OPTIONS" not in line)


def _quoted(option: str) -> str:
    """An option as Java reads it from the environment, which knows both quotation marks and no escapes."""
    quote = '"' if "'" in option else "'"
    return f"{quote}{option}{quote}"


def _lint(task: str, content: bytes) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document.vot"
        path.write_bytes(content)
        return _run(task, f"votable={path}")


def votlint(content: bytes) -> list[str]:
    """What votlint calls an error in a VOTable document; nothing where there is no stilts."""
    return [f"votlint: {line}" for line in re.findall(r"^ERROR (.*)$", _lint("votlint", content) or "", re.MULTILINE)][:MOST]


def check_tap(address: str, login: Login | None = None) -> Report:
    """A TAP service, by taplint."""
    report = Report("tap", address)
    found = _run("taplint", f"tapurl={address}", login=login)
    if found is None:
        report.add("warning", "taplint", "not run: stilts is not installed")
        return report
    for code, message in re.findall(r"^([EF]-\S+) (.*)$", found, re.MULTILINE)[:MOST]:
        report.add("error", code, message)
    for code, message in re.findall(r"^(W-\S+) (.*)$", found, re.MULTILINE)[:MOST]:
        report.add("warning", code, message)
    report.expect("Totals:" in found, "taplint", found[-500:])
    for name in ("capabilities", "availability", "tables"):
        report.findings += [one for one in check_xml(f"{address.rstrip('/')}/{name}", login).findings if one.level != "passed"]
    if not report.errors:
        report.add("passed", "taplint", "no error found")
    return report


def check_datalink(address: str, login: Login | None = None) -> Report:
    """A datalink response (an address with its ID), by datalinklint."""
    report = Report("datalink", address)
    answer = Service(address, login).get(address)
    if not report.expect(answer.status == 200, "response", f"found HTTP status {answer.status}", address):
        return report
    found = _lint("datalinklint", answer.content)
    if found is None:
        report.add("warning", "datalinklint", "not run: stilts is not installed")
        return report
    for code, message in re.findall(r"^(E-\S+) (.*)$", found, re.MULTILINE)[:MOST]:
        report.add("warning" if NEWER_TERM.search(message) else "error", code, message)
    if not report.errors:
        report.add("passed", "datalinklint", "no error found")
    return report


def check_cone(address: str, login: Login | None = None) -> Report:
    """A cone search (SCS 1.03): a search with SR=0 gives metadata, a wrong one an error, all of it VOTable."""
    service, report = Service(address, login), Report("cone", address)
    answer = service.ask(RA="0", DEC="0", SR="0")
    document = read(answer.content)
    if (
        report.expect(answer.status == 200 and document is not None, "response", "found no VOTable", answer.address)
        and document is not None
    ):
        ucds = [str(field.ucd) for table in document.iter_tables() for field in table.fields]
        for ucd in ("ID_MAIN", "POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN"):
            report.expect(
                ucds.count(ucd) == 1, "fields", f"found {ucds.count(ucd)} fields with UCD {ucd}, expected one", answer.address
            )
        for message in votlint(answer.content):
            report.add("error", "response", message, answer.address)
    wrong = service.ask(RA="nonsense", DEC="0", SR="1")
    said = read(wrong.content)
    named = {str(info.name) for r in said.resources for info in r.infos} if said is not None else set()
    named |= {str(param.name) for r in said.resources for param in r.params} if said is not None else set()
    report.expect(
        "Error" in named or (said is not None and query_status(said)[0] == "ERROR"),
        "errors",
        "a wrong RA gives no error document",
        wrong.address,
    )
    if not report.errors:
        report.add("passed", "service", "no error found")
    return report

"""What vo/corrections.py puts right in DaCHS, seen from outside."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import pyvo
import requests

from ops.archive import DEBIAN_PYTHON
from ops.house import Archive


@pytest.mark.parametrize("operator", ["<>", "!="])
def test_both_ways_to_write_unequal(archive: Archive, demo: SimpleNamespace, operator: str) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    found = tap.search(f"SELECT count(*) AS n FROM {demo.schema}.redshifts WHERE flag_scheme {operator} 'vipers'")
    assert found["n"][0] == 0
    assert tap.run_async(f"SELECT count(*) AS n FROM {demo.schema}.redshifts WHERE z {operator} -1")["n"][0] > 0


def test_the_script_of_all_pages_is_there(archive: Archive, web: requests.Session) -> None:
    answer = web.get(f"{archive.url}/static/js/jquery-gavo.js")
    assert answer.status_code == 200
    assert "jQuery" in answer.text


KEPT = """
from gavo import api
from gavo.utils import codetricks
from vo import answers
answers._writers_compiled_once()
make = codetricks.compileFunction
first, second = (make("def f(): return z", "f", {"z": number}) for number in (1, 2))
other = make("def f(): return 3", "f")
print(first(), second(), other(), first.__code__ is second.__code__, first.__code__ is other.__code__)
try:
    make("def f(: return", "f")
except api.BadCode as error:
    print("BadCode")
"""


def test_a_program_is_compiled_once_and_has_its_own_globals(archive: Archive) -> None:
    done = subprocess.run([DEBIAN_PYTHON, "-c", KEPT], env=archive.environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["1 2 3 True False", "BadCode"], done


ROTATED = """
import os, sys, threading
from pathlib import Path
from twisted.python import logfile
from vo import logs
if sys.argv[2] == "ours":
    logs.install()
folder, seen = Path(sys.argv[1]), set()
real = open
def watched(path, *args):
    # what another thread would make just now
    (folder / "other").mkdir()
    seen.add((folder / "other").stat().st_mode & 0o700)
    (folder / "other").rmdir()
    return real(path, *args)
logfile.open = watched
log = logfile.LogFile("x.log", str(folder), rotateLength=10, defaultMode=0o640)
log.write("0123456789abc")
log.write("after")
log.close()
print(sorted(map(oct, seen)), oct((folder / "x.log").stat().st_mode & 0o777), sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.parametrize(("which", "modes"), [("stock", ["0o0"]), ("ours", ["0o700"])])
def test_a_new_log_takes_no_rights_from_others(archive: Archive, tmp_path: Path, which: str, modes: list[str]) -> None:
    command = [DEBIAN_PYTHON, "-c", ROTATED, str(tmp_path), which]
    done = subprocess.run(command, env=archive.environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{modes} 0o640 ['x.log', 'x.log.1']"

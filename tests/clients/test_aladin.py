"""Aladin itself, without a window and without the network, loads what the archive serves and says how much of it it found."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from astropy.io.votable import parse

from ops.house import Archive

MISSING = [name for name in ("aladin", "xvfb-run") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed (Debian packages aladin, xvfb, xauth)"),
]


def run(folder: Path, script: str, until: str = "") -> str:
    """What Aladin prints while it follows a script, and then until it says something that its ``sync`` does not wait for.

    Without the network it loads files, not addresses.
    """
    command = [
        "xvfb-run", "-a", "-e", "/dev/stderr", "java", f"-Duser.home={folder}", "-jar", "/usr/share/java/aladin.jar",
        "-local", "-nogui", "-nosamp", "-noreleasetest",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as aladin:
        end = threading.Timer(180, aladin.terminate)
        end.start()
        assert aladin.stdin is not None
        assert aladin.stdout is not None
        print(script if until else f"{script}; quit", file=aladin.stdin, flush=True)
        said = ""
        for line in aladin.stdout:
            said += line
            if until and until in line:
                print("quit", file=aladin.stdin, flush=True)
        end.cancel()
    return said


@pytest.fixture(scope="module")
def saved(archive: Archive, demo: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cone, a list of spectra, the pointings and a spectrum, saved as a browser or curl would."""
    folder = tmp_path_factory.mktemp("aladin")
    base = f"{archive.url}/{demo.schema}/q"
    first = next((demo.bundle / "spectra").rglob("*.fits")).stem
    query = {"LANG": "ADQL", "QUERY": f"SELECT * FROM {demo.schema}.pointings"}
    for name, address, parameters in [
        ("cone", f"{base}/cone/scs.xml?RA=34.5&DEC=-5&SR=1", {}),
        ("list", f"{base}/ssap/ssap.xml?REQUEST=queryData&MAXREC=1000", {}),
        ("pointings", f"{archive.url}/tap/sync", query),
        ("spectrum", f"{archive.url}/getproduct/{demo.schema}/spectra/{first}.vot", {}),
    ]:
        answer = requests.get(address, params=parameters, timeout=60)
        answer.raise_for_status()
        (folder / f"{name}.vot").write_bytes(answer.content)
    return folder


@pytest.mark.parametrize("name", ["cone", "list", "pointings"])
def test_it_finds_every_row_on_the_sky(saved: Path, name: str) -> None:
    found = saved / f"found-{name}.xml"
    said = run(saved, f"load {name}.vot; sync; 34.5 -5; zoom 1deg; save {saved / name}.png; export {name}.vot {found}")
    assert not [line for line in said.splitlines() if line.startswith("!!!")], said
    # what it exports is what it has put on the sky
    rows = parse(found).get_first_table().array
    assert len(rows) == len(parse(saved / f"{name}.vot").get_first_table().array) > 0
    assert (saved / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_of_a_spectrum_it_says_that_there_is_no_position_in_its_rows(saved: Path) -> None:
    """It reads the table, and is a program for the sky: spectra are for the programs it sends them to."""
    expected = "spectrum.vot: No coordinate"
    assert expected in run(saved, "load spectrum.vot", until=expected)

"""What STILTS, TOPCAT's library, thinks of us: taplint, datalinklint, its reader, its TAP client. For votlint: test_documents."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from ops.house import Archive
from specola.vocheck.stilts import NEWER_TERM

pytestmark = pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed (Debian package stilts)")

KNOWN = {
    "F-LOC-NOTP-1": "there is no ObsLocTAP table ivoa.obsplan; it is optional",
}
"""Findings of taplint that are known, and why. Anything else of type error or failure is a fault of ours."""


def stilts(*arguments: str, timeout: float = 300) -> str:
    done = subprocess.run(["stilts", *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_taplint(archive: Archive, demo: SimpleNamespace) -> None:
    report = stilts("taplint", f"tapurl={archive.url}/tap", timeout=600)
    assert "Totals:" in report, report[-2000:]
    codes = re.findall(r"^([EF]-\S+) (.*)$", report, re.MULTILINE)
    assert not [line for line in codes if line[0] not in KNOWN]


def test_datalinklint(archive: Archive, demo: SimpleNamespace, web: requests.Session, tmp_path: Path) -> None:
    first = next((demo.bundle / "spectra").rglob("*.fits")).stem
    document = tmp_path / "links.vot"
    document.write_bytes(web.get(f"{archive.url}/{demo.schema}/q/dl/dlmeta", params={"ID": first}).content)
    report = stilts("datalinklint", f"votable={document}")
    errors = [line for line in report.splitlines() if line.startswith("E-")]
    assert "Totals:" in report, report
    assert [line for line in errors if not NEWER_TERM.search(line)] == [], report


def test_tap_client(archive: Archive, demo: SimpleNamespace) -> None:
    query = f"SELECT count(*) AS n FROM {demo.schema}.spectra"
    for mode in ("true", "false"):
        out = stilts("tapquery", f"tapurl={archive.url}/tap", f"sync={mode}", f"adql={query}", "ofmt=csv")
        assert out.split()[-2:] == ["n", "200"]


def test_reader_unrolls_the_spectrum(archive: Archive, demo: SimpleNamespace) -> None:
    """TOPCAT's FITS reader gives a row a pixel, with units."""
    first = next((demo.bundle / "spectra").rglob("*.fits")).stem
    url = f"{archive.url}/getproduct/{demo.schema}/spectra/{first}"
    for ending in (".fits", ".vot"):
        meta = stilts("tpipe", f"in={url}{ending}", "omode=meta")
        assert re.search(r"Rows:\s+557", meta), meta
        assert "Angstrom" in meta
        stats = stilts("tpipe", f"in={url}{ending}", "cmd=stats Name Minimum Maximum", "ofmt=csv")
        assert re.search(r"(?i)^wave,5500\.", stats, re.MULTILINE), stats

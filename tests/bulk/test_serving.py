"""Downloads are served by the archive: with ranges, with their types, and only of what is in it."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from typer.testing import CliRunner

from ingest.bulk.listing import FOLDER
from ingest.bulk.publish import publish_bulk
from ingest.check import check_bundle
from ingest.errors import ReleaseError
from ops.house import Archive, House
from specola.cli import app


@pytest.fixture(scope="module")
def served(house: House, archive: Archive, demo: SimpleNamespace) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECOLA_VAR", str(house.var))
        patch.setenv("SPECOLA_PORT", str(house.base_port))
        done = CliRunner().invoke(app, ["bulk", "--json", str(demo.bundle)])
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["schema"] == demo.schema
    assert Path(made["folder"]) == archive.products / demo.schema / FOLDER
    return f"{archive.url}/bulk/{demo.schema}"


def test_pages_and_types(served: str, archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    for path, kind in (
        ("/", "text/html; charset=utf-8"), ("/catalogues/spectra.parquet", "application/vnd.apache.parquet"),
        ("/catalogues/spectra.fits", "application/fits"), ("/datacite.json", "application/json"),
        ("/README.md", "text/plain; charset=utf-8"), ("/CITATION.cff", "text/plain; charset=utf-8"),
    ):  # fmt: skip
        answer = web.get(served + path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind), path
        assert "Content-Encoding" not in answer.headers
    assert web.get(served).url == served + "/"
    assert web.get(f"{archive.url}/bulk").url == f"{archive.url}/bulk/"
    assert f'href="{demo.schema}/"' in web.get(f"{archive.url}/bulk/").text
    assert ".tar</a>" in web.get(f"{served}/spectra").text
    for path in ("/nothing", "/../../secrets/survey", "/%2e%2e/spectra"):
        assert web.get(served + path).status_code in {400, 404}, path
    assert web.get(f"{archive.url}/bulk/no_such/").status_code == 404


def test_a_broken_download_goes_on(served: str, tmp_path: Path, web: requests.Session) -> None:
    sums = web.get(f"{served}/SHA256SUMS").text.splitlines()
    digest, name = next(line.split("  ", 1) for line in sums if line.endswith(".tar"))
    whole = web.get(f"{served}/{name}").content
    for tool, command in (("curl", ["curl", "-sS", "-C", "-", "-O"]), ("wget", ["wget", "-q", "-c"])):
        if shutil.which(tool) is None:
            continue
        target = tmp_path / Path(name).name
        target.write_bytes(whole[: len(whole) // 3])
        subprocess.run([*command, f"{served}/{name}"], cwd=tmp_path, check=True)
        assert target.read_bytes() == whole
        (tmp_path / "sum").write_text(f"{digest}  {target.name}\n")
        subprocess.run(["sha256sum", "-c", "sum"], cwd=tmp_path, check=True, capture_output=True)
        target.unlink()
    part = web.get(f"{served}/{name}", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])


def test_lsdb_opens_it_over_http(served: str, demo: SimpleNamespace) -> None:
    lsdb = pytest.importorskip("lsdb")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(lsdb.open_catalog(f"{served}/hats/redshifts").compute()) == 200


def test_only_what_is_in_the_archive(house: House, archive: Archive, demo: SimpleNamespace, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(demo.bundle, other)
    description = json.loads((other / "bundle.json").read_text())
    description["title"] += " again"
    (other / "bundle.json").write_text(json.dumps(description))
    with pytest.raises(ReleaseError, match="made of another bundle"):
        publish_bulk(check_bundle(other, read_files=False), archive)
    with pytest.raises(ReleaseError, match="no such release"):
        publish_bulk(check_bundle(demo.bundle, read_files=False), house.archive("staging"))


def test_an_embargo_keeps_a_download_from_being_made(archive: Archive, demo: SimpleNamespace) -> None:
    product = next((archive.products / demo.schema / "spectra").glob("*.fits"))
    marker = product.with_name(product.name + ".embargo")
    marker.touch()
    try:
        with pytest.raises(ReleaseError, match="found an embargo"):
            publish_bulk(check_bundle(demo.bundle, read_files=False), archive)
    finally:
        marker.unlink()

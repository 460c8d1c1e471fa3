"""Fixtures for every test folder: real servers.

``house`` is an installation of its own, away from any demonstration, with everything up. It is kept between runs (its first start
takes some fifteen seconds, a later one five); tests put into it what they need and must not rely on it being empty.
``new_house`` makes further, empty ones that are removed after the test.
``demo`` and ``real`` are releases in the public archive of ``house``: a small mock, and the real surveys where their files are.
``chromium`` is a browser.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from ingest.bulk.publish import publish_bulk
from ingest.check import check_bundle
from ingest.load import ingest_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from ingest.present import loaded_releases
from ingest.readers import catalogue, desi, pandora, sdp, sdss, vandels
from ingest.removal import remove_release
from ops.house import Archive, House
from ops.raising import lower, raise_house
from specola_bundle.survey import load_survey

REPOSITORY = Path(__file__).resolve().parent.parent
INPUTS = REPOSITORY / "inputs"


def _worker() -> int:
    """Number of this process among those that share the tests out (pytest-xdist): each has an installation of its own."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def _ports() -> int:
    """Where this process's ports begin."""
    return House.from_environment().base_port + 2000 * _worker()


def _free_base(start: int) -> int:
    """The first base from which on all of an installation's ports are free; below those of outgoing connections."""
    for base in range(start, 32700, 40):
        taken = False
        for port in range(base, base + 20):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    taken = True
        if not taken:
            return base
    raise RuntimeError("no free ports")


@pytest.fixture(scope="session")
def houses() -> Path:
    """Folder of the tests' installations."""
    if os.getuid() == 0:
        pytest.exit("tests run as an ordinary account; as root call `make test`, which changes to one", returncode=2)
    folder = House.from_environment().var / "houses"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def house(houses: Path) -> Iterator[House]:
    """A running installation, kept between runs; it is stopped at the end of this one."""
    var = houses / f"kept{_worker() or ''}"
    # two processes, as in production: what one knows the other must find out
    plain = House(var=var, base_port=_ports() + 100, repository=REPOSITORY, processes=2)
    lower(plain)
    running = replace(plain, base_port=_free_base(plain.base_port))
    raise_house(running)
    yield running
    lower(running)


@pytest.fixture
def new_house(houses: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], House]]:
    """Makes empty installations: ``new_house("name")``; stopped and removed after the test."""
    made: list[House] = []

    def make(name: str) -> House:
        var = houses / f"{request.node.name[:40]}-{name}"
        one = House(var=var, base_port=_free_base(_ports() + 500 + 40 * len(made)), repository=REPOSITORY)
        lower(one)
        shutil.rmtree(var, ignore_errors=True)
        made.append(one)
        return one

    yield make
    for one in made:
        lower(one)
        shutil.rmtree(one.var, ignore_errors=True)
        if one.sockets.parent == Path("/tmp"):  # noqa: S108 - the place ops.house chooses for long paths
            shutil.rmtree(one.sockets, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real survey files; tests that need them are skipped where they are not there."""
    for folder in (os.environ.get("SPECOLA_SHARED_DATA"), REPOSITORY.parent / "shared" / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    pytest.skip("the survey files are not there (SPECOLA_SHARED_DATA)")


def ensure(bundle: Path, archive: Archive) -> str:
    """Have exactly this bundle in the archive; what a former run of the tests, or another RD, left under its name goes away."""
    opened = check_bundle(bundle, read_files=False)
    made_with = hashlib.sha256()
    for source in (*sorted((REPOSITORY / "resdir").glob("*.rd")), REPOSITORY / "ingest" / "rd.py"):
        made_with.update(source.read_bytes())
    stamp = archive.root.parent / f"tests-{archive.name}-{opened.schema}"
    wanted = f"{opened.identity} {made_with.hexdigest()}"
    present = loaded_releases(archive).get(opened.schema)
    if present is not None and (present != opened.identity or not stamp.exists() or stamp.read_text() != wanted):
        remove_release(opened.schema, archive)
    schema = ingest_bundle(bundle, archive).schema
    stamp.write_text(wanted)
    return schema


@pytest.fixture(scope="session")
def archive(house: House) -> Archive:
    return house.archive("public")


@pytest.fixture(scope="session")
def demo(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The mock survey, 200 spectra, with its download: its schema and its bundle."""
    path = tmp_path_factory.mktemp("mock") / "demo"
    write_mock(path, Mock(spectra=200, seed=7))
    schema = ensure(path, archive)
    publish_bulk(check_bundle(path, read_files=False), archive)
    return SimpleNamespace(schema=schema, bundle=path)


def _read(shared: Path, folder: Path) -> Iterator[tuple[str, Path, Any]]:
    def target(name: str) -> tuple[str, Path, Any]:
        return name, folder / name, load_survey(INPUTS / name / "survey.toml")

    name, path, survey = target("vandels")
    vandels.read(shared / "vandels", path, survey)
    yield name, path, survey
    name, path, survey = target("sdss")
    sdss.read(sorted((shared / "sdss").glob("*.fits.gz")), path, survey)
    yield name, path, survey
    name, path, survey = target("desi")
    desi.read(sorted((shared / "desi").glob("coadd-*.fits.gz")), path, survey)
    yield name, path, survey
    name, path, survey = target("easylife")
    pandora.read([shared / "formats" / "sc_CDFS006664_P1M2Q4_P2M1Q4_003_1.fits"], path, survey)
    yield name, path, survey
    name, path, survey = target("esosdp")
    sdp.read([shared / "formats" / "VANDELS_CDFS_017433.fits"], path, survey)
    yield name, path, survey
    name, path, survey = target("zcosmos")
    catalogue.read(shared / "catalogues" / "zcosmost_bright20k.csv.gz", path, survey)
    yield name, path, survey


@pytest.fixture(scope="session")
def real(archive: Archive, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SimpleNamespace]:
    """The real surveys by name: schema and bundle of each."""
    folder = tmp_path_factory.mktemp("real")
    return {
        name: SimpleNamespace(schema=ensure(path, archive), bundle=path) for name, path, _survey in _read(shared_data, folder)
    }


@pytest.fixture(scope="session")
def web() -> Iterator[requests.Session]:
    """A session for plain HTTP."""
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; only as long as needed: Django refuses to work while its event loop runs."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no browser here (Debian package chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as running:
        # Chromium's own sandbox wants rights that an account in a container does not have.
        browser = running.chromium.launch(executable_path=path, chromium_sandbox=False)
        yield browser
        browser.close()

"""Downloads of a mock survey, made once, and of a bundle written to be awkward."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.bulk.export import export_release
from ingest.check import check_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from specola_bundle.bundle import Bundle

URL = "http://archive.example.org"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp("bulk") / "demo"
    write_mock(path, Mock(spectra=300, seed=9), workers=1)
    return check_bundle(path, read_files=False)


@pytest.fixture(scope="session")
def download(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_release(bundle, tmp_path_factory.mktemp("download") / "demo", url=URL, publisher="Somebody").folder

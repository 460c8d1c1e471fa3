"""A small mock, made once: its bundle on disk, and the simulation behind it with what no bundle tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.mock.geometry import layout
from ingest.mock.pointing import Observation, simulate
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock


@pytest.fixture(scope="session")
def mock() -> Mock:
    return Mock(spectra=600, seed=3)


@pytest.fixture(scope="session")
def bundle(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mock") / "demo"
    write_mock(path, mock, workers=2)
    return path


@pytest.fixture(scope="session")
def large() -> list[Observation]:
    """The simulation of 6,000 spectra, without files: enough for rates to be told from one another."""
    sky = Mock(spectra=6000, seed=11)
    return [simulate(sky, pointing) for pointing in layout(sky)]

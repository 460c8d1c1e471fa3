"""The real survey files, for the tests that need them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Their folder; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("SPECOLA_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    if not (folder / "truth.csv").exists():
        pytest.skip(f"the real survey files are not at {folder} (set SPECOLA_SHARED_DATA)")
    return folder

"""The command line, run as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.house import House

Command = Callable[..., subprocess.CompletedProcess[str]]


def environment_of(house: House) -> dict[str, str]:
    """An operator's: with the administrator's login in the DSNs, which the servers' environment leaves out."""
    dsns = {f"SPECOLA_DSN_{name.upper()}": dsn for name, dsn in house.dsns.items()}
    return {**os.environ, **house.environment, **dsns, "COLUMNS": "120"}


@pytest.fixture(scope="session")
def specola() -> Command:
    """``specola(house, "status", "--json")``."""

    def run(house: House, *arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / "specola"
        return subprocess.run(
            [program, *arguments], env=environment_of(house), capture_output=True, text=True, timeout=timeout, check=False
        )

    return run

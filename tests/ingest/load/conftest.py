"""A real archive, and names for releases in it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest

from ingest.present import loaded_releases
from ingest.removal import remove_release
from ops.house import Archive


@pytest.fixture
def release(request: pytest.FixtureRequest, archive: Archive) -> Iterator[str]:
    """A name for a release, which is not there before and after the test."""
    name = f"l{zlib.crc32(request.node.name.encode())}"

    def remove() -> None:
        if f"loadtest_{name}" in loaded_releases(archive):
            remove_release(f"loadtest_{name}", archive)

    remove()
    yield name
    remove()

"""Which running servers have old code in memory: `specola up` after an upgrade has them follow.

When servers are started, a sum over the files that their code comes from is noted for each. PostgreSQL and nginx are not ours,
and follow their configuration (:mod:`ops.raising`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from ops.files import write
from ops.house import House

__all__ = ["code_of", "note_code", "outdated"]

_PARTS = {"dachs": ("vo",), "portal": ("portal", "ops", "ingest", "bundle/src")}
"""Folders of the repository that a server's code comes from, by the beginning of its name."""
_SUFFIXES = {".py", ".html", ".css", ".toml", ".json", ".in"}


def code_of(house: House) -> dict[str, str]:
    """Sums over the code that there is now, by the beginning of the names of the servers it is for."""
    return {part: _sum(house.repository, folders) for part, folders in _PARTS.items()}


def outdated(house: House, running: Iterable[str], code: Mapping[str, str]) -> list[str]:
    """Those of the running services that were started with other code, or before code was noted."""
    return [name for name in running if _part(name) in code and _noted(house, name) != code[_part(name)]]


def note_code(house: House, started: Iterable[str], code: Mapping[str, str]) -> None:
    """Note with which code services run."""
    for name in started:
        if _part(name) in code:
            write(_place(house, name), code[_part(name)])


def _part(name: str) -> str:
    return name.partition("-")[0]


def _place(house: House, name: str) -> Path:
    return house.var / "run" / f"{name}.code"


def _noted(house: House, name: str) -> str:
    return _place(house, name).read_text() if _place(house, name).exists() else ""


def _sum(repository: Path, folders: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((repository / folder).rglob("*")):
            if path.suffix in _SUFFIXES and path.is_file():
                digest.update(f"{path.relative_to(repository)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()

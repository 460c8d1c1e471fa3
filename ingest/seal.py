"""The seal of a folder: one file that holds the SHA-256 of every other, and the check that nothing has changed since.

The file has the form of coreutils' ``sha256sum``, so that ``sha256sum -c`` reads it too. Its own SHA-256 stands for the whole
folder: whoever knows that one value can tell whether any file was changed, added or taken away. Files are listed in the order
of a walk (by the parts of their paths), so that sealing and verifying need no more memory for ten million files than for ten.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from ingest.errors import Finding, SealError
from ingest.findings import LIMIT, Progress
from specola_bundle.bundle import sha256_of

__all__ = ["seal", "sealed_files", "verify_seal"]

CHUNK = 64
"""Files a thread hashes at a time."""
_LARGE = 1 << 24
"""Bytes beyond which a file is read in pieces."""

Report = Callable[[str, str, str], None]
"""Called with a path, what was found there and what was expected."""

_MISSING, _EXTRA = "no such file", "a file that was not there when the release was frozen"


def seal(folder: Path, target: Path, known: Mapping[str, str]) -> str:
    """Seal a folder and make everything in it read-only.

    Parameters
    ----------
    folder
        What is sealed; every file in it is listed.
    target
        The file to write, outside of the folder.
    known
        SHA-256 of files that were hashed a moment ago, by their paths in the folder; the others are hashed here.

    Returns
    -------
    SHA-256 of the file written, in hexadecimal.
    """
    digest = hashlib.sha256()
    with target.open("wb") as stream:
        for name in _walk(str(folder)):
            path = folder / name
            line = f"{known.get(name) or sha256_of(path)}  {name}\n".encode()
            stream.write(line)
            digest.update(line)
            path.chmod(0o444)
        stream.flush()
        os.fsync(stream.fileno())
    target.chmod(0o444)
    for parent, _, _ in os.walk(folder, topdown=False):
        Path(parent).chmod(0o555)
    return digest.hexdigest()


def sealed_files(target: Path) -> Iterator[tuple[str, str]]:
    """Path and SHA-256 of every sealed file.

    Raises
    ------
    SealError
        A line is none of a seal.
    """
    with target.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            digest, separator, name = line.rstrip("\n").partition("  ")
            if not separator or len(digest) != hashlib.sha256().digest_size * 2:
                raise SealError([Finding(f"{target} line {number}", repr(line[:80]), "a SHA-256, two spaces and a path")])
            yield name, digest


def verify_seal(folder: Path, target: Path, expected: str, *, total: int = 0, progress: Progress | None = None) -> int:
    """Verify that a folder holds what it held when it was sealed, byte for byte and no file more; returns the number of files.

    Parameters
    ----------
    folder, target
        As of `seal`.
    expected
        What `seal` returned.
    total
        Number of files, for the progress.

    Raises
    ------
    SealError
        With each file that was changed, taken away or added, the first 50 by name.
    """
    if not target.is_file() or sha256_of(target) != expected:
        there = "another content" if target.is_file() else _MISSING
        raise SealError([Finding(str(target), there, f"SHA-256 {expected}", "restore the file from a backup")])
    findings = _Findings(folder)
    count = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running: deque[Future[list[tuple[str, str, str]]]] = deque()
        present = _present(folder, target, findings.add)
        while chunk := list(islice(present, CHUNK)):
            count += len(chunk)
            running.append(pool.submit(_changed, str(folder), chunk))
            if len(running) > 2 * (os.cpu_count() or 1):
                findings.add_all(running.popleft().result())
            if progress is not None:
                progress("verify", count, max(total, count))
        for future in running:
            findings.add_all(future.result())
    findings.stop()
    return count


class _Findings:
    """Gathers what is wrong with sealed files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: list[Finding] = []
        self._more = 0

    def add(self, name: str, found: str, expected: str) -> None:
        if len(self._kept) < LIMIT:
            remedy = "restore the file from a backup; a frozen release never changes"
            self._kept.append(Finding(str(self._folder / name), found, expected, remedy))
        else:
            self._more += 1

    def add_all(self, several: Iterable[tuple[str, str, str]]) -> None:
        for one in several:
            self.add(*one)

    def stop(self) -> None:
        if self._kept:
            raise SealError(self._kept, self._more)


def _present(folder: Path, target: Path, report: Report) -> Iterator[tuple[str, str]]:
    """The sealed files that are there; those that are missing and those that are too many are reported."""
    walk = _walk(str(folder))
    here = next(walk, None)
    for name, digest in sealed_files(target):
        while here is not None and here.split("/") < name.split("/"):
            report(here, _EXTRA, "nothing there")
            here = next(walk, None)
        if here == name:
            yield name, digest
            here = next(walk, None)
        else:
            report(name, _MISSING, f"SHA-256 {digest}")
    while here is not None:
        report(here, _EXTRA, "nothing there")
        here = next(walk, None)


def _changed(folder: str, files: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    changed = []
    for name, digest in files:
        path = f"{folder}/{name}"
        try:
            found = _digest(path)
        except OSError as error:
            changed.append((name, error.strerror or str(error), f"SHA-256 {digest}"))
            continue
        if found != digest:
            changed.append((name, "another content", f"SHA-256 {digest}"))
    return changed


def _digest(path: str) -> str:
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 - a Path object takes as long as hashing a small file
        if os.fstat(stream.fileno()).st_size > _LARGE:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        return hashlib.sha256(stream.readall()).hexdigest()


def _walk(folder: str, inside: str = "") -> Iterator[str]:
    """Paths of all that is no folder, in the order of the parts of their names. Links are not followed."""
    with os.scandir(f"{folder}/{inside}") as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, f"{inside}{entry.name}/")
        else:
            yield inside + entry.name

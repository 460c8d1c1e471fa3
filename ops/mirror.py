"""Copy a working tree to the unprivileged account: ``send FOLDER`` writes a tar stream, ``receive FOLDER`` takes it.

Used by bin/house with Debian's Python, before there is anything else; hence the standard library only, and no import from this
repository. Root reads (send), the account writes (receive): root never follows a link the account could have laid. A file
is replaced by rename and only when it differs, so running servers never see half a file; what was mirrored before and is gone
now is removed; what the account itself wrote (caches, results) stays.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO

__all__ = ["receive", "send", "tree_files"]

LEFT_OUT = {".git", "var", "node_modules", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "build"}
"""Folders that are not mirrored when git can not be asked."""
LIST = ".mirrored"
"""File in the copy that lists what the last run put there."""


def tree_files(folder: Path) -> list[str]:
    """Names, relative to the folder, of what belongs to the tree: tracked or untracked, but not ignored and not deleted.

    git is asked where it is there and trusts the repository; otherwise the folder is walked.
    """
    names: list[str]
    try:
        listed = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "-z", "-co", "--exclude-standard"], capture_output=True, check=True
        ).stdout
        names = [os.fsdecode(name) for name in listed.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for parent, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name not in LEFT_OUT and not name.endswith(".egg-info")]
            names += [str((Path(parent) / name).relative_to(folder)) for name in files]
    return sorted({name for name in names if os.path.lexists(folder / name)})


def send(folder: Path, stream: BinaryIO) -> None:
    """Write the tree of a folder to a stream as tar."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name in tree_files(folder):
            try:
                member = archive.gettarinfo(folder / name, name)
            except FileNotFoundError:
                continue  # removed since it was listed
            if member.isreg():
                with (folder / name).open("rb") as source:
                    archive.addfile(member, source)
            elif member.issym():
                archive.addfile(member)


def receive(stream: BinaryIO, folder: Path) -> None:
    """Make a folder equal to the tree on the stream.

    :raises ValueError: for a name that would leave the folder
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        listing = folder / LIST
        before = set(listing.read_text().split("\0")) - {""} if listing.exists() else set()
        now: set[str] = set()
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.name.startswith("/") or ".." in Path(member.name).parts:
                    raise ValueError(f"the name {member.name!r} leaves the folder")
                now.add(member.name)
                _place(archive, member, folder)
                if member.name not in before:
                    # Known before the next one begins: an interrupted copy forgets nothing it made.
                    before.add(member.name)
                    with listing.open("a") as names:
                        names.write(f"{member.name}\0")
        for gone in before - now:
            path = folder / gone
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == folder or not _remove_if_empty(parent):
                    break
        new = listing.with_suffix(".new")
        new.write_text("\0".join(sorted(now)) + "\0")
        new.replace(listing)


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = folder / member.name
    if member.issym():
        if not (path.is_symlink() and str(path.readlink()) == member.linkname):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(member.linkname)
        return
    when = round(member.mtime * 1e9)
    mode = 0o755 if member.mode & 0o100 else 0o644
    if path.is_file() and not path.is_symlink():
        there = path.stat()
        same_time = abs(there.st_mtime_ns - when) < 1_000_000
        if there.st_size == member.size and same_time and there.st_mode & 0o777 == mode:
            return
    source = archive.extractfile(member)
    if source is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as target:
        while block := source.read(1 << 20):
            target.write(block)
    new.chmod(mode)
    os.utime(new, ns=(when, when))
    new.replace(path)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(Path(sys.argv[2]), sys.stdout.buffer)
    else:
        receive(sys.stdin.buffer, Path(sys.argv[2]))

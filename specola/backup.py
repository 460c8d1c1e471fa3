"""Keep an installation: everything that can not be made again, in one folder that can be checked and brought back.

A backup is a folder::

    backup.json     of which installation, when, with which programs
    SHA256SUMS      every other file; ``sha256sum -c`` reads it
    postgres/NAME/  a base backup of each private cluster, with the log needed to make it consistent
    var/…           everything else of SPECOLA_VAR but what is made anew: configuration, logs, caches, sockets

No release comes or goes while it is made: it holds the locks of both archives. Each cluster is as it was at one moment. It
appears under its name when it is whole. Product files that did not change since the last backup in the same folder are hard
links to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ingest.errors import ReleaseError
from ingest.present import change_lock
from ops.clusters import programs
from ops.errors import CommandError, OpsError
from ops.house import House
from ops.supervision import Supervisor
from specola_bundle.bundle import write_whole

__all__ = ["MADE_ANEW", "SUMS", "Kept", "backup", "check_backup", "identity_of", "latest"]

MADE_ANEW = frozenset({
    "app", "etc", "houses", "lock", "logs", "nginx", "postgres", "run", "setup.lock", "test", "venv", "www",
})  # fmt: skip
"""What of SPECOLA_VAR is not copied: `specola up` makes it, or it is kept in another way (postgres)."""
SUMS = "SHA256SUMS"
_PREFIX = "specola-"
_CHUNK = 1 << 20
_PATIENCE = 600.0
"""Seconds to wait for an ingest that is at work."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Kept:
    """A backup that was made."""

    folder: Path
    files: int
    size: int
    """Bytes of all files."""
    linked: int
    """Files that are links to those of an earlier backup."""


def identity_of(house: House) -> dict[str, str]:
    """What a backup can only be brought back to: paths and addresses stand in the databases."""
    public = house.archive("public")
    return {"SPECOLA_VAR": str(house.var), "SPECOLA_AUTHORITY": house.authority, "public archive": public.url}


def latest(folder: Path) -> Path | None:
    """The newest backup in a folder."""
    found = sorted(path for path in folder.glob(f"{_PREFIX}*") if (path / "backup.json").exists())
    return found[-1] if found else None


def backup(house: House, folder: Path, *, keep: int = 0, report: Report = lambda *_: None) -> Kept:
    """Make a backup of a running installation below ``folder``.

    Parameters
    ----------
    folder
        Where backups go, each in a folder of its own named after its time (UTC). Not inside SPECOLA_VAR.
    keep
        Remove all but so many of the newest afterwards; 0 keeps every one.

    Raises
    ------
    OpsError
        The installation does not run, the folder is inside of it, an ingest does not end, or a program failed. No backup has
        appeared then.
    """
    folder = folder.absolute()
    if folder.resolve().is_relative_to(house.var.resolve()):
        raise OpsError(f"{folder} is inside of SPECOLA_VAR ({house.var})", "Name a folder elsewhere, best on another disk.")
    if not Supervisor(house).is_running():
        raise OpsError("nothing runs, so the databases can not be asked", "Run `specola up` first.")
    folder.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC)
    name = f"{_PREFIX}{moment:%Y%m%dT%H%M%SZ}"
    before = latest(folder)
    part = folder / f".{name}.part"
    try:
        with _quiet(house):
            part.mkdir(mode=0o700)
            for number, cluster in enumerate(house.clusters):
                report("databases", number, len(house.clusters))
                _base_backup(house, cluster.name, part / "postgres" / cluster.name)
            report("databases", len(house.clusters), len(house.clusters))
            sums, linked = _copy(house.var, part / "var", before, report)
        sums |= {f"postgres/{path}": digest for path, digest in _digests(part / "postgres").items()}
        about = {
            "made": moment.strftime("%Y-%m-%dT%H:%M:%SZ"), "installation": identity_of(house), "files": len(sums),
            "clusters": {one.name: (one.data / "PG_VERSION").read_text().strip() for one in house.clusters},
            "not here": [name for name in ("public", "staging") if name in house.dsns],
        }  # fmt: skip
        text = json.dumps(about, indent=1) + "\n"
        write_whole(part / "backup.json", text.encode())
        sums["backup.json"] = hashlib.sha256(text.encode()).hexdigest()
        write_whole(part / SUMS, "".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items())).encode())
        size = sum(path.stat().st_size for path in part.rglob("*") if path.is_file() and not path.is_symlink())
        part.rename(folder / name)
    except OSError as error:
        remedy = "Make room, or name another folder; nothing has appeared there."
        raise OpsError(f"the backup in {folder} failed: {error}", remedy) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if keep:
        # Out of sight first: killed in the middle, what is left is nobody's backup.
        for old in sorted(path for path in folder.glob(f"{_PREFIX}*") if (path / "backup.json").exists())[:-keep]:
            old.rename(folder / f".{old.name}.part")
    for left in folder.glob(f".{_PREFIX}*.part"):
        shutil.rmtree(left, ignore_errors=True)
    return Kept(folder / name, len(sums) + 1, size, linked)


@contextmanager
def _quiet(house: House) -> Iterator[None]:
    """Hold both archives: nothing is taken in or removed meanwhile."""
    end = time.monotonic() + _PATIENCE
    with ExitStack() as stack:
        for archive in house.archives:
            while True:
                try:
                    stack.enter_context(change_lock(archive))
                    break
                except ReleaseError as error:
                    if time.monotonic() > end:
                        raise OpsError(str(error), "Make the backup when it has ended.") from error
                    time.sleep(0.5)
        yield


def _base_backup(house: House, name: str, target: Path) -> None:
    cluster = next(one for one in house.clusters if one.name == name)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    command = [
        str(programs(cluster) / "pg_basebackup"), "-h", str(house.sockets), "-p", str(cluster.port), "-U", "postgres", "-w",
        "-D", str(target), "-X", "stream", "-c", "fast", "--manifest-checksums=SHA256",
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PGPASSFILE": str(house.secrets / f"cluster-{name}.pgpass")},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise CommandError(command, done.returncode, done.stdout, "No backup was made.")


def _copy(var: Path, target: Path, before: Path | None, report: Report) -> tuple[dict[str, str], int]:
    """Copy what is kept of SPECOLA_VAR; returns the checksums by path in the backup, and how many files are links."""
    known = _read_sums(before) if before else {}
    sums: dict[str, str] = {}
    linked = 0
    target.mkdir(mode=0o700)
    tops = sorted(one for one in var.iterdir() if one.name not in MADE_ANEW)
    for number, top in enumerate(tops):
        report("files", number, len(tops))
        for path in [top, *_below(top)]:
            relative = path.relative_to(var)
            place, name = target / relative, f"var/{relative.as_posix()}"
            if path.is_symlink():
                place.symlink_to(path.readlink())
            elif path.is_dir():
                place.mkdir(mode=0o700 | path.stat().st_mode & 0o777)
            elif path.is_file():
                old = before / name if before else None
                if old is not None and name in known and _same(path, old):
                    os.link(old, place)
                    sums[name], linked = known[name], linked + 1
                elif digest := _copy_file(path, place):
                    sums[name] = digest
    report("files", len(tops), len(tops))
    return sums, linked


def _below(folder: Path) -> Iterator[Path]:
    """Everything below a folder, folders before what is in them; links are not followed, and logs are left out."""
    if folder.is_symlink() or not folder.is_dir():
        return
    try:
        inside = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    for path in inside:
        if folder.parent.name == "dachs" and path.name.startswith(("logs", "tmp")):
            continue
        yield path
        yield from _below(path)


def _same(path: Path, old: Path) -> bool:
    """Whether a file did not change since an earlier backup: products are never written in place."""
    if not old.is_file() or "products" not in path.parts:
        return False
    now, then = path.stat(), old.stat()
    return (now.st_size, now.st_mtime_ns, now.st_mode) == (then.st_size, then.st_mtime_ns, then.st_mode)


def _copy_file(source: Path, target: Path) -> str:
    """Copy a file and return its checksum; '' where it has just gone away, as the job files of a server at work do."""
    digest = hashlib.sha256()
    try:
        reading = source.open("rb")
    except FileNotFoundError:
        return ""
    with reading, target.open("wb") as writing:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            writing.write(chunk)
    shutil.copystat(source, target)
    return digest.hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as stream:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _read_sums(folder: Path) -> dict[str, str]:
    lines = (folder / SUMS).read_text("utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def check_backup(folder: Path, report: Report = lambda *_: None) -> dict[str, Any]:
    """Read every file of a backup and compare its checksum; returns backup.json.

    Raises
    ------
    OpsError
        It is no backup, or files are missing, changed, or there are others.
    """
    if not (folder / "backup.json").is_file() or not (folder / SUMS).is_file():
        raise OpsError(f"{folder} is no backup: it has no backup.json and {SUMS}", "Name a folder that `specola backup` made.")
    wanted = _read_sums(folder)
    wrong = []
    for number, (path, digest) in enumerate(wanted.items(), start=1):
        try:
            with (folder / path).open("rb") as stream:
                good = hashlib.file_digest(stream, "sha256").hexdigest() == digest
        except OSError:
            good = False
        if not good:
            wrong.append(path)
        if number % 200 == 0 or number == len(wanted):
            report("checking", number, len(wanted))
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    wrong += sorted(there - set(wanted) - {SUMS})
    if wrong:
        shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise OpsError(
            f"{folder}: {len(wrong)} files are missing, changed or do not belong there: {shown}", "Use another backup."
        )
    about: dict[str, Any] = json.loads((folder / "backup.json").read_text("utf-8"))
    return about

"""Files written whole or not at all, private folders, templates, the lock of an installation."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops.errors import OpsError, SettingsError
from ops.house import House

__all__ = ["locked", "make_folders", "private_folder", "render", "secret", "write"]

_PLACE = re.compile(r"@\{(\w+)\}")


def write(path: Path, text: str, mode: int = 0o600) -> bool:
    """Write a file by rename, unless it already holds this text.

    :returns: True when the file changed
    """
    if path.is_file() and path.read_text() == text and stat.S_IMODE(path.stat().st_mode) == mode:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as target:
        target.write(text)
        target.flush()
        os.fsync(target.fileno())
    new.chmod(mode)
    new.replace(path)
    return True


def render(template: Path, values: Mapping[str, object]) -> str:
    """Fill the ``@{name}`` places of a template; everything else, ``$`` and ``%`` too, stays as it is.

    :raises OpsError: for a place without a value
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise OpsError(f"{template}: no value for @{{{match[1]}}}", f"Known are: {', '.join(sorted(values))}.")
        return str(values[match[1]])

    return _PLACE.sub(value, template.read_text())


def secret(path: Path) -> str:
    """The password kept in a file (0600), made on the first call: 32 URL-safe characters, 192 bits."""
    if not path.exists():
        write(path, secrets.token_urlsafe(24) + "\n")
    return path.read_text().strip()


def private_folder(folder: Path) -> Path:
    """Make a folder only its owner can enter.

    :raises SettingsError: when it can not be made, or something else is there: a link, a file, or somebody else's folder
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"cannot make the folder {folder}: {error.strerror}", "SPECOLA_VAR must name a folder this account may write to."
        ) from error
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SettingsError(
            f"{folder} is not a folder of this account (uid {os.getuid()})", "Remove it, or choose another SPECOLA_VAR."
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def make_folders(house: House) -> None:
    """Make the folders of an installation.

    :raises SettingsError: when SPECOLA_VAR can not be written
    """
    for folder in (house.var, house.secrets, house.sockets, house.var / "run"):
        private_folder(folder)
    for name in ("home", "logs", "etc", "nginx", "www/portal", "postgres"):
        (house.var / name).mkdir(parents=True, exist_ok=True)
    for archive in house.archives:
        archive.products.mkdir(parents=True, exist_ok=True)


@contextmanager
def locked(house: House) -> Iterator[int]:
    """Hold the installation against other set-ups; yields the lock's descriptor.

    Pass the descriptor on to programs that change the installation (``pass_fds``): should we be killed, the lock is
    held until they have ended too.
    """
    private_folder(house.var)
    with (house.var / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()

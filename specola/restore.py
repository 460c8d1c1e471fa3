"""Bring an installation back from a backup (:mod:`specola.backup`).

Everything is copied beside its place first; then the parts change places by renaming, under a marker that keeps `specola up` from
starting what is only half there. A restore that was interrupted is completed by running it again: the backup is only read.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ops.errors import OpsError
from ops.files import locked, private_folder
from ops.house import House
from ops.raising import RESTORING
from ops.supervision import Supervisor
from specola.backup import MADE_ANEW, Report, check_backup, identity_of

__all__ = ["restore"]


def restore(house: House, folder: Path, *, overwrite: bool = False, report: Report = lambda *_: None) -> None:
    """Bring an installation back to what it was when the backup was made; start it with `specola up`.

    Parameters
    ----------
    folder
        A backup. Every file of it is checked before anything is changed.
    overwrite
        Allow it where there are databases or products already; they are removed.

    Raises
    ------
    OpsError
        The installation runs, or is another one, or holds something; or the backup is damaged. Nothing was changed then.
    """
    folder = folder.absolute()
    about = check_backup(folder, report)
    for name, value in identity_of(house).items():
        found = about["installation"].get(name)
        if found != value:
            raise OpsError(
                f"the backup is of an installation with {name} = {found}, and this one has {value}",
                "Set the variables as they were: paths and addresses stand in the databases.",
            )
    if Supervisor(house).is_running():
        raise OpsError("the installation runs", "Run `specola down` first.")
    private_folder(house.var)
    with locked(house):
        marker, part, old = house.var / RESTORING, house.var / ".restore.part", house.var / ".restore.old"
        present = [path for path in (house.var / "postgres", house.var / "products") if path.is_dir() and any(path.iterdir())]
        if present and not overwrite and not marker.exists():
            raise OpsError(f"there is something in {present[0]} already", "Use --overwrite to replace it by the backup.")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        try:
            report("copying", 0, 2)
            shutil.copytree(folder / "var", part, symlinks=True, dirs_exist_ok=True)
            report("copying", 1, 2)
            shutil.copytree(folder / "postgres", part / "postgres", symlinks=True)
            report("copying", 2, 2)
        except OSError as error:
            shutil.rmtree(part, ignore_errors=True)
            raise OpsError(f"the backup could not be copied to {part}: {error}", "Make room; nothing was changed.") from error
        marker.write_text(f"{folder}\n")
        shutil.rmtree(old, ignore_errors=True)
        old.mkdir(mode=0o700)
        kept = {"lock", RESTORING, part.name, old.name, *(MADE_ANEW - {"postgres"})}
        for path in list(house.var.iterdir()):
            if path.name not in kept:
                path.rename(old / path.name)
        for path in list(part.iterdir()):
            path.rename(house.var / path.name)
        os.sync()
        marker.unlink()
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

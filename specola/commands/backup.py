"""``specola backup``, ``specola restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.house import House
from specola.commands.common import Json, print_json
from specola.commands.ingest import bars

__all__ = ["register"]

BACKUP = """**Examples**

`specola backup /backup`  makes /backup/specola-20260401T030000Z, while everything goes on

`specola backup /backup --keep 14`  and removes all but the newest fourteen

`specola backup --check /backup/specola-20260401T030000Z`  reads every file of a backup again

It may be interrupted at any time: a backup appears under its name when it is whole. docs/backup.md."""

RESTORE = """**Examples**

`specola down`, then `specola restore /backup/specola-20260401T030000Z`, then `specola up`

`specola restore --overwrite /backup/specola-20260401T030000Z`  replaces what is there

If it is interrupted, run it again: until it has ended, `specola up` refuses to start."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=BACKUP)(backup)
    app.command(epilog=RESTORE)(restore)


def backup(
    folder: Annotated[Path, typer.Argument(help="Folder of backups; each gets a folder of its own in it.")],
    keep: Annotated[int, typer.Option(min=0, help="Keep so many of the newest, remove the others; 0 keeps all.")] = 0,
    check: Annotated[bool, typer.Option("--check", help="Do not make one: check the one that FOLDER is.")] = False,
    as_json: Json = False,
) -> None:
    """Keep databases, products, secrets and all else of the installation that can not be made again."""
    from specola import backup as backups

    with bars(quiet=as_json) as report:
        if check:
            about = backups.check_backup(folder, report)
        else:
            made = backups.backup(House.from_environment(), folder, keep=keep, report=report)
    if check:
        if as_json:
            print_json(about)
        else:
            typer.echo(f"{folder}: all {about['files'] + 1} files are as they were, {about['made']}.")
    elif as_json:
        print_json({"folder": made.folder, "files": made.files, "bytes": made.size, "linked": made.linked})
    else:
        typer.echo(f"{made.folder}: {made.files} files, {made.size / 1e6:,.1f} MB, {made.linked} of them linked.")


def restore(
    folder: Annotated[Path, typer.Argument(help="A backup.", exists=True, file_okay=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what the installation holds now.")] = False,
) -> None:
    """Bring the installation back from a backup."""
    from specola.restore import restore as bring_back

    with bars() as report:
        bring_back(House.from_environment(), folder, overwrite=overwrite, report=report)
    typer.echo("The installation is as it was when the backup was made. Start it with `specola up`.")

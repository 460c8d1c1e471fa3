"""``specola logs``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ops.errors import OpsError
from ops.house import House

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="**Examples**\n\n`specola logs`\n\n`specola logs dachs-public -n 100`\n\n`specola logs nginx -f`")(logs)


def files_of(house: House) -> dict[str, list[Path]]:
    """The log files of every service; DaCHS keeps two of its own besides what it prints."""
    found = {path.stem: [path] for path in sorted(house.logs.glob("*.log"))}
    for archive in house.archives:
        own = [path for name in ("dcErrors", "dcInfos", "web.log") if (path := archive.root / "logs" / name).exists()]
        if own:
            found.setdefault(f"dachs-{archive.name}", []).extend(own)
    return found


def logs(
    service: Annotated[str | None, typer.Argument(help="A service as `specola status` names it; all without one.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as the logs grow.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="Lines from the end of each.")] = 20,
) -> None:
    """Show the end of the servers' logs."""
    found = files_of(House.from_environment())
    if not found:
        raise OpsError("there are no logs: nothing ran yet", "Run `specola up`.")
    if service is not None and service not in found:
        raise OpsError(f"there is no log of {service!r}", f"There are logs of: {', '.join(sorted(found))}.")
    paths = [str(path) for name, paths in found.items() if service in (None, name) for path in paths]
    command = ["tail", "-n", str(lines), *(["-F"] if follow else []), *paths]
    os.execvp("tail", command)  # noqa: S606 - tail does this better than we would

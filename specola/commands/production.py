"""``specola production``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.house import House

__all__ = ["register"]


EPILOG = """**Examples**

`specola production archive.example.org`

`specola production archive.example.org --team team.example.org`  also the team's portal and staging archive"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(production)


def production(
    host: Annotated[str, typer.Argument(help="Name under which the world reaches the public archive.")],
    team: Annotated[str, typer.Option(help="Name under which the team reaches the portal and, on port 8443, staging.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder to write to; `etc/production` in SPECOLA_VAR without it.")] = None,
) -> None:
    """Write the systemd unit, its settings and the TLS fronts for a production machine. Nothing is installed."""
    from ops.production import render_production

    house = House.from_environment()
    for path in render_production(house, host, out or house.etc / "production", team):
        typer.echo(path)

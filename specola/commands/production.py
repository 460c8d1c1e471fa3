"""``specola production``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.house import House

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="**Example**\n\n`specola production archive.example.org`")(production)


def production(
    host: Annotated[str, typer.Argument(help="Name under which the world reaches the public archive.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; `etc/production` in SPECOLA_VAR without it.")] = None,
) -> None:
    """Write the systemd unit, its settings and the TLS front for a production machine. Nothing is installed."""
    from ops.production import render_production

    house = House.from_environment()
    for path in render_production(house, host, out or house.etc / "production"):
        typer.echo(path)

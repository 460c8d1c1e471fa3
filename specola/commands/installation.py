"""``specola up``, ``down`` and ``restart``."""

from __future__ import annotations

from typing import Annotated

import typer

from ops.house import House
from specola.commands.common import Json, print_json, raise_all, steps

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="**Examples**\n\n`specola up`\n\n`SPECOLA_PORT=9080 SPECOLA_VAR=/srv/specola specola up`")(up)
    app.command(epilog="**Example**\n\n`specola down`")(down)
    app.command(epilog="**Examples**\n\n`specola restart`\n\n`specola restart nginx`")(restart)


def addresses(house: House) -> dict[str, str]:
    """The addresses of what runs."""
    return {
        "portal": f"{house.url}/",
        "public": f"{house.archive('public').url}/",
        "public_tap": f"{house.archive('public').url}/tap",
        "staging": f"{house.archive('staging').url}/",
    }


def up(as_json: Json = False) -> None:
    """Set up what is missing, start everything, return when all of it answers.

    Two PostgreSQL clusters, two DaCHS servers and an nginx, all on loopback, all below SPECOLA_VAR. May be called again at any
    time: it starts what does not run and follows settings that changed.
    """
    house = House.from_environment()
    with steps(quiet=as_json) as report:
        raise_all(house, report)
    found = addresses(house)
    if as_json:
        print_json(found)
        return
    typer.echo(f"  portal          {found['portal']}")
    typer.echo(f"  public archive  {found['public']}   TAP: {found['public_tap']}")
    typer.echo(f"  staging archive {found['staging']}")


def down() -> None:
    """Stop everything that runs; nothing is lost."""
    from ops.raising import lower

    house = House.from_environment()
    typer.echo("stopped" if lower(house) else "nothing was running")


def restart(services: Annotated[list[str] | None, typer.Argument(help="Services; without one, the two DaCHS.")] = None) -> None:
    """Restart services, the two DaCHS when none is named, so that they take up changed code."""
    from ops.raising import restart as restart_services

    with steps() as report:
        restart_services(House.from_environment(), services or [], report)

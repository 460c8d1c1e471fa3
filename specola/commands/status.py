"""``specola status``."""

from __future__ import annotations

import time

import typer

from ops.house import House
from specola.commands.common import Json, print_json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="**Examples**\n\n`specola status`\n\n`specola status --json | jq .running`")(status)


def status(as_json: Json = False) -> None:
    """Show what runs, since when, and whether the archives answer. Status 0 when everything does, else 3."""
    from ops.probes import answers
    from ops.report import status_of

    house = House.from_environment()
    found = status_of(house, answers)
    if as_json:
        print_json(found.as_dict())
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for heading in ("service", "state", "process", "up for", "answers"):
            table.add_column(heading)
        for row in found.services:
            colour = "green" if row.state == "RUNNING" and row.answers is not False else "red"
            shown = {True: "yes", False: "no", None: ""}[row.answers]
            table.add_row(row.name, f"[{colour}]{row.state.lower()}[/]", str(row.pid or ""), _age(row.since), shown)
        Console().print(table)
        places: dict[str, object] = {
            "folder": house.var,
            "portal": house.url,
            **{archive.name: archive.url for archive in house.archives},
        }
        typer.echo("\n" + "\n".join(f"{name:8}{place}" for name, place in places.items()))
    if not found.running:
        raise typer.Exit(3)


def _age(since: int) -> str:
    if not since:
        return ""
    seconds = int(time.time()) - since
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"

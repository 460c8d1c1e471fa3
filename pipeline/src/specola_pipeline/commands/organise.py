"""``specola-reduce organise``: what lies in a directory, what belongs together, what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]

EPILOG = """**Examples**

`specola-reduce organise night/raw`

`specola-reduce organise night/raw --json`

`specola-reduce organise night/raw --link sorted`"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(organise)


def organise(
    folder: Annotated[Path, typer.Argument(help="Directory of raw frames; all below it is looked at.")],
    link: Annotated[Path | None, typer.Option(help="Make a tree of symbolic links here: night/quadrant_grism_mask/kind.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, no progress.")] = False,
) -> None:
    """Say what raw frames are there, by their headers, and what each needs to be reduced.

    Nothing is moved or written, unless --link is given. Ends with status 1 when something that is needed is missing.
    """
    from rich.console import Console
    from rich.progress import Progress

    from specola_pipeline import organise as library
    from specola_pipeline.errors import PipelineError

    errors = Console(stderr=True)
    try:
        with Progress(console=errors, disable=as_json, transient=True) as bar:
            task = bar.add_task("reading", total=None)
            entries = library.scan(folder, lambda done, total: bar.update(task, completed=done, total=total))
        plan = library.plan(entries)
        links = library.link(plan, link) if link else 0
    except (PipelineError, OSError) as error:
        errors.print(f"specola-reduce: {error}", style="red", markup=False)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(library.as_json(plan, folder), indent=1))
    else:
        library.print_report(plan, folder, Console())
        if link:
            typer.echo(f"{links} links in {link}")
    raise typer.Exit(0 if plan.groups and all(group.reducible for group in plan.groups) else 1)

"""``specola mock``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from specola.commands.common import Json, print_json

__all__ = ["register"]

EPILOG = """**Examples**

`specola mock /tmp/demo`  2,000 simulated spectra, the same every time

`specola mock /tmp/demo --seed 7 --overwrite`  another sky

`specola mock /tmp/large --spectra 100000`  for measuring how fast an archive is

What is in it, what is real and what is not: docs/demo-survey.md. `specola ingest` takes the bundle into an archive."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(mock)


def mock(
    path: Annotated[Path, typer.Argument(help="Where the bundle is to be.")],
    spectra: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many spectra.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 for one a core. The result does not depend on it.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Json = False,
) -> None:
    """Make a simulated survey in the manner of VIPERS, as a bundle."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ingest.mock.setup import Mock
    from ingest.mock.survey import write_mock

    columns = (TextColumn("simulating spectra"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=as_json) as bar:
        task = bar.add_task("", total=spectra)
        counts = write_mock(
            path,
            Mock(spectra, seed),
            workers=workers or None,
            overwrite=overwrite,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        print_json({"bundle": str(path), "spectra": spectra, "seed": seed, "counts": counts})
    else:
        typer.echo(f"{path}: a simulated survey of " + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + ".")

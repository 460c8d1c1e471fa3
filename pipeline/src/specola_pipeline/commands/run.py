"""``specola-reduce run``: a folder of raw frames to spectra."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    folder: Annotated[
        Path, typer.Argument(help="Folder with the raw frames, calibrations included.", exists=True, file_okay=False)
    ],
    output: Annotated[Path, typer.Argument(help="Where to: spectra/, report.html, qc.json, and work/ to resume from.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler, instead of own processes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON, no progress.")] = False,
) -> None:
    """Reduce raw frames to spectra: bias, flat, traces, wavelengths, cosmic rays, sky, extraction, flux.

    What fails is said in OUTPUT/report.html and stops nothing else; the exit status is then 2. A run that was interrupted resumes
    when it is started again.

    Examples:
        specola-reduce run night/raw reduced

        specola-reduce run night/raw reduced --workers 4

        specola-reduce run night/raw reduced --scheduler tcp://head:8786
    """
    from rich.console import Console
    from rich.progress import Progress

    from specola_pipeline.errors import PipelineError
    from specola_pipeline.reduce.run import run as reduce_folder

    console = Console(stderr=True)
    try:
        with Progress(console=console, disable=as_json) as bar:
            tasks = {name: bar.add_task(name, total=None) for name in ("calibrations", "exposures")}
            result = reduce_folder(
                folder,
                output,
                workers=workers,
                scheduler=scheduler,
                progress=lambda what, done, total: bar.update(tasks[what], completed=done, total=total),
            )
    except (PipelineError, OSError) as error:
        console.print(f"specola-reduce: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    if as_json:
        problems = [{"file": file, "problem": words} for file, words in result.problems]
        typer.echo(json.dumps({"files": [str(path) for path in result.files], "problems": problems, "slits": result.rows}))
    else:
        flagged = sum(bool(row["flags"]) for row in result.rows)
        typer.echo(
            f"{len(result.files)} slits reduced, {flagged} flagged, {len(result.problems)} problems: {output / 'report.html'}"
        )
        for _, words in result.problems:
            console.print(words, style="yellow", markup=False)
    if result.problems:
        raise typer.Exit(2)

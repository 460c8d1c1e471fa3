"""``specola-reduce run``: a folder of raw frames to spectra."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from specola_pipeline.reduce.results import Reduction

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    folder: Annotated[
        Path, typer.Argument(help="Folder with the raw frames, calibrations included.", exists=True, file_okay=False)
    ],
    output: Annotated[Path, typer.Argument(help="Where to; OUTPUT/work is kept to resume from.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler, instead of own processes.")] = None,
    seeing: Annotated[float, typer.Option(min=0.1, max=10, help="Expected FWHM of objects, arcsec.")] = 0.9,
    objects: Annotated[int, typer.Option(min=1, max=20, help="Most objects in a slit.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures and problems as JSON, no progress.")] = False,
) -> None:
    """Reduce raw frames to spectra: bias, flat, traces, wavelengths, cosmic rays, sky, extraction, combination, flux.

    What fails is named and stops nothing else; the exit status is then 2. A run that was interrupted resumes when it is started
    again.

    Examples:
        specola-reduce run night/raw reduced

        specola-reduce run night/raw reduced --workers 4

        specola-reduce run night/raw reduced --scheduler tcp://head:8786
    """
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from specola_pipeline.errors import PipelineError
    from specola_pipeline.reduce.run import run as reduce_folder
    from specola_pipeline.reduce.tasks import Parameters

    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    try:
        with Progress(console=console, disable=as_json) as bar:

            def report(what: str, done: int, total: int) -> None:
                if what not in bars:
                    bars[what] = bar.add_task(what)
                bar.update(bars[what], completed=done, total=total)

            result = reduce_folder(
                folder,
                output / "work",
                parameters=Parameters(seeing, objects),
                workers=workers,
                scheduler=scheduler,
                progress=report,
            )
    except (PipelineError, OSError) as error:
        console.print(f"specola-reduce: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(_figures(result)))
    else:
        _print(result, Console())
        for problem in result.problems:
            slit = f" slit {problem.slit}" if problem.slit else ""
            console.print(f"{problem.file}{slit}: {problem.words}", style="yellow", markup=False)
    if result.problems:
        raise typer.Exit(2)


def _figures(result: Reduction) -> dict[str, Any]:
    slits = [
        {
            "file": exposure.entry.path.name,
            "slit": one.identifier,
            "wavelength_rms": one.wavelength_rms,
            "sky_offset": one.sky_offset,
            "sky_chi": one.sky_chi,
            "line_chi": one.line_chi,
            "objects": one.objects,
            "snr": one.snr,
            "odd": list(one.odd),
        }
        for mask in result.masks
        for exposure in mask.exposures
        for one in exposure.quality
    ]
    clean = [{key: None if value != value else value for key, value in slit.items()} for slit in slits]  # noqa: PLR0124 - NaN
    return {"slits": clean, "problems": [asdict(problem) for problem in result.problems]}


def _print(result: Reduction, console: Console) -> None:
    import numpy as np
    from rich.table import Table

    table = Table(title="Medians over slits", title_justify="left")
    for name in ("file", "what", "slits", "failed", "arc rms", "sky offset", "sky χ", "line χ", "objects"):
        table.add_column(name, justify="left" if name in {"file", "what"} else "right")
    for mask in result.masks:
        for one in mask.exposures:
            columns = ("wavelength_rms", "sky_offset", "sky_chi", "line_chi")
            middle = [float(np.nanmedian([getattr(q, name) for q in one.quality] or [np.nan])) for name in columns]
            count = sum(q.objects for q in one.quality)
            failed = len(one.failed) + len(mask.failed)
            cells = [str(len(one.quality)), str(failed), *(f"{value:.3f}" for value in middle), str(count)]
            table.add_row(one.entry.path.name, str(mask.group.kind), *cells)
    console.print(table)

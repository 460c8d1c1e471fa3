"""``specola-reduce stack``: mean spectra at rest, by the bins of a column."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from specola_pipeline.commands.rows import told

__all__ = ["register"]

EPILOG = """**Examples**

`specola-reduce stack bundles/vandels stacks.fits --window 1420 1500`

`specola-reduce stack bundles/vandels stacks.fits --window 1420 1500 --by snr --edges 1,2,4 --redshifts vandels.jsonl`

`specola-reduce stack bundles/vipers stacks.fits --window 4000 4100 --by photometry.mag_i --bins 3`

What is in the file: docs/lines.md."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("stack", epilog=EPILOG)(stack)


def stack(
    source: Annotated[Path, typer.Argument(help="A bundle", show_default=False)],
    output: Annotated[Path, typer.Argument(help="FITS file to write, a table a bin", show_default=False)],
    window: Annotated[
        tuple[float, float], typer.Option(help="Rest wavelengths (Å) between which each spectrum's median becomes 1")
    ],
    by: Annotated[
        str | None,
        typer.Option(help="To bin by: a column of the manifest, a field of --redshifts, or TABLE.COLUMN; of words each is a bin"),
    ] = None,
    edges: Annotated[str | None, typer.Option(help="Edges of the bins, as in 0.5,1,2")] = None,
    bins: Annotated[int, typer.Option(min=1, help="Bins of equal numbers of spectra, instead of edges")] = 4,
    redshifts: Annotated[
        Path | None, typer.Option(help="What `redshift --output` wrote; without it the bundle's own redshifts are taken")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap")] = 0,
) -> None:
    """Average spectra at rest in the bins of a column, with bootstrap errors."""
    from rich.console import Console
    from rich.progress import Progress

    from specola_pipeline.errors import PipelineError
    from specola_pipeline.lines.stacks import stacked, write_stacks
    from specola_pipeline.redshift.readers import count_spectra

    console = Console(stderr=True)
    try:
        limits = [float(one) for one in edges.split(",")] if edges else None
    except ValueError as error:
        raise typer.BadParameter(f"found edges {edges}, expected numbers with commas, as in 0.5,1,2") from error
    if not 0 < window[0] < window[1]:
        raise typer.BadParameter(f"found window {window[0]:g} {window[1]:g}, expected two increasing wavelengths")
    with told(console):
        if not output.resolve().parent.is_dir():
            raise PipelineError(f"{output}: found no folder {output.parent}, expected a place that can be written to")
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("stacking", total=count_spectra(source))
            found = stacked(source, redshifts, window, by, limits, bins, seed, lambda: progress.advance(task))
        write_stacks(output, found, by, window)
    for one in found:
        left = f"{one.label}: {one.used} spectra, {one.left_out} left out (window not covered, or no light in it)"
        console.print(left, highlight=False, markup=False, soft_wrap=True)
    console.print(f"written to {output}", highlight=False, markup=False, soft_wrap=True)

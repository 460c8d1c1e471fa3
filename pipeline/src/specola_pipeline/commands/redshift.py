"""``specola-reduce redshift``: redshifts, classes and flags of spectra, without a person."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("redshift")(redshift)


def redshift(
    sources: Annotated[list[Path], typer.Argument(help="A bundle, or spectra as text or FITS", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a line of JSON a spectrum to this file; goes on where it was stopped"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes")] = max(1, os.cpu_count() or 1),
    templates: Annotated[
        list[Path] | None, typer.Option(help="Templates in redrock's format, instead of the package's own")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--class", help="Only this class: GALAXY, QSO or STAR; may be repeated")
    ] = None,
    medium: Annotated[str | None, typer.Option(help="air or vacuum, for files that do not say it")] = None,
    res_power: Annotated[
        float | None, typer.Option(min=1, help="Resolving power, where a file does not say it or is wrong")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print lines of JSON instead of a table")] = False,
) -> None:
    """Measure redshifts, classes and automatic flags of one-dimensional spectra.

    Every spectrum gets an answer; where there is no redshift the answer has the reason. What the numbers mean, and how far to
    trust them, is in docs/redshifts.md.

    Examples:
        specola-reduce redshift bundles/vandels --output vandels.jsonl

        specola-reduce redshift spec-3655-55240-0054.fits.gz --json
    """
    import json
    import sys
    from itertools import chain

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from specola_pipeline.errors import PipelineError
    from specola_pipeline.redshift.readers import count_spectra, read_spectra
    from specola_pipeline.redshift.run import measure_all, resume

    console = Console(stderr=True)
    wanted = tuple(name.upper() for name in only or ())
    if unknown := sorted(set(wanted) - {"GALAXY", "QSO", "STAR"}):
        raise typer.BadParameter(f"found class {', '.join(unknown)}, expected GALAXY, QSO or STAR")
    if medium not in {None, "air", "vacuum"}:
        raise typer.BadParameter(f"found medium {medium}, expected air or vacuum")
    try:
        part = output.with_name(output.name + ".part") if output else None
        done = resume(part) if part else set()
        counts = [count_spectra(path) for path in sources]
        total = None if None in counts and len(sources) == 1 else sum(count or 1 for count in counts)
        spectra = chain.from_iterable(read_spectra(path, medium, res_power) for path in sources)
        left = (one for one in spectra if one.name not in done)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        stream = part.open("a", encoding="utf-8") if part else None
        rows: list[dict[str, Any]] = []
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("redshifts", total=total, completed=len(done))
            for row in measure_all(left, workers, tuple(templates or ()), wanted):
                line = json.dumps(row, allow_nan=False)
                if stream:
                    stream.write(line + "\n")
                    stream.flush()
                elif json_:
                    sys.stdout.write(line + "\n")
                else:
                    rows.append(row)
                progress.advance(task)
        if stream and part and output:
            stream.close()
            part.replace(output)
            console.print(f"written to {output}")
    except PipelineError as error:
        console.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    if rows:
        Console().print(_table(rows))


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("spectrum", "z", "error", "class", "flag", "probability", "S/N", "features, or why there is no redshift")
    for row in rows:
        if row["z"] is None:
            table.add_row(row["spectrum"], "", "", "", "0", "", "", row["reason"])
            continue
        names = ", ".join(one["name"] for one in row["features"][:4] if one["evidence"] > 4)
        error = "" if row["z_err"] is None else f"{row['z_err']:.5f}"
        flag = f"{'1' if row['broad_line'] else ''}{row['confidence']}"
        table.add_row(
            row["spectrum"], f"{row['z']:.5f}", error, row["class"], flag, f"{row['probability']:.2f}", f"{row['snr']:.1f}", names
        )
    return table

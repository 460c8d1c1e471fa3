"""``specola-reduce redshift``: redshifts, classes and flags of spectra, without a person."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specola_pipeline.commands.rows import Row, as_json, part_of, rows_out, same_options, tell, told

if TYPE_CHECKING:
    from rich.console import Console

    from specola_pipeline.redshift.spectrum import Spectrum

__all__ = ["register"]

EPILOG = """**Examples**

`specola-reduce redshift bundles/vandels --output vandels.jsonl`

`specola-reduce redshift spec-3655-55240-0054.fits.gz --json`

`specola-reduce redshift bundles/vandels --bundle bundles/vandels-measured`

`specola-reduce redshift bundles/vandels --output vandels.jsonl --scheduler tcp://head:8786`

What the numbers mean, and how far to trust them: docs/redshifts.md."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("redshift", epilog=EPILOG)(redshift)


def redshift(
    sources: Annotated[list[Path], typer.Argument(help="A bundle, or spectra as text or FITS", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a line of JSON a spectrum to this file; goes on where it was stopped"),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Write the bundle anew with redshifts, candidates, lines, indices and models, as specola ingest takes it;"
            " goes on where it was stopped"
        ),
    ] = None,
    release: Annotated[str | None, typer.Option(help="With --bundle: name of the new release, instead of the old one's")] = None,
    scheme: Annotated[
        str | None,
        typer.Option(help="With --bundle: of the flags, vipers, vandels, zcosmos, sdss or desi; the survey's own without it"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes")] = max(1, os.cpu_count() or 1),
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler, instead of own processes")] = None,
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

    Every spectrum gets an answer; where there is no redshift the answer has the reason. A file that can not be read stops none
    of the others; the exit status is then 2.
    """
    from rich.console import Console

    wanted = tuple(name.upper() for name in only or ())
    if unknown := sorted(set(wanted) - {"GALAXY", "QSO", "STAR"}):
        raise typer.BadParameter(f"found class {', '.join(unknown)}, expected GALAXY, QSO or STAR")
    if medium not in {None, "air", "vacuum"}:
        raise typer.BadParameter(f"found medium {medium}, expected air or vacuum")
    if bundle is None and (release or scheme):
        raise typer.BadParameter("--release and --scheme say how a bundle is to be written, and want --bundle")
    if bundle is not None and (output or json_ or medium or len(sources) != 1):
        raise typer.BadParameter("--bundle wants one bundle, and goes with neither --output nor --json nor --medium")
    console = Console(stderr=True)
    how = {"templates": tuple(templates or ()), "classes": wanted, "workers": workers, "scheduler": scheduler}
    if bundle is not None:
        _to_bundle(sources[0], bundle, {**how, "res_power": res_power, "scheme": scheme, "release": release}, console)
    else:
        _to_lines(sources, output, (medium, res_power), how, json_=json_, console=console)


def _to_lines(
    sources: list[Path], output: Path | None, reading: tuple[str | None, float | None], how: dict[str, Any], *,
    json_: bool, console: Console,
) -> None:  # fmt: skip
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from specola_pipeline.redshift.readers import count_spectra, read_sources
    from specola_pipeline.redshift.run import measure_all, resume

    rows: list[Row] = []
    faults: list[str] = []
    with told(console):
        options = {"templates": how["templates"], "classes": how["classes"], "reading": reading}
        if output:
            same_options(output, options)
        done = resume(part_of(output)) if output else set()
        counts = [count_spectra(path) for path in sources]
        total = None if None in counts and len(sources) == 1 else sum(count or 1 for count in counts)
        spectra = read_sources(sources, *reading, leave_out=done)

        def left() -> Iterator[Spectrum]:
            for one in spectra:
                if one.name not in done:
                    faults.extend([one.fault] if one.fault else [])
                    yield one

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with (
            rows_out(output, console, as_json if json_ else rows.append, options=options) as write,
            Progress(*columns, console=console, transient=True) as progress,
        ):
            task = progress.add_task("redshifts", total=total, completed=len(done))
            for row in measure_all(left(), **how):
                write(row)
                progress.advance(task)
    if rows:
        _print(rows)
    for fault in faults:
        tell(console, fault)
    if faults:
        raise typer.Exit(2)


def _to_bundle(source: Path, target: Path, options: dict[str, Any], console: Console) -> None:
    from rich.progress import Progress, TaskID

    from specola_pipeline.errors import PipelineError

    with told(console):
        try:
            from specola_bundle.errors import IngestError
        except ModuleNotFoundError:
            raise PipelineError("bundles need the package specola-bundle: pip install ./bundle beside ./pipeline") from None
        from specola_pipeline.derived.write import Options, measure_bundle

        bars: dict[str, TaskID] = {}
        with Progress(console=console, transient=True) as bar:

            def report(what: str, done: int, total: int) -> None:
                if what not in bars:
                    bars[what] = bar.add_task(what)
                bar.update(bars[what], completed=done, total=total)

            try:
                counts = measure_bundle(source, target, Options(**options), progress=report)
            except IngestError as error:
                raise PipelineError(str(error)) from error
    rows = ", ".join(f"{count} {name}" for name, count in counts.items())
    console.print(f"written to {target}: {rows}", highlight=False, markup=False, soft_wrap=True)


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        # A file or a pipe has no width: names and reasons are not to be broken.
        console.width = max(console.width, 200)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("spectrum", overflow="fold", min_width=20)
    for name in ("z", "error", "class", "flag", "prob.", "S/N"):
        table.add_column(name, no_wrap=True)
    table.add_column("features, or why there is no redshift", overflow="fold")
    for row in rows:
        name = escape(row["spectrum"])
        if row["z"] is None:
            table.add_row(name, "", "", "", "0", "", "", escape(row["reason"]))
            continue
        names = ", ".join(one["name"] for one in row["features"][:4] if one["evidence"] > 4)
        error = "" if row["z_err"] is None else f"{row['z_err']:.5f}"
        flag = f"{'1' if row['broad_line'] else ''}{row['confidence']}"
        numbers = f"{row['z']:.5f}", error, row["class"], flag, f"{row['probability']:.2f}", f"{row['snr']:.1f}"
        table.add_row(name, *numbers, escape(names))
    console.print(table)

"""``specola-reduce run``: a folder of raw frames to spectra."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from specola_pipeline.quality.rows import Quality
    from specola_pipeline.reduce.results import Reduction

    Bundler = Callable[[Reduction, Quality, Path, Callable[[str, int, int], None]], Path]

__all__ = ["register"]

EPILOG = """**Examples**

`specola-reduce run night/raw reduced`

`specola-reduce run night/raw reduced --workers 4 --survey my_survey/survey.toml`

`specola-reduce run night/raw reduced --scheduler tcp://head:8786`"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(run)


def run(
    folder: Annotated[
        Path, typer.Argument(help="Folder with the raw frames, calibrations included.", exists=True, file_okay=False)
    ],
    output: Annotated[
        Path,
        typer.Argument(help="Where to: report.html, qc.json, qc.parquet, bundle/, and work/ to resume from.", file_okay=False),
    ],
    survey: Annotated[
        Path | None, typer.Option(help="A survey.toml: then OUTPUT/bundle is written, as specola ingest takes it.", exists=True)
    ] = None,
    thresholds: Annotated[
        Path | None, typer.Option(help="Limits of quality control in the place of the package's.", exists=True, dir_okay=False)
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler, instead of own processes.")] = None,
    seeing: Annotated[float, typer.Option(min=0.1, max=10, help="Expected FWHM of objects, arcsec.")] = 0.9,
    objects: Annotated[int, typer.Option(min=1, max=20, help="Most objects in a slit.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures and problems as JSON, no progress.")] = False,
) -> None:
    """Reduce raw frames to spectra: bias, flat, traces, wavelengths, cosmic rays, sky, extraction, combination, flux.

    What fails is named in OUTPUT/report.html and stops nothing else; the exit status is then 2. A run that was interrupted
    resumes when it is started again.
    """
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from specola_pipeline.errors import PipelineError
    from specola_pipeline.quality.report import write_report
    from specola_pipeline.quality.rows import judge
    from specola_pipeline.quality.thresholds import read_thresholds
    from specola_pipeline.reduce.run import run as reduce_folder
    from specola_pipeline.reduce.tasks import Parameters

    console = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    try:
        limits, bundler = read_thresholds(thresholds), _bundler(survey)
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
            quality = judge(result, limits)
            page = write_report(quality, result, output)
            bundle = bundler(result, quality, output / "bundle", report) if bundler else None
    except (PipelineError, OSError) as error:
        console.print(f"specola-reduce: {error}", style="red", markup=False)
        raise typer.Exit(1) from None
    if as_json:
        made = {"report": str(page), "bundle": str(bundle) if bundle else None, "failed": quality.failed, "rows": quality.rows}
        typer.echo(json.dumps(made, allow_nan=False))
    else:
        _print(result, Console())
        for row in (row for row in quality.rows if row["flags"]):
            slit = f" slit {row['slit']}" if row["slit"] else ""
            colour = "red" if row["state"] == "rejected" else "yellow"
            console.print(f"{row['file']}{slit}: {row['flags']}", style=colour, markup=False)
        for path in (page, bundle):
            if path:
                typer.echo(path)
    if quality.failed:
        raise typer.Exit(2)


def _bundler(survey: Path | None) -> Bundler | None:
    """What writes the bundle, None where none is asked for. It is made before the reduction: what is wrong is to be known then.

    Raises PipelineError where the survey's description is wrong, or the package that writes bundles is not installed.
    """
    from specola_pipeline.errors import PipelineError

    if survey is None:
        return None
    try:
        from specola_bundle.errors import IngestError
        from specola_bundle.survey import load_survey
    except ModuleNotFoundError:
        raise PipelineError("bundles need the package specola-bundle: pip install ./bundle beside ./pipeline.") from None
    from specola_pipeline.bundle.write import write_bundle

    try:
        described = load_survey(survey)
    except IngestError as error:
        raise PipelineError(str(error)) from error

    def write(result: Reduction, quality: Quality, target: Path, progress: Callable[[str, int, int], None]) -> Path:
        try:
            return write_bundle(result, quality, described, target, overwrite=True, progress=progress).path
        except IngestError as error:
            raise PipelineError(str(error)) from error

    return write


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

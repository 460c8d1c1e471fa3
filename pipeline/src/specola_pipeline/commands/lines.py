"""``specola-reduce lines``: lines and indices of spectra with known redshifts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lines")(lines)


def lines(
    source: Annotated[Path, typer.Argument(help="A bundle, or a spectrum as text or FITS", show_default=False)],
    z: Annotated[float | None, typer.Option("--z", help="The redshift, of a single spectrum")] = None,
    redshifts: Annotated[
        Path | None, typer.Option(help="What `redshift --output` wrote; without it a bundle's own redshifts are taken")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a line of JSON a spectrum to this file")] = None,
    medium: Annotated[str | None, typer.Option(help="air or vacuum, for files that do not say it")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print lines of JSON instead of a table")] = False,
) -> None:
    """Measure lines (flux, equivalent width, width, velocity, limits) and indices (D4000, Lick's bands) at known redshifts.

    What the numbers mean is in docs/lines.md.

    Examples:
        specola-reduce lines spec-0266-51602-0013.fits.gz --z 0.1213

        specola-reduce lines bundles/vandels --redshifts vandels.jsonl --output lines.jsonl
    """
    import json
    import sys

    from rich.console import Console
    from rich.progress import track

    from specola_pipeline.errors import PipelineError
    from specola_pipeline.lines.run import known_redshifts, line_results
    from specola_pipeline.redshift.readers import count_spectra

    console = Console(stderr=True)
    if medium not in {None, "air", "vacuum"}:
        raise typer.BadParameter(f"found medium {medium}, expected air or vacuum")
    try:
        known = None if z is not None else known_redshifts(source, redshifts)
        found = line_results(source, z if z is not None else known, medium)
        part = output.with_name(output.name + ".part") if output else None
        stream = part.open("w", encoding="utf-8") if part else None
        for row in track(found, "lines", count_spectra(source) or 1, console=console, transient=True):
            if stream:
                stream.write(json.dumps(row, allow_nan=False) + "\n")
            elif json_:
                sys.stdout.write(json.dumps(row, allow_nan=False) + "\n")
            else:
                Console().print(_table(row))
        if stream and part and output:
            stream.close()
            part.replace(output)
            console.print(f"written to {output}")
    except PipelineError as error:
        console.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def _table(row: dict[str, Any]) -> Any:
    from rich.table import Table

    title = f"{row['spectrum']}, z = {row['z']:.5f}" if row["z"] is not None else row["spectrum"]
    if row["reason"]:
        return f"{title}: {row['reason']}"
    table = Table("line", "flux", "EW [Å]", "sigma [km/s]", "velocity [km/s]", "S/N", title=title, title_justify="left")
    for one in row["lines"]:
        flux = f"{one['flux']:.3g} ± {one['flux_err']:.2g}" if one["detected"] else f"< {one['flux_limit']:.3g}"
        cells = [
            "" if one[name] is None else f"{one[name]:.{digits}f} ± {one[name + '_err']:.{digits}f}"
            for name, digits in (("ew", 2), ("sigma", 0), ("velocity", 0))
        ]
        table.add_row(one["line"], flux, *cells, f"{one['snr']:.1f}")
    table.add_section()
    for one in row["indices"]:
        table.add_row(one["name"], "", f"{one['value']:.3f} ± {one['value_err']:.3f} {one['unit']}")
    return table

"""``specola-reduce lines``: lines and indices of spectra with known redshifts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from specola_pipeline.commands.rows import Row, as_json, rows_out, told

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["register"]

EPILOG = """**Examples**

`specola-reduce lines spec-0266-51602-0013.fits.gz --z 0.1213`

`specola-reduce lines spec-3655-55240-0436.fits.gz --z 0.8763 --broad`

`specola-reduce lines bundles/vandels --redshifts vandels.jsonl --output lines.jsonl`

What the numbers mean: docs/lines.md."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lines", epilog=EPILOG)(lines)


def lines(
    source: Annotated[Path, typer.Argument(help="A bundle, or a spectrum as text or FITS", show_default=False)],
    z: Annotated[float | None, typer.Option("--z", help="The redshift, of a single spectrum")] = None,
    broad: Annotated[bool, typer.Option("--broad", help="With --z: lines may be as broad as a quasar's")] = False,
    redshifts: Annotated[
        Path | None, typer.Option(help="What `redshift --output` wrote; without it a bundle's own redshifts are taken")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a line of JSON a spectrum to this file")] = None,
    medium: Annotated[str | None, typer.Option(help="air or vacuum, for files that do not say it")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print lines of JSON instead of a table")] = False,
) -> None:
    """Measure lines (flux, equivalent width, width, velocity, limits) and indices (D4000, Lick's bands) at known redshifts."""
    from functools import partial

    from rich.console import Console
    from rich.progress import track

    from specola_pipeline.lines.run import known_redshifts, line_results
    from specola_pipeline.redshift.readers import count_spectra

    console = Console(stderr=True)
    if medium not in {None, "air", "vacuum"}:
        raise typer.BadParameter(f"found medium {medium}, expected air or vacuum")
    if z is not None and (redshifts or source.is_dir()):
        raise typer.BadParameter("--z is the redshift of a single spectrum, and goes with neither --redshifts nor a bundle")
    if broad and z is None:
        raise typer.BadParameter("--broad goes with --z; otherwise the class that comes with a redshift says what is broad")
    with told(console):
        known = None if z is not None else known_redshifts(source, redshifts)
        found = line_results(source, z if z is not None else known, medium, broad=broad)
        with rows_out(output, console, as_json if json_ else partial(_print, Console())) as write:
            for row in track(found, "lines", count_spectra(source) or 1, console=console, transient=True):
                write(row)


def _print(console: Console, row: Row) -> None:
    from rich.markup import escape
    from rich.table import Table

    if not console.is_terminal:
        # A file or a pipe has no width: numbers are not to be broken.
        console.width = max(console.width, 200)
    title = f"{row['spectrum']}, z = {row['z']:.5f}" if row["z"] is not None else row["spectrum"]
    if row["reason"]:
        console.print(f"{title}: {row['reason']}", highlight=False, markup=False, soft_wrap=True)
        return
    table = Table(title=escape(title), title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in ("line", "flux", "EW [Å]", "sigma [km/s]", "velocity [km/s]", "S/N"):
        table.add_column(escape(name), overflow="fold")
    for one in row["lines"]:
        flux = f"{one['flux']:.3g} ± {one['flux_err']:.2g}" if one["detected"] else f"< {one['flux_limit']:.3g}"
        cells = [
            "" if one[name] is None else f"{one[name]:.{digits}f} ± {one[name + '_err']:.{digits}f}"
            for name, digits in (("ew", 2), ("sigma", 0), ("velocity", 0))
        ]
        table.add_row(escape(one["line"]), flux, *cells, f"{one['snr']:.1f}")
    table.add_section()
    for one in row["indices"]:
        unit = {"Angstrom": "", "mag": " mag"}.get(one["unit"], "")
        table.add_row(one["name"], "", f"{one['value']:.3f} ± {one['value_err']:.3f}{unit}")
    console.print(table)

"""``specola validate``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from specola.commands.common import Json, print_json

if TYPE_CHECKING:
    from specola_bundle.sdp.rules import Breach

__all__ = ["register"]

EPILOG = """**Examples**

`specola validate spectrum.fits`  checks one file against ESO's standard for 1D spectra (ESO-044286)

`specola validate bundle/spectra`  checks every FITS file below a folder

`specola validate --json *.fits > findings.json`  for a script

Exit status 1 where a file breaks a rule, 0 where none does. docs/spectrum-file.md has the rules."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(validate)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.name.endswith((".fits", ".fits.gz")))
        else:
            yield path


def validate(
    files: Annotated[list[Path], typer.Argument(help="FITS files, or folders of them.", exists=True)],
    as_json: Json = False,
) -> None:
    """Check spectra against ESO's Science Data Product standard."""
    from rich.console import Console
    from rich.progress import track

    from specola_bundle.sdp.validate import validate as breaches_of

    paths = list(_files(files))
    if not paths:
        raise typer.BadParameter("found no FITS files in these folders")
    progress = Console(stderr=True)
    found: list[tuple[Path, Breach]] = [
        (path, breach)
        for path in track(paths, "checking", console=progress, transient=True, disable=as_json or not progress.is_terminal)
        for breach in breaches_of(path)
    ]
    wrong = {path for path, breach in found if not breach.note}
    if as_json:
        rows = [
            {"file": str(path), "rule": one.rule, "note": one.note, "where": one.where, "found": one.found,
             "expected": one.expected, "remedy": one.remedy}
            for path, one in found
        ]  # fmt: skip
        print_json({"files": len(paths), "failed": len(wrong), "findings": rows})
    else:
        _print(found, several=len(paths) > 1)
        typer.echo(f"{len(paths)} file{'s' if len(paths) > 1 else ''}: {len(paths) - len(wrong)} right, {len(wrong)} wrong.")
    raise typer.Exit(1 if wrong else 0)


def _print(found: list[tuple[Path, Breach]], *, several: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not found:
        return
    table = Table(show_lines=False, expand=False)
    for name in (*(("file",) if several else ()), "rule", "where", "found", "expected", "what to do"):
        table.add_column(name, overflow="fold")
    for path, one in found:
        cells = (f"{one.rule} (note)" if one.note else one.rule, one.where, one.found, one.expected, one.remedy)
        # header values may hold what rich takes for markup
        table.add_row(*(escape(cell) for cell in ((path.name, *cells) if several else cells)))
    terminal = Console()
    # a pipe or a log has no width of its own
    (terminal if terminal.is_terminal else Console(width=180)).print(table)

"""``specola demo``: from nothing to an archive that answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ops.house import Archive, House
from specola.commands.common import Json, print_json, raise_all, steps

if TYPE_CHECKING:
    from ingest.mock.setup import Mock
    from specola.questions import Answer

__all__ = ["register"]

EPILOG = """**Examples**

`specola demo`  2,000 simulated spectra

`specola demo --spectra 20000`  more of them

A second run finds what is there and only asks again. What is in the survey: docs/demo-survey.md.
To be rid of it: `specola remove demo_r1`."""

SCHEMA = "demo_r1"

HISTOGRAM = (
    f"SELECT ROUND(z, 1) AS z_bin, COUNT(*) AS n FROM {SCHEMA}.redshifts WHERE confidence >= 2 "  # noqa: S608 - ours
    "GROUP BY z_bin ORDER BY z_bin"
)
WRONG = (
    f"SELECT confidence, COUNT(*) AS n_wrong FROM {SCHEMA}.redshifts JOIN {SCHEMA}.truth USING (spectrum_id) "  # noqa: S608 - ours
    "WHERE ABS(z - z_true) > 0.0066 * (1 + z_true) GROUP BY confidence"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(demo)


def demo(
    spectra: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many simulated spectra.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulation.")] = 1,
    as_json: Json = False,
) -> None:
    """Start everything, load a simulated survey, and ask the archive over TAP, SSAP and Datalink."""
    from ingest.bulk.listing import FOLDER
    from ingest.bulk.publish import publish_bulk
    from ingest.check import check_bundle
    from ingest.load import ingest_bundle
    from ingest.mock.setup import Mock
    from specola.commands.ingest import bars
    from specola.questions import ask

    house = House.from_environment()
    archive = house.archive("public")
    bundle = house.var / "bundles" / SCHEMA
    with steps(quiet=as_json) as report:
        raise_all(house, report)
        _make_bundle(bundle, Mock(spectra, seed), report)
    with bars(quiet=as_json) as progress:
        done = ingest_bundle(bundle, archive, progress=progress)
        if not (done.already and (archive.products / SCHEMA / FOLDER).is_dir()):
            opened = check_bundle(bundle, read_files=False)
            publish_bulk(opened, archive, progress=progress)
    answers = ask(archive, SCHEMA)
    good = all(answer.error is None for answer in answers)
    if as_json:
        print_json(
            {
                "archive": archive.url,
                "release": SCHEMA,
                "rows": done.rows,
                "already": done.already,
                "answers": [{"service": a.service, "address": a.address, "rows": a.rows, "error": a.error} for a in answers],
            }
        )
    else:
        _show(house, archive, done.already, answers)
    if not good:
        raise typer.Exit(1)


def _make_bundle(path: Path, mock: Mock, report: Any) -> None:
    """Write the demonstration's bundle, unless the one that is there was made with the same parameters."""
    from ingest.mock.survey import describe, write_mock

    try:
        present = json.loads((path / "bundle.json").read_text("utf-8"))
    except (OSError, ValueError):
        present = {}
    wanted = describe(mock)
    if all(present.get(key) == value for key, value in wanted.items()):
        return
    report(f"simulating {mock.spectra:,} spectra")
    write_mock(path, mock, overwrite=True)


def _show(house: House, archive: Archive, already: bool, answers: list[Answer]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"\n[bold]The demonstration survey {SCHEMA} {'was' if already else 'is now'} in the public archive.[/]")
    console.print("It is [bold]simulated[/]: nothing in it was observed.\n")
    for answer in answers:
        mark = "[green]✓[/]" if answer.error is None else "[bold red]✗[/]"
        console.print(f"{mark} [bold]{answer.service}[/] {escape(answer.address)}", soft_wrap=True)
        console.print(f"  {escape(answer.question)}", style="dim", soft_wrap=True)
        if answer.error is not None:
            console.print(f"  [red]{escape(answer.error)}[/]", soft_wrap=True)
            continue
        if answer.columns:
            table = Table(box=None, padding=(0, 2), show_edge=False)
            for column in answer.columns:
                # on a narrow screen the last one gives way, which says most at length
                table.add_column(column, style="cyan", no_wrap=column != answer.columns[-1])
            for row in answer.rows:
                table.add_row(*(escape(str(cell)) for cell in row))
            console.print(table)
        console.print(f"  {escape(answer.conclusion)}\n", soft_wrap=True)
    if any(answer.error for answer in answers):
        console.print("Not every service answered: `specola doctor` looks for the cause, `specola logs` shows what they said.")
        return
    console.print("[bold]Addresses[/]")
    console.print(f"  portal          {house.url}/\n  public archive  {archive.url}/\n  TAP             {archive.url}/tap")
    console.print(f"  the release     {archive.url}/bulk/{SCHEMA}/")
    console.print("[bold]Three things to try[/]")
    console.print(f"  1. In a browser, the survey and its services: {archive.url}/browse/{SCHEMA}/q", soft_wrap=True)
    console.print(
        f"  2. In TOPCAT (VO > Table Access Protocol, TAP URL {archive.url}/tap), how many redshifts in each bin:", soft_wrap=True
    )
    console.print(f"     {HISTOGRAM}", soft_wrap=True)
    console.print(
        "  3. In Python, which flags are wrong how often (the truth of the simulation is a table, too):", soft_wrap=True
    )
    console.print(f"     import pyvo; pyvo.dal.TAPService('{archive.url}/tap').search(\"{WRONG}\")", soft_wrap=True, markup=False)

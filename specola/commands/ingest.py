"""``specola ingest``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ops.house import House
from specola.commands.common import Json, print_json

__all__ = ["bars", "register"]

EPILOG = """**Examples**

`specola ingest var/bundles/demo_r1`  takes a bundle into the public archive

`specola ingest --staging my_survey/bundle`  into the team's staging archive

`specola ingest --check my_survey/bundle`  only looks whether the bundle is right

A bundle that is there already is left alone; a run that was interrupted is completed by running it again. What a bundle is:
docs/bundle.md."""

_STEPS = {
    "tables": "checking tables",
    "check": "checking files",
    "assemble": "copying spectra",
    "standard": "checking spectra by ESO's standard",
    "verify": "verifying checksums",
    "compare": "comparing",
    "files": "laying out files",
    "plots": "drawing plots",
    "rows": "copying rows",
    "indexes": "indexes, services, registry",
    "catalogues": "writing catalogues",
    "tars": "packing spectra",
    "checksums": "taking checksums",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=EPILOG)(ingest)
    app.command(epilog="**Examples**\n\n`specola releases`\n\n`specola releases --staging --json`")(releases)
    app.command(epilog="**Examples**\n\n`specola remove demo_r1`\n\n`specola remove demo_r1 demo_r2 --yes`")(remove)


@contextmanager
def bars(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars, one a step: yields the function ingest reports to."""
    if quiet:
        yield lambda _step, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = progress.add_task(_STEPS.get(step, step), total=total)
            progress.update(tasks[step], completed=done, total=total)

        yield report


def ingest(
    bundle: Annotated[Path, typer.Argument(help="The bundle's directory.", exists=True, file_okay=False)],
    staging: Annotated[bool, typer.Option("--staging", help="Into the team's staging archive, not the public one.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only check the bundle; change nothing.")] = False,
    trust_files: Annotated[
        bool, typer.Option("--trust-files", help="Do not read each spectrum file (its checksum, headers, wavelengths).")
    ] = False,
    previews: Annotated[bool, typer.Option(help="Make a plot of each spectrum.")] = True,
    as_json: Json = False,
) -> None:
    """Check a bundle and take it into an archive, whole or not at all."""
    from ingest.check import check_bundle
    from ingest.load import ingest_bundle

    if check:
        with bars(quiet=as_json) as report:
            found = check_bundle(bundle, read_files=not trust_files, progress=report)
        if as_json:
            print_json({"schema": found.schema, "counts": found.description["counts"]})
        else:
            typer.echo(f"{bundle} is a good bundle: {_count(found.description['counts'])}.")
        return
    archive = House.from_environment().archive("staging" if staging else "public")
    with bars(quiet=as_json) as report:
        done = ingest_bundle(bundle, archive, read_files=not trust_files, previews=previews, progress=report)
    if as_json:
        print_json({"schema": done.schema, "rows": done.rows, "already": done.already, "archive": archive.name})
    elif done.already:
        typer.echo(f"{done.schema} is in the {archive.name} archive already; nothing was changed.")
    else:
        typer.echo(f"{done.schema} is in the {archive.name} archive: {_count(done.rows)}.")
        typer.echo(f"Look at {archive.url}/browse/{done.schema}/q or query it at {archive.url}/tap.")


def _count(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in rows.items())


def releases(
    staging: Annotated[bool, typer.Option("--staging", help="Of the team's staging archive, not the public one.")] = False,
    as_json: Json = False,
) -> None:
    """List the releases in an archive."""
    from ingest.present import loaded_releases

    archive = House.from_environment().archive("staging" if staging else "public")
    found = loaded_releases(archive)
    if as_json:
        print_json(found)
        return
    for schema, bundle in sorted(found.items()):
        typer.echo(f"{schema:32}bundle {bundle[:12]}  {archive.url}/browse/{schema}/q")
    if not found:
        typer.echo(f"The {archive.name} archive has no releases yet; `specola ingest BUNDLE` takes one in.")


def remove(
    releases: Annotated[list[str], typer.Argument(help="Names of releases, survey_release.")],
    staging: Annotated[bool, typer.Option("--staging", help="From the team's staging archive, not the public one.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take releases out of an archive, with their files; all or none. The registry remembers them as deleted."""
    from ingest.removal import remove_releases

    archive = House.from_environment().archive("staging" if staging else "public")
    releases = list(dict.fromkeys(releases))
    names = ", ".join(releases)
    if not yes:
        typer.confirm(f"Remove {names} with all files from the {archive.name} archive?", abort=True)
    remove_releases(releases, archive)
    typer.echo(f"{names}: no longer in the {archive.name} archive.")

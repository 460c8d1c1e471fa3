"""``specola bulk``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ops.house import House
from specola.commands.common import Json, print_json
from specola.commands.ingest import bars

__all__ = ["register"]

EPILOG = """**Examples**

`specola bulk var/bundles/demo_r1`  makes the download of a release that is in the public archive, at /bulk/demo_r1/

`specola bulk --staging my_survey/bundle`  the same for the team's archive

`specola bulk my_survey/bundle --to /media/disk/my_survey`  into a folder, for a bundle that need not be in an archive

Catalogues (Parquet, FITS, HATS), tars of spectra, checksums, README, citation, a page about the release: docs/bulk.md."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(bulk)


def bulk(
    bundle: Annotated[Path, typer.Argument(help="The release's bundle.", exists=True, file_okay=False)],
    to: Annotated[Path | None, typer.Option(help="Folder to make, instead of the archive's own place.")] = None,
    staging: Annotated[bool, typer.Option("--staging", help="For the team's staging archive, not the public one.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder of --to.")] = False,
    as_json: Json = False,
) -> None:
    """Make a release's files for download, and the page about it."""
    from ingest.bulk.export import export_release
    from ingest.bulk.publish import publish_bulk
    from ingest.check import check_bundle

    house = House.from_environment()
    archive = house.archive("staging" if staging else "public")
    with bars(quiet=as_json) as report:
        found = check_bundle(bundle, read_files=True, progress=report)
        if to is None:
            made = publish_bulk(found, archive, progress=report)
        else:
            made = export_release(found, to.absolute(), overwrite=overwrite, progress=report)
    if as_json:
        print_json({"schema": found.schema, "folder": made.folder, "files": made.files, "bytes": made.size})
        return
    typer.echo(f"{found.schema}: {made.files} files, {made.size / 1e6:,.1f} MB in {made.folder}.")
    if to is None:
        typer.echo(f"Look at {archive.url}/bulk/{found.schema}/.")

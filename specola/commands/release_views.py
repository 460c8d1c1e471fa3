"""``specola release list``, ``show``, ``diff``, ``verify``, ``export``: what looks at releases and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specola.commands.common import Json, print_json
from specola.commands.ingest import bars
from specola.commands.release import Schema, portal_ready

if TYPE_CHECKING:
    import pyarrow as pa

    from ingest.diff import Summary
    from specola_bundle.bundle import Bundle

__all__ = ["COMMANDS"]

_SHOWN = 20
"""Changes that are printed; all of them are in the file."""
_COLOURS = {
    "candidate": "yellow",
    "frozen": "cyan",
    "internal": "cyan",
    "embargo": "magenta",
    "public": "green",
    "deprecated": "red",
}


def list_(
    survey: Annotated[str | None, typer.Option(help="Only of this survey.")] = None,
    as_json: Json = False,
) -> None:
    """List releases with their states."""
    with portal_ready():
        from portal.releases.reports import listed

        rows = listed(survey)
    if as_json:
        print_json(rows)
        return
    if not rows:
        typer.echo("There are no releases yet; `specola release create` makes one.")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("release", "state", "spectra", "since (UTC)", "by", "title"):
        table.add_column(heading, justify="right" if heading == "spectra" else "left", overflow="fold")
    for row in rows:
        state = f"[{_COLOURS.get(row['state'], 'dim')}]{row['state']}[/]"
        until = f" until {row['embargo_until'][:10]}" if row["embargo_until"] else ""
        table.add_row(row["release"], state + until, f"{row['spectra']:,}", row["since"][:16], row["by"], escape(row["title"]))
    Console(highlight=False).print(table)


def show(schema: Schema, as_json: Json = False) -> None:
    """Show a release with its history; what a kill or a lost connection interrupted is settled first."""
    with portal_ready():
        from portal.releases import life
        from portal.releases.reports import shown

        release, busy = life.reconcile(schema)
        found = shown(release) | {"busy": busy}
    if as_json:
        print_json(found)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{schema}[/] [{_COLOURS.get(found['state'], 'dim')}]{found['state']}[/]  {escape(found['title'])}")
    if busy:
        console.print(f"[yellow]Somebody is at work on it: {found['begun'] or 'a change'} is under way.[/]")
    facts = {
        "rows": ", ".join(f"{number:,} {name}" for name, number in found["counts"].items()),
        "follows": found["parent"], "embargo until": found["embargo_until"], "sealed in": found["folder"],
        "files": f"{found['files']:,}" if found["files"] else None,
        "sum of the seal": found["seal_sha256"], "sum of the bundle": found["bundle_sha256"],
    }  # fmt: skip
    for name, value in facts.items():
        if value:
            console.print(f"  {name:18}{escape(str(value))}")
    for source in found["sources"]:
        console.print(
            f"  {'from':18}{escape(source['path'])} ({source['spectra']:,} {'' if source['all'] else 'chosen '}spectra)"
        )
    table = Table(box=None, padding=(0, 2, 0, 0), title="History", title_justify="left", title_style="bold")
    for heading in ("", "when (UTC)", "who", "what", "state", "why"):
        table.add_column(heading, overflow="fold")
    for event in found["history"]:
        what = event["action"] if event["phase"] == "done" else f"{event['action']} {event['phase']}"
        cells = (str(event["number"]), event["at"][:19], event["by"], what, event["state"], escape(event["reason"]))
        table.add_row(*cells, style="dim" if event["phase"] != "done" else "")
    console.print()
    Console(highlight=False).print(table)
    if found["history_broken_at"]:
        console.print(
            f"[bold red]Event {found['history_broken_at']} is not what was written: somebody has changed the history.[/]"
        )


def diff(
    before: Annotated[str, typer.Argument(help="A release, or the directory of a bundle.")],
    after: Annotated[str | None, typer.Argument(help="The other one; without it, BEFORE is compared with its parent.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write every change to a .parquet or .csv file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two releases: tables, columns, rows, spectra, redshifts that came, went or changed."""
    if output is not None and output.suffix not in {".parquet", ".csv"}:
        raise typer.BadParameter("the name has to end in .parquet or .csv", param_hint="--output")
    old, new = _pair(before, after)
    from ingest.diff import compare

    kept: list[dict[str, Any]] = []
    with _writer(output) as write, bars(quiet=as_json) as report:

        def receive(changes: pa.Table) -> None:
            write(changes)
            if as_json or len(kept) < _SHOWN:
                kept.extend(changes.to_pylist() if as_json else changes.slice(0, _SHOWN - len(kept)).to_pylist())

        summary = compare(old, new, receive, report)
    if as_json:
        tables = {name: vars(table) for name, table in summary.tables.items()}
        print_json({"before": summary.before, "after": summary.after, "same": summary.same, "tables": tables, "changes": kept})
    else:
        _print_diff(summary, kept, output)


def _pair(before: str, after: str | None) -> tuple[Bundle, Bundle]:
    from ingest.check import check_bundle
    from ingest.errors import ReleaseError

    def opened(name: str) -> Bundle:
        if Path(name, "bundle.json").exists():
            return check_bundle(Path(name), read_files=False)
        with portal_ready():
            from portal.releases import life, store

            return check_bundle(store.bundle_folder(life.get(name)), read_files=False)

    if after is not None:
        return opened(before), opened(after)
    with portal_ready():
        from portal.releases import life

        parent = life.get(before).parent
    if parent is None:
        raise ReleaseError(f"{before}: found no parent, expected a release to compare it with; name two")
    return opened(parent.schema), opened(before)


@contextmanager
def _writer(path: Path | None) -> Iterator[Callable[[Any], None]]:
    """Writes changes to a file, which appears whole."""
    if path is None:
        yield lambda _: None
        return
    import pyarrow.csv
    import pyarrow.parquet

    from ingest.diff import CHANGES

    part = path.with_name(f".{path.name}.part")
    make = pyarrow.parquet.ParquetWriter if path.suffix == ".parquet" else pyarrow.csv.CSVWriter
    try:
        with make(part, CHANGES) as stream:
            yield stream.write_table
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _print_diff(summary: Summary, changes: list[dict[str, Any]], output: Path | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if summary.same:
        console.print(f"{summary.before} and {summary.after} hold the same.")
        return
    table = Table(box=None, pad_edge=False, title=f"From {summary.before} to {summary.after}", title_justify="left")
    for heading in ("table", "rows", "came", "went", "changed", "what changed"):
        table.add_column(heading, justify="left" if heading in {"table", "what changed"} else "right", overflow="fold")
    for name, counts in summary.tables.items():
        what = [f"column {column} {change}" for column, change in counts.columns.items()]
        what += [f"{column} ({number:,})" for column, number in counts.values.items()]
        rows = f"{counts.rows_before:,} → {counts.rows_after:,}"
        table.add_row(name, rows, *(f"{n:,}" if n else "" for n in (counts.came, counts.went, counts.changed)), ", ".join(what))
    console.print(table)
    shown = [change for change in changes if change["item"] == "value" or change["change"] != "changed"]
    if shown:
        console.print("\n[bold]For example[/]")
    for change in shown[:_SHOWN]:
        name = change["column"] or ""
        values = f"{change['before']} → {change['after']}" if change["change"] == "changed" else change["change"]
        console.print(f"  {change['table']} {change['key'] or change['item']} {name}: {escape(values)}", soft_wrap=True)
    console.print(f"\nEvery change is in {output}." if output else "\n`--output changes.parquet` writes every change.")


def verify(schema: Schema, as_json: Json = False) -> None:
    """Verify every byte of a frozen release against the sums taken when it was frozen."""
    with portal_ready():
        from portal.releases import life, store

        release = life.get(schema)
        with bars(quiet=as_json) as report:
            store.verify(release, report)
    if as_json:
        print_json({"release": schema, "files": release.files, "seal_sha256": release.seal_sha256, "intact": True})
    else:
        typer.echo(f"{schema} is what was frozen: {release.files:,} files, seal {release.seal_sha256[:12]}….")


def export(
    schema: Schema,
    folder: Annotated[Path, typer.Argument(help="Folder to write.")],
    download: Annotated[
        bool, typer.Option("--download", help="Instead the files that the archive offers for download: catalogues, tars, page.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Copy a frozen release, verified, out as a bundle that another installation can take in."""
    with portal_ready():
        from portal.releases import life, store

        with bars(quiet=as_json) as report:
            write = store.export_download if download else store.export
            files = write(life.get(schema), folder.absolute(), report)
    if as_json:
        print_json({"release": schema, "folder": str(folder), "files": files})
    else:
        typer.echo(f"{schema} is in {folder}: {files:,} files. `sha256sum -c SHA256SUMS` verifies them.")


COMMANDS: tuple[tuple[str, Callable[..., None], list[str]], ...] = (
    ("list", list_, ["specola release list", "specola release list --survey demo --json"]),
    ("show", show, ["specola release show demo_r2", "specola release show demo_r2 --json | jq .history"]),
    ("diff", diff, ["specola release diff demo_r1 demo_r2", "specola release diff demo_r2 -o changes.parquet"]),
    ("verify", verify, ["specola release verify demo_r2"]),
    ("export", export, ["specola release export demo_r2 /media/disk/demo_r2",
                        "specola release export --download demo_r2 /media/disk/demo_r2-files"]),
)  # fmt: skip
"""Name, function and examples of each command."""

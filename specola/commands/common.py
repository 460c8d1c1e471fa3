"""What the commands share: errors as plain sentences, progress on a terminal, JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ingest.errors import FindingsError, IngestError, ProductError
from ops.errors import OpsError
from ops.house import House

__all__ = ["Commands", "Json", "fail", "print_json", "raise_all", "steps"]

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")]


class Commands(TyperGroup):
    """The command group; what our own layers raise on purpose ends it with a message and status 1, not with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command of a context (typer's own copy of click has no public name for its type)."""
        try:
            return super().invoke(ctx)
        except OpsError as error:
            fail(error.message, error.remedy)
        except ProductError as error:
            _print_table(error)
            fail(
                str(error).partition("\n")[0],
                "Mend the files or their rows, make the bundle again in its place, and `specola release add` it again.",
            )
        except IngestError as error:
            fail(str(error))


def fail(message: str, remedy: str = "") -> None:
    """Print what is wrong and how to mend it, and end with status 1."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"[bold red]specola:[/] {escape(message)}")
    if remedy:
        console.print(f"[bold]→[/] {escape(remedy)}")
    raise typer.Exit(1)


def _print_table(error: FindingsError) -> None:
    """What is wrong, a line a kind."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("where", "found", "expected", "what to do")
    for one in error.findings:
        table.add_row(*map(escape, (one.where, one.found, one.expected, one.remedy)))
    Console(stderr=True).print(table)


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


@contextmanager
def steps(quiet: bool = False) -> Iterator[Any]:
    """Show steps: a spinner and elapsed time on a terminal, a line a step elsewhere; yields the function to report one."""
    import time

    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if quiet:
        yield lambda _: None
        return
    if not console.is_terminal:
        begin = time.monotonic()
        yield lambda text: sys.stderr.write(f"[{time.monotonic() - begin:5.1f} s] {text}\n")
        return
    columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        current: list[Any] = []

        def report(text: str) -> None:
            if current:
                progress.update(current[-1], total=1, completed=1)
            current.append(progress.add_task(text, total=None))

        yield report
        if current:
            progress.update(current[-1], total=1, completed=1)


def raise_all(house: House, report: Callable[[str], None]) -> None:
    """Start everything, and have the releases follow definitions that changed since they were taken in."""
    from ingest.refresh import refresh_releases
    from ops.raising import raise_house

    raise_house(house, report)
    for archive in house.archives:
        refresh_releases(archive, report)

"""Where the rows of a command go, and how its errors are told: the same for all that answer with a row a spectrum."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Row", "as_json", "part_of", "rows_out", "tell", "told"]

Row = dict[str, Any]


def part_of(output: Path) -> Path:
    """Where rows are until all are there."""
    return output.with_name(output.name + ".part")


@contextmanager
def rows_out(
    output: Path | None, console: Console, show: Callable[[Row], None], *, go_on: bool = False
) -> Iterator[Callable[[Row], None]]:
    """What takes the rows: lines of JSON in a file, which gets its name when all are written; without a file ``show``.

    Parameters
    ----------
    go_on
        Whether rows that are in the unfinished file stay.

    Raises
    ------
    PipelineError
        The file can not be written.
    """
    from specola_pipeline.errors import PipelineError

    if output is None:
        yield show
        return
    part = part_of(output)
    try:
        stream = part.open("a" if go_on else "w", encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"{part}: found {error.strerror}, expected a place that can be written to; give another") from error

    def write(row: Row) -> None:
        stream.write(json.dumps(row, allow_nan=False) + "\n")
        stream.flush()

    try:
        with stream:
            yield write
    except BaseException:
        if not part.stat().st_size:
            part.unlink()
        raise
    part.replace(output)
    console.print(f"written to {output}", highlight=False, markup=False, soft_wrap=True)


def as_json(row: Row) -> None:
    """A row on standard output."""
    sys.stdout.write(json.dumps(row, allow_nan=False) + "\n")


@contextmanager
def told(console: Console) -> Iterator[None]:
    """Errors of the pipeline, and of disks, are told in a line, and the command ends with status 1."""
    from specola_pipeline.errors import PipelineError

    try:
        yield
    except BrokenPipeError:
        raise
    except (PipelineError, OSError) as error:
        tell(console, str(error))
        raise typer.Exit(1) from error


def tell(console: Console, fault: str) -> None:
    """A line with what is wrong; brackets in it are not taken for markup."""
    from rich.markup import escape

    console.print(f"[red]error:[/red] {escape(fault)}", highlight=False, soft_wrap=True)

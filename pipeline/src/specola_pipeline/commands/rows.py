"""Where the rows of a command go, and how its errors are told: the same for all that answer with a row a spectrum."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Row", "as_json", "part_of", "rows_out", "same_options", "tell", "told"]

Row = dict[str, Any]


def part_of(output: Path) -> Path:
    """Where rows are until all are there."""
    return output.with_name(output.name + ".part")


def _note_of(output: Path) -> Path:
    return output.with_name(output.name + ".options")


def same_options(output: Path, options: Mapping[str, Any]) -> None:
    """Forget what is unfinished if it was made with other options, which are noted beside it as long as it is."""
    note = _note_of(output)
    if note.exists() and note.read_text("utf-8") != _said(options):
        part_of(output).unlink(missing_ok=True)


def _said(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True, default=str)


def _unwritable(path: Path, error: OSError) -> Exception:
    from specola_pipeline.errors import PipelineError

    return PipelineError(f"{path}: found {error.strerror}, expected a place that can be written to; give another")


@contextmanager
def rows_out(
    output: Path | None, console: Console, show: Callable[[Row], None], *, options: Mapping[str, Any] | None = None
) -> Iterator[Callable[[Row], None]]:
    """What takes the rows: lines of JSON in a file, which gets its name when all are written; without a file ``show``.

    Parameters
    ----------
    options
        What rows depend on, where those that are in the unfinished file stay; see `same_options`.

    Raises
    ------
    PipelineError
        The file can not be written.
    """
    if output is None:
        yield show
        return
    part = part_of(output)
    try:
        if options is not None:
            _note_of(output).write_text(_said(options), "utf-8")
        stream = part.open("w" if options is None else "a", encoding="utf-8")
    except OSError as error:
        raise _unwritable(part, error) from error

    def write(row: Row) -> None:
        stream.write(json.dumps(row, allow_nan=False) + "\n")
        stream.flush()

    try:
        with stream:
            yield write
    except BaseException:
        if not part.stat().st_size:
            part.unlink()
            _note_of(output).unlink(missing_ok=True)
        raise
    part.replace(output)
    _note_of(output).unlink(missing_ok=True)
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

"""The ``specola-reduce`` command, put together from one module a command in :mod:`specola_pipeline.commands`.

A new command is a module there with ``def register(app: typer.Typer) -> None`` and its name in :data:`COMMANDS`. Such a
module imports at its top only what is quick (typer, rich); numpy, scipy and astropy inside the function that needs them,
so that ``specola-reduce --help`` stays below half a second.
"""

from __future__ import annotations

import importlib

import typer

__all__ = ["COMMANDS", "app"]

COMMANDS: tuple[str, ...] = ("organise", "simulate", "run", "redshift", "lines", "stack")
"""Modules of :mod:`specola_pipeline.commands`, in the order of the help page."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Specola's reduction: raw multi-slit frames to science spectra and redshifts.",
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _begin() -> None:
    """Keep the name of a command in its call, however many there are."""


for _name in COMMANDS:
    importlib.import_module(f"specola_pipeline.commands.{_name}").register(app)

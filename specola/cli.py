"""The ``specola`` command, put together from one module a command (or family) in :mod:`specola.commands`.

A new command is a module there with ``def register(app: typer.Typer) -> None`` and its name in :data:`COMMANDS`. Such a
module imports at its top only what is quick (typer, rich, ops.house); anything heavier inside the function that needs it,
so that ``specola --help`` stays below half a second.
"""

from __future__ import annotations

import importlib

import typer

from specola.commands.common import Commands

__all__ = ["COMMANDS", "app"]

COMMANDS = (
    "installation",  # up, down
    "status",
    "logs",
    "doctor",
    "production",
    "backup",  # backup, restore
    "user",
    "import_",
    "ingest",
    "release",
    "bulk",
    "demo",
    "mock",
    "check_vo",  # check-vo
    "validate",
)
"""Modules of :mod:`specola.commands`, in the order of the help page."""

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Specola: a Virtual Observatory archive for spectroscopic surveys.",
    epilog="Settings: `SPECOLA_VAR` (folder of everything written), `SPECOLA_PORT` (first of its ports). See docs/operator.md.",
    pretty_exceptions_show_locals=False,
)

for _name in COMMANDS:
    importlib.import_module(f"specola.commands.{_name}").register(app)

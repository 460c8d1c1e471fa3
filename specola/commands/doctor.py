"""``specola doctor``."""

from __future__ import annotations

import typer

from ops.house import House
from specola.commands.common import Json, print_json

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="**Examples**\n\n`specola doctor`\n\n`specola doctor --json`")(doctor)


def doctor(as_json: Json = False) -> None:
    """Look for what is missing or broken and say how to mend it. Status 0 when all is well, else 1."""
    from ops.doctor import examine

    findings = examine(House.from_environment())
    bad = [finding for finding in findings if not finding.well]
    if as_json:
        print_json({"well": not bad, "checks": [finding.as_dict() for finding in findings]})
    else:
        from rich.console import Console
        from rich.markup import escape

        console = Console(soft_wrap=True, highlight=False)
        for finding in findings:
            mark = "[green]✓[/]" if finding.well else "[bold red]✗[/]"
            console.print(f"{mark} {escape(finding.check)}" + (f": {escape(finding.found)}" if finding.found else ""))
            if not finding.well:
                console.print(f"  [bold]→[/] {escape(finding.remedy)}")
        console.print(f"\n{len(findings)} checks, {len(bad)} to mend" if bad else f"\n{len(findings)} checks, all well")
    if bad:
        raise typer.Exit(1)

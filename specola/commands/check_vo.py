"""``specola check-vo``."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

from specola.commands.common import Json, print_json

__all__ = ["register"]

EPILOG = """**Examples**

`specola check-vo http://127.0.0.1:8081/demo_r1/q/ssap/ssap.xml`

`specola check-vo http://127.0.0.1:8081/tap`

`specola check-vo http://127.0.0.1:8081/demo_r1/q/ssap/capabilities`

`specola check-vo --json --kind ssa 'https://dc.g-vo.org/feros/q/ssa/ssap.xml?' | jq .errors`

`specola check-vo --user anna http://127.0.0.1:8082/tap`  one that asks who you are; the password, or a token, is asked for, or
read from SPECOLA_PASSWORD

Works on any service, ours or not. TAP, Datalink and votlint need STILTS, documents the schemas that come with
DaCHS. Status 1 when there are errors."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-vo", epilog=EPILOG)(check_vo)


def check_vo(
    url: Annotated[
        str, typer.Argument(help="Access URL of the service, for Datalink with the ID; or of a document of VOSI, UWS or OAI-PMH.")
    ],
    kind: Annotated[str, typer.Option(help="ssa, tap, cone, datalink or xml; by default the service is asked.")] = "auto",
    sample: Annotated[int, typer.Option(help="Number of spectra to fetch.", min=1, max=1000)] = 5,
    user: Annotated[str, typer.Option(help="Log in under this name.")] = "",
    as_json: Json = False,
) -> None:
    """Validate a VO service: what it must have, what it should have, and whether its spectra are what it says."""
    from specola.vocheck import Login, check

    login = Login(user, os.environ.get("SPECOLA_PASSWORD") or getpass.getpass("Password or token: ")) if user else None
    report = check(url, kind, login=login, sample=sample)
    if as_json:
        print_json(report.as_dict())
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False, title=f"{report.kind}: {url}", title_justify="left")
        for heading in ("", "check", "finding"):
            table.add_column(heading, overflow="fold")
        colours = {"error": "red", "warning": "yellow", "passed": "green"}
        for finding in report.findings:
            text = finding.message + (f"\n[dim]{finding.address}[/]" if finding.address and finding.level != "passed" else "")
            table.add_row(f"[{colours[finding.level]}]{finding.level}[/]", finding.check, text)
        Console(highlight=False).print(table)
    raise typer.Exit(1 if report.errors else 0)

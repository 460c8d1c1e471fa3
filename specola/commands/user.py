"""``specola user``: accounts, roles and tokens."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Annotated

import typer

from specola.commands.common import Commands, Json, fail, print_json

__all__ = ["register"]

Name = Annotated[str, typer.Argument(help="User name.")]

HOW = """The password is asked for twice on a terminal. For scripts: in the environment variable SPECOLA_PASSWORD, or on
standard input with `--password-stdin`. It is never on the command line, where everybody on the machine can read it."""
ADD = """**Examples**

`specola user add marco --name 'Marco Scodeggio' --role vipers:manager`

`pass show anna | specola user add anna --password-stdin --role vipers:measurer --role vipers:arbiter`

`specola user add operator --admin`"""

users = typer.Typer(cls=Commands, no_args_is_help=True, help="Accounts of the team: who they are, their roles and tokens.")
tokens = typer.Typer(cls=Commands, no_args_is_help=True, help="Tokens, with which programs come in for somebody.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    users.command(epilog=f"{HOW}\n\n{ADD}")(add)
    users.command("list", epilog="**Examples**\n\n`specola user list`\n\n`specola user list --survey vipers --json`")(list_)
    users.command(
        epilog="**Examples**\n\n`specola user role anna vipers:arbiter`\n\n`specola user role anna vipers:arbiter --take`"
    )(role)
    users.command(epilog=f"{HOW}\n\n**Example**\n\n`specola user password anna`")(password)
    users.command(epilog="**Examples**\n\n`specola user disable anna`\n\n`specola user disable anna --undo`")(disable)
    users.command(epilog="**Examples**\n\n`specola user logins`\n\n`specola user logins anna --json`")(logins)
    tokens.command("add", epilog="**Example**\n\n`specola user token add anna 'nightly checks' --days 90`")(add_token)
    tokens.command("list", epilog="**Example**\n\n`specola user token list anna --json`")(list_tokens)
    tokens.command("revoke", epilog="**Example**\n\n`specola user token revoke anna 1f2e3d4c`")(revoke_token)
    users.add_typer(tokens, name="token")
    app.add_typer(users, name="user")


def add(
    username: Name,
    name: Annotated[str, typer.Option(help="Their own name.")] = "",
    email: Annotated[str, typer.Option(help="E-mail address.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="SURVEY:ROLE; may be given several times.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="May do everything in this installation.")] = False,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")] = False,
) -> None:
    """Make an account."""
    people = _people()

    roles = [people.role_of(text) for text in role or []]
    people.add(username, _password(password_stdin), name=name, email=email, roles=roles, admin=admin)
    typer.echo(f"{username} is there" + (f": {', '.join(f'{r} of {s}' for s, r in roles)}" if roles else ""))


def list_(survey: Annotated[str, typer.Option(help="Only who has a role in this survey.")] = "", as_json: Json = False) -> None:
    """List the accounts and what they are to each survey."""
    people = _people()

    found = people.everybody(survey)
    if as_json:
        print_json(found)
        return
    _table(
        ("user", "name", "e-mail", "roles", "last login", ""),
        [
            (
                one["username"],
                one["name"],
                one["email"],
                ", ".join((["administrator"] if one["admin"] else []) + one["roles"]),
                _time(one["last_login"]),
                "" if one["active"] else "disabled",
            )
            for one in found
        ],
    )


def role(
    username: Name,
    roles: Annotated[
        list[str], typer.Argument(help="SURVEY:ROLE; ROLE is admin, manager, reducer, measurer, arbiter or member.")
    ],
    take: Annotated[bool, typer.Option("--take", help="Take the roles away instead.")] = False,
) -> None:
    """Give or take roles in surveys. A survey that is not known yet is made."""
    people = _people()

    for survey, one in [people.role_of(text) for text in roles]:
        changed = people.take_role(username, survey, one) if take else people.give_role(username, survey, one)
        state = "is no longer" if take else "is now"
        typer.echo(f"{username} {state if changed else 'was already no' if take else 'was already'} {one} of {survey}")


def password(
    username: Name,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")] = False,
) -> None:
    """Set an account's password. All of its sessions end; its tokens stay."""
    people = _people()

    people.set_password(username, _password(password_stdin))
    typer.echo(f"{username} has a new password")


def disable(username: Name, undo: Annotated[bool, typer.Option("--undo", help="Let them in again.")] = False) -> None:
    """Keep somebody out, at once and with all sessions and tokens. Accounts are never deleted: their work keeps its author."""
    people = _people()

    people.set_active(username, undo)
    typer.echo(f"{username} {'may come in again' if undo else 'can no longer come in'}")


def logins(
    username: Annotated[str, typer.Argument(help="Only this user's.")] = "",
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many, the newest first.")] = 30,
    as_json: Json = False,
) -> None:
    """Show who came in, and who tried to."""
    people = _people()

    found = people.logins(username, number)
    if as_json:
        print_json(found)
        return
    _table(
        ("when (UTC)", "user", "how", "result", "from", "program"),
        [tuple(_time(one[key]) if key == "at" else str(one[key] or "") for key in one) for one in found],
    )


def add_token(
    username: Name,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days it is valid.")] = 90,
    as_json: Json = False,
) -> None:
    """Make a token and print it: it is not kept and can not be shown again."""
    people = _people()

    found = people.add_token(username, name, days)
    if as_json:
        print_json(found)
    else:
        typer.echo(found["token"])


def list_tokens(username: Name, as_json: Json = False) -> None:
    """List somebody's tokens."""
    people = _people()

    found = people.tokens(username)
    if as_json:
        print_json(found)
        return
    _table(
        ("key", "name", "made", "expires", "last used", ""),
        [
            (one["key"], one["name"], _time(one["created"]), _time(one["expires"]), _time(one["last_used"]), one["state"])
            for one in found
        ],
    )


def revoke_token(username: Name, key: Annotated[str, typer.Argument(help="Its key, as the list shows it.")]) -> None:
    """Make a token worthless, at once."""
    people = _people()

    people.revoke_token(username, key)
    typer.echo(f"token {key} is revoked")


def _people() -> ModuleType:
    """The portal's functions, once Django is ready and its database answers."""
    from portal.setup import connect

    connect()
    from portal.accounts import people

    return people


def _password(from_stdin: bool) -> str:
    """The password: from the environment, standard input, or asked for."""
    if given := os.environ.get("SPECOLA_PASSWORD"):
        return given
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        fail("there is no terminal to ask for a password", "Give it with --password-stdin or in SPECOLA_PASSWORD.")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _time(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if value else ""


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)

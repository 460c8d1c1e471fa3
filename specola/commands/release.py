"""``specola release``: the life of a release. What only looks is in :mod:`.release_views`."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from specola.commands.common import Commands, Json, fail, print_json
from specola.commands.ingest import bars

if TYPE_CHECKING:
    from portal.releases.models import Release

__all__ = ["Schema", "portal_ready", "register"]

EPILOG = """**A release, from its making to its end**

`specola release create demo_r2 --bundle bundles/r2 -m "the second year"`

`specola release add demo_r2 bundles/repairs -m "twelve spectra reduced anew"`

`specola release freeze demo_r2 -m "all redshifts are reconciled"`

`specola release diff demo_r1 demo_r2`

`specola release stage demo_r2 -m "for the team to try"`

`specola release promote demo_r2 -m "the paper is accepted"`

Only a manager of the survey may change a release. You act as the user of the portal that `--as`, or SPECOLA_USER, or else your
login name says. What each state means and what is guaranteed: docs/releases.md."""

_app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    epilog=EPILOG,
    help="Make, freeze, stage, publish and withdraw releases; compare and verify them.",
)

Schema = Annotated[str, typer.Argument(help="Name of the release, survey_release.", metavar="RELEASE")]
Reason = Annotated[str, typer.Option("--reason", "-m", help="Why, for the history of the release.")]
As = Annotated[str, typer.Option("--as", metavar="USER", help="Who does it, a user of the portal.", envvar="SPECOLA_USER")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    from specola.commands import release_views

    commands: tuple[tuple[str, Callable[..., None], list[str]], ...] = (
        ("create", create, ['specola release create demo_r2 --bundle bundles/r2 -m "the second year"',
                            'specola release create demo_r2 --title "Demo, second release" -m "to be filled"']),
        ("add", add, ['specola release add demo_r2 bundles/night7 -m "night 7"',
                      'specola release add demo_r2 bundles/all --spectra chosen.txt -m "the bright half"']),
        ("freeze", freeze, ['specola release freeze demo_r2 -m "all redshifts are reconciled"']),
        ("stage", stage, ['specola release stage demo_r2 -m "for the team to try"']),
        ("embargo", embargo, ['specola release embargo demo_r2 2027-06-01 -m "until the paper is accepted"']),
        ("promote", promote, ['specola release promote demo_r2 -m "the paper is accepted"',
                              'specola release promote demo_r2 --despite-embargo -m "the referee asks for it"']),
        ("withdraw", withdraw, ['specola release withdraw demo_r2 -m "wrong flux calibration, see demo_r3"']),
        *release_views.COMMANDS,
    )  # fmt: skip
    for command, function, examples in commands:
        epilog = "**Examples**\n\n" + "\n\n".join(f"`{example}`" for example in examples)
        _app.command(command, epilog=epilog)(function)
    app.add_typer(_app, name="release")


@contextmanager
def portal_ready() -> Iterator[None]:
    """The survey database at hand; what the portal refuses ends the command with a sentence."""
    from ops.house import House

    if not House.from_environment().secrets.is_dir():
        fail("found no installation here, expected one that is set up", "Run `specola up`.")
    from portal.setup import configure

    configure()
    from django.core.exceptions import PermissionDenied
    from django.db import DatabaseError

    try:
        yield
    except PermissionDenied as error:
        fail(str(error), "A manager of the survey may; name one with --as, or have the role given to you.")
    except DatabaseError as error:
        fail(f"the survey database: {' '.join(str(error).split())}", "Is everything up? See `specola status`; then `specola up`.")


def _user(name: str) -> Any:
    from ingest.errors import ReleaseError
    from portal.accounts.models import User

    wanted = name or getpass.getuser()
    found = User.objects.filter(username=wanted, is_active=True).first()
    if found is None:
        raise ReleaseError(f"found no user {wanted!r} of the portal, expected one who acts; name one with --as")
    return found


def _done(release: Release, as_json: bool, text: str) -> None:
    from portal.releases.reports import shown

    if as_json:
        print_json(shown(release))
    else:
        typer.echo(f"{release.schema} is {release.state}: {text}")


def create(
    schema: Schema,
    reason: Reason,
    bundle: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="A first bundle.")] = None,
    title: Annotated[str, typer.Option(help="Title; what is not given here is taken from the first bundle.")] = "",
    description: Annotated[str, typer.Option(help="What it is, in a paragraph.")] = "",
    creator: Annotated[list[str] | None, typer.Option(help="Author as to be cited, 'Family, G.'; may be repeated.")] = None,
    rights: Annotated[str, typer.Option(help="Licence and conditions.")] = "",
    doi: Annotated[str, typer.Option(help="DOI, as 10.5281/zenodo.1234567.")] = "",
    citation: Annotated[str, typer.Option(help="How it is to be cited.")] = "",
    parent: Annotated[str | None, typer.Option(help="The release it follows; by default the newest of the survey.")] = None,
    user: As = "",
    as_json: Json = False,
) -> None:
    """Make a candidate, from a bundle or empty."""
    given = {"title": title, "description": description, "creators": creator, "rights": rights, "doi": doi, "citation": citation}
    with portal_ready():
        from portal.releases import life

        head = {key: value for key, value in given.items() if value}
        release = life.create(schema, by=_user(user), reason=reason, bundle=bundle, head=head, parent=parent)
        _done(release, as_json, f"{_spectra(release)}. `specola release add` puts in more, `freeze` seals it.")


def _spectra(release: Release) -> str:
    return f"{sum(source.n_spectra for source in release.content):,} spectra in {len(release.content)} bundles"


def add(
    schema: Schema,
    bundles: Annotated[list[Path], typer.Argument(exists=True, file_okay=False, help="Bundles' directories.")],
    reason: Reason,
    spectra: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Take only these: a file with an identifier a line.")
    ] = None,
    spectrum: Annotated[list[str] | None, typer.Option(help="Take only this one; may be repeated.")] = None,
    user: As = "",
    as_json: Json = False,
) -> None:
    """Add bundles, or some of a bundle's spectra, to a candidate."""
    chosen = [*(spectrum or ()), *(spectra.read_text("utf-8").split() if spectra else ())]
    if chosen and len(bundles) > 1:
        raise typer.BadParameter("spectra are chosen from one bundle at a time", param_hint="BUNDLES")
    with portal_ready():
        from portal.releases import life

        for bundle in bundles:
            release = life.add(schema, bundle, by=_user(user), reason=reason, spectra=chosen or None)
        _done(release, as_json, f"{_spectra(release)}.")


def _change(schema: str, user: str, as_json: bool, text: str, call: Callable[..., Any]) -> None:
    with portal_ready():
        by = _user(user)
        with bars(quiet=as_json) as report:
            release = call(schema, by=by, progress=report)
        _done(release, as_json, text)


def freeze(schema: Schema, reason: Reason, user: As = "", as_json: Json = False) -> None:
    """Check all of a candidate and seal it: it never changes again. Spectra or redshifts that are not ready are refused."""

    def call(schema: str, **words: Any) -> Any:
        from portal.releases import life

        return life.freeze(schema, reason=reason, **words)

    _change(schema, user, as_json, "every file is sealed. `specola release stage` shows it to the team.", call)


def stage(schema: Schema, reason: Reason, user: As = "", as_json: Json = False) -> None:
    """Load a frozen release into the team's staging archive."""

    def call(schema: str, **words: Any) -> Any:
        from portal.releases import life

        return life.stage(schema, reason=reason, **words)

    _change(schema, user, as_json, "the team sees it in the staging archive. `specola release promote` publishes it.", call)


def embargo(
    schema: Schema,
    until: Annotated[datetime, typer.Argument(help="End of the embargo (UTC).", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"])],
    reason: Reason,
    user: As = "",
    as_json: Json = False,
) -> None:
    """Keep a staged release from being public before a date."""
    with portal_ready():
        from datetime import UTC

        from portal.releases import life

        release = life.embargo(schema, until.replace(tzinfo=UTC), by=_user(user), reason=reason)
        _done(release, as_json, f"not public before {release.embargo_until:%Y-%m-%d %H:%M} UTC.")


def promote(
    schema: Schema,
    reason: Reason,
    despite_embargo: Annotated[
        bool, typer.Option("--despite-embargo", help="Before the end of its embargo; the reason is recorded.")
    ] = False,
    user: As = "",
    as_json: Json = False,
) -> None:
    """Publish exactly what was staged, all of it or nothing."""

    def call(schema: str, **words: Any) -> Any:
        from portal.releases import life

        return life.promote(schema, reason=reason, despite_embargo=despite_embargo, **words)

    _change(schema, user, as_json, "the world has it. Releases before it stay queryable under their own names.", call)


def withdraw(
    schema: Schema,
    reason: Reason,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    user: As = "",
    as_json: Json = False,
) -> None:
    """Take a release out of the archives; they remember why, and its name is not used again."""
    if not yes:
        typer.confirm(f"Withdraw {schema} from every archive, for good?", abort=True)
    with portal_ready():
        from portal.releases import life

        release = life.withdraw(schema, by=_user(user), reason=reason)
        _done(release, as_json, "the archives remember it in specola.withdrawn, its sealed files stay.")

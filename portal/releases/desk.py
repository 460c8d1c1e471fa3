"""What every change of a release goes through: who may, one at a time, from a settled state; and one sentence where it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, connection

from ingest.errors import IngestError, ReleaseError
from portal.accounts.models import User
from portal.accounts.permissions import Action as Permission
from portal.accounts.permissions import require
from portal.releases.history import at_work
from portal.releases.models import Phase, Release
from portal.releases.recovery import settle
from portal.releases.states import Action, State, after

__all__ = ["carried_out", "get", "told", "why", "working"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def told(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Say in one sentence that the survey database went away; what it was told is whole, or not there."""

    @wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except DatabaseError as error:
            connection.close()
            raise IngestError(
                f"the survey database: {' '.join(str(error).split())}; nothing is half done: when it runs again"
                " (`specola status`), repeat the command, which is then completed"
            ) from error

    return wrapped


def get(schema: str) -> Release:
    """The release of that name, survey_release.

    Raises
    ------
    ReleaseError
        There is none.
    """
    survey, _, name = schema.partition("_")
    found: Release | None = Release.objects.select_related("survey").filter(survey__key=survey, name=name).first()
    if found is None:
        raise ReleaseError(
            f"found no release {schema!r}; `specola release list` lists what there is, `specola release create` makes one"
        )
    return found


def why(reason: str) -> str:
    """The reason somebody gave; ReleaseError where it is none."""
    if not reason.strip():
        raise ReleaseError("found no reason, expected a sentence that says why, for the history of the release")
    return reason.strip()


@contextmanager
def working(schema: str, action: Action, by: User) -> Iterator[tuple[Release, bool]]:
    """A release, held, in a state that allows the action; and True where the action was interrupted and is now complete."""
    release = get(schema)
    require(by, Permission.MANAGE_RELEASES, release.survey)
    with at_work(release):
        release.refresh_from_db()
        settled = settle(release)
        completed = settled is not None and settled.action == action and settled.phase == Phase.DONE
        if not completed:
            after(action, State(release.state), schema)
        yield release, completed


def carried_out(release: Release, work: Callable[[], _T]) -> _T | None:
    """What the work on an archive returned; None where it failed and was committed nevertheless, which is then written down
    already.

    Where it failed indeed, the intent is abandoned and the failure goes on.
    """
    try:
        return work()
    except IngestError:
        outcome = settle(release)
        if outcome is None or outcome.phase != Phase.DONE:
            raise
        return None

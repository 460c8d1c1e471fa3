"""Archive and survey database are two databases: this is what keeps them telling the same story.

Before an archive is changed the intent is written down (an event in phase ``begun``), after it the outcome (``done``). Whoever
comes next upon an intent without an outcome, because the process or a connection died, asks the archive, which knows for sure:
its change was one transaction. If it was committed the outcome is written in the name of whoever began it; if not, the intent
is abandoned. Either way the state in the survey database is true again, and running the command again completes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from ingest.fingerprint import Fingerprints
from ops.house import Archive
from portal.accounts.models import Survey, User
from portal.releases import archives
from portal.releases.history import note, open_intent
from portal.releases.models import Phase, Release, ReleaseEvent
from portal.releases.states import Action, State

__all__ = ["finish_promote", "finish_stage", "finish_withdraw", "settle"]


def finish_stage(release: Release, tables: Fingerprints, *, by: User, reason: str, **details: Any) -> None:
    """Write down that a release is in the staging archive, and what its tables hold there."""
    note(release, Action.STAGE, by=by, reason=reason, details={"tables": tables, **details})


def finish_promote(release: Release, *, by: User, reason: str, **details: Any) -> None:
    """Write down that a release is public; the one that was the newest of the survey is obsolete from now on."""
    with transaction.atomic():
        Survey.objects.select_for_update().get(pk=release.survey_id)
        note(release, Action.PROMOTE, by=by, reason=reason, details=details)
        for other in Release.objects.filter(survey=release.survey, state=State.PUBLIC).exclude(pk=release.pk):
            note(other, Action.SUPERSEDE, by=by, reason=f"{release.schema} is public", details={"by": release.schema})


def finish_withdraw(release: Release, *, by: User, reason: str, **details: Any) -> None:
    """Write down that a release is in no archive; where it was the newest, the one before it is that again."""
    with transaction.atomic():
        Survey.objects.select_for_update().get(pk=release.survey_id)
        newest = release.state == State.PUBLIC
        note(release, Action.WITHDRAW, by=by, reason=reason, details=details)
        if not newest:
            return
        last = (
            ReleaseEvent.objects.filter(
                release__survey=release.survey, release__state=State.OBSOLETE, action=Action.PROMOTE, phase=Phase.DONE
            )
            .order_by("at")
            .last()
        )
        if last is not None:
            why = f"{release.schema} was withdrawn"
            note(last.release, Action.REINSTATE, by=by, reason=why, details={"instead_of": release.schema})


def settle(release: Release) -> ReleaseEvent | None:
    """Settle what was interrupted, if anything was; to be called with the release held (`.history.at_work`).

    Returns the event that was written.
    """
    intent = open_intent(release)
    if intent is None:
        return None
    action, said = Action(intent.action), {"by": intent.actor, "reason": intent.reason}
    committed = _committed(release, action)
    for archive in _concerned(action):
        archives.follow(archive, release.schema)
    if not committed:
        why = "interrupted; the archive is as before"
        note(release, action, by=intent.actor, reason=why, phase=Phase.ABANDONED, details={"intent": intent.number})
    elif action is Action.STAGE:
        finish_stage(release, archives.tables_of(archives.staging(), release), **said, **_settled(intent))
    elif action is Action.PROMOTE:
        finish_promote(release, **said, **_settled(intent))
    else:
        finish_withdraw(release, **said, **_settled(intent))
    release.refresh_from_db()
    written: ReleaseEvent = release.events.last()
    return written


def _settled(intent: ReleaseEvent) -> Mapping[str, Any]:
    return {**intent.details, "settled": intent.number}


def _concerned(action: Action) -> tuple[Archive, ...]:
    """The archives that an action changes."""
    one = {Action.STAGE: archives.staging, Action.PROMOTE: archives.public}.get(action)
    return (archives.staging(), archives.public()) if one is None else (one(),)


def _committed(release: Release, action: Action) -> bool:
    """Whether what was begun has happened."""
    held = [archives.holds(archive, release) for archive in _concerned(action)]
    return not any(held) if action is Action.WITHDRAW else all(held)

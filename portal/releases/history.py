"""The history of releases: events, each of which seals the one before it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from ingest.errors import ReleaseError
from portal.accounts.models import User
from portal.releases.models import Phase, Release, ReleaseEvent
from portal.releases.states import Action, State, after

__all__ = ["BusyError", "at_work", "broken_link", "digest", "note", "open_intent"]


_PATIENCE = 2.0
"""Seconds to wait for a hold. The server needs a moment to see that a process was killed, and lets go of its hold then."""


class BusyError(ReleaseError):
    """Somebody else is at work on the release."""


def note(
    release: Release,
    action: Action,
    *,
    by: User,
    reason: str = "",
    phase: Phase = Phase.DONE,
    details: Mapping[str, Any] | None = None,
) -> ReleaseEvent:
    """Write down what was done (or, by its phase, begun or abandoned); the release's state follows.

    Raises
    ------
    ReleaseError
        This can not be done to a release in this state.
    """
    with transaction.atomic():
        locked = Release.objects.select_for_update().get(pk=release.pk)
        last = ReleaseEvent.objects.filter(release=locked).last()
        before = None if last is None else State(locked.state)
        follows = after(action, before, release.schema)
        event = ReleaseEvent(
            release=release,
            number=1 if last is None else last.number + 1,
            action=action,
            phase=phase,
            before=before or "",
            after=follows if phase is Phase.DONE else before,
            actor=by,
            username=by.username,
            at=datetime.now(UTC),
            reason=reason,
            details=dict(details or {}),
            previous="" if last is None else last.sha256,
        )
        event.sha256 = digest(event)
        event.save(force_insert=True)
        # The database's trigger has changed the state.
        release.refresh_from_db(fields=["state"])
    return event


def digest(event: ReleaseEvent) -> str:
    """SHA-256 of all that an event says, with the sum of the event before it."""
    said = [
        event.release.schema, event.number, event.action, event.phase, event.before, event.after, event.username,
        event.at.astimezone(UTC).isoformat(), event.reason, event.details, event.previous,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def broken_link(release: Release) -> int | None:
    """Number of the first event that does not say what it said when it was written; None where the history is whole."""
    previous = ""
    for place, event in enumerate(release.events.all(), start=1):
        if event.number != place or event.previous != previous or event.sha256 != digest(event):
            return place
        previous = event.sha256
    return None


def open_intent(release: Release) -> ReleaseEvent | None:
    """What was begun on a release and neither finished nor abandoned."""
    last = release.events.last()
    return last if last is not None and last.phase == Phase.BEGUN else None


@contextmanager
def at_work(release: Release) -> Iterator[None]:
    """Hold a release for one process, on whatever machine; the hold ends with the process, however that ends.

    Raises
    ------
    BusyError
        Somebody else is at work on it, and still was after a moment.
    """
    key = f"specola release {release.schema}"
    end = time.monotonic() + _PATIENCE
    while not _held(key):
        if time.monotonic() > end:
            raise BusyError(
                f"{release.schema}: found somebody else at work on it; wait for the end, then look at `specola release show`"
            )
        time.sleep(0.05)
    try:
        yield
    finally:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(4701002, hashtext(%s))", [key])


def _held(key: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(4701002, hashtext(%s))", [key])
        (held,) = cursor.fetchone()
    return bool(held)

"""The survey database refuses by itself what must not be, whoever asks."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest

from ops.house import House
from tests.ingest.load.releases import write_release


@pytest.fixture
def sql(portal: House) -> Callable[..., None]:
    """Runs a statement as the owner of the survey database, past Django."""

    def run(statement: str, *parameters: Any) -> None:
        connection = psycopg2.connect(portal.survey_dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, parameters)
        finally:
            connection.close()

    return run


def test_the_database_has_the_table_of_transitions(people) -> None:
    from portal.releases.models import ReleaseTransition
    from portal.releases.states import TRANSITIONS

    rows = {(row.action, row.before, row.after) for row in ReleaseTransition.objects.all()}
    assert rows == {(action.value, before.value if before else "", after.value) for action, before, after in TRANSITIONS}


def test_every_state_and_action(life) -> None:
    """What may be done in a state is what the table says, and what may not is refused with the states that would do."""
    from ingest.errors import ReleaseError
    from portal.releases.states import TRANSITIONS, Action, State, after

    allowed = {(step.action, step.before): step.after for step in TRANSITIONS}
    assert len(allowed) == len(TRANSITIONS), "an action leads from a state to one state"
    for action in Action:
        for state in State:
            if (action, state) in allowed:
                assert after(action, state, "x") is allowed[action, state]
            else:
                with pytest.raises(ReleaseError, match=f"{action} x: found state {state}, expected "):
                    after(action, state, "x")
    reachable = {State.CANDIDATE}
    for _ in State:
        reachable |= {step.after for step in TRANSITIONS if step.before in reachable}
    assert reachable == set(State)
    assert not [step for step in TRANSITIONS if step.before is State.DEPRECATED]


STATEMENTS = {
    "change an event": "UPDATE releases_releaseevent SET reason = 'other' WHERE release_id = %s",
    "delete an event": "DELETE FROM releases_releaseevent WHERE release_id = %s",
    "delete all events": "TRUNCATE releases_releaseevent CASCADE -- %s",
    "delete a release": "DELETE FROM releases_release WHERE id = %s",
    "delete all releases": "TRUNCATE releases_release CASCADE -- %s",
    "change the state": "UPDATE releases_release SET state = 'public' WHERE id = %s",
    "go back": "UPDATE releases_release SET state = 'candidate' WHERE id = %s",
    "change the sum": "UPDATE releases_release SET bundle_sha256 = repeat('0', 64) WHERE id = %s",
    "change the seal": "UPDATE releases_release SET seal_sha256 = repeat('0', 64) WHERE id = %s",
    "change the description": "UPDATE releases_release SET head = '{}' WHERE id = %s",
    "change the counts": "UPDATE releases_release SET counts = '{}' WHERE id = %s",
    "rename": "UPDATE releases_release SET name = 'other' WHERE id = %s",
    "change a source": "UPDATE releases_releasesource SET path = 'other' WHERE release_id = %s",
    "delete a source": "DELETE FROM releases_releasesource WHERE release_id = %s",
    "add a source": "INSERT INTO releases_releasesource (release_id, path, identity, n_spectra) VALUES (%s, 'x', 'y', 1)",
    "allow more": "INSERT INTO releases_releasetransition (action, before, after)"
    " SELECT 'x', 'frozen', 'public' FROM releases_release WHERE id = %s",
    "begin as public": "INSERT INTO releases_release (survey_id, name, state, head, bundle_sha256, seal_sha256, counts, files)"
    " SELECT survey_id, 'zzz', 'public', '{}', '', '', '{}', 0 FROM releases_release WHERE id = %s",
}


def test_what_is_frozen_and_what_happened_stays(sql, life, to, name, tmp_path: Path) -> None:
    release = to("frozen", name, write_release(tmp_path / "bundle", "r", 2))
    before = list(release.events.values()), list(type(release).objects.filter(pk=release.pk).values())
    for what, statement in STATEMENTS.items():
        with pytest.raises(psycopg2.errors.RestrictViolation):
            sql(statement, release.pk)
        assert (list(release.events.values()), list(type(release).objects.filter(pk=release.pk).values())) == before, what


EVENT = """INSERT INTO releases_releaseevent
  (release_id, number, action, phase, before, after, actor_id, username, at, reason, details, previous, sha256)
  SELECT r.id, e.number + %s, %s, %s, %s, %s, e.actor_id, e.username, now(), 'x', '{}',
  CASE WHEN %s = '' THEN e.sha256 ELSE repeat('0', 64) END, %s
  FROM releases_release r JOIN releases_releaseevent e ON e.release_id = r.id WHERE r.id = %s ORDER BY e.number DESC LIMIT 1"""

BAD_EVENTS = {
    "a gap": (2, "stage", "done", "frozen", "internal", ""),
    "the same number": (0, "stage", "done", "frozen", "internal", ""),
    "another sum before": (1, "stage", "done", "frozen", "internal", "0"),
    "a state it is not in": (1, "promote", "done", "internal", "public", ""),
    "a leap": (1, "promote", "done", "frozen", "public", ""),
    "an unknown action": (1, "polish", "done", "frozen", "public", ""),
    "a state changed by what was only begun": (1, "stage", "begun", "frozen", "internal", ""),
}


def test_events_follow_each_other_as_the_table_says(sql, life, to, name, tmp_path: Path) -> None:
    release = to("frozen", name, write_release(tmp_path / "bundle", "r", 2))
    for what, (step, action, phase, before, after, previous) in BAD_EVENTS.items():
        with pytest.raises(psycopg2.errors.RestrictViolation):
            sql(EVENT, step, action, phase, before, after, previous, "f" * 64, release.pk)
        assert release.events.count() == 3, what
    from portal.releases.history import broken_link

    assert broken_link(release) is None
    # One that follows is taken, and moves the state; that it was not written by us shows in its sum.
    sql(EVENT, 1, "withdraw", "done", "frozen", "deprecated", "", "f" * 64, release.pk)
    release.refresh_from_db()
    assert release.state == "deprecated"
    assert broken_link(release) == 4


def test_every_word_of_the_history_is_in_its_sums(life, by, name) -> None:
    """Somebody who takes the triggers away and rewrites the history is seen."""
    from portal.releases.history import digest

    release = life.create(name, head={"title": "Some title"}, **by)
    event = release.events.get()
    assert event.sha256 == digest(event)
    other = {"number": 2, "action": "add", "phase": "begun", "before": "frozen", "after": "frozen", "username": uuid.uuid4().hex,
             "at": event.at.replace(microsecond=(event.at.microsecond + 1) % 1_000_000), "reason": "x", "details": {"a": 1},
             "previous": "0" * 64}  # fmt: skip
    for field, value in other.items():
        kept = getattr(event, field)
        setattr(event, field, value)
        assert event.sha256 != digest(event), field
        setattr(event, field, kept)
    assert event.sha256 == digest(event)

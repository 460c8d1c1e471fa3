"""What may follow what. This table is the only place that says it; the survey database holds a copy and refuses everything
else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from ingest.errors import ReleaseError

__all__ = ["FROZEN", "IN_ARCHIVES", "TRANSITIONS", "Action", "State", "Transition", "after"]


class State(StrEnum):
    """Where a release is in its life."""

    CANDIDATE = "candidate"
    """Being put together: bundles are added."""
    FROZEN = "frozen"
    """Sealed: its content never changes again."""
    INTERNAL = "internal"
    """In the staging archive, for the team."""
    EMBARGO = "embargo"
    """As internal, and not to be public before a date."""
    PUBLIC = "public"
    """In the public archive, and the newest of its survey."""
    OBSOLETE = "obsolete"
    """In the public archive, and a newer one is, too."""
    DEPRECATED = "deprecated"
    """Withdrawn: in no archive. Its name is never used again."""


class Action(StrEnum):
    """What a manager does, and what follows from it for other releases of the survey (supersede, reinstate)."""

    CREATE = "create"
    ADD = "add"
    FREEZE = "freeze"
    STAGE = "stage"
    EMBARGO = "embargo"
    PROMOTE = "promote"
    SUPERSEDE = "supersede"
    REINSTATE = "reinstate"
    WITHDRAW = "withdraw"


class Transition(NamedTuple):
    """An action, the state it wants, and the one it leads to. A release that is being made has no state before."""

    action: Action
    before: State | None
    after: State


TRANSITIONS: tuple[Transition, ...] = (
    Transition(Action.CREATE, None, State.CANDIDATE),
    Transition(Action.ADD, State.CANDIDATE, State.CANDIDATE),
    Transition(Action.FREEZE, State.CANDIDATE, State.FROZEN),
    Transition(Action.STAGE, State.FROZEN, State.INTERNAL),
    Transition(Action.EMBARGO, State.INTERNAL, State.EMBARGO),
    Transition(Action.EMBARGO, State.EMBARGO, State.EMBARGO),
    Transition(Action.PROMOTE, State.INTERNAL, State.PUBLIC),
    Transition(Action.PROMOTE, State.EMBARGO, State.PUBLIC),
    Transition(Action.SUPERSEDE, State.PUBLIC, State.OBSOLETE),
    Transition(Action.REINSTATE, State.OBSOLETE, State.PUBLIC),
    *(Transition(Action.WITHDRAW, state, State.DEPRECATED) for state in State if state is not State.DEPRECATED),
)

FROZEN = frozenset(State) - {State.CANDIDATE}
"""States in which the content is fixed (a candidate that was withdrawn never had any)."""

IN_ARCHIVES = frozenset({State.INTERNAL, State.EMBARGO, State.PUBLIC, State.OBSOLETE})
"""States of releases that an archive serves."""

_REMEDIES: dict[Action, str] = {
    Action.ADD: "a frozen release never changes: create a new one",
    Action.FREEZE: "it is frozen once and for all",
    Action.STAGE: "freeze it first, and stage it once",
    Action.EMBARGO: "stage it first; what is public can not be embargoed",
    Action.PROMOTE: "stage it first, and promote it once",
    Action.WITHDRAW: "it was withdrawn already",
}


def after(action: Action, before: State | None, what: str) -> State:
    """The state an action leads to.

    Parameters
    ----------
    what
        Name of the release, for the message.

    Raises
    ------
    ReleaseError
        A release in this state can not have that done to it.
    """
    for transition in TRANSITIONS:
        if transition.action is action and transition.before is before:
            return transition.after
    wanted = " or ".join(transition.before for transition in TRANSITIONS if transition.action is action and transition.before)
    remedy = _REMEDIES.get(action, "")
    raise ReleaseError(f"{action} {what}: found state {before}, expected {wanted}{'; ' if remedy else ''}{remedy}")

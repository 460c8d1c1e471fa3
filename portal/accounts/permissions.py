"""Who may do what. No other module compares roles.

A role says what somebody is to one survey; :data:`ROLES` says what that lets them do there. An administrator of the installation
(``is_superuser``) may do everything everywhere. Who is disabled or not logged in may do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from portal.accounts.models import Role, Survey

__all__ = ["ROLES", "Action", "may", "require", "surveys_for", "why_not_staging"]


class Action(StrEnum):
    """What there is to be allowed."""

    VIEW_STAGING = "see the releases of the survey that are being prepared"
    VIEW_SURVEY = "see the survey's internal pages"
    MANAGE_MEMBERS = "give and take roles"
    MANAGE_RELEASES = "make, freeze, stage, promote and withdraw releases"
    MANAGE_OBSERVATIONS = "prepare masks and OBs, record observations"
    REDUCE = "run reductions and judge their quality"
    MEASURE = "measure redshifts"
    ARBITRATE = "settle measurements that disagree"
    ASSIGN = "hand out measurements"


_SEE = frozenset({Action.VIEW_STAGING, Action.VIEW_SURVEY})
_MANAGE = _SEE | {Action.MANAGE_RELEASES, Action.MANAGE_OBSERVATIONS, Action.ASSIGN}

ROLES: dict[Role, frozenset[Action]] = {
    Role.ADMIN: frozenset(Action),
    Role.MANAGER: _MANAGE,
    Role.REDUCER: _SEE | {Action.REDUCE},
    Role.MEASURER: _SEE | {Action.MEASURE},
    Role.ARBITER: _SEE | {Action.MEASURE, Action.ARBITRATE},
    Role.MEMBER: _SEE,
}
"""What each role lets somebody do in its survey."""


def may(user: Any, action: Action, survey: Survey | str) -> bool:
    """True when a user (Django's anonymous one too) may do this in a survey, given as such or by its key."""
    if not user.is_authenticated or not user.is_active:
        return False
    if user.is_superuser:
        return True
    key = survey.key if isinstance(survey, Survey) else survey
    return bool(user.memberships.filter(survey__key=key, role__in=_roles_with(action)).exists())


def require(user: Any, action: Action, survey: Survey | str) -> None:
    """Do nothing when the user may, else raise.

    :raises PermissionDenied: which Django answers with 403
    """
    if not may(user, action, survey):
        key = survey.key if isinstance(survey, Survey) else survey
        raise PermissionDenied(f"{user} may not {action.value} ({key})")


def surveys_for(user: Any, action: Action) -> QuerySet[Survey]:
    """The surveys in which a user may do this."""
    if not user.is_authenticated or not user.is_active:
        return Survey.objects.none()
    if user.is_superuser:
        return Survey.objects.all()
    return Survey.objects.filter(memberships__user=user, memberships__role__in=_roles_with(action)).distinct()


def why_not_staging(user: Any, schema: str | None, staged: Mapping[str, str]) -> str:
    """Why a user may not see something in the staging archive; empty when he may.

    What shows one release is for those who may see that survey's. Everything else (TAP, ObsCore, OAI, lists of services) shows
    all releases at once, for DaCHS protects no rows: it is for those who may see every survey that has one there
    (docs/decisions/0040-staging-for-whom.md).

    :param schema: of the release, or of the survey (its plain name), that it shows; None when it is not of one alone
    :param staged: schema and survey of every release in that archive
    """
    if not user.is_authenticated or not user.is_active:
        return "Log in first."
    if user.is_superuser:
        return ""
    mine = set(surveys_for(user, Action.VIEW_STAGING).values_list("key", flat=True))
    if not mine:
        return "Your account has no role in any survey."
    if survey := _survey_of(schema, staged):
        return "" if survey in mine else "This release is of a survey in which you have no role."
    if others := set(staged.values()) - mine:
        count = "a survey" if len(others) == 1 else f"{len(others)} surveys"
        return f"This shows all releases in staging, and those of {count} in which you have no role are among them."
    return ""


def _survey_of(schema: str | None, staged: Mapping[str, str]) -> str:
    """The survey whose releases, and no other's, a schema shows; empty when there is no such survey.

    A survey's plain name is the schema of views over its releases. The archive takes no survey of a name that it has an address
    of its own for (`ingest.surveys.RESERVED`).
    """
    if schema is None:
        return ""
    return staged.get(schema, schema if schema in staged.values() else "")


def _roles_with(action: Action) -> list[Role]:
    return [role for role, actions in ROLES.items() if action in actions]

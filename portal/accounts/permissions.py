"""Who may do what. No other module compares roles.

A role says what somebody is to one survey; :data:`ROLES` says what that lets them do there. An administrator of the installation
(``is_superuser``) may do everything everywhere. Who is disabled or not logged in may do nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from portal.accounts.models import Role, Survey

__all__ = ["ROLES", "Action", "may", "require", "surveys_for"]


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


def _roles_with(action: Action) -> list[Role]:
    return [role for role, actions in ROLES.items() if action in actions]

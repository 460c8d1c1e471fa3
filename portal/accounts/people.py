"""What the command line does to accounts; every function is one transaction and answers in plain data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from portal.accounts.models import ApiToken, LoginEvent, Membership, Role, Survey, User
from portal.errors import PortalError

__all__ = [
    "add", "add_token", "everybody", "give_role", "logins", "revoke_token", "role_of", "set_active", "set_password", "take_role",
    "tokens",
]  # fmt: skip


def role_of(text: str) -> tuple[str, Role]:
    """Survey and role of a text like ``vipers:measurer``.

    :raises PortalError: when it is none
    """
    survey, colon, role = text.partition(":")
    if not colon or role not in set(Role):
        raise PortalError(
            f"{text!r} is no role in a survey", f"Write SURVEY:ROLE, as in vipers:measurer; the roles are {', '.join(Role)}."
        )
    return survey, Role(role)


@transaction.atomic
def add(
    username: str,
    password: str,
    *,
    name: str = "",
    email: str = "",
    roles: list[tuple[str, Role]] | None = None,
    admin: bool = False,
) -> None:
    """Make an account.

    :raises PortalError: there is one of that name, or something of it can not be used
    """
    first, _, last = name.rpartition(" ")
    user = User(username=username, email=email, first_name=first, last_name=last, is_superuser=admin, is_staff=admin)
    user.set_password(_checked(password, user))
    _save(user)
    for survey, role in roles or []:
        give_role(username, survey, role)


@transaction.atomic
def give_role(username: str, survey: str, role: Role) -> bool:
    """Give a role, and make the survey when it is not known; False when they had it.

    :raises PortalError: no such user, or no name for a survey
    """
    user = _user(username)
    found = Survey.objects.filter(key=survey).first()
    if found is None:
        found = Survey(key=survey, name=survey)
        _save(found)
    return bool(Membership.objects.get_or_create(user=user, survey=found, role=role)[1])


def take_role(username: str, survey: str, role: Role) -> bool:
    """Take a role away; False when they had it not."""
    return bool(Membership.objects.filter(user=_user(username), survey__key=survey, role=role).delete()[0])


@transaction.atomic
def set_password(username: str, password: str) -> None:
    """Give an account another password, which ends its sessions."""
    user = _user(username)
    user.set_password(_checked(password, user))
    user.save(update_fields=["password"])


def set_active(username: str, active: bool) -> None:
    """Let somebody in, or keep them out."""
    user = _user(username)
    user.is_active = active
    user.save(update_fields=["is_active"])


def everybody(survey: str = "") -> list[dict[str, Any]]:
    """All accounts, or those with a role in a survey."""
    came_in = Max("logins__at", filter=Q(logins__outcome=LoginEvent.Outcome.IN))
    users = User.objects.prefetch_related("memberships__survey").annotate(came_in=came_in)
    if survey:
        users = users.filter(memberships__survey__key=survey).distinct()
    return [
        {
            "username": user.username,
            "name": user.get_full_name(),
            "email": user.email,
            "active": user.is_active,
            "admin": user.is_superuser,
            "roles": [f"{one.survey.key}:{one.role}" for one in user.memberships.all()],
            "last_login": user.came_in,
        }
        for user in users
    ]


def logins(username: str, number: int) -> list[dict[str, Any]]:
    """The last logins and attempts, the newest first."""
    events = LoginEvent.objects.all()
    if username:
        events = events.filter(username=_user(username).username)
    return list(events.values("at", "username", "way", "outcome", "address", "agent")[:number])


def add_token(username: str, name: str, days: int) -> dict[str, Any]:
    """Make a token; its text is in the answer and nowhere else."""
    token, text = ApiToken.make(_user(username), name, timezone.now() + timedelta(days=days))
    return {"token": text, "key": token.key, "name": name, "expires": token.expires}


def tokens(username: str) -> list[dict[str, Any]]:
    """Somebody's tokens, those that are worth nothing too."""
    now = timezone.now()
    return [
        {
            "key": one.key,
            "name": one.name,
            "created": one.created,
            "expires": one.expires,
            "last_used": one.last_used,
            "state": "revoked" if one.revoked else "valid" if one.is_valid(now) else "expired",
        }
        for one in _user(username).tokens.all()
    ]


def revoke_token(username: str, key: str) -> None:
    """Make a token worthless.

    :raises PortalError: they have none with this key
    """
    token = ApiToken.objects.filter(user=_user(username), key=key).first()
    if token is None:
        raise PortalError(f"{username} has no token {key}", f"List them: specola user token list {username}")
    token.revoke()


def _user(username: str) -> User:
    found = User.objects.filter(username=username).first()
    if found is None:
        raise PortalError(f"there is no user {username!r}", "List them: specola user list")
    return found  # type: ignore[no-any-return]


def _checked(password: str, user: User) -> str:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise PortalError("this password can not be used: " + " ".join(error.messages), "Choose a longer one.") from error
    return password


def _save(one: User | Survey) -> None:
    try:
        one.full_clean()
    except ValidationError as error:
        raise PortalError("; ".join(error.messages)) from error
    one.save()

"""Who came in, and who tried to: a row in :class:`~portal.accounts.models.LoginEvent` each."""

from __future__ import annotations

import ipaddress
from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.dispatch import receiver
from django.http import HttpRequest

from portal.accounts.models import LoginEvent, User

__all__ = ["client_address", "note"]

Way, Outcome = LoginEvent.Way, LoginEvent.Outcome


def client_address(request: HttpRequest) -> str | None:
    """Address of the client, as our nginx says it (it sets X-Real-IP, and nobody else reaches the portal's socket)."""
    try:
        return str(ipaddress.ip_address(request.META.get("HTTP_X_REAL_IP", "")))
    except ValueError:
        return None


def note(request: HttpRequest | None, way: LoginEvent.Way, outcome: LoginEvent.Outcome, username: str, user: User | None) -> None:
    """Write a row."""
    LoginEvent.objects.create(
        user=user,
        username=_printable(username)[:150],
        way=way,
        outcome=outcome,
        address=client_address(request) if request is not None else None,
        agent=_printable(request.META.get("HTTP_USER_AGENT", ""))[:200] if request is not None else "",
    )


def _printable(text: str) -> str:
    """What PostgreSQL takes as text, and nothing that plays tricks with a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


@receiver(user_logged_in)
def _came_in(request: HttpRequest, user: User, **_: Any) -> None:
    note(request, Way.FORM, Outcome.IN, user.username, user)


@receiver(user_logged_out)
def _went(request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        note(request, Way.FORM, Outcome.OUT, user.username, user)


@receiver(user_locked_out)
def _locked(request: HttpRequest, username: str | None = None, **_: Any) -> None:
    note(request, getattr(request, "way", Way.FORM), Outcome.LOCKED, username or "", None)

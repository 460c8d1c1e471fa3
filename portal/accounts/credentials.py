"""Who sends a request that carries its credentials in the header ``Authorization``: programs, and browsers asked by HTTP Basic.

Taken are a name with a password, a name with a token in the password's place (the name may then also be empty or ``token``),
and ``Bearer`` with a token. Wrong ones count against the same limit as on the login page.

A password costs a quarter of a second of a core to check, on purpose; TOPCAT sends it with every request. So a process remembers
for a while that a credential was right, as a keyed hash of it (the key lives and dies with the process), next to the stored
hash it was right for. The account's row is read at every request all the same: a changed password, a revoked token, a
disabled account are worth nothing from the next request on.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from axes.handlers.proxy import AxesProxyHandler
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest
from django.utils import timezone

from portal.accounts.events import note
from portal.accounts.models import ApiToken, LoginEvent, User

__all__ = ["LockedError", "RefusedError", "user_of"]

REMEMBERED = 600
"""Seconds after which a credential is checked again in full, and noted as a login."""
MOST_REMEMBERED = 10_000
LONGEST = 4096
"""Characters of a header beyond which nobody's credentials can be in it."""

Way, Outcome = LoginEvent.Way, LoginEvent.Outcome


class RefusedError(Exception):
    """The credentials are wrong."""


class LockedError(RefusedError):
    """There were too many wrong ones; nothing is looked at for a while."""


class _Memory:
    """Which credentials were right, and for which stored hash."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def _place(self, parts: tuple[str, ...]) -> bytes:
        text = "\0".join((str(len(parts)), *parts))
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")

    def knows(self, stored: str, *parts: str) -> bool:
        """True when these were right a moment ago, for this stored hash."""
        with self._lock:
            until, seen = self._known.get(self._place(parts), (0.0, ""))
        return time.monotonic() < until and hmac.compare_digest(seen.encode(), stored.encode())

    def learn(self, stored: str, *parts: str) -> None:
        """Remember that these are right for this stored hash."""
        with self._lock:
            self._known[self._place(parts)] = (time.monotonic() + REMEMBERED, stored)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)


_memory = _Memory()


@dataclass(frozen=True)
class _Claim:
    """What a header says: who, and the proof. A token's text is in ``token``, and the password empty."""

    username: str
    password: str
    token: str


def user_of(request: HttpRequest) -> User | None:
    """The user whose credentials a request carries in its header; None when it has no such header.

    :raises RefusedError: they are wrong, or of an account that is disabled
    :raises LockedError: there were too many wrong ones for this name from this address
    """
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if not header:
        return None
    claim = _read(header)
    return _by_token(request, claim) if claim.token else _by_password(request, claim)


def _read(header: str) -> _Claim:
    scheme, _, rest = header.strip().partition(" ")
    rest = rest.strip()
    if len(header) > LONGEST or "\0" in header:
        raise RefusedError
    if scheme.lower() == "bearer" and ApiToken.key_of(rest):
        return _Claim("", "", rest)
    if scheme.lower() != "basic":
        raise RefusedError
    try:
        raw = base64.b64decode(rest, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError from error
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # RFC 7617, appendix B.3: what older programs send
    username, colon, password = text.partition(":")
    if not colon or "\0" in text:
        raise RefusedError
    if ApiToken.key_of(password):
        return _Claim(username, "", password)
    return _Claim(username, password, "")


def _by_token(request: HttpRequest, claim: _Claim) -> User:
    key = ApiToken.key_of(claim.token) or ""
    token = ApiToken.objects.select_related("user").filter(key=key).first()
    now = timezone.now()
    right = (
        token is not None
        and token.is_valid(now)
        and token.user.is_active
        and claim.username in {"", "token", token.user.username}
    )
    if right and _memory.knows(token.digest, claim.token):
        return token.user  # type: ignore[no-any-return]
    name = f"token {key}"
    _check_limit(request, Way.TOKEN, name)
    if not right or not token.matches(claim.token):
        user_login_failed.send(sender=__name__, credentials={"username": name}, request=request)
        request.axes_locked_out = False
        note(request, Way.TOKEN, Outcome.REFUSED, name, token.user if token else None)
        raise RefusedError
    _memory.learn(token.digest, claim.token)
    ApiToken.objects.filter(pk=token.pk).update(last_used=now)
    note(request, Way.TOKEN, Outcome.IN, token.user.username, token.user)
    return token.user  # type: ignore[no-any-return]


def _by_password(request: HttpRequest, claim: _Claim) -> User:
    user = User.objects.filter(username=claim.username, is_active=True).first()
    if user is not None and _memory.knows(user.password, claim.username, claim.password):
        return user  # type: ignore[no-any-return]
    _check_limit(request, Way.BASIC, claim.username)
    request.way = Way.BASIC
    found = authenticate(request, username=claim.username, password=claim.password)
    request.axes_locked_out = False  # who asks is nginx, which wants our answer and no page
    if found is None:
        note(request, Way.BASIC, Outcome.REFUSED, claim.username, user)
        raise RefusedError
    _memory.learn(found.password, claim.username, claim.password)
    note(request, Way.BASIC, Outcome.IN, found.username, found)
    return found  # type: ignore[no-any-return]


def _check_limit(request: HttpRequest, way: LoginEvent.Way, username: str) -> None:
    request.way = way
    if not AxesProxyHandler.is_allowed(request, {"username": username}):
        raise LockedError

"""What nginx asks before it shows anybody anything of the staging archive (``auth_request``, etc/nginx-gate.conf.in).

It answers 204 (with the user's name for DaCHS), 401 (say who you are) or 403 (with the reason), and never a page.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from portal.accounts import credentials, permissions
from portal.accounts.staging import release_at, staged_releases

__all__ = ["gate"]

CHALLENGE = 'Basic realm="Specola staging archive", charset="UTF-8"'


@require_GET
def gate(request: HttpRequest) -> HttpResponse:
    """May whoever sends this request see the address in ``X-Original-URI``?"""
    try:
        user = credentials.user_of(request) or request.user
    except credentials.LockedError:
        return _refusal("Too many wrong passwords or tokens. Wait a quarter of an hour.")
    except credentials.RefusedError:
        return _challenge()
    if not user.is_authenticated:
        return _challenge()
    reason = permissions.why_not_staging(user, release_at(request.META.get("HTTP_X_ORIGINAL_URI", "")), staged_releases())
    if reason:
        return _refusal(reason)
    response = HttpResponse(status=204)
    response["X-Specola-User"] = user.username
    return response


def _challenge() -> HttpResponse:
    return HttpResponse(status=401, headers={"WWW-Authenticate": CHALLENGE})


def _refusal(reason: str) -> HttpResponse:
    return HttpResponse(status=403, headers={"X-Specola-Reason": reason})

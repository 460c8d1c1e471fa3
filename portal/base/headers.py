"""Security headers that Django 5.2 does not set itself."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

__all__ = ["POLICY", "ContentSecurity"]

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none';"
    f" form-action 'self' {settings.HOUSE.archive('staging').url}"
)
"""Nothing comes from elsewhere, nothing stands in the page itself, nobody frames it (Content Security Policy Level 3).

A form may lead to the staging archive, where the login page sends who came from there: browsers hold redirects to this, too.
"""


class ContentSecurity:
    """Sets the policy, and keeps pages made for somebody who is logged in out of every cache."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        user = getattr(request, "user", None)
        if user is not None and user.is_authenticated:
            response.headers.setdefault("Cache-Control", "private, no-store")
        return response

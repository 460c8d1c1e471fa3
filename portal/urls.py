"""Every address of the portal. ``/`` is a plain file that nginx sends."""

from __future__ import annotations

from django.urls import include, path

from portal.base.views import health

urlpatterns = [
    path("health", health, name="health"),
    path("", include("portal.accounts.urls")),
]

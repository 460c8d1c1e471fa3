"""The application, to Django."""

from __future__ import annotations

from django.apps import AppConfig


class ReleasesConfig(AppConfig):
    """Releases."""

    name = "portal.releases"
    label = "releases"

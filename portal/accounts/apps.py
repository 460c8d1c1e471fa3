"""The application, to Django."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts."""

    name = "portal.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Have logins noted."""
        from portal.accounts import events  # noqa: F401  (connects its receivers)

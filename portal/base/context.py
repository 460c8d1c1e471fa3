"""What every template may name."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

__all__ = ["installation"]


def installation(_: HttpRequest) -> dict[str, Any]:
    """Title, contact and addresses of the installation."""
    house = settings.HOUSE
    return {
        "sitename": house.sitename,
        "contact": house.contact,
        "public_url": house.archive("public").url,
        "staging_url": house.archive("staging").url,
    }

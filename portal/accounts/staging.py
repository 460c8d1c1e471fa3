"""What an address of the staging archive shows, and what is in that archive."""

from __future__ import annotations

import re

from django.db import connections

__all__ = ["RELEASE", "release_at", "staged_releases"]

RELEASE = re.compile(
    r"/tableinfo/(?P<table>[a-z][a-z0-9_]*)[.][a-z][a-z0-9_]*"
    r"|/(?:browse|bulk|getproduct)/(?P<folder>[a-z][a-z0-9_]*)(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*/?"
    r"|/(?P<schema>[a-z][a-z0-9_]*)(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)+/?"
)
"""Addresses that show one release, or one survey under its plain name, and nothing else. Whatever could be read in
two ways (``//``, a percent sign, dots that climb) is none of them."""


def release_at(address: str) -> str | None:
    """The schema of the release or survey that an address (path, perhaps a query) shows; None for everything that may show more.

    Whether the schema is that of a release or survey is for the caller to find out.
    """
    path = address.partition("?")[0]
    found = RELEASE.fullmatch(path)
    return (found["table"] or found["folder"] or found["schema"]) if found else None


def staged_releases() -> dict[str, str]:
    """Schema and survey of every release in the staging archive, at this moment."""
    with connections["staging"].cursor() as cursor:
        cursor.execute("SELECT to_regclass('specola.releases')")
        if cursor.fetchone()[0] is None:
            return {}
        cursor.execute("SELECT schema_name, survey FROM specola.releases")
        return dict(cursor.fetchall())

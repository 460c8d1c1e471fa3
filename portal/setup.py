"""Django made ready in a process that was not started by it: the command line, ``specola up``, tests."""

from __future__ import annotations

import os

from portal.errors import PortalError

__all__ = ["PREPARE_LOCK", "configure", "connect", "prepare"]

PREPARE_LOCK = 4_701_001
"""Key of the PostgreSQL advisory lock that keeps two set-ups from migrating at once."""


def configure() -> None:
    """Load Django with the settings of this installation (SPECOLA_VAR and the others); may be called again."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()


def connect() -> None:
    """Load Django and make sure that the survey database answers.

    :raises PortalError: it does not
    """
    configure()
    from django.db import OperationalError, connection

    try:
        connection.ensure_connection()
    except OperationalError as error:
        raise PortalError(f"the survey database: {str(error).strip()}", "Run `specola up`.") from error


def prepare() -> None:
    """Apply the migrations of the survey database and gather the static files where nginx sends them from.

    Every migration is a transaction, and another set-up waits for this one: it may be killed anywhere and repeated.
    """
    configure()
    from django.core.management import call_command
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [PREPARE_LOCK])
        try:
            call_command("migrate", interactive=False, verbosity=1)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [PREPARE_LOCK])
    call_command("collectstatic", interactive=False, verbosity=0)

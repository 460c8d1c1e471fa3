"""``python -m portal``: what has to happen before the portal can serve, and Django's own commands.

``python -m portal prepare`` brings the survey database's tables and the static files up to date; ``specola up`` calls it.
Anything else goes to Django, as in ``python -m portal makemigrations accounts`` or ``python -m portal shell``.
"""

from __future__ import annotations

import os
import sys

from portal.setup import prepare


def main() -> None:
    """Run one command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    if sys.argv[1:] == ["prepare"]:
        prepare()
        return
    from django.core.management import execute_from_command_line

    execute_from_command_line(["portal", *sys.argv[1:]])


if __name__ == "__main__":
    main()

"""One step of a release's life in a process of its own, to be killed: ``driver.py ACTION SCHEMA USER WHEN``.

WHEN is a number: SIGKILL comes at that call or return of a function of ingest or portal, counted from the start of the
action. 0 lets it live; it then prints how many there are. Counting, and not waiting, makes the moments the same on a slow
machine. Or WHEN is a place, ``MODULE.FUNCTION:before`` or ``…:after``, and SIGKILL comes when it is first reached.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ops.house import House

COUNTED = tuple(str(House.from_environment().repository / name) + os.sep for name in ("ingest", "portal"))


class Countdown:
    """Counts the calls and returns, and kills at one of them."""

    def __init__(self, limit: int) -> None:
        self.count = 0
        self._limit = limit

    def __call__(self, frame: Any, event: str, _: Any) -> None:
        if event in {"call", "return"} and frame.f_code.co_filename.startswith(COUNTED):
            self.count += 1
            if self.count == self._limit:
                die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(place: str) -> None:
    """Have the process killed before or after a function."""
    name, _, when = place.partition(":")
    module_name, _, function = name.rpartition(".")
    module = importlib.import_module(module_name)
    work = getattr(module, function)

    def deadly(*args: Any, **words: Any) -> Any:
        if when == "before":
            die()
        work(*args, **words)
        die()

    setattr(module, function, deadly)


def main() -> None:
    action, schema, username, when = sys.argv[1:]
    from portal.setup import configure

    configure()
    from portal.accounts.models import User
    from portal.releases import life

    user = User.objects.get(username=username)
    countdown = Countdown(int(when) if when.isdigit() else 0)
    if not when.isdigit():
        arm(when)
    sys.setprofile(countdown)
    getattr(life, action)(schema, by=user, reason="to be killed")
    sys.setprofile(None)
    sys.stdout.write(f"{countdown.count}\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    main()

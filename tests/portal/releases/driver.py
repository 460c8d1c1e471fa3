"""Steps of a release's life in processes of their own, to be killed.

``driver.py`` reads a line of JSON a step, ``[ACTION, SCHEMA, USER, WHEN]``, carries it out in a fork of itself (everything is
imported by then, which takes longer than most steps), and answers with a line: ``[STATUS, OUTPUT]``, where a negative status is a
signal.

WHEN is a number: SIGKILL comes at that call or return of a function of ingest or portal, counted from the start of the
action. 0 lets it live; its output is then how many there are. Counting, and not waiting, makes the moments the same on a slow
machine. Or WHEN is a place, ``MODULE.FUNCTION:before`` or ``…:after``, and SIGKILL comes when it is first reached.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
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


def step(action: str, schema: str, username: str, when: str) -> int:
    """Carry a step out; the number of calls and returns."""
    from portal.accounts.models import User
    from portal.releases import life

    user = User.objects.get(username=username)
    countdown = Countdown(int(when) if when.isdigit() else 0)
    if not when.isdigit():
        arm(when)
    sys.setprofile(countdown)
    getattr(life, action)(schema, by=user, reason="to be killed")
    sys.setprofile(None)
    return countdown.count


def forked(words: list[str]) -> tuple[int, str]:
    """Status and output of a step in a fork."""
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            try:
                print(step(*words), file=output, flush=True)
            except BaseException:  # noqa: BLE001 - all there is to say goes to the test
                traceback.print_exc(file=output)
                output.flush()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read()


def main() -> None:
    from portal.setup import configure

    configure()
    importlib.import_module("portal.releases.life")
    importlib.import_module("ingest.bulk.export")
    importlib.import_module("ingest.previews")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(forked(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    main()

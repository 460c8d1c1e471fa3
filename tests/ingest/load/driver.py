"""An ingest in a process of its own, to be killed: ``driver.py ARCHIVE BUNDLE [POINT VICTIM]``.

POINT is one of POINTS, VICTIM ``ingest`` or ``loader``: at that point the victim is killed with SIGKILL. The settings come
from the environment. Prints the name of the release when done, or the error.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import ingest.load
from ingest.errors import IngestError
from ingest.loader import Loader
from ops.house import House

POINTS = {
    "products copied": ("after", "dc.products"),
    "indexes and registry done": ("after", "finish"),
    "files in place": ("before", "commit"),
    "commit sent": ("sent", "commit"),
    "committed": ("after", "commit"),
}


def arm(point: str, victim: str) -> None:
    """Have the victim killed at the point."""
    when, word = POINTS[point]
    say, answer = Loader.say, Loader._answer

    def kill(loader: Loader) -> None:
        os.kill(os.getpid() if victim == "ingest" else loader.pid, signal.SIGKILL)

    def deadly_say(self: Loader, message: Any, frames: Any = None) -> dict[str, Any]:
        here = word in message or message.get("copy") == word
        if here and when == "before":
            kill(self)
        if here and when == "sent":

            def deadly_answer(self: Loader) -> dict[str, Any]:
                kill(self)
                return answer(self)

            Loader._answer = deadly_answer  # type: ignore[method-assign]
        told = say(self, message, frames)
        if here and when == "after":
            kill(self)
        return told

    Loader.say = deadly_say  # type: ignore[method-assign]


def main() -> int:
    name, bundle, *deadly = sys.argv[1:]
    if deadly:
        arm(*deadly)
    try:
        done = ingest.load.ingest_bundle(Path(bundle), House.from_environment().archive(name), previews=False)  # type: ignore[arg-type]
    except IngestError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{done.schema} {'already' if done.already else 'new'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

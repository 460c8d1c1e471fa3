"""The DaCHS server (``python3 -m vo.serve``): ``dachs serve start -f`` with :mod:`vo.gate` in front from its first request on.

An RD could not do that: DaCHS reads RDs after it has begun to listen.
"""

from __future__ import annotations

import sys

from gavo.user import cli

from vo import gate


def main() -> None:
    """Serve until a signal ends it."""
    gate.install()
    sys.argv = ["dachs", "--ui", "stingy", "serve", "start", "-f"]
    cli.main()


if __name__ == "__main__":
    main()

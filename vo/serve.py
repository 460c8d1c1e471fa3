"""The DaCHS server (``python3 -m vo.serve``): ``dachs serve start -f`` with what must be there from first to last request.

:mod:`vo.gate` says who may ask, :mod:`vo.turns` whose query runs when, :mod:`vo.drain` how the server ends; :mod:`vo.logs`
rotates logs, and nginx compresses. An RD could not do that: DaCHS reads RDs after it has begun to listen.
"""

from __future__ import annotations

import sys

from gavo.user import cli

from vo import drain, gate, logs, turns


def main() -> None:
    """Serve until a signal ends it."""
    logs.install()
    gate.install()
    turns.install()
    drain.install()
    _leave_compression_to_nginx()
    sys.argv = ["dachs", "--ui", "stingy", "serve", "start", "-f"]
    cli.main()


def _leave_compression_to_nginx() -> None:
    """DaCHS compresses without saying ``Vary``, and keeps pages with what it said of that, for clients with gzip and without."""
    from gavo.web import common

    common.GZIP_ENCODER.encoderForRequest = lambda _request: None


if __name__ == "__main__":
    main()

"""A DaCHS process that gets SIGUSR1 finishes the answers it has begun, takes no new ones, and ends.

SIGTERM ends it at once, with every connection. Here it first stops listening, so that nginx asks another process, has each
connection closed after its answer, and ends when no connection is left or after :data:`LONGEST`. The supervisor then starts a
new one. ``specola restart`` does so to process after process.
"""

from __future__ import annotations

import select
import signal
import time
from pathlib import Path
from typing import Any

from gavo import base

__all__ = ["LONGEST", "install"]

LONGEST = 75
"""Seconds to wait for answers: a synchronous query may compute for sixty."""
IDLE = 6
"""Seconds after which connections without a request are closed; nginx gives up its own after four (ops/configuration.py)."""
_ESTABLISHED = "01"


def install() -> None:
    """Have SIGUSR1 do this in this process; to be called in its main thread."""
    from twisted.internet import reactor

    signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(_begin, reactor))


def _begin(reactor: Any) -> None:
    from twisted.internet import tcp
    from twisted.web import http

    persists = http.HTTPChannel.checkPersistence

    def last(channel: Any, request: Any, version: bytes) -> bool:
        persists(channel, request, version)
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    http.HTTPChannel.checkPersistence = last
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    for port in [reader for reader in reactor.getReaders() if isinstance(reader, tcp.Port)]:
        while select.select([port], [], [], 0)[0]:
            port.doRead()  # whom the kernel has let in already is served
        port.stopListening()
    reactor.callLater(IDLE, _close_idle, reactor)
    _end_when_done(reactor, time.monotonic() + LONGEST)


def _close_idle(reactor: Any) -> None:
    for transport in reactor.getReaders():
        channel = getattr(getattr(transport, "protocol", None), "_channel", None)
        if channel is not None and not channel.requests:
            transport.loseConnection()


def _end_when_done(reactor: Any, latest: float) -> None:
    if time.monotonic() < latest and _connected(int(base.getConfig("web", "serverport"))):
        reactor.callLater(0.1, _end_when_done, reactor, latest)
    else:
        reactor.stop()


def _connected(port: int) -> bool:
    """Is anybody connected to a local port, as the kernel has it? Whose other end has gone does not count."""
    for table in ("tcp", "tcp6"):
        path = Path("/proc/self/net") / table
        rows = (line.split() for line in path.read_text("ascii").splitlines()[1:]) if path.exists() else ()
        if any(row[3] == _ESTABLISHED and int(row[1].rpartition(":")[2], 16) == port for row in rows):
            return True
    return False

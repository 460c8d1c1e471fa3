"""ADQL queries run in threads of their own and in turns (:mod:`vo.lanes`), so that slow ones keep nobody from anything.

DaCHS 2.7 runs all requests of a process in the same ten threads: ten synchronous queries of a minute, and the process answers
neither a cone search nor Datalink for that minute. Here whatever has a query in ADQL, TAP's ``sync`` and the form in the browser,
has threads of its own; of those that take long only a few run at a time. A query that is stopped, or may not even wait, gets a
503 that says to ask again later or asynchronously; one whose client has gone is ended.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable
from typing import Any

from gavo import base
from gavo.protocols import adqlglue

from vo.lanes import FullError, Lanes, Turn

__all__ = ["BusyError", "Watched", "install", "stopped"]

RETRY = 10
"""Seconds after which a client may try again (Retry-After)."""
_CORES = {"tapCore", "adqlCore"}
_local = threading.local()


class BusyError(base.Error):  # type: ignore[misc]
    """A query the archive has no place for now."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The archive is busy: {why}. Please try again in a moment, or send the query as an asynchronous job"
            " (TAP's async), which waits for its turn and may take an hour."
        )


class Watched:
    """A file for results that ends the writing of a query that was stopped."""

    def __init__(self, target: Any) -> None:
        self._write = target.write

    def write(self, data: Any) -> Any:
        """Write, unless the query of this thread was stopped.

        Raises
        ------
        BusyError
            It was.
        """
        if why := stopped():
            raise BusyError(why)
        return self._write(data)


def stopped() -> str:
    """Why the query of this thread was stopped; empty when it was not, or this thread runs none."""
    turn = getattr(_local, "turn", None)
    return turn.stopped if turn else ""


def install() -> None:
    """Have ADQL queries of this process run in turns; to be called once, in the server."""
    from gavo.web import grend
    from twisted.internet import reactor, task
    from twisted.python.threadpool import ThreadPool

    lanes = Lanes()
    # beside the queries in their lanes, those that were stopped and have not ended yet, and what ends them
    pool = ThreadPool(0, 2 * (lanes.quick + lanes.slow), "adql")
    lanes.interrupt = lambda turn: pool.callInThread(turn.interrupt)
    run_async, init = grend.ServiceBasedPage.runAsync, grend.ServiceBasedPage.__init__

    def remember_request(self: Any, request: Any, service: Any) -> None:
        init(self, request, service)
        self.asked_by = request

    def in_turn(self: Any, raw: Any) -> Any:
        if self.service.core.name_ not in _CORES:
            return run_async(self, raw)
        return _in_turn(lanes, pool, self.asked_by, lambda: self.runSync(raw))

    def begin() -> None:
        pool.start()
        # a thread ends when its query does, and the process when its threads do
        reactor.addSystemEventTrigger("before", "shutdown", lanes.close, "it is being restarted")
        reactor.addSystemEventTrigger("during", "shutdown", pool.stop)
        task.LoopingCall(lanes.look).start(0.25, now=False)

    grend.ServiceBasedPage.__init__, grend.ServiceBasedPage.runAsync = remember_request, in_turn
    _register_connections()
    reactor.callFromThread(begin)


def _in_turn(lanes: Lanes, pool: Any, request: Any, work: Callable[[], Any]) -> Any:
    """A deferred that fires with what ``work`` returns, done in a thread when it is the client's turn."""
    from twisted.internet import defer, reactor, threads

    answer: Any = defer.Deferred()

    def start(turn: Turn) -> None:
        done = threads.deferToThreadPool(reactor, pool, _run, turn, work)
        done.addBoth(leave, turn)
        done.chainDeferred(answer)

    def leave(result: Any, turn: Turn) -> Any:
        lanes.leave(turn)
        return result

    try:
        turn = lanes.ask(_client(request), start)
    except FullError:
        return defer.fail(BusyError("too many queries are waiting already"))
    request.notifyFinish().addErrback(lambda _: lanes.give_up(turn, "its client has gone"))
    return answer


def _client(request: Any) -> str:
    """Whose query it is: the address nginx saw, of IPv6 the network, in which one machine may take any address."""
    given = request.requestHeaders.getRawHeaders(b"x-real-ip") or [b""]
    text = given[-1].decode("ascii", "replace") or str(request.getClientAddress().host)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    return text if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


def _run(turn: Turn, work: Callable[[], Any]) -> Any:
    """In a thread: do a turn's work. Whatever comes of a query that was stopped, the client learns that."""
    _local.turn = turn
    try:
        return work()
    except Exception as error:
        if turn.stopped and not isinstance(error, BusyError):
            raise BusyError(turn.stopped) from error
        raise
    finally:
        _local.turn = None


def _register_connections() -> None:
    """While the database is asked for a query its turn knows the connection."""
    run_query = adqlglue.runTAPQuery

    def registered(query: Any, timeout: Any, connection: Any, *args: Any, **named: Any) -> Any:
        result = run_query(query, timeout, connection, *args, **named)
        turn = getattr(_local, "turn", None)
        if turn is not None:
            clean_up = result.cleanup

            def release() -> None:
                turn.interrupt_by(None)
                clean_up()

            # DaCHS sends the query when the first row is wanted, and cleans up after the last or an error
            result.cleanup = release
            turn.interrupt_by(connection.cancel)
        return result

    adqlglue.runTAPQuery = registered

"""Who may query when: a quick lane for every ADQL query, a slow one for the few that take long, and turns between clients.

A query begins in the quick lane. When it has run for :attr:`Lanes.patience` it moves to the slow lane. If more are there then
than may be, one is stopped: of the client that has most there, the one that came last. What is left of the quick lane answers
everybody else. Who waits is served by clients, not by arrival: first those with the fewest queries running, and no client
holds the whole quick lane. So a client with one query waits for a place no longer than the patience and is not stopped,
however many queries another one has sent.

Pure bookkeeping, of one thread; :mod:`vo.turns` has the threads and DaCHS. docs/decisions/0031-lanes.md says why.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["FullError", "Lanes", "Turn"]


class FullError(Exception):
    """Too many queries wait already."""


@dataclass(eq=False)
class Turn:
    """One query's turn: it waits, runs (in one lane, then perhaps in the other), and is over."""

    client: str
    start: Callable[[Turn], None]
    """Called once, when it may run; the query itself runs elsewhere."""
    begun: float = 0.0
    slow: bool = False
    stopped: str = ""
    """Why it was stopped; empty while it was not."""
    _interrupt: Callable[[], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def interrupt_by(self, interrupt: Callable[[], None] | None) -> None:
        """Say, from the query's thread, what ends the statement that is now sent to the database; None when none is any more."""
        with self._lock:
            self._interrupt = interrupt

    def interrupt(self) -> None:
        """End the statement that runs for this query, if any; may take as long as connecting to the database."""
        with self._lock:
            if self._interrupt is not None:
                self._interrupt()


@dataclass(eq=False)
class Lanes:
    """The lanes of one process. All methods are to be called from one thread.

    :ivar quick: queries the quick lane holds
    :ivar slow: queries the slow lane holds
    :ivar share: queries of one client the quick lane holds
    :ivar patience: seconds a query may stay in the quick lane
    :ivar waiting: queries that may wait
    :ivar waiting_each: queries of one client that may wait
    :ivar interrupt: called with a query that was stopped; must not block
    """

    quick: int = 6
    slow: int = 2
    share: int = 4
    patience: float = 5.0
    waiting: int = 256
    waiting_each: int = 64
    interrupt: Callable[[Turn], None] = Turn.interrupt
    clock: Callable[[], float] = time.monotonic
    _queue: list[Turn] = field(default_factory=list)
    _running: list[Turn] = field(default_factory=list)

    def ask(self, client: str, start: Callable[[Turn], None]) -> Turn:
        """Have ``start`` called when the client's query may run: at once, or from a later call of another method.

        Raises
        ------
        FullError
            As many queries as may wait are waiting already, of this client or of all.
        """
        mine = sum(turn.client == client for turn in self._queue)
        if mine >= self.waiting_each or len(self._queue) >= self.waiting:
            raise FullError
        turn = Turn(client, start)
        self._queue.append(turn)
        self._fill()
        return turn

    def leave(self, turn: Turn) -> None:
        """A query has ended."""
        if turn in self._running:
            self._running.remove(turn)
            self._fill()

    def give_up(self, turn: Turn, why: str) -> None:
        """Nobody wants a query's answer any more: it is not begun, or is stopped."""
        if turn in self._queue:
            self._queue.remove(turn)
        elif turn in self._running and not turn.stopped:
            self._stop(turn, why)

    def close(self, why: str) -> None:
        """Stop all queries, those that wait too: the process ends."""
        for turn in [*self._queue, *self._running]:
            self.give_up(turn, why)

    def look(self) -> None:
        """Have the queries that take long leave the quick lane; to be called some times a second."""
        now = self.clock()
        for turn in list(self._running):
            if turn.stopped:
                # what was to be ended may have begun only after it was to be ended
                self.interrupt(turn)
            elif not turn.slow and now - turn.begun >= self.patience:
                turn.slow = True
                self._make_room()
        self._fill()

    def _make_room(self) -> None:
        """Stop one of the slow queries if there are more than may be."""
        slow = [turn for turn in self._running if turn.slow and not turn.stopped]  # in the order in which they began
        if len(slow) > self.slow:
            held = Counter(turn.client for turn in slow)
            last = max(reversed(slow), key=lambda turn: held[turn.client])
            self._stop(
                last, f"as many queries as it can run for more than {self.patience:g} s are running, and this one takes as long"
            )

    @property
    def state(self) -> tuple[int, int, int]:
        """How many queries wait, are in the quick lane, are in the slow lane and go on."""
        quick = sum(not turn.slow for turn in self._running)
        return len(self._queue), quick, sum(turn.slow and not turn.stopped for turn in self._running)

    def _stop(self, turn: Turn, why: str) -> None:
        turn.stopped = why
        self.interrupt(turn)

    def _fill(self) -> None:
        while True:
            quick = Counter(turn.client for turn in self._running if not turn.slow)
            if quick.total() >= self.quick:
                return
            running = Counter(turn.client for turn in self._running)
            free = [turn for turn in self._queue if quick[turn.client] < self.share]
            if not free:
                return
            turn = min(free, key=lambda waiting: running[waiting.client])  # the first of those that are equal
            self._queue.remove(turn)
            self._running.append(turn)
            turn.begun = self.clock()
            turn.start(turn)

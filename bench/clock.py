"""Time spent, by the wall and by the processor: the second is right also where others use the machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Clock", "Spent"]

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Spent:
    """Seconds."""

    wall: float
    cpu: float
    """Of this process, the programs it started, and PostgreSQL."""


class Clock:
    """Started when made; the programs started meanwhile must have ended when `spent` is asked for."""

    def __init__(self, cluster: Path) -> None:
        self._postmaster = int((cluster / "postmaster.pid").read_text().split()[0])
        self._cpu = self._processor()
        self._wall = time.perf_counter()

    def spent(self) -> Spent:
        """Seconds since the start."""
        wall = time.perf_counter() - self._wall
        # A connection's process ends a moment after the connection, and is counted then.
        time.sleep(0.3)
        return Spent(wall, self._processor() - self._cpu)

    def _processor(self) -> float:
        mine = os.times()
        children = Path(f"/proc/{self._postmaster}/task/{self._postmaster}/children").read_text().split()
        ticks = sum(_ticks(pid, 2) for pid in children) + _ticks(str(self._postmaster), 4)
        return mine.user + mine.system + mine.children_user + mine.children_system + ticks / _TICK


def _ticks(pid: str, fields: int) -> int:
    """The first of utime, stime, cutime, cstime (the last two: ended children) of a process; proc(5)."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, words[11 : 11 + fields]))

"""Ask a server many things at once: answers a second, and the processor time of the servers for each."""

from __future__ import annotations

import multiprocessing
import os
import time
import urllib.parse
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests

__all__ = ["Asked", "Question", "ask", "best"]

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Question:
    """A GET, or with ``data`` a POST."""

    url: str
    data: dict[str, list[str]] | None = None


@dataclass(frozen=True)
class Asked:
    """What a round of questions gave.

    :ivar rate: answers a second
    :ivar processor: milliseconds of processor time of all servers for an answer; right also on a machine that others use
    """

    rate: float
    processor: float


def _one_after_the_other(questions: Sequence[Question]) -> None:
    with requests.Session() as session:
        for question in questions:
            answer = session.request("POST" if question.data else "GET", question.url, data=question.data, timeout=600)
            answer.raise_for_status()


def _all(questions: Sequence[Question], clients: int) -> None:
    shares = [questions[n::clients] for n in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(_one_after_the_other, [share for share in shares if share]))


def ask(questions: Sequence[Question], clients: int, servers: Iterable[int]) -> Asked:
    """Ask with that many clients at once, from a process of its own so that our threads do not meet others'.

    :param servers: processes whose time is counted, with their children
    """
    servers = list(servers)
    root = urllib.parse.urljoin(questions[0].url, "/tap/availability")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(_all, ([Question(root)], 1))
        before, begun = _processor(servers), time.perf_counter()
        pool.apply(_all, (questions, clients))
        seconds = time.perf_counter() - begun
        spent = _processor(servers) - before
    return Asked(len(questions) / seconds, 1000 * spent / len(questions))


def best(rounds: Sequence[Asked]) -> Asked:
    """The best of several: noise of a shared machine only ever slows."""
    return Asked(max(one.rate for one in rounds), min(one.processor for one in rounds))


def _processor(servers: Iterable[int]) -> float:
    """Seconds of processor of these processes and all below them, those that have ended included."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(folder.name)
        children.setdefault(int(fields[1]), []).append(pid)
        ticks[pid] = sum(map(int, fields[11:15]))  # utime, stime, and those of children that have ended; proc(5)
    total, stack = 0, list(servers)
    while stack:
        pid = stack.pop()
        total += ticks.get(pid, 0)
        stack += children.get(pid, [])
    return total / _TICK

"""Whoever does the work: own processes, or those of a dask scheduler. The same for reduction and redshifts."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from specola_pipeline.errors import PipelineError

__all__ = ["KILLED", "executor", "in_order"]

KILLED = "a worker was killed (too little memory?); start the same command again to resume"

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def executor(workers: int, scheduler: str | None, context: BaseContext | None = None) -> Iterator[Any]:
    """An executor as in concurrent.futures, of ``workers`` processes or of all workers of a dask scheduler.

    Raises
    ------
    PipelineError
        dask's package is not installed, or nothing answers at the scheduler's address.
    """
    if scheduler is None:
        with ProcessPoolExecutor(workers, context, _end_with, (os.getpid(),)) as pool:
            yield pool
        return
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise PipelineError("a scheduler needs dask's package: pip install distributed") from None
    try:
        client = Client(scheduler, timeout=20)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"found no dask scheduler at {scheduler} ({error}), expected an address as in tcp://head:8786"
        ) from error
    with client:
        yield client.get_executor(pure=False)  # type: ignore[no-untyped-call]


def _end_with(parent: int) -> None:
    """In a worker: end when the process that started it was killed; it would wait for work, and keep its memory, for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def in_order(pool: Any, work: Callable[[T], R], items: Iterable[T], waiting: int) -> Iterator[R]:
    """Results of ``work`` on each item, in the order of the items; no more than ``waiting`` items are read ahead, so that
    memory does not grow with their number.

    Raises
    ------
    PipelineError
        A worker was killed.
    """
    left = iter(items)
    jobs = deque(pool.submit(work, item) for item in itertools.islice(left, waiting))
    while jobs:
        try:
            done = jobs.popleft().result()
        except BrokenProcessPool as error:
            raise PipelineError(KILLED) from error
        jobs.extend(pool.submit(work, item) for item in itertools.islice(left, 1))
        yield done

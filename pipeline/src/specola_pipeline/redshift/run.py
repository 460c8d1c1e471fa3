"""Many spectra: a pool of processes, each with the templates once, results in the order of the spectra."""

from __future__ import annotations

import functools
import itertools
import json
import math
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from specola_pipeline.executor import executor, in_order
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.result import Result
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.redshift.templates import load_library, load_redrock

__all__ = ["in_chunks", "measure_all", "redshifter_of", "resume", "summary"]

_CHUNK = 8
"""Spectra a task: few enough that what waits in memory is little, enough that handing them over costs nothing."""
_WAITING = 16
"""Tasks that wait at a dask scheduler, whose workers may be many and come and go, beside two of each own process."""

T = TypeVar("T")
R = TypeVar("R")


@functools.cache
def redshifter_of(templates: tuple[Path, ...], classes: tuple[str, ...]) -> Redshifter:
    """The redshifter with these templates and classes, of this process: what templates need is computed once."""
    library = load_redrock(templates) if templates else load_library()
    return Redshifter(library.only(classes) if classes else library)


def _task(templates: tuple[Path, ...], classes: tuple[str, ...], spectra: list[Spectrum]) -> list[dict[str, Any]]:
    measure = redshifter_of(templates, classes).measure
    with threadpool_limits(1):
        # Of a file that can not be read there is nothing to measure but the reason.
        return [summary(replace(measure(one), reason=one.fault) if one.fault else measure(one)) for one in spectra]


def measure_all(
    spectra: Iterable[Spectrum], workers: int = 1, templates: tuple[Path, ...] = (), classes: tuple[str, ...] = (),
    scheduler: str | None = None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Summaries (see `summary`) of all spectra, in their order.

    Parameters
    ----------
    workers
        Processes; with 1 no other process is started.
    templates
        Files in redrock's format instead of the package's own templates.
    classes
        Only these of GALAXY, QSO and STAR.
    scheduler
        Address of a dask scheduler, whose workers do it instead of own processes.
    """
    return in_chunks(functools.partial(_task, templates, classes), spectra, workers, scheduler)


def in_chunks(
    task: Callable[[list[T]], Sequence[R]], items: Iterable[T], workers: int, scheduler: str | None = None
) -> Iterator[R]:
    """What a task makes of items, some at a time, in their order; memory does not grow with their number."""
    chunks = iter(functools.partial(_take, iter(items), _CHUNK), [])
    if workers == 1 and scheduler is None:
        for chunk in chunks:
            yield from task(chunk)
        return
    # Started anew and not forked: the parent has threads (the progress bar), which a fork would leave holding locks.
    with executor(workers, scheduler, multiprocessing.get_context("spawn")) as pool:
        for done in in_order(pool, task, chunks, 2 * workers + (_WAITING if scheduler else 0)):
            yield from done


def _take(items: Iterator[T], number: int) -> list[T]:
    return list(itertools.islice(items, number))


def summary(result: Result) -> dict[str, Any]:
    """What is written of a result: plain values for JSON, None for what is not known."""
    best = result.best
    return {
        "spectrum": result.name, "z": best.z if best else None, "z_err": _known(best.z_err) if best else None,
        "class": best.spectral_class if best else "UNKNOWN", "template": best.template if best else None,
        "probability": result.probability, "confidence": result.confidence, "broad_line": result.broad_line,
        "reason": result.reason or None, "snr": _known(result.snr), "noise_factor": _known(result.noise_factor),
        "features": [{"name": one.name, "wave": one.wave, "evidence": one.evidence} for one in best.features] if best else [],
        "candidates": [
            {"rank": one.rank, "z": one.z, "z_err": _known(one.z_err), "class": one.spectral_class, "template": one.template,
             "chi2": one.chi2, "delta_chi2": one.delta_chi2, "dof": one.dof}
            for one in result.candidates
        ],
    }  # fmt: skip


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def resume(path: Path) -> set[str]:
    """Names of the spectra whose results are in an unfinished file of lines of JSON; a torn last line is cut off."""
    done: set[str] = set()
    whole = 0
    if not path.exists():
        return done
    with path.open("r+b") as stream:
        for line in stream:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            if (name := json.loads(line).get("spectrum")) is not None:
                done.add(name)
        stream.truncate(whole)
    return done

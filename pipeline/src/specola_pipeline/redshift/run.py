"""Many spectra: a pool of processes, each with the templates once, results in the order of the spectra."""

from __future__ import annotations

import functools
import itertools
import json
import math
import multiprocessing
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.result import Result
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.redshift.templates import load_library, load_redrock

__all__ = ["measure_all", "resume", "summary"]

_CHUNK = 8
"""Spectra a task; tasks that wait are bounded by the number of workers, so memory does not grow with the survey."""


@functools.cache
def _redshifter(templates: tuple[Path, ...], classes: tuple[str, ...]) -> Redshifter:
    library = load_redrock(templates) if templates else load_library()
    return Redshifter(library.only(classes) if classes else library)


def _task(argument: tuple[list[Spectrum], tuple[Path, ...], tuple[str, ...]]) -> list[dict[str, Any]]:
    spectra, templates, classes = argument
    measure = _redshifter(templates, classes).measure
    with threadpool_limits(1):
        return [summary(measure(one)) for one in spectra]


def measure_all(
    spectra: Iterable[Spectrum], workers: int = 1, templates: tuple[Path, ...] = (), classes: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """Summaries (see `summary`) of all spectra, in their order.

    Parameters
    ----------
    workers
        Processes; with 1 no other process is started.
    templates
        Files in redrock's format instead of the package's own templates.
    classes
        Only these of GALAXY, QSO and STAR.
    """
    chunks = ((chunk, templates, classes) for chunk in iter(functools.partial(_take, iter(spectra), _CHUNK), []))
    if workers == 1:
        for chunk in chunks:
            yield from _task(chunk)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        waiting = [pool.apply_async(_task, (chunk,)) for chunk in itertools.islice(chunks, 2 * workers)]
        while waiting:
            done = waiting.pop(0).get()
            waiting += [pool.apply_async(_task, (chunk,)) for chunk in itertools.islice(chunks, 1)]
            yield from done


def _take(spectra: Iterator[Spectrum], number: int) -> list[Spectrum]:
    return list(itertools.islice(spectra, number))


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
             "chi2": one.chi2, "delta_chi2": one.delta_chi2}
            for one in result.candidates
        ],
    }  # fmt: skip


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def resume(path: Path) -> set[str]:
    """Names of the spectra whose results are in an unfinished file of lines of JSON; a torn last line is cut off."""
    if not path.exists():
        return set()
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with path.open("r+b") as stream:
            stream.truncate(len(whole))
    return {json.loads(line)["spectrum"] for line in whole.splitlines()}

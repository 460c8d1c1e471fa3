"""A folder of raw frames to spectra: begin with :func:`run`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from specola_pipeline import instruments
from specola_pipeline.errors import PipelineError
from specola_pipeline.instruments import Kind
from specola_pipeline.reduce import fluxcal, qc
from specola_pipeline.reduce.calibrate import Calibration, calibrate
from specola_pipeline.reduce.detector import subtract_bias
from specola_pipeline.reduce.exposure import SlitExposure, reduce_slit
from specola_pipeline.reduce.plan import Plan, Setup, plan_folder
from specola_pipeline.reduce.products import write_exposure
from specola_pipeline.reduce.raw import Raw, electrons
from specola_pipeline.reduce.skylines import sky_line_offset
from specola_pipeline.reduce.steps import Store, key_of

__all__ = ["Exposure", "Result", "run"]

_SEEING = 0.9
"""Expected FWHM of an object in arcsec, for its first detection; the profile is then measured."""


@dataclass(frozen=True)
class Exposure:
    """A reduced exposure: its slits, with the offset of each from the sky lines, and what failed, in words."""

    raw: Raw
    slits: tuple[SlitExposure, ...]
    offsets: dict[int, tuple[float, float, int]]
    """By slit: offset of the sky lines from the map in pixels (already taken out), scatter, number of lines."""
    failed: tuple[tuple[int, str], ...]
    odd: tuple[str, ...]


@dataclass
class Result:
    """What a run made: rows of the QC report, problems as (file, words), and the files written."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def _calibration_key(setup: Setup) -> str:
    inputs = [raw.sha256 for raw in (*setup.biases, *setup.flats, *setup.arcs)]
    return key_of("calibrate", [*inputs, setup.exposures[0].sha256])


def calibrate_step(setup: Setup, work: Path) -> str:
    """The calibration of a set-up in the store; returns its key."""
    key = _calibration_key(setup)
    with threadpool_limits(1):
        Store(work).once(key, lambda: calibrate(setup))
    return key


def exposure_step(raw: Raw, calibration_key: str, work: Path) -> str:
    """A reduced exposure in the store; returns its key."""
    key = key_of("exposure", [calibration_key, raw.sha256], seeing=_SEEING)
    store = Store(work)
    with threadpool_limits(1):
        store.once(key, lambda: _reduce_exposure(raw, store.load(calibration_key)))
    return key


def _reduce_exposure(raw: Raw, calibration: Calibration) -> Exposure:
    frame = electrons(raw)
    if calibration.bias is not None:
        frame = subtract_bias(frame, calibration.bias)
    instrument = instruments.instrument(raw.frame.instrument)
    seeing = _SEEING / 2.355 / instrument.detector(raw.frame.quadrant).pixel_scale
    slits, failed, offsets = [], list(calibration.failed), {}
    lines = instruments.line_list(instrument.sky_lines)
    for one in calibration.slits:
        try:
            done = reduce_slit(frame, one.slit, one.wave, one.flat, max(seeing, 1.0))
        except ValueError as error:
            failed.append((one.slit.number, str(error)))
            continue
        slits.append(done)
        offsets[one.slit.number] = sky_line_offset(done, one.wave.sigma, lines, instrument.flexure.along)
    return Exposure(raw, tuple(slits), offsets, tuple(failed), (*calibration.odd, *frame.odd))


@contextmanager
def _executor(workers: int, scheduler: str | None) -> Iterator[Any]:
    if scheduler is not None:
        from distributed import Client

        with Client(scheduler) as client:  # type: ignore[no-untyped-call]
            yield client.get_executor(pure=False)
    else:
        with ProcessPoolExecutor(workers) as pool:
            yield pool


def run(
    folder: Path,
    output: Path,
    *,
    workers: int = 1,
    scheduler: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Result:
    """Reduce the raw frames of *folder* into *output*.

    *workers* processes are used, or those of a dask *scheduler* (which must see both folders); results do not depend on either.
    What fails is a line of the report and stops nothing else. Raises PipelineError where there is nothing to reduce, OSError
    where *output* can not be written.
    """
    plan = plan_folder(folder)
    work = output / "work"
    work.mkdir(parents=True, exist_ok=True)
    result = Result(problems=list(plan.problems))
    calibrations: dict[int, str] = {}
    tasks = [(index, setup, raw) for index, setup in enumerate(plan.setups) for raw in setup.exposures]
    report = progress or (lambda _what, _done, _total: None)
    with _executor(workers, scheduler) as pool:
        jobs = {pool.submit(calibrate_step, setup, work): index for index, setup in enumerate(plan.setups)}
        for done, (index, value) in enumerate(_finished(jobs, plan, result), start=1):
            calibrations[index] = value
            report("calibrations", done, len(plan.setups))
        jobs = {
            pool.submit(exposure_step, raw, calibrations[index], work): position
            for position, (index, _, raw) in enumerate(tasks)
            if index in calibrations
        }
        keys: dict[int, str] = {}
        for done, (position, value) in enumerate(_finished(jobs, plan, result, tasks), start=1):
            keys[position] = value
            report("exposures", done, len(jobs))
    _write(tasks, calibrations, keys, Store(work), output, result)
    return result


def _finished(
    jobs: dict[Any, int], plan: Plan, result: Result, tasks: list[tuple[int, Setup, Raw]] | None = None
) -> Iterator[tuple[int, str]]:
    """Keys of finished jobs; a failed one becomes a problem of its exposures."""
    for job in as_completed(jobs):
        index = jobs[job]
        try:
            yield index, job.result()
        except (PipelineError, ValueError, OSError, BrokenProcessPool) as error:
            words = str(error) or f"{type(error).__name__}: a worker was killed; start the same command again to resume"
            for raw in plan.setups[index].exposures if tasks is None else (tasks[index][2],):
                result.problems.append((raw.path.name, words))


def _write(
    tasks: list[tuple[int, Setup, Raw]],
    calibrations: dict[int, str],
    keys: dict[int, str],
    store: Store,
    output: Path,
    result: Result,
) -> None:
    """Spectra and report, in the order of the plan, whatever order the workers finished in."""
    responses: dict[str, fluxcal.Response] = {}
    for standards_first in (True, False):
        for position, (index, setup, raw) in enumerate(tasks):
            if position not in keys or (raw.frame.kind == Kind.STANDARD) != standards_first:
                continue
            exposure: Exposure = store.load(keys[position])
            calibration: Calibration = store.load(calibrations[index])
            if standards_first:
                _response(raw, exposure, responses, result)
            response = next(
                (responses[one.sha256] for one in setup.standards if one.sha256 in responses), responses.get(raw.sha256)
            )
            files = write_exposure(exposure, calibration, response, output / "spectra")
            result.files += files
            result.rows += qc.rows_of(exposure, calibration, response)
            result.problems += [(raw.path.name, words) for _, words in exposure.failed]
    qc.write_report(result.rows, result.problems, result.files, output)
    result.problems.sort()


def _response(raw: Raw, exposure: Exposure, responses: dict[str, fluxcal.Response], result: Result) -> None:
    star = fluxcal.standard_of(raw)
    spectra = [spectrum for slit in exposure.slits for spectrum in slit.spectra]
    if star is None or not spectra:
        result.problems.append((raw.path.name, f"{raw.path.name}: no known standard star in it; the science stays in electrons."))
        return
    best = max(spectra, key=lambda one: float(np.nanmedian(one.flux)))
    site = instruments.instrument(raw.frame.instrument).site.extinction
    order = np.argsort(best.wavelength)
    seen = fluxcal.rate(best.flux, best.wavelength, raw.frame.exptime, raw.frame.airmass or 1.0, site)
    try:
        responses[raw.sha256] = fluxcal.measure_response(star, best.wavelength[order], seen[order])
    except ValueError as error:
        result.problems.append((raw.path.name, f"{raw.path.name}: {error}"))

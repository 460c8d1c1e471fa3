"""A folder of raw frames to spectra: begin with :func:`run`.

``organise`` says what belongs together; then come, each as :mod:`.tasks` that keep what they made, the calibrations of each
group, exposures, responses from standards, and the combination of each mask.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from specola_pipeline import organise
from specola_pipeline.errors import PipelineError
from specola_pipeline.executor import KILLED, executor
from specola_pipeline.instruments import Kind
from specola_pipeline.organise import Group, Status
from specola_pipeline.reduce.calibrate import Calibration
from specola_pipeline.reduce.exposure import ExposureRecord
from specola_pipeline.reduce.fluxcal import Response
from specola_pipeline.reduce.raw import file_hash, raw_of
from specola_pipeline.reduce.results import ExposureResult, MaskResult, Problem, Reduction, SlitExposure, SlitResult
from specola_pipeline.reduce.steps import Store
from specola_pipeline.reduce.tasks import Calibrate, Combine, CombineRecord, Expose, Parameters, Respond, Task, part_of, perform

__all__ = ["run"]

_Report = Callable[[str, int, int], None]


@dataclass
class _Mask:
    """A group on its way to a :class:`MaskResult`."""

    group: Group
    calibrate: Calibrate
    exposures: list[Expose] = field(default_factory=list)
    respond: Respond | None = None
    combine: Combine | None = None


@dataclass
class _Crew:
    """Whoever does tasks, and what went wrong."""

    pool: Any
    store: Store
    report: _Report
    problems: list[Problem]

    def do(self, what: str, tasks: Sequence[Task]) -> set[str]:
        """Do tasks that do not need one another; returns the keys of those that were done."""
        jobs = {self.pool.submit(perform, task, self.store.folder): task for task in tasks}
        done = set()
        for count, job in enumerate(as_completed(jobs), start=1):
            try:
                done.add(job.result())
            except (PipelineError, ValueError, OSError, BrokenProcessPool) as error:
                words = KILLED if isinstance(error, BrokenProcessPool) else str(error) or type(error).__name__
                self.problems += [Problem(file, "", words.removeprefix(f"{file}: ")) for file in jobs[job].files]
            self.report(what, count, len(jobs))
        return done


def run(
    folder: Path,
    work: Path,
    *,
    parameters: Parameters | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    progress: _Report | None = None,
) -> Reduction:
    """Reduce the raw frames of *folder*; what is made on the way is kept in *work*, and found again by the next run.

    *workers* processes are used, or those of a dask *scheduler* (which must see both folders); results do not depend on either.
    What fails is a :class:`Problem` and stops nothing else. Raises PipelineError where there is nothing to reduce, OSError where
    *work* can not be written.
    """
    chosen = parameters or Parameters()
    report = progress or (lambda _what, _done, _total: None)
    plan = organise.plan(organise.scan(folder, partial(report, "frames")))
    if not plan.entries:
        raise PipelineError(f"{folder} holds no FITS files.")
    problems = _problems_of(plan)
    store = Store(work)
    masks = [_Mask(group, Calibrate.of(group)) for group in plan.groups if group.reducible]
    with executor(workers, scheduler) as pool:
        crew = _Crew(pool, store, report, problems)
        done = crew.do("calibrations", [mask.calibrate for mask in masks])
        masks = [mask for mask in masks if mask.calibrate.key in done]
        for mask in masks:
            key, code = mask.calibrate.key, mask.calibrate.code
            mask.exposures = [Expose(raw_of(one), key, chosen.seeing, chosen.objects, code) for one in mask.group.entries]
        done = crew.do("exposures", [one for mask in masks for one in mask.exposures])
        for mask in masks:
            mask.exposures = [one for one in mask.exposures if one.key in done]
            if mask.group.kind is Kind.STANDARD and mask.exposures:
                mask.respond = Respond(mask.exposures[0])
        done = crew.do("responses", [mask.respond for mask in masks if mask.respond])
        for mask in masks:
            response = _response(mask, masks, done)
            mask.combine = Combine(tuple(mask.exposures), response) if mask.exposures else None
        done = crew.do("masks", [mask.combine for mask in masks if mask.combine])
    results = tuple(_result(mask, store) for mask in masks if mask.combine and mask.combine.key in done)
    for result in results:
        problems += result.failed + tuple(problem for one in result.exposures for problem in one.failed)
    problems.sort(key=lambda one: (one.file, one.slit, one.words))
    return Reduction(
        plan, results, tuple(problems), asdict(chosen), f"specola-pipeline {importlib.metadata.version('specola-pipeline')}"
    )


def _problems_of(plan: organise.Plan) -> list[Problem]:
    """What ``organise`` has to say: files that are no frames, and groups that can not be reduced."""
    found = [Problem(one.path.name, "", f"{one.status}: {one.reason}") for one in plan.entries if one.status is not Status.FRAME]
    for group in plan.groups:
        for match in group.matches:
            if match.fatal:
                found += [Problem(entry.path.name, "", f"{match.problem}; not reduced") for entry in group.entries]
    return found


def _response(mask: _Mask, masks: list[_Mask], done: set[str]) -> str | None:
    """The key of the response for a mask: a standard's own, or that of the nearest standard that ``organise`` found."""
    known = {one.respond.exposure.raw.content: one.respond.key for one in masks if one.respond and one.respond.key in done}
    if mask.respond is not None:
        return known.get(mask.respond.exposure.raw.content)
    wanted = [entry.content for match in mask.group.matches if match.needs is Kind.STANDARD for entry in match.found]
    return next((known[content] for content in wanted if content in known), None)


def _result(mask: _Mask, store: Store) -> MaskResult:
    assert mask.combine is not None  # noqa: S101 - asked before
    calibration: Calibration = store.load(mask.calibrate.key)
    record: CombineRecord = store.load(mask.combine.key)
    response: Response | None = None if mask.combine.response is None else store.load(mask.combine.response)
    frames = [*(one.raw for one in mask.exposures), *mask.calibrate.frames]
    return MaskResult(
        group=mask.group,
        exposures=tuple(_exposure(mask, one, store) for one in mask.exposures),
        failed=tuple(Problem(mask.combine.files[0], slit, words) for slit, words in calibration.failed),
        odd=(*calibration.odd, *(match.problem for match in mask.group.matches if match.problem)),
        inputs=tuple((raw.path.name, file_hash(raw.path)) for raw in frames),
        response=None if response is None else (response.star, response.rms),
        numbers=record.numbers,
        load_slit=_Load(store, mask.combine.key).slit,
        load_images=_Load(store, *(one.key for one in mask.exposures)).images,
    )


def _exposure(mask: _Mask, step: Expose, store: Store) -> ExposureResult:
    record: ExposureRecord = store.load(step.key)
    entry = next(one for one in mask.group.entries if one.content == step.raw.content)
    failed = tuple(Problem(step.raw.path.name, slit, words) for slit, words in record.failed)
    return ExposureResult(entry, file_hash(entry.path), record.quality, record.barycentric, failed, record.odd)


class _Load:
    """Slits of a mask from the store, when they are asked for."""

    def __init__(self, store: Store, *keys: str) -> None:
        self.store, self.keys = store, keys

    def slit(self, number: int) -> SlitResult:
        """All exposures of a slit."""
        found: SlitResult = self.store.load(part_of(self.keys[0], number))
        return found

    def images(self, exposure: int, number: int) -> SlitExposure:
        """A slit in an exposure."""
        found: SlitExposure = self.store.load(part_of(self.keys[exposure], number))
        return found

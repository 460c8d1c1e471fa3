"""The tasks of a run: what each needs, the key of what it makes, and how it makes it.

A task is small, so that a process of this machine or of another can do it: frames are named, results of other tasks are known by
their keys, and the hash of the code goes with it from whoever began the run. The last thing that a task keeps is its record,
under its own key; images and spectra of slits lie beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from specola_pipeline import instruments
from specola_pipeline.errors import PipelineError
from specola_pipeline.instruments import Kind
from specola_pipeline.organise import Group
from specola_pipeline.reduce import combine, fluxcal
from specola_pipeline.reduce.calibrate import Calibration, Setup, calibrate
from specola_pipeline.reduce.exposure import ExposureRecord, reduce_exposure
from specola_pipeline.reduce.raw import Raw, raw_of
from specola_pipeline.reduce.resample import rebin
from specola_pipeline.reduce.results import SlitExposure
from specola_pipeline.reduce.steps import Store, code_hash, key_of

__all__ = ["Calibrate", "Combine", "CombineRecord", "Expose", "Parameters", "Respond", "Task", "part_of", "perform"]


@dataclass(frozen=True)
class Parameters:
    """What a user may choose. A changed one redoes the steps that use it and what depends on them, nothing else."""

    seeing: float = 0.9
    """Expected FWHM of an object in arcsec, for its first detection; the profile is then measured."""
    objects: int = 4
    """How many objects a slit may have."""


class Task(Protocol):
    """Something to be done once; *files* are the names it is known by to people."""

    @property
    def code(self) -> str:
        """The :func:`.steps.code_hash` of whoever began the run."""

    @property
    def key(self) -> str:
        """Hash of all that goes in."""

    @property
    def files(self) -> tuple[str, ...]:
        """Frames that it is about."""

    def make(self, store: Store) -> None:
        """Do it, and keep the record last."""


def perform(task: Task, work: Path) -> str:
    """Do a task unless it was done, on one thread: as many processes run as there are workers. Returns its key.

    Raises PipelineError in a process whose package is not that of the run: its results would lie under a false key.
    """
    if code_hash() != task.code:
        raise PipelineError(
            "a worker has another version of specola-pipeline than the command that was started; "
            "install the same on all machines, and start the workers again"
        )
    store = Store(work)
    try:
        store.load(task.key)
    except KeyError:
        with threadpool_limits(1):
            task.make(store)
    return task.key


def part_of(key: str, number: int) -> str:
    """The key of a slit's part of a result."""
    return f"{key}-{number:04d}"


@dataclass(frozen=True)
class Calibrate:
    """Calibrations of a group."""

    setup: Setup
    code: str

    @classmethod
    def of(cls, group: Group) -> Calibrate:
        """What ``organise`` found for a group, to be done by the code of this process."""
        found = {match.needs: tuple(raw_of(entry) for entry in match.found) for match in group.matches}
        biases, flats, arcs = (found.get(kind, ()) for kind in (Kind.BIAS, Kind.FLAT, Kind.ARC))
        return cls(Setup(biases, flats, arcs, raw_of(group.entries[0])), code_hash())

    @property
    def frames(self) -> tuple[Raw, ...]:
        """Every calibration frame."""
        return (*self.setup.biases, *self.setup.flats, *self.setup.arcs)

    @property
    def key(self) -> str:
        """Hash of all that goes in."""
        return key_of("calibrate", self.code, [*(raw.content for raw in self.frames), self.setup.first.content])

    @property
    def files(self) -> tuple[str, ...]:
        """The frame whose mask it is."""
        return (self.setup.first.path.name,)

    def make(self, store: Store) -> None:
        """Reduce the calibrations."""
        store.save(self.key, calibrate(self.setup))


@dataclass(frozen=True)
class Expose:
    """One exposure; its slits lie beside the record as :class:`SlitExposure`."""

    raw: Raw
    calibration: str
    seeing: float
    objects: int
    code: str

    @property
    def key(self) -> str:
        """Hash of all that goes in."""
        return key_of("expose", self.code, [self.calibration, self.raw.content], seeing=self.seeing, objects=self.objects)

    @property
    def files(self) -> tuple[str, ...]:
        """The frame."""
        return (self.raw.path.name,)

    def make(self, store: Store) -> None:
        """Reduce the exposure."""
        calibration: Calibration = store.load(self.calibration)

        def keep(images: SlitExposure) -> None:
            store.save(part_of(self.key, images.number), images)

        store.save(self.key, reduce_exposure(self.raw, calibration, self.seeing, self.objects, keep))


@dataclass(frozen=True)
class Respond:
    """The response from an exposure of a standard star."""

    exposure: Expose

    @property
    def code(self) -> str:
        """That of the exposure."""
        return self.exposure.code

    @property
    def key(self) -> str:
        """Hash of all that goes in."""
        return key_of("respond", self.code, [self.exposure.key])

    @property
    def files(self) -> tuple[str, ...]:
        """The standard's frame."""
        return self.exposure.files

    def make(self, store: Store) -> None:
        """Measure it on the brightest object of all slits. Raises ValueError where it is no known standard, or not seen."""
        raw = self.exposure.raw
        star = fluxcal.standard_of(raw)
        if star is None:
            raise ValueError("no known standard star in it; the science stays in electrons")
        record: ExposureRecord = store.load(self.exposure.key)
        spectra = [one for figures in record.quality for one in store.load(part_of(self.exposure.key, figures.number)).spectra]
        if not spectra:
            raise ValueError("no object is seen in it; the science stays in electrons")
        best = max(spectra, key=lambda one: one.significance)
        instrument = instruments.instrument(raw.frame.instrument)
        grid = combine.grid_of(instrument.grism(raw.frame.grism))
        airmass = raw.frame.airmass or 1.0
        rate, _, _ = rebin(best.wavelength, best.flux, best.variance, grid)
        rate = rate / raw.frame.exptime * fluxcal.extinction_factor(grid, airmass, instrument.site.extinction)
        store.save(self.key, fluxcal.measure_response(star, grid, rate, airmass))


@dataclass(frozen=True)
class CombineRecord:
    """What is kept of a combined mask beside its slits: their numbers, and by how many arcsec exposures were moved."""

    numbers: tuple[int, ...]
    shifts: tuple[float, ...]


@dataclass(frozen=True)
class Combine:
    """All exposures of a mask; its slits lie beside the record as :class:`SlitResult`."""

    exposures: tuple[Expose, ...]
    response: str | None

    @property
    def code(self) -> str:
        """That of the exposures."""
        return self.exposures[0].code

    @property
    def key(self) -> str:
        """Hash of all that goes in."""
        return key_of("combine", self.code, [one.key for one in self.exposures], response=self.response)

    @property
    def files(self) -> tuple[str, ...]:
        """Frames of the mask."""
        return tuple(one.raw.path.name for one in self.exposures)

    def make(self, store: Store) -> None:
        """Align the exposures and combine slit by slit, so that memory does not grow with slits."""
        frame = self.exposures[0].raw.frame
        instrument = instruments.instrument(frame.instrument)
        scale = instrument.detector(frame.quadrant).pixel_scale
        calibration: Calibration = store.load(self.exposures[0].calibration)
        records: list[ExposureRecord] = [store.load(one.key) for one in self.exposures]
        figures = [{one.number: one for one in record.quality} for record in records]
        places: list[list[tuple[int, float, float]]] = [[] for _ in records]
        for index, exposure in enumerate(self.exposures):
            for number in figures[index]:
                places[index] += combine.places_of(store.load(part_of(exposure.key, number)), scale)
        shifts = combine.align(places)
        conditions = [
            combine.Conditions(one.raw.frame.exptime, one.raw.frame.airmass or 1.0, record.barycentric, shift)
            for one, record, shift in zip(self.exposures, records, shifts, strict=True)
        ]
        response = None if self.response is None else store.load(self.response)
        grid = combine.grid_of(instrument.grism(frame.grism))
        numbers = []
        for slit in calibration.slits:
            number = slit.said.number
            found = [
                (store.load(part_of(one.key, number)), figures[index][number], conditions[index])
                for index, one in enumerate(self.exposures)
                if number in figures[index]
            ]
            if found:
                result = combine.combine_slit(slit.said, found, grid, scale, response, instrument.site.extinction)
                store.save(part_of(self.key, number), result)
                numbers.append(number)
        store.save(self.key, CombineRecord(tuple(numbers), tuple(float(np.round(shift, 6)) for shift in shifts)))

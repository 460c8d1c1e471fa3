"""What is reduced with what: science and standard frames with the calibrations that the instrument's rules give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from specola_pipeline import instruments
from specola_pipeline.errors import PipelineError
from specola_pipeline.instruments import Kind
from specola_pipeline.reduce.raw import Raw, describe

__all__ = ["Plan", "Setup", "plan_folder"]


@dataclass(frozen=True)
class Setup:
    """Exposures that share their calibrations: all of one instrument, quadrant, grism and mask."""

    biases: tuple[Raw, ...]
    flats: tuple[Raw, ...]
    arcs: tuple[Raw, ...]
    exposures: tuple[Raw, ...]
    standards: tuple[Raw, ...]
    """Standard exposures that calibrate the science ones (reduced in their own set-up)."""


@dataclass(frozen=True)
class Plan:
    """The set-ups of a folder, and what can not be reduced, as (file, reason)."""

    setups: tuple[Setup, ...]
    problems: tuple[tuple[str, str], ...]


def plan_folder(folder: Path) -> Plan:
    """Describe every FITS file of *folder* and associate calibrations by the instrument's rules.

    Raises PipelineError where the folder holds no FITS file.
    """
    files = sorted(path for path in folder.iterdir() if path.name.endswith((".fits", ".fits.gz", ".fit")))
    if not files:
        raise PipelineError(f"{folder} holds no FITS files (*.fits, *.fits.gz).")
    raws: list[Raw] = []
    problems: list[tuple[str, str]] = []
    known: dict[str, str] = {}
    for path in files:
        try:
            raw = describe(path)
        except PipelineError as error:
            problems.append((path.name, str(error)))
            continue
        if raw.sha256 in known:
            problems.append((path.name, f"{path.name}: the same bytes as {known[raw.sha256]}; left out."))
            continue
        known[raw.sha256] = path.name
        raws.append(raw)
    groups: dict[tuple[tuple[Raw, ...], ...], list[Raw]] = {}
    for raw in raws:
        if raw.frame.kind not in {Kind.SCIENCE, Kind.STANDARD}:
            continue
        try:
            chosen = tuple(_calibrations(raw, kind, raws) for kind in (Kind.BIAS, Kind.FLAT, Kind.ARC, Kind.STANDARD))
        except PipelineError as error:
            problems.append((raw.path.name, str(error)))
            continue
        groups.setdefault(chosen, []).append(raw)
    setups = tuple(
        Setup(biases, flats, arcs, tuple(exposures), standards) for (biases, flats, arcs, standards), exposures in groups.items()
    )
    return Plan(setups, tuple(problems))


def _calibrations(raw: Raw, kind: Kind, raws: Sequence[Raw]) -> tuple[Raw, ...]:
    """The calibrations of a kind for a frame: those of the night nearest in time that agree in what the rule names."""
    instrument = instruments.instrument(raw.frame.instrument)
    for rule in instrument.associations:
        if raw.frame.kind not in rule.of or rule.needs != kind:
            continue
        fitting = [
            one
            for one in raws
            if one.frame.kind == kind
            and one.frame.instrument == raw.frame.instrument
            and all(getattr(one.frame, name) == getattr(raw.frame, name) for name in rule.same)
            and abs(one.frame.start - raw.frame.start) * 24 <= rule.hours
        ]
        if len(fitting) < rule.least and rule.required:
            agree = ", ".join(f"{name} {getattr(raw.frame, name)}" for name in rule.same)
            raise PipelineError(
                f"{raw.path.name}: {len(fitting)} {kind} frames within {rule.hours:g} hours with {agree}, {rule.least} needed. "
                f"Add the missing {kind} frames to the folder."
            )
        if not fitting:
            return ()
        nearest = min(fitting, key=lambda one: abs(one.frame.start - raw.frame.start)).frame.night
        return tuple(one for one in fitting if one.frame.night == nearest)
    return ()

"""Everything that is measured on one spectrum of a bundle: what a worker does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from specola_pipeline.derived.model import model_file
from specola_pipeline.lines.indices import measure_indices
from specola_pipeline.lines.measure import measure_lines
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.prepare import UnmeasurableError, prepare
from specola_pipeline.redshift.run import redshifter_of, summary
from specola_pipeline.redshift.spectrum import Spectrum

__all__ = ["Job", "Measured", "measure", "measure_some"]


@dataclass(frozen=True)
class Job:
    """A spectrum, and the redshift its object has already."""

    spectrum: Spectrum
    z: float | None = None
    """What the survey recommends; None where lines are measured at the redshift that is found."""
    quasar: bool = False
    """Whether ``z`` is that of a quasar, whose lines may be broad."""


@dataclass(frozen=True)
class Measured:
    """What was measured on a spectrum."""

    record: dict[str, Any]
    """As `redshift.run.summary` has it, with ``lines`` and ``indices`` and ``z_lines``, the redshift they were measured at."""
    model: bytes | None
    """The file with spectrum and model; None without a redshift."""


def measure(job: Job, redshifter: Redshifter, method: str) -> Measured:
    """Redshift, lines, indices and model of a spectrum; never an exception for what is in it."""
    try:
        data = prepare(job.spectrum)
    except UnmeasurableError:
        record = summary(redshifter.measure(job.spectrum))
        return Measured({**record, "z_lines": None, "lines": [], "indices": []}, None)
    result = redshifter.measure_prepared(job.spectrum.name, data)
    best = result.best
    z = job.z if job.z is not None else (best.z if best else None)
    broad = job.quasar if job.z is not None else result.broad_line
    record = summary(result) | {
        "z_lines": z,
        "lines": [] if z is None else [asdict(one) for one in measure_lines(data, z, broad=broad)],
        "indices": [] if z is None else [asdict(one) for one in measure_indices(data, z)],
    }
    return Measured(record, model_file(job.spectrum, result, method) if best else None)


def measure_some(templates: tuple[Path, ...], classes: tuple[str, ...], method: str, jobs: Sequence[Job]) -> list[Measured]:
    """The task of a worker."""
    redshifter = redshifter_of(templates, classes)
    with threadpool_limits(1):
        return [measure(job, redshifter, method) for job in jobs]

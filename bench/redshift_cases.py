"""A spectrum with a known redshift and what a program found, for `bench.redshift` and `bench.redshift_vipers`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from threadpoolctl import threadpool_limits

from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.spectrum import Spectrum

__all__ = ["TOLERANCE", "Case", "mad", "measured", "share"]

TOLERANCE = 0.003
"""Of |z - truth| / (1 + truth): VANDELS' redshifts are of interstellar lines and Lyman alpha, some 230 km/s off systemic ones."""


@dataclass
class Case:
    """A spectrum, what people found, and what a program found."""

    name: str
    z_true: float
    flag: str
    """VANDELS' flag, or the class of another spectrum."""
    z: float | None = None
    z_err: float | None = None
    spectral_class: str = "UNKNOWN"
    probability: float | None = None
    snr: float = 0.0
    seconds: float = 0.0
    confidence: int | None = None
    """Our flag's digit."""
    tolerance: float = TOLERANCE

    @property
    def right(self) -> bool:
        """Whether the redshift is within the tolerance."""
        return self.z is not None and abs(self.z - self.z_true) < self.tolerance * (1 + self.z_true)


def measured(order: list[tuple[Redshifter, Case, Spectrum]], title: str, console: Console) -> list[Case]:
    """One after the other in this process, so that the processor's time is a spectrum's."""
    done = []
    with threadpool_limits(1):
        for redshifter, case, spectrum in track(order, title, console=console):
            begun = time.process_time()
            result = redshifter.measure(spectrum)
            seconds = time.process_time() - begun
            best = result.best
            done.append(
                Case(
                    case.name, case.z_true, case.flag, best.z if best else None, best.z_err if best else None,
                    best.spectral_class if best else "UNKNOWN", result.probability, result.snr, seconds,
                    result.confidence, case.tolerance,
                )
            )  # fmt: skip
    return done


def share(cases: list[Case]) -> list[int]:
    """How many are right, and how many there are."""
    return [sum(one.right for one in cases), len(cases)]


def mad(values: Any) -> float:
    """Width by the median of absolute values, as of a Gaussian's standard deviation."""
    return float(1.4826 * np.median(np.abs(values)))

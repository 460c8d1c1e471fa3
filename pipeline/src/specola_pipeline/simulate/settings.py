"""What a simulation is asked for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from specola_pipeline.errors import PipelineError

__all__ = ["EFFECTS", "Settings"]

EFFECTS: dict[str, str] = {
    "noise": "Poisson noise and read noise",
    "bias": "structure of the bias (its level stays)",
    "response": "pixel response, bad columns",
    "slit": "slit width errors along the slit",
    "distortion": "optical distortion, line curvature and tilt, curved traces",
    "spread": "line spread varying over the field (it is the same everywhere without)",
    "variable-sky": "OH lines and continuum varying from exposure to exposure",
    "sky": "the night sky itself",
    "orders": "zeroth and second order",
    "fringes": "fringing in the red",
    "flexure": "shifts between exposures",
    "cosmics": "cosmic rays",
    "refraction": "differential atmospheric refraction",
    "extinction": "atmospheric extinction",
    "losses": "light that misses the slit",
    "objects": "the objects themselves",
}
"""Every effect that can be switched off, and what it is."""


@dataclass(frozen=True)
class Settings:
    """One mask in one quadrant, observed in one night. Times in seconds, seeing in arcsec FWHM at 5000 Å and zenith.

    ``without`` names effects of :data:`EFFECTS` to leave out. ``multiplex`` spectra lie one behind the other along the
    dispersion. ``objects`` is the mean number of objects in a slit, the target included. ``filled`` slits, spread over the mask,
    have an extended object beside these that fills them.
    """

    seed: int = 1
    instrument: str = "vimos"
    grism: str = "MR"
    quadrant: int = 1
    slits: int = 60
    multiplex: int = 1
    slit_width: float = 1.0
    objects: float = 1.3
    filled: int = 0
    magnitudes: tuple[float, float] = (20.5, 24.0)
    exposures: int = 3
    exptime: float = 1200.0
    dither: float = 1.5
    biases: int = 5
    flats: int = 3
    arcs: int = 1
    standards: int = 1
    seeing: float = 0.8
    airmass: float = 1.15
    without: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        unknown = sorted(self.without - set(EFFECTS))
        if unknown:
            raise PipelineError(f"there is no effect '{unknown[0]}'; there are {', '.join(EFFECTS)}.")
        limits = {
            "slits": (1, 400),
            "filled": (0, self.slits),
            "multiplex": (1, 4),
            "exposures": (0, 50),
            "biases": (0, 50),
            "flats": (0, 50),
            "arcs": (0, 10),
            "standards": (0, 10),
            "exptime": (1.0, 10000.0),
            "seeing": (0.2, 4.0),
            "airmass": (1.0, 3.0),
            "slit_width": (0.3, 10.0),
            "objects": (0.0, 5.0),
            "dither": (0.0, 10.0),
            "seed": (0, 2**32 - 1),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise PipelineError(f"{name} is {getattr(self, name)}, expected {low} to {high}.")

    def has(self, effect: str) -> bool:
        """Whether an effect is on."""
        return effect not in self.without

    def random(self, *stream: int) -> np.random.Generator:
        """Random numbers of their own for each ``stream``, so that frames do not depend on one another."""
        return np.random.default_rng([self.seed, self.quadrant, *stream])

    def as_json(self) -> dict[str, Any]:
        """For the truth file."""
        return {**asdict(self), "without": sorted(self.without)}

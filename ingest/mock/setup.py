"""What the simulated survey is made with: the instrument's set-up and the size of the mock.

The figures are those of VIPERS: Scodeggio et al. 2018, A&A 609, A84, and Garilli et al. 2014, A&A 562, A23.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Mock", "air_to_vacuum", "wavelengths"]

Floats = npt.NDArray[np.float64]

SURVEY, RELEASE = "demo", "r1"
FACILITY = "Simulated 8-m telescope"
INSTRUMENT = "Simulated VIMOS-like spectrograph"
DISPERSER = "LR-red (simulated)"

N_PIXELS = 557
WAVE_START, WAVE_STEP = 5500.0, 7.14
"""Angstrom in air; VIPERS' spectra are sampled at 7.14 Angstrom a pixel."""
RESOLVING_POWER = 220.0
"""Lambda over FWHM, the same over the whole range (a real grism keeps the FWHM rather than the ratio)."""
EXPOSURES, EXPOSURE_TIME = 5, 540.0
"""Five exposures of nine minutes: 2700 s."""
SLIT_WIDTH = 1.0
"""Arcsec."""
FLUX_UNIT = "erg.s**-1.cm**-2.Angstrom**-1"
MAG_LIMIT = 22.5
"""Faint limit of the selection in i (AB)."""
Z_ERROR = 0.00047
"""Scatter of the measured redshifts over 1 + z (Scodeggio et al. 2018, section 5.2)."""
SUCCESS = {4: 0.99, 3: 0.97, 2: 0.90, 9: 0.90, 1: 0.50}
"""Probability that a redshift of a confidence class is right."""
FLUX_SCATTER = 0.10
"""Scatter of the absolute flux calibration, in ln(flux)."""
CREATED = "2025-01-01T00:00:00Z"
"""Date of the mock's definition. It stands as the date of every product, so that a seed gives the same bytes on any day."""


@dataclass(frozen=True)
class Mock:
    """Size and seed of a mock survey."""

    spectra: int = 2000
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.spectra <= 1_000_000:
            raise ValueError(f"spectra: found {self.spectra}, expected a number from 1 to 1,000,000")
        if self.seed < 0:
            raise ValueError(f"seed: found {self.seed}, expected 0 or more")

    def generator(self, pointing: int) -> np.random.Generator:
        """The source of all random numbers of one pointing."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, pointing])))


def wavelengths() -> Floats:
    """Wavelengths of the pixels, Angstrom in air, shape (N_PIXELS,)."""
    return np.round(WAVE_START + WAVE_STEP * np.arange(N_PIXELS), 2)


def air_to_vacuum(air: npt.NDArray[Any]) -> Floats:
    """Vacuum wavelength of a wavelength in standard air, Angstrom (Morton 2000, ApJS 130, 403, inverted by iteration)."""
    vacuum = np.asarray(air, dtype=float)
    for _ in range(3):
        s2 = (1e4 / vacuum) ** 2
        vacuum = air * (1.0 + 8.34254e-5 + 2.406147e-2 / (130.0 - s2) + 1.5998e-4 / (38.9 - s2))
    return vacuum

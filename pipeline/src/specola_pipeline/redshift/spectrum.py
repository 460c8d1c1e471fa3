"""A spectrum as the measurement wants it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Floats", "Spectrum"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """Flux densities per wavelength with their errors; all arrays have the shape (n_pixels,).

    Pixels without coverage or masked at the source have ``err`` not positive or not finite; they are left out.
    """

    name: str
    wave: Floats
    """Vacuum wavelength of the pixel's centre, Angstrom, strictly increasing."""
    flux: Floats
    """Any unit per wavelength."""
    err: Floats
    """Standard deviation, the same unit."""
    res_power: float | None = None
    """Resolving power (wavelength over FWHM) at the middle; None where it is not known."""
    unit: str = ""
    """VOUnit of flux and err, carried to the results."""
    medium: str = "vacuum"
    """In which the source counts its wavelengths, vacuum or air; ``wave`` is in vacuum all the same."""
    fault: str = ""
    """Why the file can not be read; the arrays are empty then."""

"""Wavelengths: between vacuum and air."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["air_to_vacuum", "vacuum_to_air"]

Array = npt.NDArray[np.float64]


def _index(vacuum: Array) -> Array:
    """Refractive index of standard air at vacuum wavelengths in Å: Ciddor (1996), Appl. Opt. 35, 1566, eq. 1."""
    squared = (1e4 / vacuum) ** 2
    return np.asarray(1 + 0.05792105 / (238.0185 - squared) + 0.00167917 / (57.362 - squared))


def vacuum_to_air(wavelength: npt.ArrayLike) -> Array:
    """Å in vacuum to Å in standard air; any shape, above 2000 Å."""
    vacuum = np.asarray(wavelength, dtype=float)
    return vacuum / _index(vacuum)


def air_to_vacuum(wavelength: npt.ArrayLike) -> Array:
    """Å in standard air to Å in vacuum: the inverse of :func:`vacuum_to_air` to below 1e-9 Å; any shape."""
    air = np.asarray(wavelength, dtype=float)
    vacuum = air
    for _ in range(4):
        vacuum = air * _index(vacuum)
    return vacuum

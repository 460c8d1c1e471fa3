"""Wavelengths of a slit from arc lamps: the lines named in its middle, then all fitted together over the slit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.instruments import Lines
from specola_pipeline.reduce.arcfit import Blocks, fit_slit_map
from specola_pipeline.reduce.identify import identify
from specola_pipeline.reduce.wavemap import WaveMap

__all__ = ["solve_slit"]

Array = NDArray[np.float64]


def solve_slit(
    arc: Array,
    weight: Array,
    inside: NDArray[np.bool_],
    origin: tuple[int, int],
    lines: Lines,
    guess: Callable[[Array], Array],
    *,
    sigma: float = 2.0,
    reach: float = 60.0,
    stretch: float = 0.02,
    degree: tuple[int, int] = (4, 2),
) -> WaveMap:
    """The wavelength map of a slit from an arc frame.

    *arc*, *weight* (inverse variance) and *inside* (True within the slit) have shape (rows, columns); *origin* is the detector
    row and column of their first pixel. *lines* are those of the lamps, *guess* gives the row within the window of a
    wavelength. Raises :class:`WrongLampError` (a ValueError) where the lines are not recognised.
    """
    blocks = Blocks.of(arc, np.where(inside, weight, 0.0))
    middle = blocks.column.size // 2
    variance = blocks.variance[middle]
    noise = np.sqrt(np.where(np.isfinite(variance), variance, 1e24))
    start = identify(blocks.data[middle], noise, lines, guess, sigma, reach, stretch)
    return fit_slit_map(blocks, start, lines.wavelength, origin, arc.shape[1], middle=middle, sigma=sigma, degree=degree)

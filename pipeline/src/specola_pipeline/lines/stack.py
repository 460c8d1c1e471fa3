"""Mean spectra at rest of many objects, by the bins of a column, with bootstrap errors.

Spectra are brought to rest, divided by their median in a window of rest wavelengths, and averaged on a grid in ln(wavelength).
Errors are by Poisson bootstrap (Hanley & MacGibbon 2006, Comput. Methods Programs Biomed. 83, 57): in each replicate a
spectrum counts a number of times drawn from a Poisson distribution of mean 1, which is what drawing with replacement comes to
in large samples. All sums are running ones: memory does not grow with the number of spectra.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.spectrum import Floats

__all__ = ["REPLICATES", "Stack", "Stacker"]

REPLICATES = 200
_FEWEST = 3
"""Spectra that must cover a wavelength."""


@dataclass(frozen=True)
class Stack:
    """A mean spectrum; arrays have the shape (n,)."""

    wave: Floats
    """Rest wavelength in vacuum, Angstrom."""
    flux: Floats
    """In units of the median in the window; nan where fewer than three spectra cover."""
    err: Floats
    """Standard deviation of the mean by bootstrap: noise and the objects' differences together."""
    number: npt.NDArray[np.int64]
    """Spectra that cover the wavelength."""


class Stacker:
    """Running sums of one bin."""

    def __init__(
        self, window: tuple[float, float], step: float = 5e-4, limits: tuple[float, float] = (600.0, 11000.0), seed: int = 0
    ) -> None:
        """Prepare an empty stack.

        Parameters
        ----------
        window
            Rest wavelengths (Angstrom) between which the median becomes 1.
        step, limits
            Of the grid: in ln(wavelength), and Angstrom at rest.
        seed
            Of the bootstrap; the same seed and spectra give the same stack.
        """
        first, last = (round(np.log(limit) / step) for limit in limits)
        self._edges = (np.arange(first, last + 2) - 0.5) * step
        self.wave: Floats = np.exp(np.arange(first, last + 1) * step)
        self._window = window
        self._random = np.random.default_rng(seed)
        self._sum = np.zeros((REPLICATES + 1, self.wave.size))
        self._weight = np.zeros_like(self._sum)
        self._number = np.zeros(self.wave.size, dtype=np.int64)
        self.used = 0
        """Spectra in the stack."""

    def add(self, data: Prepared, z: float) -> bool:
        """Add a spectrum; False where the window is not covered or its median not positive, and nothing is added."""
        rest = data.wave / (1 + z)
        window = (rest > self._window[0]) & (rest < self._window[1])
        if window.sum() < 5:
            return False
        level = float(np.median(data.flux[window]))
        if level <= 0:
            return False
        flux, covered = self._rebin(np.log(rest), data.flux / level)
        times = np.concatenate([[1.0], self._random.poisson(1.0, REPLICATES)])
        self._sum += times[:, np.newaxis] * np.where(covered, flux, 0.0)
        self._weight += times[:, np.newaxis] * covered
        self._number += covered
        self.used += 1
        return True

    def _rebin(self, x: Floats, flux: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Mean flux in the grid's bins, and which of them lie between valid pixels without a gap."""
        middle = (x[1:] + x[:-1]) / 2
        edges = np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])
        total = np.concatenate([[0.0], np.cumsum(flux * np.diff(edges))])
        integral = np.interp(self._edges, edges, total)
        gaps = np.diff(x)
        wide = np.concatenate([[0.0], np.cumsum(gaps > 3 * np.median(gaps)), [0.0]])[: x.size]
        inside = (self._edges >= edges[0]) & (self._edges <= edges[-1])
        number = np.clip(np.searchsorted(x, self._edges) - 1, 0, x.size - 1)
        whole = inside[1:] & inside[:-1] & (wide[np.minimum(number[1:] + 1, x.size - 1)] == wide[number[:-1]])
        return np.diff(integral) / np.diff(self._edges), whole

    def result(self) -> Stack:
        """The stack of what was added."""
        with np.errstate(divide="ignore", invalid="ignore"):
            means = self._sum / self._weight
        enough = self._number >= _FEWEST
        # A replicate can miss a wavelength that few spectra cover: it is left out there.
        drawn = np.isfinite(means[1:])
        squares = np.where(drawn, means[1:] - means[0], 0.0) ** 2
        spread = np.sqrt(squares.sum(axis=0) / np.maximum(drawn.sum(axis=0), 1))
        return Stack(self.wave, np.where(enough, means[0], np.nan), np.where(enough, spread, np.nan), self._number)

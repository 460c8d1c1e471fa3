"""The wavelength map of a slit: a smooth surface over the detector, and its inverse."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.polynomial import legendre
from numpy.typing import NDArray

from specola_pipeline.reduce.robust import surface

__all__ = ["WaveMap", "scale_to"]

Array = NDArray[np.float64]


def scale_to(values: Array, limits: tuple[float, float]) -> Array:
    """*limits* to -1..1."""
    return np.asarray((2.0 * values - limits[0] - limits[1]) / max(limits[1] - limits[0], 1.0))


@dataclass(frozen=True)
class WaveMap:
    """Wavelength in Angstrom (medium as the line list's) of each pixel of a slit: a Legendre surface of row and column.

    *rows* and *columns* are the ranges that map to -1..1. *rms* is that of the lines about the map in pixels along the
    dispersion, each line weighted by how well it is measured; *sigma* is the width of the lines (standard deviation, pixels),
    *shape* their box, and the sigma of their Gaussian in the first and in the last row, all pixels.
    """

    coefficients: Array
    rows: tuple[float, float]
    columns: tuple[float, float]
    rms: float = float("nan")
    sigma: float = float("nan")
    shape: tuple[float, float, float] = (float("nan"),) * 3
    lines: Array = field(default_factory=lambda: np.empty(0), repr=False)
    line_residuals: Array = field(default_factory=lambda: np.empty(0), repr=False)
    """Mean offset of each line the map rests on from the map, pixels."""

    def scaled(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Row and column as the surface takes them."""
        return scale_to(y, self.rows), scale_to(x, self.columns)

    def __call__(self, y: Array, x: Array) -> Array:
        """Wavelength at rows *y* and columns *x* of the detector."""
        return surface(self.coefficients, *self.scaled(*np.broadcast_arrays(y, x)))

    def slope(self, y: Array, x: Array) -> Array:
        """Change of the wavelength a row, Angstrom, at rows *y* and columns *x*."""
        derivative = (
            np.asarray(legendre.legder(self.coefficients, axis=0), dtype=float) * 2.0 / max(self.rows[1] - self.rows[0], 1.0)
        )
        return surface(derivative, *self.scaled(*np.broadcast_arrays(y, x)))

    def places(self, wavelength: Array, x: Array, start: Array, rounds: int = 4) -> Array:
        """Rows at which wavelengths (lines,) fall on columns *x* (columns,), by Newton's steps from *start* (columns, lines)."""
        by_column = legendre.legvander(scale_to(x, self.columns), self.coefficients.shape[1] - 1)
        return _newton(by_column @ self.coefficients.T, self.rows, wavelength, np.asarray(start, dtype=float), rounds)

    def reference_rows(self, window: tuple[slice, slice], middle: float, moved: float = 0.0) -> tuple[Array, Array]:
        """Wavelength of each pixel of *window*, and the row at which that wavelength lies on the column *middle*.

        *moved* is by how many columns the slit lies from where the map was made.
        """
        y = np.arange(window[0].start, window[0].stop, dtype=float)
        x = np.arange(window[1].start, window[1].stop, dtype=float) - moved
        wavelength = np.asarray(legendre.leggrid2d(*self.scaled(y, x), self.coefficients), dtype=float)
        axis = self(y, np.full(y.size, middle))
        rows = np.interp(wavelength, axis, y)
        for end, beyond in ((0, wavelength < axis[0]), (-1, wavelength > axis[-1])):
            slope = abs(axis[1] - axis[0]) if end == 0 else abs(axis[-1] - axis[-2])
            rows = np.where(beyond, y[end] + (wavelength - axis[end]) / slope, rows)
        return wavelength, rows


@njit(cache=True)
def _newton(series: Array, limits: tuple[float, float], wavelength: Array, start: Array, rounds: int) -> Array:
    """Rows at which Legendre *series* (columns, degrees) of the row, scaled from *limits*, reach wavelengths."""
    out, scale = np.empty(start.shape), 2.0 / max(limits[1] - limits[0], 1.0)
    for c in range(series.shape[0]):
        for line in range(wavelength.size):
            y = start[c, line]
            for _ in range(rounds):
                u = 0.5 * scale * (2.0 * y - limits[0] - limits[1])
                before, now, slope_before, slope_now = 0.0, 1.0, 0.0, 0.0
                value, slope = series[c, 0], 0.0
                for n in range(1, series.shape[1]):
                    after = ((2.0 * n - 1.0) * u * now - (n - 1.0) * before) / n
                    slope_after = slope_before + (2.0 * n - 1.0) * now
                    before, now, slope_before, slope_now = now, after, slope_now, slope_after
                    value += series[c, n] * now
                    slope += series[c, n] * slope_now
                y -= (value - wavelength[line]) / (slope * scale)
            out[c, line] = y
    return out

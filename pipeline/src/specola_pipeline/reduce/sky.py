"""The joint fit of sky and objects of one slit, its slit-position terms, and its refinement of the wavelength map.

Begin with :func:`fit_slit`. Positions along the dispersion are in *reference rows*: the detector row at which a wavelength falls
on the slit's reference column, so that a step of one is about one pixel whatever the dispersion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from specola_pipeline.reduce import banded, bandmatrix
from specola_pipeline.reduce.robust import thinned

__all__ = ["KNOT_STEP", "Prior", "SkyFit", "Spline", "fit_slit", "line_shift", "slit_terms"]

Array = NDArray[np.float64]

KNOT_STEP = 0.8
"""Distance of the spline's knots in reference rows: a tilted slit samples the sky more finely than once a pixel."""

_SMOOTHING = 3e-4
"""Weight of the second-difference penalty, in units of the median weight of a coefficient."""

_FLOOR = 1e-12
"""What keeps the flux of an object without usable pixels finite, as a part of the median weight."""


_EMPTY = 1e-9
"""Part of the most that a coefficient is told by the data, below which it is told nothing."""


@dataclass(frozen=True)
class Spline:
    """The sky as a cubic b-spline of the reference row, with knots at ``origin + k step``.

    *coefficients* have shape (size,), each centred on the knot before it; *factor* is the Cholesky factor of their normal
    equations, (band, size).
    """

    origin: float
    step: float
    coefficients: Array
    factor: Array

    def place(self, rows: Array) -> Array:
        """Reference rows in knots."""
        return np.asarray((rows - self.origin) / self.step)

    def centres(self) -> Array:
        """Reference rows on which the coefficients are centred."""
        return np.asarray(self.origin + self.step * (np.arange(self.coefficients.size) - 1.0))

    def evaluate(self, place: Array) -> Array:
        """The sky at places in knots; beyond its ends, its end."""
        return np.asarray(ndimage.map_coordinates(self.coefficients, place[None] + 1.0, order=3, prefilter=False, mode="nearest"))

    def at_knots(self) -> tuple[Array, Array]:
        """The sky at knots and its variance, (size - 2,)."""
        inverse = bandmatrix.selected_inverse(self.factor)
        c = self.coefficients
        own, next_, after = inverse[0], inverse[1], inverse[2]
        variance = own[:-2] + 16.0 * own[1:-1] + own[2:] + 8.0 * (next_[:-2] + next_[1:-1]) + 2.0 * after[:-2]
        return (c[:-2] + 4.0 * c[1:-1] + c[2:]) / 6.0, variance / 36.0

    def broad_variance(self) -> Array:
        """Variance a knot of what is broader than a few knots, (size - 2,): a mean over m knots has this over m.

        It is less than :meth:`at_knots` has: knots are closer than pixels, and what changes from one to the next is known worst.
        Infinite where there is no data.
        """
        told = bandmatrix.row_sums(self.factor)[1:-1]
        return np.where(told > _EMPTY * told.max(), 1.0 / np.maximum(told, _EMPTY * told.max()), np.inf)


@dataclass(frozen=True)
class Prior:
    """What is known of a spline's coefficients beforehand: their *mean*, and one over the variance of each, both (size,)."""

    mean: Array
    precision: Array


@dataclass(frozen=True)
class SkyFit:
    """Sky and objects of a slit; arrays of shape (rows, columns), or (objects, rows) for fluxes.

    *sky* and *objects* are models in the data's unit, *leverage* the part of a pixel's noise that the models follow, *slope* the
    derivative of the sky per reference row, *spline* the sky as such. Where no pixel of a row could be used, *flux* is NaN and
    *variance* infinite.
    """

    sky: Array
    objects: Array
    leverage: Array
    slope: Array
    flux: Array
    variance: Array
    spline: Spline

    def residual(self, data: Array) -> Array:
        """What is left of *data* after sky and objects."""
        return data - self.sky - self.objects


def fit_slit(
    data: Array,
    weight: Array,
    rows_at: Array,
    profiles: Array,
    gain: Array | None = None,
    step: float = KNOT_STEP,
    *,
    errors: bool = True,
    span: tuple[float, float] | None = None,
    prior: Prior | None = None,
) -> SkyFit:
    """Fit sky and objects of a slit together.

    *data* and *weight* (inverse variance, 0 where masked) have shape (rows, columns), *rows_at* says at which reference row each
    pixel's wavelength lies, *profiles* (objects, rows, columns) sum to one over the columns, *gain* is the slit function (1 where
    the flat field took it out). *step* is the distance of knots. Without *errors* leverages are zero and variances lack the
    sky's: for what is fitted again. *span* is the range of *rows_at* that the spline reaches, all usable pixels' where it is not
    said. *prior* is what is known of its coefficients beforehand: of the same *span* and *step*, and the penalty is then on what
    differs from it. Raises ValueError where no pixel can be used.
    """
    low, high, count = banded.extent(weight, rows_at)
    if count == 0:
        raise ValueError("no usable pixel in the slit: expected at least one with positive weight")
    if gain is None:
        gain = np.ones_like(data)
    if span is not None:
        low, high = span
    origin = float(np.floor(low)) - 2 * step
    place = (rows_at - origin) / step
    size = int(np.ceil((high - origin) / step)) + 5
    typical = _typical(weight)
    floor = _FLOOR * typical
    band = banded.band_of(weight, place)
    matrix, rhs = banded.accumulate(data, weight, place, gain, profiles, size, band, floor)
    penalty = np.zeros((3, size))
    _penalise(penalty, typical * count / size)
    matrix[:3] += penalty
    if prior is not None:
        matrix[0] += prior.precision
        rhs += prior.precision * prior.mean + bandmatrix.banded_product(penalty, prior.mean)
    factor = bandmatrix.banded_cholesky(matrix)
    coefficients = bandmatrix.banded_solve(factor, rhs)
    inverse = bandmatrix.selected_inverse(factor) if errors else factor
    sky, slope, objects, leverage, flux, variance = banded.evaluate(
        data, weight, place, gain, profiles, coefficients, inverse, floor, errors
    )
    return SkyFit(sky, objects, leverage, slope / step, flux, variance, Spline(origin, step, coefficients, factor))


def _typical(weight: Array) -> float:
    """The median of positive weights, about: it sets the strength of a penalty, no more."""
    some = thinned(weight)
    some = some[some > 0]
    return float(np.median(some if some.size else weight[weight > 0]))


def _penalise(matrix: Array, typical: float) -> None:
    """Add a small penalty on second differences, so that coefficients without data follow their neighbours."""
    strength = _SMOOTHING * typical
    size = matrix.shape[1]
    for offset, a, b in ((0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 0, 1), (1, 1, 2), (2, 0, 2)):
        stencil = (1.0, -2.0, 1.0)
        matrix[offset, a : size - 2 + a] += strength * stencil[a] * stencil[b]
    matrix[0] += 1e-12 * typical


def line_shift(fit: SkyFit, data: Array, weight: Array, across: Array, rows: Array, degree: tuple[int, int] = (2, 1)) -> Array:
    """How far the sky lines of each pixel lie from where the wavelength map puts them, in rows, of shape (rows, columns).

    A map that is wrong by d moves the sky by ``d * slope``; *d* is a polynomial of the place *across* the slit (-1..1) times one
    along it (*rows* scaled to -1..1), without the terms constant across the slit, which the sky itself absorbs. Sharp lines carry
    the information. Returns zeros where there are not ten times more lines' pixels than terms.
    """
    design, right = _line_system(data, fit.sky, fit.objects, fit.slope, weight, across, rows, degree)
    if len(right) < 10 * design.shape[1]:
        return np.zeros_like(data)
    solution, *_ = np.linalg.lstsq(design, right, rcond=1e-8)
    return np.asarray(_polynomial(np.asarray(solution, dtype=float), across, rows, degree))


@njit(cache=True)
def _line_system(
    data: Array, sky: Array, objects: Array, slope: Array, weight: Array, across: Array, rows: Array, degree: tuple[int, int]
) -> tuple[Array, Array]:
    """Of the pixels that tell where lines lie, terms (pixels, terms) and what is left to them, both over the noise."""
    told = np.zeros(data.shape, dtype=np.bool_)
    for y in range(data.shape[0]):
        for x in range(data.shape[1]):
            if weight[y, x] > 0.0:
                noise, steep = 1.0 / np.sqrt(weight[y, x]), abs(slope[y, x])
                told[y, x] = steep > 2.0 * noise and abs(data[y, x] - sky[y, x] - objects[y, x]) < 6.0 * noise + 0.2 * steep
    count = told.sum()
    design, right, n = np.empty((count, degree[0] * (degree[1] + 1))), np.empty(count), 0
    for y in range(data.shape[0]):
        for x in range(data.shape[1]):
            if told[y, x]:
                scale, k = np.sqrt(weight[y, x]), 0
                right[n] = (data[y, x] - sky[y, x] - objects[y, x]) * scale
                for i in range(1, degree[0] + 1):
                    for j in range(degree[1] + 1):
                        design[n, k] = -slope[y, x] * scale * across[y, x] ** i * rows[y, x] ** j
                        k += 1
                n += 1
    return design, right


@njit(cache=True)
def _polynomial(solution: Array, across: Array, rows: Array, degree: tuple[int, int]) -> Array:
    """The sum of terms that :func:`_line_system` has, of the shape of *across*."""
    out = np.zeros(across.shape)
    for y in range(across.shape[0]):
        for x in range(across.shape[1]):
            k, power, total = 0, 1.0, 0.0
            for _ in range(degree[0]):
                power *= across[y, x]
                term = power
                for _ in range(degree[1] + 1):
                    total += solution[k] * term
                    term *= rows[y, x]
                    k += 1
            out[y, x] = total
    return out


def slit_terms(fit: SkyFit, data: Array, weight: Array, across: Array, degree: int = 2) -> Array:
    """Relative change of the slit function that the sky asks for, a polynomial of the place *across* the slit; (rows, columns).

    Zeros where no term is significant at five sigma: a faint sky says nothing of the slit.
    """
    normal, right = _term_sums(data, fit.sky, fit.objects, weight, across, degree)
    if not np.all(np.isfinite(normal)) or np.linalg.cond(normal) > 1e12:
        return np.zeros_like(data)
    solution = np.linalg.solve(normal, right)
    if not np.any(np.abs(solution) > 5 * np.sqrt(np.diag(np.linalg.inv(normal)))):
        return np.zeros_like(data)
    return np.asarray(_polynomial(np.asarray(solution, dtype=float), across, across, (degree, 0)))


@njit(cache=True)
def _term_sums(data: Array, sky: Array, objects: Array, weight: Array, across: Array, degree: int) -> tuple[Array, Array]:
    """Normal equations of the slit function's terms."""
    normal, right, term = np.zeros((degree, degree)), np.zeros(degree), np.empty(degree)
    for y in range(data.shape[0]):
        for x in range(data.shape[1]):
            w = weight[y, x]
            if w <= 0.0:
                continue
            left, power = data[y, x] - sky[y, x] - objects[y, x], sky[y, x]
            for i in range(degree):
                power *= across[y, x]
                term[i] = power
                right[i] += w * power * left
                for j in range(i + 1):
                    normal[i, j] += w * power * term[j]
    for i in range(degree):
        for j in range(i):
            normal[j, i] = normal[i, j]
    return normal, right

"""The sky that all slits of an exposure see, as what a slit may expect before it looks. Begin with :func:`share_sky`.

The noise of a slit of thirty pixels is a fifth sky that it knows from few pixels; but sixty slits see the same sky. Between slits
it differs in throughput, in light that is scattered, in the width of lines and, a little, in their place: all of these are
smooth and few, so each slit's sky is predicted from the mean of the others with the few numbers that fit it, and what is broad
stays the slit's own. How far slits differ from that after all, as on bright lines, is measured from their scatter at each
wavelength, in sums over the width of a line, and from the slit itself where it differs more than the others do. That is the
width of the prior with which the slit's spline is fitted (empirical Bayes; Efron & Morris 1973, JASA 68, 117): where the others
say nothing, it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from specola_pipeline.reduce.robust import mad_std, median
from specola_pipeline.reduce.sky import KNOT_STEP, Prior, Spline

__all__ = ["Expected", "SlitSky", "share_sky"]

Array = NDArray[np.float64]

_ENOUGH_SLITS = 8
"""Slits at a wavelength from which their scatter says how far one may be trusted to be as the others."""

_BROAD = 81
"""Knots (65 rows) over which what a slit sees is its own: flats and scattered light differ from slit to slit on such scales."""

_CLIP = 4.0
"""Errors beyond which a slit does not count in the mean at a wavelength."""

_FAINT = 0.3
"""Part of the noise of a knot below which a slit's sky is too faint to be compared."""

_LINE = 7
"""Knots (5.6 rows) over which what slits differ by is added before its variance is taken, about the width of a line. Slits do not
differ from knot to knot but smoothly, as their line shapes do: a prior whose coefficients differ one by one has to have the power
that differences have at this width, or it holds slits to the mean by more than the data say."""

_RIDGE = (0.1, 0.05, 0.05, 0.2, 0.1, 0.5, 0.3, 0.3)
"""How far the numbers that fit a slit may be from those of the mean: throughput (relative; constant, linear, quadratic), place
(knots), and second and fourth moments of line shapes (knots squared, and to the fourth)."""

_ROUNDS = 3


@dataclass(frozen=True)
class Expected(Prior):
    """What a slit may expect of its sky, and how much light beyond that it has.

    *excess* is its light between lines beyond the sky that its own lines ask for, as part of that sky and less the median of all
    slits: an object that fills the slit. *excess_error* holds how slits scatter in it.
    """

    excess: float
    excess_error: float


@dataclass(frozen=True)
class SlitSky:
    """What a slit by itself found of the sky: its spline, and the wavelength, Angstrom ascending, at detector rows (rows,)."""

    spline: Spline
    rows: Array
    wavelength: Array


def share_sky(slits: Sequence[SlitSky]) -> list[Expected | None]:
    """For each slit what the others let it expect of its sky's coefficients; None for all where fewer than eight show any."""
    if len(slits) < _ENOUGH_SLITS:
        return [None] * len(slits)
    grid = _Grid.of(slits)
    value, variance, broad = grid.sample(slits)
    level = median(np.where(np.isfinite(variance), value, np.nan), 1)
    noise = np.sqrt(median(np.where(np.isfinite(variance), variance, np.nan), 1))
    seen = level > _FAINT * noise
    if seen.sum() < _ENOUGH_SLITS:
        return [None] * len(slits)
    together = _Together(value[seen], variance[seen], broad[seen], level[seen])
    for _ in range(_ROUNDS):
        together.improve()
    known = iter(zip(*together.expected(), *together.excess(), strict=True))
    return [grid.prior(slit, *next(known)) if here else None for slit, here in zip(slits, seen, strict=True)]


@dataclass(frozen=True)
class _Grid:
    """Wavelengths (knots,) at even steps of the rows of one of the slits."""

    wavelength: Array

    @classmethod
    def of(cls, slits: Sequence[SlitSky]) -> _Grid:
        """From the bluest to the reddest wavelength of any slit."""
        low, high = min(one.wavelength[0] for one in slits), max(one.wavelength[-1] for one in slits)
        widest = max(slits, key=lambda one: (one.rows.size, one.wavelength[-1]))
        step = KNOT_STEP * np.diff(widest.wavelength)[[0, -1]]
        inner = np.interp(np.arange(widest.rows[0], widest.rows[-1], KNOT_STEP), widest.rows, widest.wavelength)
        before = np.arange(inner[0] - step[0], low - step[0], -step[0])[::-1]
        return cls(np.concatenate([before, inner, np.arange(inner[-1] + step[1], high + step[1], step[1])]))

    def sample(self, slits: Sequence[SlitSky]) -> tuple[Array, Array, Array]:
        """Sky of each slit, its variance (infinite where it has no pixels), and that a knot of what is broad; (slits, knots)."""
        value, variance, broad = np.zeros((3, len(slits), self.wavelength.size))
        for k, slit in enumerate(slits):
            at = slit.spline.place(np.interp(self.wavelength, slit.wavelength, slit.rows))
            known, error = slit.spline.at_knots()
            outside = (self.wavelength < slit.wavelength[0]) | (self.wavelength > slit.wavelength[-1])
            outside |= (at < 0) | (at > known.size - 1)
            value[k] = slit.spline.evaluate(at)
            variance[k] = np.where(outside, np.inf, np.interp(at, np.arange(error.size), error))
            broad[k] = np.minimum(variance[k], slit.spline.broad_variance()[np.clip(np.rint(at), 0, error.size - 1).astype(int)])
        return value, variance, broad

    def prior(self, slit: SlitSky, mean: Array, spread: Array, excess: float, error: float) -> Expected:
        """Of a slit's coefficients, from the expected sky and its variance at the grid's knots; light beyond it goes along."""
        rows = slit.spline.centres()
        at = np.interp(np.interp(rows, slit.rows, slit.wavelength), self.wavelength, np.arange(mean.size))
        value = ndimage.map_coordinates(mean, at[None], order=3, mode="nearest")
        precision = np.interp(at, np.arange(mean.size), 1.0 / spread)
        precision[(rows < slit.rows[0]) | (rows > slit.rows[-1])] = 0.0
        coefficients = np.asarray(ndimage.spline_filter1d(value, 3, mode="mirror"))
        return Expected(coefficients, np.asarray(precision), float(excess), float(error))


class _Together:
    """The skies of all slits: their mean, what makes a slit's of it, and the spread that is left; arrays (slits, knots)."""

    def __init__(self, value: Array, variance: Array, broad: Array, level: Array) -> None:
        self.value, self.variance, self.broad, self.level = value, variance, broad, level[:, None]
        scaled = np.where(np.isfinite(variance), value, np.nan) / self.level
        self.mean = np.nan_to_num(median(scaled, 0))
        self.spread = np.nan_to_num(mad_std(scaled, axis=0) ** 2, nan=np.inf)
        self.along = np.linspace(-1.0, 1.0, value.shape[1])
        self.left, self.doubt = np.zeros((2, *value.shape))
        self.numbers, self.covariance = np.zeros((len(value), len(_RIDGE))), np.zeros((len(value), len(_RIDGE), len(_RIDGE)))
        self.weight = self._weights()

    def _weights(self) -> Array:
        return np.asarray(1.0 / (self.variance + self.level**2 * self.spread))

    def improve(self) -> None:
        """One round: the slits' numbers, then mean and spread of what is left."""
        self._fit()
        weight = np.where(self._kept(), self.weight, 0.0)
        total = (weight * self.level**2).sum(axis=0)
        change = (weight * self.level * self.left).sum(axis=0) / np.maximum(total, 1e-300)
        self.mean = self.mean + np.where(total > 0, change, 0.0)
        self.left = self.left - self.level * change
        self.spread = self._spread()
        self.weight = self._weights()

    def _kept(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.variance) & (self.left**2 * self.weight < _CLIP**2))

    def _terms(self) -> Array:
        """By what a slit's sky may differ from its level times the mean, (terms, knots)."""
        one = np.gradient(self.mean)
        two = np.gradient(one)
        four = np.gradient(np.gradient(two))
        u = self.along
        return np.stack([self.mean, u * self.mean, u * u * self.mean, one, u * one, two, u * two, four])

    def _fit(self) -> None:
        """What is *left* of each slit when the mean with its own numbers is taken out, and the variance these numbers give it."""
        terms = self._terms()
        norm = _broad(self.weight)
        norm = np.maximum(norm, 1e-6 * norm.max(axis=1, keepdims=True) + 1e-300)  # where nothing has weight only rounding is left
        sharp = np.stack([self._sharp(term, norm) for term in terms], axis=2)
        wanted = self._sharp(self.value / self.level - self.mean, norm)
        weight = self.weight * self.level**2
        normal = np.einsum("skt,sk,sku->stu", sharp, weight, sharp, optimize=True) + np.diag(1.0 / np.array(_RIDGE) ** 2)
        right = np.einsum("skt,sk,sk->st", sharp, weight, wanted, optimize=True)
        self.covariance = np.linalg.inv(normal)
        self.numbers = np.einsum("stu,su->st", self.covariance, right)
        self.doubt = self.level**2 * np.einsum("tk,stu,uk->sk", terms, self.covariance, terms, optimize=True)
        fitted = self.level * (self.mean + self.numbers @ terms)
        self.left = self._sharp(self.value - fitted, norm)

    def _sharp(self, image: Array, norm: Array) -> Array:
        """Without what is broad in each slit; *norm* is the broad sum of the weights."""
        return np.asarray(image - _broad(image * self.weight) / norm)

    def _alone(self) -> tuple[Array, Array]:
        """What is left to each slit of the mean of the others, and the variance of that mean in the slit's units."""
        weight = np.where(self._kept(), self.weight, 0.0) * self.level**2
        total = weight.sum(axis=0)
        others = np.maximum(total - weight, 1e-9 * total.max() + 1e-300)
        return self.left * (1.0 + weight / others), self.level**2 / others

    def _spread(self) -> Array:
        """Variance between slits a knot, in sums over a line, relative to their levels squared, beyond what noise explains."""
        left, of_mean = self._alone()
        kept = self._kept()
        knots = np.maximum(_over_a_line(kept.astype(float)), 1.0)
        power = _over_a_line(np.where(kept, left, 0.0)) ** 2 / knots
        noise = _over_a_line(np.where(kept, self.broad + of_mean, 0.0)) / knots
        kept &= power < _CLIP**2 * (noise + self.level**2 * self.spread)  # a slit unlike the others says nothing of them
        excess = np.where(kept, (power - noise) / self.level**2, 0.0)
        count = kept.sum(axis=0)
        between = ndimage.uniform_filter1d(excess.sum(axis=0) / np.maximum(count, 1), 5, mode="nearest")
        # a line may lie anywhere in the sum that it is seen in
        return np.where(count >= _ENOUGH_SLITS, np.maximum(ndimage.maximum_filter1d(between, _LINE), 0.0), np.inf)

    def expected(self) -> tuple[Array, Array]:
        """The sky that each slit may expect, and its variance (infinite: nothing is known), (slits, knots)."""
        left, of_mean = self._alone()
        # an error of a slit's numbers is one of a whole line: its variance adds up as if all knots of a line had the same
        expected = self.level**2 * self.spread + of_mean + _over_a_line(self.doubt)
        known = np.isfinite(expected) & np.isfinite(self.variance)
        total = np.where(known, expected + self.variance, np.inf)
        beyond = np.where(known, left**2 - total, 0.0)
        usual = np.where(known, total, 0.0)
        own = np.zeros_like(expected)
        for width in (7, 101):
            # neighbouring knots of a spline share noise: of so many about half count
            chance = 2.0 * np.sqrt(2.0 / (0.5 * width)) * ndimage.uniform_filter1d(usual, width, axis=1, mode="nearest")
            more = ndimage.uniform_filter1d(beyond, width, axis=1, mode="nearest")
            own = np.maximum(own, ndimage.maximum_filter1d(np.where(more > chance, more, 0.0), width, axis=1))
        return np.where(known, self.value - left, self.value), np.where(known, expected + own, np.inf)

    def excess(self) -> tuple[Array, Array]:
        """Light of each slit beyond its sky as :class:`Expected` has it, and its error, (slits,).

        A slit's throughput is what its lines say (what is broad was taken out where it was fitted); between lines that says how
        much sky there is.
        """
        throughput = self._terms()[:3]
        sky = self.mean + self.numbers[:, :3] @ throughput
        there = np.isfinite(self.variance) & np.isfinite(self.broad)
        between = there & (self.mean <= median(np.where(there, self.mean, np.nan), 1)[:, None])
        weight = sky * np.where(between, self.level**2 / self.broad, 0.0)
        norm = np.maximum((weight * sky).sum(axis=1), 1e-300)
        light = (weight * (self.value / self.level - sky)).sum(axis=1) / norm
        lever = weight @ throughput.T / norm[:, None]
        own = np.einsum("st,stu,su->s", lever, self.covariance[:, :3, :3], lever) + 1.0 / norm
        return light - np.median(light), np.sqrt(own + float(mad_std(light)) ** 2)


def _over_a_line(image: Array) -> Array:
    """Sum over :data:`_LINE` knots of each row."""
    return np.asarray(_LINE * ndimage.uniform_filter1d(image, _LINE, axis=1, mode="constant"))


def _broad(image: Array) -> Array:
    """Sum over some :data:`_BROAD` knots of each row, twice: a triangle."""
    once = ndimage.uniform_filter1d(image, _BROAD, axis=1, mode="constant")
    return np.asarray(ndimage.uniform_filter1d(once, _BROAD, axis=1, mode="constant"))

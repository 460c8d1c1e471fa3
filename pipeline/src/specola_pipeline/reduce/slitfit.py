"""The fit of one slit of one exposure: sky, cosmic rays and objects together. Begin with :class:`SlitSolver`.

The order matters: a first sky without objects shows where objects are; with their profiles the joint fit leaves residuals at the
level of the noise, in which cosmic rays stand out; with these masked, the sky lines themselves correct the wavelength map
within the slit and the slit function. Then the slit is :class:`Settled`: the last fit waits for what other slits know of the sky.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from specola_pipeline.reduce import banded, profiles
from specola_pipeline.reduce.cosmic import find_cosmics
from specola_pipeline.reduce.empirical import empirical_profile
from specola_pipeline.reduce.flats import SlitFlat
from specola_pipeline.reduce.robust import mad_std, running_median, thinned
from specola_pipeline.reduce.sky import Prior, SkyFit, fit_slit, line_shift, slit_terms
from specola_pipeline.reduce.traces import Slit

__all__ = ["Settled", "SlitSolver"]

Array = NDArray[np.float64]

_EMPIRICAL_FROM = 60.0
"""Significance in the collapsed slit from which an object's own profile is better known than a Gaussian."""


class SlitSolver:
    """The state of a slit's iterations; images are of shape (rows, columns).

    *data* is flat-fielded, *read* the variance of the detector alone before flat-fielding, *usable* is True on good pixels of the
    slit, *position* along the slit from its left edge, *rows_at* the reference row of each pixel's wavelength, *length* that of
    the slit in each row. :meth:`detect` objects, then :meth:`refine` with them.
    """

    def __init__(
        self,
        data: Array,
        read: Array,
        flat: SlitFlat,
        usable: NDArray[np.bool_],
        position: Array,
        rows_at: Array,
        length: Array,
        slit: Slit,
    ) -> None:
        self.data, self.read, self.flat, self.usable = data, read, flat, usable
        self.position, self.rows_at, self.slit = position, rows_at, slit
        self.rows = np.arange(*slit.rows, dtype=float)
        self.across = np.clip(2 * position / length[:, None] - 1, -1.2, 1.2)
        self.along = np.broadcast_to(np.linspace(-1, 1, data.shape[0])[:, None], data.shape)
        self.gain = np.ones_like(data)
        self.cosmic = np.zeros_like(usable)
        self.profiles = np.zeros((0, *data.shape))
        self.traces: list[profiles.Trace] = []
        self.variance = self._noise(data * flat.response)
        self.fit = self._solve(self.usable)

    def _noise(self, electrons: Array) -> Array:
        """Variance of the flat-fielded data for an expected number of electrons (a negative one is none)."""
        return np.asarray(_noise(electrons, self.read, self.flat.response, self.flat.relative_variance))

    def _solve(self, use: NDArray[np.bool_]) -> SkyFit:
        weight = np.where(use, 1.0 / self.variance, 0.0)
        return fit_slit(self.data, weight, self.rows_at, self.profiles, self.gain, errors=False, span=self._span())

    def _span(self) -> tuple[float, float]:
        """Reference rows of all usable pixels: a spline's coefficients are then the same ones whatever cosmic rays take away."""
        return banded.extent(np.where(self.usable, 1.0, 0.0), self.rows_at)[:2]

    def _update_noise(self) -> None:
        self.variance = self._noise((self.fit.sky + self.fit.objects) * self.flat.response)

    def detect(self, seeing: float, most: int) -> tuple[list[profiles.Trace], tuple[str, ...]]:
        """A sky without objects by clipping, and what stands out of it."""
        use = self.usable
        for turn in range(3):
            if turn > 0:
                self.fit = self._solve(use)
            self._update_noise()
            pull = (self.data - self.fit.sky) / np.sqrt(self.variance)
            width = float(mad_std(thinned(pull)[thinned(self.usable)]))
            use = self.usable & (np.abs(pull) < 3.5 * max(width, 1.0))
        residual = self.data - self.fit.sky
        pull = np.where(self.usable, residual / np.sqrt(self.variance), 0.0)
        continuum = running_median(pull, 31)
        self.cosmic = find_cosmics(pull - continuum, self.usable, continuum, threshold=8.0)
        weight = np.where(self.usable & ~self.cosmic, 1.0 / self.variance, 0.0)
        traces = profiles.find_objects(residual, weight, self.position, self.slit.rows[0], seeing, most)
        odd = []
        sky_part = self._free_of_objects(traces)
        if traces and sky_part < 0.45:
            odd.append(f"{sky_part:.0%} of the slit is free of objects: the sky is poorly known")
        return traces, tuple(odd)

    def _free_of_objects(self, traces: list[profiles.Trace]) -> float:
        return float((self.usable & _away(2.5, traces, self.position, self.rows)).sum() / max(self.usable.sum(), 1))

    def refine(self, traces: list[profiles.Trace]) -> Settled:
        """Joint fits with cosmic rays masked, better profiles, and the corrections that the sky lines ask for."""
        self.traces = traces
        self.profiles = (
            np.stack([profiles.gaussian_profile(t, self.position, self.rows) for t in traces]) if traces else self.profiles
        )
        for turn in range(3):
            self.fit = self._solve(self.usable & ~self.cosmic)
            self._update_noise()
            if turn == 0 and any(trace.significance > _EMPIRICAL_FROM for trace in traces):
                # the Gaussian of a bright object is wrong by more than its noise, which would look like cosmic rays
                self._better_profiles(np.where(self.usable & ~self.cosmic, 1.0 / self.variance, 0.0))
                self.fit = self._solve(self.usable & ~self.cosmic)
                self._update_noise()
            self._find_cosmics()
            weight = np.where(self.usable & ~self.cosmic, 1.0 / self.variance, 0.0)
            if turn < 2:
                self._better_profiles(weight)
                self.rows_at = self.rows_at - line_shift(self.fit, self.data, weight, self.across, self.along)
                away = np.where(_away(6.0, self.traces, self.position, self.rows), weight, 0.0)
                if (away > 0).sum() > 0.3 * self.usable.sum():
                    self.gain = self.gain * (1 + np.clip(slit_terms(self.fit, self.data, away, self.across), -0.05, 0.05))
        return Settled(
            self.data,
            self.variance,
            self.usable,
            self.cosmic,
            self.position,
            self.rows_at,
            self._span(),
            self.gain,
            tuple(self.traces),
            self.profiles,
            self.rows,
        )

    def _find_cosmics(self) -> None:
        noise = np.sqrt(self.variance)
        pull = self.fit.residual(self.data) / noise
        self.cosmic = find_cosmics(pull, self.usable, self.fit.objects / noise)

    def _better_profiles(self, weight: Array) -> None:
        residual = self.fit.residual(self.data)
        for k, trace in enumerate(self.traces):
            own = residual + self.profiles[k] * np.nan_to_num(self.fit.flux[k])[:, None]
            again = profiles.follow(
                own,
                weight,
                self.position,
                self.slit.rows[0],
                trace.place,
                float(np.mean(trace.sigma(self.rows))),
                trace.significance,
            )
            self.traces[k] = again
            if trace.significance > _EMPIRICAL_FROM:
                self.profiles[k] = empirical_profile(again, own, self.fit.flux[k], weight, self.position, self.rows)
            else:
                self.profiles[k] = profiles.gaussian_profile(again, self.position, self.rows)


@dataclass(frozen=True)
class Settled:
    """A slit of which all is settled but its sky and its fluxes; images are of shape (rows, columns).

    *data*, *usable*, *position* and *rows_at* (mended by the sky lines) are as in :class:`SlitSolver`, *variance* is that of the
    data, *cosmic* pixels are not used, *span* is the range of *rows_at*. *gain* is what the sky asks of the slit function,
    *profiles* (objects, rows, columns) are those of *traces*, *rows* the detector's.
    """

    data: Array
    variance: Array
    usable: NDArray[np.bool_]
    cosmic: NDArray[np.bool_]
    position: Array
    rows_at: Array
    span: tuple[float, float]
    gain: Array
    traces: tuple[profiles.Trace, ...]
    profiles: Array
    rows: Array

    @property
    def used(self) -> NDArray[np.bool_]:
        """Pixels that the fit rests on."""
        return self.usable & ~self.cosmic

    def fit(self, prior: Prior | None = None) -> SkyFit:
        """The last fit, with errors. *prior* is of the spline's coefficients, as the fits before had them."""
        weight = np.where(self.used, 1.0 / self.variance, 0.0)
        return fit_slit(self.data, weight, self.rows_at, self.profiles, self.gain, span=self.span, prior=prior)

    def chi(self, fit: SkyFit) -> tuple[float, float]:
        """Widths of the residuals away from and on sky lines, away from objects."""
        used = self.used & (fit.leverage < 0.9) & _away(4.0, self.traces, self.position, self.rows)
        if used.sum() < 100:
            return float("nan"), float("nan")
        expected = np.sqrt(self.variance * (1 - np.minimum(fit.leverage, 0.99)))
        pull = fit.residual(self.data) / expected
        bright = fit.sky > np.percentile(fit.sky[used], 90)
        return tuple(
            float(mad_std(pull[used & part])) if (used & part).sum() > 50 else float("nan") for part in (~bright, bright)
        )  # type: ignore[return-value]


def _away(widths: float, traces: Sequence[profiles.Trace], position: Array, rows: Array) -> NDArray[np.bool_]:
    """Where no object is within so many of its widths."""
    away = np.ones(position.shape, dtype=bool)
    for trace in traces:
        away &= np.abs(position - trace.centre(rows)[:, None]) > widths * trace.sigma(rows)[:, None]
    return away


@njit(cache=True)
def _noise(electrons: Array, read: Array, response: Array, relative: Array) -> Array:
    """Variance of flat-fielded data: of the detector and the photons, and of the flat itself."""
    out = np.empty(read.shape)
    for y in range(read.shape[0]):
        for x in range(read.shape[1]):
            light, part = max(electrons[y, x], 0.0), 1.0 / response[y, x]
            out[y, x] = ((read[y, x] + light) + light * light * relative[y, x]) * (part * part)
    return out

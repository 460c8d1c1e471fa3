"""Fits on the pixels as they were observed, near a redshift: the best one with its error, and the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.eigen import fit_set
from specola_pipeline.redshift.kernels import TERMS, solve
from specola_pipeline.redshift.lines import groups
from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.scan import LINE_PENALTY, SPREAD, beyond, line_profile, reaches, smoothed
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.templates import EigenSet, Library, Template
from specola_pipeline.redshift.widths import continuum, rarity

__all__ = ["Fit", "Refiner"]

_POINTS: Floats = np.arange(-3.0, 4.0)


@dataclass(frozen=True)
class Fit:
    """The best fit of one template near a redshift."""

    spectral_class: str
    template: str
    z: float
    z_err: float
    """From the curvature of chi-square and the noise alone: what is added to the noise for imperfect templates weighs the pixels
    but does not scatter; nan where there is no minimum within reach."""
    gain: float
    """Reduction of chi-square from a model of zero."""
    model: Floats
    """At the valid pixels of the prepared spectrum, in its normalised flux."""
    lines: dict[str, float]
    """Strength of the groups of lines that are in the model, in units of normalised flux times Angstrom."""
    parameters: int
    """Free ones: terms of the polynomial and groups of lines in the model, and the redshift."""


class Refiner:
    """Refines redshifts with a library; keeps templates at the resolutions of the last spectra."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._cut = np.log(np.array(igm.CUTS))
        self._smooth: dict[tuple[int, float], Floats] = {}
        self._smooth_sets: dict[tuple[str, str, float], Floats] = {}
        self._through: tuple[Floats, Floats] | None = None

    def refine(self, data: Prepared, spectral_class: str, template: int, z: float) -> Fit:
        """The minimum of chi-square near ``z``: sampled at seven points, then at seven around the best, closer.

        ``template`` counts the class' templates and then its sets.
        """
        x = np.log(data.wave)
        if self._through is None or self._through[0] is not data.wave:
            # The candidates of one spectrum come one after the other.
            self._through = (data.wave, igm.transmissions(data.wave))
        count = len(self.library.of(spectral_class))
        if template < count:
            name = self.library.of(spectral_class)[template].name
            flux = self._template(spectral_class, template, data.sigma)
            fits: _Sampled = _TemplateFits(data, x, self.library.of(spectral_class)[template], flux, self)
        else:
            one = self.library.sets_of(spectral_class)[template - count]
            name = one.name
            fits = _SetFits(data, x, self._vectors(one, data.sigma), self)
        centre, width, known = float(np.log1p(z)), data.step / 2, 0.0
        for _ in range(2):
            shifts = centre + _POINTS * width
            gain = fits.gains(shifts)
            best = int(np.argmax(gain))
            centre = float(shifts[best])
            curvature, offset = _parabola(shifts, gain, best)
            if 0 < best < _POINTS.size - 1 and curvature > 0:
                # Gain falls by one within sqrt(1 / curvature): sample the next time on that scale.
                known = curvature
                width = float(np.clip(np.sqrt(1 / curvature), width / 12, width)) / 1.5
                centre = float(shifts[best] + np.clip(offset, -width, width))
        points = _POINTS[1:-1] * width
        gain = fits.gains(centre + points)
        curvature, _ = _parabola(points, gain, 2)
        # Closer in, a line that is dropped or added can leave a kink: then the width found from farther off stands.
        curvature = curvature if curvature > 0 else known
        before, model, after = (fits.model(i) for i in (1, 2, 3))
        share = _noise_share(data, after - before)
        error = np.sqrt(share / curvature) * np.exp(centre) if curvature > 0 else np.nan
        lines, free = fits.parameters(2)
        return Fit(spectral_class, name, float(np.expm1(centre)), float(error), float(gain[2]), model, lines, free + 1)

    def absorbed(self, continuum: Floats, rest: Floats) -> Floats:
        """Models, (shifts, pixels), as seen through the intergalactic medium; ``rest`` is the ln(wavelength) of their pixels."""
        transmission = self._through[1] if self._through is not None else np.ones((len(self._cut) + 1, rest.shape[1]))
        for number, cut in enumerate(self._cut, start=1):
            # Redward of the first cut nothing is absorbed; pixels before a row's cut belong to the next piece, and so on.
            end = int((rest <= cut).any(axis=0).sum())
            if end:
                below = rest[:, :end] <= cut
                ratio = transmission[number, :end] / np.maximum(transmission[number - 1, :end], 1e-30)
                continuum[:, :end] *= np.where(below, ratio, 1.0)
        return continuum

    def featureless(self, data: Prepared) -> float:
        """Reduction of chi-square by a polynomial alone: what a redshift's model has to beat."""
        x = np.log(data.wave)
        u = 2 * (x - x[0]) / (x[-1] - x[0]) - 1
        powers = u ** np.arange(2 * TERMS - 1)[:, np.newaxis]
        none = np.zeros((1, 0))
        gain, _ = solve(
            (powers @ data.ivar)[np.newaxis], (powers[:TERMS] @ (data.ivar * data.flux))[np.newaxis], none, none,
            np.zeros((1, TERMS, 0)), SPREAD, 0.0,
        )  # fmt: skip
        return float(gain[0])

    def _vectors(self, one: EigenSet, sigma: float) -> Floats:
        key = (one.spectral_class, one.name, round(sigma, 6))
        if key not in self._smooth_sets:
            if len(self._smooth_sets) > 4 * len(self.library.sets):
                self._smooth_sets.clear()
            flux = np.array([smoothed(vector, sigma, self.library.step) for vector in one.vectors])
            self._smooth_sets[key] = flux / np.sqrt(np.mean(flux**2, axis=1, keepdims=True))
        return self._smooth_sets[key]

    def _template(self, spectral_class: str, template: int, sigma: float) -> Floats:
        every = [i for i, one in enumerate(self.library.templates) if one.spectral_class == spectral_class]
        key = (every[template], round(sigma, 6))
        if key not in self._smooth:
            if len(self._smooth) > 4 * len(self.library.templates):
                self._smooth.clear()
            one = self.library.templates[key[0]]
            flux = smoothed(one.flux, beyond(sigma, one.sigma), self.library.step)
            self._smooth[key] = flux / max(np.median(np.abs(flux)), np.max(np.abs(flux)) * 1e-3)
        return self._smooth[key]


class _Sampled(Protocol):
    """Fits of one template or set at some shifts; what is asked for after `gains` is of its shifts."""

    def gains(self, shifts: Floats) -> Floats:
        """Gain at each shift in ln(1 + z)."""

    def model(self, number: int) -> Floats:
        """The model at a shift."""

    def parameters(self, number: int) -> tuple[dict[str, float], int]:
        """Strengths of the groups of lines in the model at a shift, and how many parameters are in it."""


class _TemplateFits:
    """A template times a polynomial, and groups of lines."""

    def __init__(self, data: Prepared, x: Floats, one: Template, flux: Floats, refiner: Refiner) -> None:
        self._data, self._x, self._flux, self._refiner = data, x, flux, refiner
        self._class, self._one = one.spectral_class, one
        u = 2 * (x - x[0]) / (x[-1] - x[0]) - 1
        self._powers = u ** np.arange(2 * TERMS - 1)[:, np.newaxis]
        self._level = continuum(data)

    def gains(self, shifts: Floats) -> Floats:
        data, library = self._data, self._refiner.library
        rest = self._x - shifts[:, np.newaxis]
        place = rest / library.step - library.first
        continuum = np.interp(place, np.arange(self._flux.size), self._flux, left=0.0, right=0.0)
        self._continuum = self._refiner.absorbed(continuum, rest) if self._one.absorbed else continuum
        low, high = float(rest.min()), float(rest.max())
        self._used = tuple(one for one in groups(self._class) if reaches(one, low, high, data.sigma))
        self._profiles = np.zeros((shifts.size, len(self._used), self._x.size))
        for number, group in enumerate(self._used):
            self._profiles[:, number] = line_profile(group, rest, data.sigma)
        powers, weighted = self._powers, data.ivar * data.flux
        moments = (self._continuum**2 * data.ivar) @ powers.T
        right = (self._continuum * weighted) @ powers[:TERMS].T
        self_ = self._profiles**2 @ data.ivar
        line = self._profiles @ weighted
        for number, group in enumerate(self._used):
            line[:, number] -= rarity(group, shifts, data, data.sigma).against(self._level)
        cross = (self._profiles * (self._continuum * data.ivar)[:, np.newaxis]) @ powers[:TERMS].T
        cross = np.ascontiguousarray(cross.swapaxes(1, 2))
        gain, self._coefficients = solve(moments, right, self_, line, cross, SPREAD, LINE_PENALTY)
        strengths = self._coefficients[:, TERMS:]
        left = line - np.einsum("stg,st->sg", cross, self._coefficients[:, :TERMS]) - strengths * self_
        return np.asarray(gain - self._missing(strengths, left, self_) - self._one.rareness(np.expm1(shifts)))

    def _missing(self, strengths: Floats, left: Floats, self_: Floats) -> Floats:
        """What chi-square is higher if groups that need others have them, at the least strength, (shifts,).

        strengths, left (what of the data's product with the group the model leaves) and self_ are (shifts, groups).
        """
        place = {one.name: number for number, one in enumerate(self._used)}
        total = np.zeros(len(strengths))
        for name, number in place.items():
            least = np.zeros(len(strengths))
            for other in self._used:
                if name in other.needs:
                    least = np.maximum(least, other.needs[name] * strengths[:, place[other.name]])
            more = np.maximum(least - strengths[:, number], 0.0)
            total += np.maximum(more**2 * self_[:, number] - 2 * more * left[:, number], 0.0)
        return total

    def model(self, number: int) -> Floats:
        values = self._coefficients[number]
        smooth = self._continuum[number] * (values[:TERMS] @ self._powers[:TERMS])
        return np.asarray(smooth + values[TERMS:] @ self._profiles[number])

    def parameters(self, number: int) -> tuple[dict[str, float], int]:
        values = self._coefficients[number]
        strengths = {one.name: float(value) for one, value in zip(self._used, values[TERMS:], strict=True) if value > 0}
        return strengths, int(np.count_nonzero(values))


class _SetFits:
    """A sum of the vectors of a set."""

    def __init__(self, data: Prepared, x: Floats, vectors: Floats, refiner: Refiner) -> None:
        self._data, self._x, self._vectors, self._refiner = data, x, vectors, refiner

    def gains(self, shifts: Floats) -> Floats:
        library = self._refiner.library
        rest = self._x - shifts[:, np.newaxis]
        place, points = rest / library.step - library.first, np.arange(self._vectors.shape[1])
        seen = [self._refiner.absorbed(np.interp(place, points, one, left=0.0, right=0.0), rest) for one in self._vectors]
        self._seen = np.stack(seen, axis=1)
        fitted = [fit_set(one, self._data.flux, self._data.ivar) for one in self._seen]
        self._coefficients = np.array([values for _, values in fitted])
        return np.array([gain for gain, _ in fitted])

    def model(self, number: int) -> Floats:
        return np.asarray(self._coefficients[number] @ self._seen[number])

    def parameters(self, number: int) -> tuple[dict[str, float], int]:
        return {}, int(np.count_nonzero(self._coefficients[number]))


def _noise_share(data: Prepared, change: Floats) -> float:
    """Variance of a shift by noise alone, relative to 1 / curvature of chi-square, which is right if all of 1 / ivar scatters.

    For weights W, covariance C of the noise and ``change`` g of the fitted model with the shift the variance is
    g W C W g / (g W g)^2, not 1 / (g W g).
    """
    expected = float(np.sum(data.ivar * change**2))
    return float(np.sum(data.ivar**2 / data.noise_ivar * change**2)) / expected if expected > 0 else 1.0


def _parabola(x: Floats, gain: Floats, best: int) -> tuple[float, float]:
    """Curvature c and offset of the maximum of gain = top - c (x - x_best - offset)^2, through seven points by least squares
    or, at an edge, what three of them say.
    """
    low, high = max(best - 2, 0), min(best + 3, x.size)
    if high - low < 3:
        return 0.0, 0.0
    scale = x[1] - x[0]
    a, b, _ = np.polyfit((x[low:high] - x[best]) / scale, gain[low:high], 2)
    if a >= 0:
        return 0.0, 0.0
    return float(-a / scale**2), float(-b / (2 * a) * scale)

"""Fits on the pixels as they were observed, near a redshift: the best one with its error, and the model."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.eigen import fit_set
from specola_pipeline.redshift.kernels import TERMS, solve
from specola_pipeline.redshift.lines import groups
from specola_pipeline.redshift.pixels import absorb, line_table, sample
from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.scan import LINE_PENALTY, SPREAD, beyond, reaches, smoothed
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.templates import EigenSet, Library, Template
from specola_pipeline.redshift.widths import continuum, rarity

__all__ = ["Fit", "Refiner"]

_POINTS: Floats = np.arange(-3.0, 4.0)
_CUTS: Floats = np.log(np.array(igm.CUTS))


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
        self._smooth: dict[tuple[int, float], Floats] = {}
        self._smooth_sets: dict[tuple[str, str, float], Floats] = {}
        self._last: tuple[Prepared, _Pixels] | None = None

    def refine(self, data: Prepared, spectral_class: str, template: int, z: float) -> Fit:
        """The minimum of chi-square near ``z``: sampled at seven points, then at seven around the best, closer.

        ``template`` counts the class' templates and then its sets.
        """
        pixels = self._pixels(data)
        count = len(self.library.of(spectral_class))
        if template < count:
            name = self.library.of(spectral_class)[template].name
            flux = self._template(spectral_class, template, data.sigma)
            fits: _Sampled = _TemplateFits(data, pixels, self.library.of(spectral_class)[template], flux, self.library)
        else:
            one = self.library.sets_of(spectral_class)[template - count]
            name = one.name
            fits = _SetFits(data, pixels, self._vectors(one, data.sigma), self.library)
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

    def featureless(self, data: Prepared) -> float:
        """Reduction of chi-square by a polynomial alone: what a redshift's model has to beat."""
        pixels = self._pixels(data)
        none = np.zeros((1, 0))
        gain, _ = solve(
            (pixels.powers @ data.ivar)[np.newaxis], (pixels.powers[:TERMS] @ pixels.weighted)[np.newaxis], none, none,
            np.zeros((1, TERMS, 0)), SPREAD, 0.0,
        )  # fmt: skip
        return float(gain[0])

    def _pixels(self, data: Prepared) -> _Pixels:
        # The candidates of one spectrum come one after the other.
        if self._last is None or self._last[0] is not data:
            self._last = (data, _Pixels.of(data))
        return self._last[1]

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


@dataclass(frozen=True)
class _Pixels:
    """What the fits of all templates need of a spectrum."""

    x: Floats
    """ln(wavelength), (n,)."""
    powers: Floats
    """Of the polynomial, (2 TERMS - 1, n)."""
    weighted: Floats
    """Inverse variance times flux."""
    level: Floats
    """The continuum beside lines, on the grid."""
    through: Floats
    """Transmission of the intergalactic medium, (pieces, n)."""

    @classmethod
    def of(cls, data: Prepared) -> _Pixels:
        x = np.log(data.wave)
        powers = np.vander(2 * (x - x[0]) / (x[-1] - x[0]) - 1, 2 * TERMS - 1, increasing=True).T
        return cls(x, np.ascontiguousarray(powers), data.ivar * data.flux, continuum(data), igm.transmissions(data.wave))


class _TemplateFits:
    """A template times a polynomial, and groups of lines."""

    def __init__(self, data: Prepared, pixels: _Pixels, one: Template, flux: Floats, library: Library) -> None:
        self._data, self._pixels, self._one, self._flux, self._library = data, pixels, one, flux, library
        self._through = pixels.through if one.absorbed else pixels.through[:1]

    def gains(self, shifts: Floats) -> Floats:
        data, pixels, library = self._data, self._pixels, self._library
        low, high = float(pixels.x[0] - shifts.max()), float(pixels.x[-1] - shifts.min())
        self._used = tuple(one for one in groups(self._one.spectral_class) if reaches(one, low, high, data.sigma))
        self._continuum, self._profiles, moments, right, self_, line, cross = sample(
            pixels.x, shifts, self._flux, library.first, library.step, _CUTS, self._through, pixels.powers, data.ivar,
            pixels.weighted, *line_table(self._used, data.sigma),
        )  # fmt: skip
        for number, group in enumerate(self._used):
            line[:, number] -= rarity(group, shifts, data, data.sigma).against(pixels.level)
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
        smooth = self._continuum[number] * (values[:TERMS] @ self._pixels.powers[:TERMS])
        return np.asarray(smooth + values[TERMS:] @ self._profiles[number])

    def parameters(self, number: int) -> tuple[dict[str, float], int]:
        values = self._coefficients[number]
        strengths = {one.name: float(value) for one, value in zip(self._used, values[TERMS:], strict=True) if value > 0}
        return strengths, int(np.count_nonzero(values))


class _SetFits:
    """A sum of the vectors of a set."""

    def __init__(self, data: Prepared, pixels: _Pixels, vectors: Floats, library: Library) -> None:
        self._data, self._pixels, self._vectors, self._library = data, pixels, vectors, library

    def gains(self, shifts: Floats) -> Floats:
        points = np.arange(self._vectors.shape[1])
        self._seen = np.empty((shifts.size, len(self._vectors), self._pixels.x.size))
        for seen, shift in zip(self._seen, shifts, strict=True):
            rest = self._pixels.x - shift
            for row, one in zip(seen, self._vectors, strict=True):
                row[:] = np.interp(rest / self._library.step - self._library.first, points, one, left=0.0, right=0.0)
                absorb(row, rest, _CUTS, self._pixels.through)
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
    """Curvature c and offset of the maximum of gain = top - c (x - x_best - offset)^2, by least squares through the best point
    and two on each side, or, at an edge, what there is of them; x is in equal steps.
    """
    low, high = max(best - 2, 0), min(best + 3, x.size)
    if high - low < 3:
        return 0.0, 0.0
    scale = x[1] - x[0]
    a, b = _squares(low - best, high - best) @ gain[low:high]
    if a >= 0:
        return 0.0, 0.0
    return float(-a / scale**2), float(-b / (2 * a) * scale)


@functools.cache
def _squares(low: int, high: int) -> Floats:
    """What values at the integers from low to below high are multiplied by for the parabola's first two coefficients."""
    return np.asarray(np.linalg.pinv(np.vander(np.arange(low, high), 3))[:2])

"""Fits on the pixels as they were observed, near a redshift: the best one with its error, and the model."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from specola_pipeline.redshift.kernels import TERMS, solve
from specola_pipeline.redshift.prepare import Prepared, noise_of
from specola_pipeline.redshift.sampled import Pixels, Sampled, SetFits, TemplateFits
from specola_pipeline.redshift.scan import SPREAD, beyond, smoothed
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.templates import EigenSet, Library

__all__ = ["SEPARATION", "Fit", "Refiner"]

SEPARATION = 0.005
"""Redshifts closer than this times (1 + z) are one solution."""

_POINTS: Floats = np.arange(-3.0, 4.0)
_SIDE: Floats = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 8.0])
_AROUND: Floats = np.concatenate([-_SIDE[::-1], [0.0], _SIDE])
"""Where the error looks, in standard deviations as the curvature of chi-square tells them: in its tails, too, which are not those
of a parabola."""

_STRETCH = 2.0
"""Full widths at half maximum of the line spread within which what a fit leaves is taken to be of one piece."""


@dataclass(frozen=True)
class Around:
    """Fits of one template around its best redshift."""

    shifts: Floats
    """ln(1 + z), increasing; the middle one is the best's."""
    gain: Floats
    """At the shifts."""
    change: Floats
    """How the model of the best changes with the shift, in whatever unit, (pixels,)."""
    share: float
    """Variance of a shift by noise alone, relative to what chi-square says; see `_noise_share`."""


@dataclass(frozen=True)
class Fit:
    """The best fit of one template near a redshift."""

    spectral_class: str
    template: str
    z: float
    z_err: float
    """Scatter over what chi-square leaves to choose from within `SEPARATION`, by the noise alone: what is added to the noise for
    imperfect templates weighs the pixels but does not scatter; nan where there is no minimum within reach."""
    gain: float
    """Reduction of chi-square from a model of zero."""
    model: Floats
    """At the valid pixels of the prepared spectrum, in its normalised flux."""
    lines: dict[str, float]
    """Strength of the groups of lines that are in the model, in units of normalised flux times Angstrom."""
    parameters: int
    """Free ones: terms of the polynomial and groups of lines in the model, and the redshift."""
    around: Around | None = None
    """None where there is no minimum within reach."""


class Refiner:
    """Refines redshifts with a library; keeps templates at the resolutions of the last spectra."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._smooth: dict[tuple[int, float], Floats] = {}
        self._smooth_sets: dict[tuple[str, str, float], Floats] = {}
        self._last: tuple[Prepared, Pixels] | None = None

    def refine(self, data: Prepared, spectral_class: str, template: int, z: float) -> Fit:
        """The minimum of chi-square near ``z``: sampled at seven points, then at seven around the best, closer.

        ``template`` counts the class' templates and then its sets.
        """
        name, fits = self._fits(data, spectral_class, template)
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
        points = _AROUND * 1.5 * width
        points = points[np.abs(points) <= max(SEPARATION, 1.5 * width)]
        middle = points.size // 2
        gain = fits.gains(centre + points)
        curvature, _ = _parabola(points[middle - 2 : middle + 3], gain[middle - 2 : middle + 3], 2)
        before, model, after = (fits.model(middle + i) for i in (-1, 0, 1))
        lines, free = fits.parameters(middle)
        # Closer in, a line that is dropped or added can leave a kink: then the width found from farther off tells of a minimum.
        around = (
            Around(centre + points, gain, after - before, _noise_share(data.ivar, data.noise_ivar, after - before))
            if max(curvature, known) > 0
            else None
        )
        error = _scatter(around, gain) if around else np.nan
        return Fit(
            spectral_class, name, float(np.expm1(centre)), error, float(gain[middle]), model, lines, free + 1, around
        )  # fmt: skip

    def with_others(self, data: Prepared, fit: Fit, others: Sequence[int]) -> Fit:
        """The fit with an error that knows what it leaves, and of other templates, which may fit as well a little beside.

        ``others`` are numbers of templates and sets of the fit's class, as of `refine`.
        """
        if fit.around is None:
            return fit
        curves = [self._fits(data, fit.spectral_class, one)[1].gains(fit.around.shifts) for one in others]
        change = fit.around.change
        share = max(_noise_share(data.ivar, noise_of(data, fit.model), change), _left_share(data, fit, change))
        around = replace(fit.around, share=share)
        return replace(fit, z_err=_scatter(around, np.max([fit.around.gain, *curves], axis=0)))

    def _fits(self, data: Prepared, spectral_class: str, template: int) -> tuple[str, Sampled]:
        pixels = self._pixels(data)
        count = len(self.library.of(spectral_class))
        if template >= count:
            made = self.library.sets_of(spectral_class)[template - count]
            return made.name, SetFits(data, pixels, self._vectors(made, data.sigma), self.library)
        one = self.library.of(spectral_class)[template]
        return one.name, TemplateFits(data, pixels, one, self._template(spectral_class, template, data.sigma), self.library)

    def featureless(self, data: Prepared) -> float:
        """Reduction of chi-square by a polynomial alone: what a redshift's model has to beat."""
        pixels = self._pixels(data)
        none = np.zeros((1, 0))
        gain, _ = solve(
            (pixels.powers @ data.ivar)[np.newaxis], (pixels.powers[:TERMS] @ pixels.weighted)[np.newaxis], none, none,
            np.zeros((1, TERMS, 0)), SPREAD, 0.0,
        )  # fmt: skip
        return float(gain[0])

    def _pixels(self, data: Prepared) -> Pixels:
        # The candidates of one spectrum come one after the other.
        if self._last is None or self._last[0] is not data:
            self._last = (data, Pixels.of(data))
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


def _noise_share(ivar: Floats, noise_ivar: Floats, change: Floats) -> float:
    """Variance of a shift by noise alone, relative to 1 / curvature of chi-square, which is right if all of 1 / ivar scatters.

    For weights W, covariance C of the noise and ``change`` g of the fitted model with the shift the variance is
    g W C W g / (g W g)^2, not 1 / (g W g).
    """
    expected = float(np.sum(ivar * change**2))
    return float(np.sum(ivar**2 / noise_ivar * change**2)) / expected if expected > 0 else 1.0


def _left_share(data: Prepared, fit: Fit, change: Floats) -> float:
    """As `_noise_share`, of what a fit leaves, be it noise or that the template is not the object's.

    There g W C W g is the mean square of what stretches of the spectrum, longer than a line, pull, over all places where they may
    begin (Newey & West 1987, Econometrica 55, 703), times n / (n - k): k parameters have taken their part of what n show.
    """
    pull = data.ivar * change * (data.flux - fit.model)
    stretch = max(1, round(_STRETCH * 2.3548 * data.sigma / float(np.median(np.diff(np.log(data.wave))))))
    total = np.cumsum(np.pad(pull, (stretch, stretch - 1)))
    pulls = total[stretch:] - total[:-stretch]
    expected = float(np.sum(data.ivar * change**2))
    number = pull.size / stretch
    free = number / max(number - fit.parameters, 1.0)
    return free * float(np.sum(pulls**2)) / stretch / expected if expected > 0 else 1.0


def _scatter(around: Around, gain: Floats) -> float:
    """Root of the mean square distance in z from the best over exp(gain / 2): what is left to choose from, with all maxima.

    ``gain``, at the shifts, is that of the best template or the largest of several.
    """
    best = around.shifts[around.shifts.size // 2]
    distance, density = around.shifts - best, np.exp((gain - gain.max()) / 2 / around.share)
    return float(np.sqrt(np.trapezoid(density * distance**2, distance) / np.trapezoid(density, distance)) * np.exp(best))


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

"""Fits on the pixels as they were observed, near a redshift: the best one with its error, and the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.kernels import TERMS, solve
from specola_pipeline.redshift.lines import Group, groups
from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.scan import LINE_PENALTY, SPREAD, beyond, line_profile, reaches, smoothed
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.templates import Library

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
        self._through: tuple[Floats, Floats] | None = None

    def refine(self, data: Prepared, spectral_class: str, template: int, z: float) -> Fit:
        """The minimum of chi-square near ``z``: sampled at seven points, then at seven around the best, closer."""
        x = np.log(data.wave)
        u = 2 * (x - x[0]) / (x[-1] - x[0]) - 1
        if self._through is None or self._through[0] is not data.wave:
            # The candidates of one spectrum come one after the other.
            self._through = (data.wave, igm.transmissions(data.wave))
        transmission = self._through[1]
        flux = self._template(spectral_class, template, data.sigma)
        centre, width, known = float(np.log1p(z)), data.step / 2, 0.0
        for _ in range(2):
            shifts = centre + _POINTS * width
            gain, _, _ = self._gains(data, x, u, transmission, flux, spectral_class, shifts)
            best = int(np.argmax(gain))
            centre = float(shifts[best])
            curvature, offset = _parabola(shifts, gain, best)
            if 0 < best < _POINTS.size - 1 and curvature > 0:
                # Gain falls by one within sqrt(1 / curvature): sample the next time on that scale.
                known = curvature
                width = float(np.clip(np.sqrt(1 / curvature), width / 12, width)) / 1.5
                centre = float(shifts[best] + np.clip(offset, -width, width))
        points = _POINTS[1:-1] * width
        gain, coefficients, designs = self._gains(data, x, u, transmission, flux, spectral_class, centre + points)
        curvature, _ = _parabola(points, gain, 2)
        # Closer in, a line that is dropped or added can leave a kink: then the width found from farther off stands.
        curvature = curvature if curvature > 0 else known
        continuum, profiles, used = designs
        powers = u[:, np.newaxis] ** np.arange(TERMS)
        before, model, after = (
            continuum[i] * (powers @ coefficients[i, :TERMS]) + coefficients[i, TERMS:] @ profiles[i] for i in (1, 2, 3)
        )
        share = _noise_share(data, after - before)
        error = np.sqrt(share / curvature) * np.exp(centre) if curvature > 0 else np.nan
        values = coefficients[2]
        strengths = {group.name: float(value) for group, value in zip(used, values[TERMS:], strict=True) if value > 0}
        name = self.library.of(spectral_class)[template].name
        free = 1 + int(np.count_nonzero(values))
        return Fit(spectral_class, name, float(np.expm1(centre)), float(error), float(gain[2]), model, strengths, free)

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

    def _gains(
        self, data: Prepared, x: Floats, u: Floats, transmission: Floats, flux: Floats, spectral_class: str, shifts: Floats
    ) -> tuple[Floats, Floats, tuple[Floats, Floats, tuple[Group, ...]]]:
        """Gain and coefficients at each shift, and the continuum, profiles and groups they belong to."""
        rest = x - shifts[:, np.newaxis]
        place = rest / self.library.step - self.library.first
        continuum = np.interp(place, np.arange(flux.size), flux, left=0.0, right=0.0)
        for number, cut in enumerate(self._cut, start=1):
            # Redward of the first cut nothing is absorbed; pixels before a row's cut belong to the next piece, and so on.
            end = int((rest <= cut).any(axis=0).sum())
            if end:
                below = rest[:, :end] <= cut
                ratio = transmission[number, :end] / np.maximum(transmission[number - 1, :end], 1e-30)
                continuum[:, :end] *= np.where(below, ratio, 1.0)
        used = tuple(one for one in groups(spectral_class) if reaches(one, float(rest.min()), float(rest.max()), data.sigma))
        profiles = np.zeros((shifts.size, len(used), x.size))
        for number, group in enumerate(used):
            profiles[:, number] = line_profile(group, rest, data.sigma)
        powers = u ** np.arange(2 * TERMS - 1)[:, np.newaxis]
        weighted = data.ivar * data.flux
        moments = (continuum**2 * data.ivar) @ powers.T
        right = (continuum * weighted) @ powers[:TERMS].T
        self_ = profiles**2 @ data.ivar
        line = profiles @ weighted
        cross = np.ascontiguousarray(((profiles * (continuum * data.ivar)[:, np.newaxis]) @ powers[:TERMS].T).swapaxes(1, 2))
        gain, coefficients = solve(moments, right, self_, line, cross, SPREAD, LINE_PENALTY)
        return gain, coefficients, (continuum, profiles, used)

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

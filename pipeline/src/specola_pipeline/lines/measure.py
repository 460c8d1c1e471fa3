"""Flux, width, velocity and equivalent width of every listed line, with errors, and upper limits of what is not seen.

Lines nearer to each other than four times their width are fitted together: Gaussians of one velocity and one intrinsic width, as
wide as the line spread at the least, on a straight continuum. Fluxes and continuum are linear, velocity and width are not; the
linear ones are solved for at each step of the others (see `specola_pipeline.lines.shape`).
Errors are of the whole covariance, from the noise that the spectrum itself shows (`specola_pipeline.redshift.prepare`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from specola_pipeline.lines.shape import fit_shape
from specola_pipeline.redshift.lines import Line, line_list
from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.widths import SPEED_OF_LIGHT

__all__ = ["DETECTED", "Cluster", "LineMeasurement", "measure_lines"]

DETECTED = 3.0
"""A line is seen from this many standard deviations of its flux on."""
_TOGETHER = 4.0
"""Lines nearer than this times their width (standard deviation) share a fit."""
_SIDE = 2500.0
"""km/s of continuum on either side of the lines of a fit."""
_FIXED_SIGMA = 100.0
"""km/s, intrinsic: width at which a flux is measured where no line is seen."""
_SQUARE = 100.0**2
"""(km/s)², unit of squares of widths, in which their errors are of the order of 1."""
_LIMITS = {False: (500.0, 600.0), True: (2000.0, 5000.0)}
"""Largest velocity and largest intrinsic width (km/s), by whether lines are broad (a quasar's)."""


@dataclass(frozen=True)
class LineMeasurement:
    """One line of one spectrum; None is what is not known. Fluxes are in the spectrum's unit times Angstrom."""

    line: str
    wave_rest: float
    """Angstrom in vacuum."""
    flux: float
    """Positive in emission, negative in absorption. Where there is no ``sigma``: at velocity 0 and with a width of 100 km/s."""
    flux_err: float
    flux_limit: float | None
    """Where the line is not seen, what its |flux| is below: three standard deviations, and what is there in the line's sense."""
    ew: float | None
    """Equivalent width at rest, Angstrom, positive in emission; None where the continuum is not seen at three sigma."""
    ew_err: float | None
    sigma: float | None
    """Intrinsic standard deviation, km/s: that of the line spread is taken out. None, as velocity, where this is not seen, or the
    line is seen only if it has the redshift's velocity and a width of 100 km/s."""
    sigma_err: float | None
    """Upwards: where ``sigma`` is near 0 nothing is below it."""
    velocity: float | None
    """Of the line with respect to the redshift, km/s."""
    velocity_err: float | None
    snr: float
    detected: bool
    continuum: float
    """At the line, in the spectrum's unit."""
    continuum_err: float


def measure_lines(data: Prepared, z: float, *, broad: bool = False) -> tuple[LineMeasurement, ...]:
    """All lines of the list that the spectrum covers at a redshift, in order of wavelength.

    Parameters
    ----------
    data
        The prepared spectrum.
    z
        Its redshift.
    broad
        Whether lines may be as broad and as shifted as a quasar's.
    """
    width = float(np.hypot(data.sigma * SPEED_OF_LIGHT, _FIXED_SIGMA))
    found: list[LineMeasurement] = []
    for lines in _clusters(z, width, data):
        found += _fit(data, z, lines, broad=broad)
    return tuple(found)


def _clusters(z: float, width: float, data: Prepared) -> list[list[Line]]:
    """The lines that are covered, near ones together."""
    clusters: list[list[Line]] = []
    reach = 2 * width / SPEED_OF_LIGHT
    for line in sorted(line_list(), key=lambda one: one.wave):
        wave = line.wave * (1 + z)
        near = np.abs(np.log(data.wave / wave)) < reach
        # Pixels on both sides of the line's centre and enough of them: a line at the end of a spectrum is not measured.
        if near.sum() < 3 or not data.wave[near][0] < wave < data.wave[near][-1]:
            continue
        if clusters and _blended(clusters[-1][-1], line, data):
            clusters[-1][-1] = _blend(clusters[-1][-1], line)
        elif clusters and np.log(line.wave / clusters[-1][-1].wave) * SPEED_OF_LIGHT < _TOGETHER * width:
            clusters[-1].append(line)
        else:
            clusters.append([line])
    return clusters


def _blended(one: Line, other: Line, data: Prepared) -> bool:
    """Whether two lines of one ion are nearer than half a resolution element: their fluxes can not be told apart."""
    ions = [line.name.rpartition(" ")[0] for line in (one, other)]
    near = np.log(other.wave / one.wave) < 0.5 * 2.3548 * data.sigma
    return bool(near and ions[0] == ions[1] and one.group == other.group != "")


def _blend(one: Line, other: Line) -> Line:
    """The two as one, at the mean of their wavelengths weighted by their ratio."""
    ratio = one.ratio + other.ratio
    wave = (one.wave * one.ratio + other.wave * other.ratio) / ratio
    return replace(one, name=f"{one.name}+{other.name.rpartition(' ')[2]}", wave=wave, ratio=ratio)


class Cluster:
    """The fit of lines that share a velocity and a width: pixels, and the design matrix at both."""

    def __init__(self, data: Prepared, z: float, lines: list[Line]) -> None:
        self.rest = np.array([line.wave for line in lines])
        self.centres = self.rest * (1 + z)
        spread = max(_SIDE, 8 * data.sigma * SPEED_OF_LIGHT) / SPEED_OF_LIGHT
        low, high = np.searchsorted(data.wave, [self.centres[0] * np.exp(-spread), self.centres[-1] * np.exp(spread)])
        self.wave, self.flux = data.wave[low:high], data.flux[low:high]
        self.root = np.sqrt(data.noise_ivar[low:high])
        self.lsf = data.sigma
        # Other lines nearby would bend the continuum: their pixels count little unless they are lines of this fit.
        listed = np.array([line.wave for line in line_list()])
        others = listed[~np.isclose(listed[:, np.newaxis], self.rest).any(axis=1)] * (1 + z)
        log_wave = np.log(self.wave)[:, np.newaxis]
        away = (np.abs(log_wave - np.log(others)) < 2.5 * self.lsf).any(axis=1)
        own = (np.abs(log_wave - np.log(self.centres)) < 3 * self.lsf).any(axis=1)
        self.root[away & ~own] = 0.0
        self.x = (self.wave - self.centres.mean()) / (np.ptp(self.wave) or 1.0)

    def design(self, velocity: float, sigma: float) -> Floats:
        """Columns: a Gaussian of unit flux for each line, then constant and slope; shape (pixels, lines + 2)."""
        width = np.hypot(self.lsf, sigma / SPEED_OF_LIGHT)
        centres = self.centres * (1 + velocity / SPEED_OF_LIGHT)
        x = np.log(self.wave[:, np.newaxis] / centres) / width
        lines = np.exp(-0.5 * x * x) / (np.sqrt(2 * np.pi) * width * centres)
        return np.column_stack([lines, np.ones_like(self.x), self.x])

    def solve(self, design: Floats) -> Floats:
        """The linear parameters, by weighted least squares."""
        return np.asarray(np.linalg.lstsq(design * self.root[:, np.newaxis], self.flux * self.root, rcond=None)[0])

    def shape(self, start: float, fastest: float, widest: float) -> tuple[float, float]:
        """Velocity and width that fit best, all in km/s: from a width of ``start``, within what is allowed."""
        start, fastest, widest = start / SPEED_OF_LIGHT, fastest / SPEED_OF_LIGHT, widest / SPEED_OF_LIGHT
        found = fit_shape(
            np.log(self.wave), self.flux, self.root, self.x, np.log(self.centres), self.lsf, start, fastest, widest
        )  # fmt: skip
        return float(found[0]) * SPEED_OF_LIGHT, float(found[1]) * SPEED_OF_LIGHT

    def covariance(self, velocity: float, sigma: float, linear: Floats, *, free: bool) -> Floats:
        """Of the linear parameters and, if ``free``, velocity (km/s) and the square of the width (`_SQUARE`); shape (n, n).

        The square, because chi-square is flat in a width of 0: its error would be none at all.
        """
        columns = [self.design(velocity, sigma)]
        if free:
            columns.append(((self.design(velocity + 1, sigma) - self.design(velocity - 1, sigma)) @ linear / 2)[:, np.newaxis])
            wide, narrow = np.sqrt(sigma**2 + 100.0), np.sqrt(max(sigma**2 - 100.0, 0.0))
            slope = (self.design(velocity, wide) - self.design(velocity, narrow)) @ linear
            columns.append((slope / (wide**2 - narrow**2) * _SQUARE)[:, np.newaxis])
        weighted = np.hstack(columns) * self.root[:, np.newaxis]
        return np.asarray(np.linalg.pinv(weighted.T @ weighted, rcond=1e-12))


def _fit(data: Prepared, z: float, lines: list[Line], *, broad: bool) -> list[LineMeasurement]:
    model = Cluster(data, z, lines)
    if np.count_nonzero(model.root) < len(lines) + 4:
        return []
    fastest, widest = _LIMITS[broad]
    fixed = model.solve(model.design(0.0, _FIXED_SIGMA))
    velocity, sigma = model.shape(1000.0 if broad else _FIXED_SIGMA, fastest, widest)
    linear = model.solve(model.design(velocity, sigma))
    errors = _errors(model.covariance(velocity, sigma, linear, free=True))
    fixed_errors = _errors(model.covariance(0.0, _FIXED_SIGMA, fixed, free=False))
    # A fit that ran to the end of what is allowed has found something else than the line.
    inside = abs(velocity) < 0.98 * fastest and sigma < 0.98 * widest
    rows = []
    for number, line in enumerate(lines):
        shaped = bool(inside and _signed(line, linear[number]) >= DETECTED * errors[number] > 0)
        # Of two lines that overlap neither may be certain while velocity and width are free, though both are there.
        seen = shaped or bool(inside and _signed(line, fixed[number]) >= DETECTED * fixed_errors[number] > 0)
        values, error = (linear, errors[number]) if shaped else (fixed, fixed_errors[number])
        shape = (velocity, sigma) if shaped else None
        rows.append(_row(data, model, z, line, number, values, float(error), shape, errors, seen=seen))
    return rows


def _signed(line: Line, flux: float) -> float:
    """How strongly the line is there in the sense in which it can be."""
    return float({"emission": flux, "absorption": -flux}.get(line.kind, abs(flux)))


def _errors(covariance: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(np.diag(covariance), 0.0)))


def _row(
    data: Prepared, model: Cluster, z: float, line: Line, number: int, values: Floats, error: float,
    shape: tuple[float, float] | None, errors: Floats, *, seen: bool,
) -> LineMeasurement:  # fmt: skip
    """A line of a fit: flux and continuum are among the linear ``values``, ``shape`` is velocity and width if it tells them."""
    flux = float(values[number])
    x = (model.centres[number] - model.centres.mean()) / (np.ptp(model.wave) or 1.0)
    level = float(values[-2] + values[-1] * x)
    # The continuum at the line is known about as well as its constant.
    level_error = float(errors[model.rest.size])
    ew = ew_err = None
    if level > DETECTED * level_error:
        ew = flux / level / (1 + z)
        ew_err = float(np.hypot(error / level, flux * level_error / level**2) / (1 + z))
    velocity = velocity_err = sigma = sigma_err = None
    if shape is not None:
        velocity, sigma = shape
        velocity_err = float(errors[-2])
        sigma_err = float(np.sqrt(sigma**2 + errors[-1] * _SQUARE) - sigma)
    limit = None if seen else (max(_signed(line, flux), 0.0) + DETECTED * error) * data.scale
    return LineMeasurement(
        line.name, line.wave, flux * data.scale, error * data.scale, limit, ew, ew_err, sigma, sigma_err, velocity, velocity_err,
        flux / error if error > 0 else 0.0, seen, level * data.scale, level_error * data.scale,
    )  # fmt: skip

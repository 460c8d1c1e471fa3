"""Which line of a lamp is where: the spectrum that the list predicts, slid along what is seen. Begin with :func:`identify`.

Single lines can not be named where most are blends, and a pattern of places alone fits anywhere in a forest. So the predicted
spectrum is compared in parts along the dispersion: how well each part agrees after each shift is one table, and every smooth
distortion within the instrument's uncertainty (shift, stretch, bend and a cubic term) is a path through it. The best path is
found by trying them all, and then refined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from specola_pipeline.instruments import Lines

__all__ = ["WrongLampError", "find_lines", "identify"]

Array = NDArray[np.float64]

_BEND, _CUBIC = 20.0, 6.0
"""Rows at the ends of the spectrum by which a dispersion may be bent from the guess, in second and third order."""

_STEP = 2.0
"""Rows between the distortions that are tried; spectra are smoothed to that scale first."""


class WrongLampError(ValueError):
    """The lines of an arc are not those of its lamp's list."""


def find_lines(spectrum: Array, noise: Array, sigma: float, threshold: float = 8.0) -> tuple[Array, Array]:
    """Places (fractional pixels) and heights of the emission lines of a spectrum.

    The background is a running low percentile; a line is a maximum of the spectrum smoothed with its own width that stands
    *threshold* times the noise above it.
    """
    smooth = _without_background(spectrum, sigma)
    level = np.maximum(noise / np.sqrt(2 * np.sqrt(np.pi) * sigma), 1e-12)
    inner = smooth[1:-1]
    peak = np.flatnonzero((inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > threshold * level[1:-1])) + 1
    peak = peak[(peak > 3 * sigma) & (peak < spectrum.size - 1 - 3 * sigma)]
    curve = smooth[peak - 1] - 2 * smooth[peak] + smooth[peak + 1]
    offset = 0.5 * (smooth[peak - 1] - smooth[peak + 1]) / np.where(curve < 0, curve, -1.0)
    return np.asarray(peak + np.clip(offset, -0.5, 0.5), dtype=float), smooth[peak]


def _without_background(spectrum: Array, sigma: float) -> Array:
    background = ndimage.percentile_filter(spectrum, 25, size=int(30 * sigma) | 1, mode="nearest")
    return np.asarray(ndimage.gaussian_filter1d(spectrum - background, sigma, mode="nearest"))


def identify(
    spectrum: Array, noise: Array, lines: Lines, guess: Callable[[Array], Array], sigma: float, reach: float, stretch: float
) -> Array:
    """The row at which each line of *lines* is seen in *spectrum*, to about a row; shape as ``lines.wavelength``.

    *guess* gives the row of a wavelength, off by at most *reach* rows and, end to end, a *stretch* (relative). *sigma* is the
    expected width of a line in pixels. Raises :class:`WrongLampError` where fewer than five lines stand out of the *noise*, or
    fewer than half of the brightest twelve are where the list then has a line.
    """
    peaks, heights = find_lines(spectrum, noise, sigma)
    if peaks.size < 5:
        raise WrongLampError(f"{peaks.size} arc lines stand out of the noise, at least 5 are needed: is the lamp on?")
    expected, strength = guess(lines.wavelength), _compressed(np.maximum(lines.strength, 0.0), lines.strength[lines.strength > 0])
    seen = _compressed(np.maximum(_without_background(spectrum, sigma), 0.0), heights)
    limits = (reach, stretch * spectrum.size / 2, _BEND, _CUBIC)
    paths = _Paths(seen, expected, strength, 1.5 * sigma, sum(limits))
    rows = expected + paths.distortion(paths.best(limits), expected)
    bright = np.argsort(heights)[::-1][:12]
    near = np.abs(peaks[bright][:, None] - rows[None, :]).min(axis=1) < max(1.5, 0.75 * sigma)
    if near.mean() < 0.5:
        raise WrongLampError(
            f"{int(near.sum())} of the {near.size} brightest lines are where the list of the lamp has one: "
            "is it the lamp that the header says?"
        )
    return np.asarray(rows)


def _compressed(values: Array, scale: Array) -> Array:
    """Strengths of lists and of lamps differ by powers of ten: that there is a line counts for more than how bright it is."""
    return np.asarray(np.log1p(values / max(float(np.median(scale)), 1e-12)))


class _Paths:
    """How well the predicted spectrum agrees with the seen one, in parts along it, after any shift of each part."""

    def __init__(self, seen: Array, expected: Array, strength: Array, sigma: float, most: float) -> None:
        self.size, self.most = seen.size, int(np.ceil(most))
        predicted = np.zeros(self.size)
        inside = (expected > -0.5) & (expected < self.size - 0.5)
        np.add.at(predicted, np.rint(expected[inside]).astype(int), strength[inside])
        predicted = ndimage.gaussian_filter1d(predicted, sigma, mode="constant")
        length = min(max(self.size // 12, 60), self.size)
        starts = np.linspace(0, self.size - length, max(2 * self.size // length - 1, 1)).astype(int)
        self.centres = starts + 0.5 * (length - 1)
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(seen, self.most), length)
        self.table = np.array([_correlation(windows[at : at + 2 * self.most + 1], predicted[at : at + length]) for at in starts])

    def distortion(self, terms: Array, rows: Array) -> Array:
        """Rows by which what is expected at *rows* is moved; *terms* are rows at the ends, of orders 0 to 3."""
        u = 2.0 * rows / (self.size - 1.0) - 1.0
        return np.asarray(terms[0] + u * (terms[1] + u * (terms[2] + u * terms[3])))

    def best(self, limits: tuple[float, ...]) -> Array:
        """Terms of the best path within *limits*."""
        axes = [np.arange(-limit, limit + _STEP / 2, _STEP) for limit in limits]
        tried = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")])
        # Of paths that agree alike, the one nearest to what the instrument file says.
        score = -1e-3 * (np.abs(tried) / np.array(limits)[:, None]).sum(axis=0)
        for centre, table in zip(self.centres, self.table, strict=True):
            shift = np.rint(self.distortion(tried, np.asarray(centre))).astype(int)
            score += table[np.clip(shift + self.most, 0, table.size - 1)] / self.centres.size
        start = tried[:, int(np.argmax(score))]
        found = optimize.minimize(
            self._disagreement, start, method="Nelder-Mead", options={"initial_simplex": start + _STEP * np.eye(5, 4)}
        )
        return np.asarray(found.x)

    def _disagreement(self, terms: Array) -> float:
        at = np.clip(self.distortion(terms, self.centres), -self.most, self.most)
        low = np.clip(np.floor(at), -self.most, self.most - 1)
        part, step = np.arange(at.size), low.astype(int) + self.most
        below = self.table[part, step]
        return -float(np.mean((self.table[part, step + 1] - below) * (at - low) + below))


def _correlation(windows: Array, part: Array) -> Array:
    """Pearson's coefficient of each of *windows* (shifts, n) with *part* (n,); 0 where either is empty."""
    part = part - part.mean()
    power = np.maximum((windows**2).sum(axis=1) - windows.sum(axis=1) ** 2 / part.size, 0.0) * float((part**2).sum())
    return np.where(power > 0, (windows @ part) / np.sqrt(np.maximum(power, 1e-30)), 0.0)

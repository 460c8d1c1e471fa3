"""Wavelengths from arc lamps: lines found, identified against the lamp's list, followed across the slit, fitted together.

Begin with :func:`solve_slit`. Identification starts from the instrument model and tries every shift and stretch within its
uncertainty (a Hough transform of the line pattern), so that it also copes with a mask or grism that sits elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from scipy import ndimage

from specola_pipeline.reduce.robust import fit_surface, mad_std, surface

__all__ = ["WaveMap", "WrongLampError", "find_lines", "fit_lines", "identify", "solve_slit"]

Array = NDArray[np.float64]
_Limits = tuple[tuple[float, float], tuple[float, float]]


class WrongLampError(ValueError):
    """The lines of an arc are not those of its lamp's list."""


@dataclass(frozen=True)
class WaveMap:
    """Wavelength in Angstrom (medium as the line list's) of each pixel of a slit: a Legendre surface of row and column.

    *rows* and *columns* are the ranges that map to -1..1. *rms* is that of the lines about the map, in pixels along the
    dispersion, *scatter* that of single columns of lines; *sigma* is the width of the lines (standard deviation, pixels).
    """

    coefficients: Array
    rows: tuple[float, float]
    columns: tuple[float, float]
    rms: float
    scatter: float
    sigma: float
    lines: Array = field(repr=False)
    line_residuals: Array = field(repr=False)
    """Mean offset of each used line from the map, pixels."""

    def scaled(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Row and column as the surface takes them."""
        return _scale(y, self.rows), _scale(x, self.columns)

    def __call__(self, y: Array, x: Array) -> Array:
        """Wavelength at rows *y* and columns *x* of the detector."""
        return surface(self.coefficients, *self.scaled(*np.broadcast_arrays(y, x)))

    def reference_rows(self, window: tuple[slice, slice], middle: float) -> tuple[Array, Array]:
        """Wavelength of each pixel of *window*, and the row at which that wavelength lies on the column *middle*."""
        y = np.arange(window[0].start, window[0].stop, dtype=float)
        x = np.arange(window[1].start, window[1].stop, dtype=float)
        wavelength = self(y[:, None], x[None, :])
        axis = self(y, np.full(y.size, middle))
        rows = np.interp(wavelength, axis, y)
        for end, beyond in ((0, wavelength < axis[0]), (-1, wavelength > axis[-1])):
            slope = abs(axis[1] - axis[0]) if end == 0 else abs(axis[-1] - axis[-2])
            rows = np.where(beyond, y[end] + (wavelength - axis[end]) / slope, rows)
        return wavelength, rows


def _scale(values: Array, limits: tuple[float, float]) -> Array:
    return np.asarray((2.0 * values - limits[0] - limits[1]) / max(limits[1] - limits[0], 1.0))


def find_lines(spectrum: Array, noise: Array, sigma: float, threshold: float = 8.0) -> tuple[Array, Array]:
    """Places (fractional pixels) and heights of the emission lines of a spectrum.

    The background is a running low percentile; a line is a maximum of the spectrum smoothed with its own width that stands
    *threshold* times the noise above it.
    """
    background = ndimage.percentile_filter(spectrum, 25, size=int(30 * sigma) | 1, mode="nearest")
    smooth = ndimage.gaussian_filter1d(spectrum - background, sigma, mode="nearest")
    level = np.maximum(noise / np.sqrt(2 * np.sqrt(np.pi) * sigma), 1e-12)
    inner = smooth[1:-1]
    peak = np.flatnonzero((inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > threshold * level[1:-1])) + 1
    peak = peak[(peak > 3 * sigma) & (peak < spectrum.size - 1 - 3 * sigma)]
    curve = smooth[peak - 1] - 2 * smooth[peak] + smooth[peak + 1]
    offset = 0.5 * (smooth[peak - 1] - smooth[peak + 1]) / np.where(curve < 0, curve, -1.0)
    return peak + np.clip(offset, -0.5, 0.5), smooth[peak]


def identify(
    peaks: Array, heights: Array, lines: Array, guess: Callable[[Array], Array], rows: int, reach: float, stretch: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which peak is which line: indices into *peaks* and *lines*.

    *guess* gives the row of a wavelength, off by at most *reach* rows and, end to end, a *stretch* (relative). Every shift and
    stretch within these is scored by how many lines fall on a peak; the best is refined with polynomials of growing degree.
    Raises :class:`WrongLampError` where fewer than five lines, fewer than a third of those expected on the detector, or fewer
    than 40 per cent of the twelve brightest are matched.
    """
    expected = guess(lines)
    middle = rows / 2
    order = np.argsort(peaks)
    sorted_peaks = peaks[order]
    if sorted_peaks.size < 5:
        raise WrongLampError(f"{sorted_peaks.size} arc lines stand out of the noise, at least 5 are needed: is the lamp on?")
    importance = np.log1p(heights[order] / np.median(heights))
    shifts = np.arange(-reach, reach + 1.0)
    scales = 1.0 + np.linspace(-stretch, stretch, 2 * int(np.ceil(stretch * middle / 2.0)) + 1)
    best, score = (0.0, 1.0), -1.0
    for scale in scales:
        moved = middle + (expected - middle) * scale
        at = moved[None, :] + shifts[:, None]
        near, gap = _nearest(sorted_peaks, at)
        total = (importance[near] * np.exp(-0.5 * (gap / 2.0) ** 2)).sum(axis=1)
        total -= 1e-6 * np.abs(shifts) + 1e-4 * np.abs(scale - 1) * middle
        top = int(np.argmax(total))
        if total[top] > score:
            score, best = float(total[top]), (float(shifts[top]), float(scale))
    current = middle + (expected - middle) * best[1] + best[0]
    for degree, tolerance in ((1, 6.0), (1, 4.0), (2, 4.0), (2, 3.0), (3, 2.5), (3, 2.0), (4, 1.5), (4, 1.0)):
        at, which = _pairs(sorted_peaks, current, tolerance)
        if which.size < degree + 2:
            continue
        correction = Polynomial.fit(expected[which], sorted_peaks[at], min(degree, max(which.size - 3, 1)))
        current = correction(expected)
    at, which = _pairs(sorted_peaks, current, 1.0)
    on_detector = int(((current > 0) & (current < rows)).sum())
    bright = np.argsort(heights[order])[::-1][:12]
    explained = float(np.isin(bright, at).mean())
    if which.size < max(5, on_detector / 3) or explained < 0.4:
        raise WrongLampError(
            f"{which.size} of {on_detector} lines expected on the detector match the {peaks.size} lines seen, and "
            f"{explained:.0%} of the brightest: is it the lamp that the header says?"
        )
    return order[at], which


def _nearest(sorted_peaks: Array, at: Array) -> tuple[NDArray[np.int64], Array]:
    """Index of the nearest peak to each place, and its distance."""
    right = np.clip(np.searchsorted(sorted_peaks, at), 1, sorted_peaks.size - 1)
    near = np.where(at - sorted_peaks[right - 1] < sorted_peaks[right] - at, right - 1, right)
    return near, np.abs(at - sorted_peaks[near])


def _pairs(sorted_peaks: Array, at: Array, tolerance: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Peaks and lines that are each other's nearest, within *tolerance* rows."""
    near, gap = _nearest(sorted_peaks, at)
    keep = gap < tolerance
    for index in np.flatnonzero(keep):
        rivals = np.flatnonzero(keep & (near == near[index]))
        keep[rivals[rivals != rivals[np.argmin(gap[rivals])]]] = False
    return near[keep], np.flatnonzero(keep)


def fit_lines(spectrum: Array, weight: Array, centres: Array, sigma: float, rounds: int = 5) -> tuple[Array, Array, Array]:
    """Centre, its error and height of Gaussian lines of known width in a spectrum, all lines at once (shape as *centres*).

    A constant background a line is fitted along. Centres that leave their window or have no positive height are NaN.
    """
    half = max(int(np.ceil(2.5 * sigma)), 3)
    index = np.rint(np.nan_to_num(centres, nan=-1e4)).astype(int)[:, None] + np.arange(-half, half + 1)[None, :]
    inside = (index >= 0) & (index < spectrum.size)
    index = np.clip(index, 0, spectrum.size - 1)
    values, w = spectrum[index], np.where(inside, weight[index], 0.0)
    centre = np.nan_to_num(centres, nan=0.0).copy()
    for _ in range(rounds):
        z = (index - centre[:, None]) / sigma
        shape = np.exp(-0.5 * z * z)
        height, _ = _linear(shape, values, w)
        design = np.stack([shape, np.ones_like(shape), height[:, None] * shape * z / sigma], axis=2)
        normal = np.einsum("lpi,lp,lpj->lij", design, w, design) + 1e-12 * np.eye(3)
        right = np.einsum("lpi,lp,lp->li", design, w, values)
        covariance = np.linalg.pinv(normal, hermitian=True)
        step = np.einsum("lij,lj->li", covariance, right)[:, 2]
        centre = centre + np.clip(step, -0.5 * sigma, 0.5 * sigma)
    error = np.sqrt(np.maximum(covariance[:, 2, 2], 0.0))
    lost = ~np.isfinite(centres) | (np.abs(centre - centres) > half) | (height <= 0) | (w.astype(bool).sum(axis=1) < half + 2)
    return np.where(lost, np.nan, centre), np.where(lost, np.inf, error), np.where(lost, 0.0, height)


def _linear(shape: Array, values: Array, w: Array) -> tuple[Array, Array]:
    """Height and background of lines of fixed place."""
    s0, s1, s2 = w.sum(1), (w * shape).sum(1), (w * shape * shape).sum(1)
    d0, d1 = (w * values).sum(1), (w * values * shape).sum(1)
    det = s0 * s2 - s1 * s1
    det = np.where(det > 0, det, np.inf)
    return (s0 * d1 - s1 * d0) / det, (s2 * d0 - s1 * d1) / det


def _line_width(spectrum: Array, weight: Array, centres: Array, first: float) -> float:
    """Standard deviation of the lines: the width of least chi-square, over the lines together."""
    widths = first * np.linspace(0.5, 1.8, 27)
    chi = []
    half = max(int(np.ceil(2.5 * first)), 3)
    for width in widths:
        place, _, _ = fit_lines(spectrum, weight, centres, float(width))
        index = np.clip(np.rint(centres).astype(int)[:, None] + np.arange(-half, half + 1)[None, :], 0, spectrum.size - 1)
        shape = np.exp(-0.5 * ((index - np.nan_to_num(place)[:, None]) / width) ** 2)
        height, base = _linear(shape, spectrum[index], weight[index])
        miss = ((spectrum[index] - base[:, None] - height[:, None] * shape) / np.maximum(height, 1e-9)[:, None]) ** 2
        chi.append(float(np.median(miss.sum(axis=1))))
    return float(widths[int(np.argmin(chi))])


def solve_slit(
    arc: Array,
    weight: Array,
    inside: NDArray[np.bool_],
    origin: tuple[int, int],
    lines: Array,
    guess: Callable[[Array], Array],
    *,
    sigma: float = 2.0,
    reach: float = 60.0,
    stretch: float = 0.02,
    degree: tuple[int, int] = (4, 2),
) -> WaveMap:
    """The wavelength map of a slit from an arc frame.

    *arc*, *weight* (inverse variance) and *inside* (True within the slit) have shape (rows, columns); *origin* is the detector
    row and column of their first pixel. *lines* are the lamp's wavelengths, *guess* gives the row within the window of a
    wavelength. Raises :class:`WrongLampError` (a ValueError) where the lines are not recognised.
    """
    rows, columns = arc.shape
    usable = inside & (weight > 0)
    middle = int(np.argmax(np.convolve(usable.sum(axis=0), np.ones(3), mode="same")))
    near = slice(max(middle - 2, 0), middle + 3)
    spectrum, spectrum_weight = _collapse(arc[:, near], np.where(usable, weight, 0.0)[:, near])
    noise = np.sqrt(1.0 / np.maximum(spectrum_weight, 1e-12))
    peaks, heights = find_lines(spectrum, noise, sigma)
    lines = np.sort(lines)
    at, which = identify(peaks, heights, lines, guess, rows, reach, stretch)
    start, named = peaks[at], lines[which]
    bright = np.argsort(heights[at])[::-1][:12]
    sigma = _line_width(spectrum, spectrum_weight, start[bright], sigma)
    alone = _isolated(start, peaks, heights, heights[at], 3.0 * sigma)
    if alone.sum() >= 5:
        start, named = start[alone], named[alone]
    place, error = _follow(arc, np.where(usable, weight, 0.0), start, middle, sigma)
    limits = ((float(origin[0]), float(origin[0] + rows - 1)), (float(origin[1]), float(origin[1] + columns - 1)))
    keep: NDArray[np.bool_] = np.atleast_1d(np.isfinite(place).any(axis=1))
    while True:
        solution = _fit_map(place[keep], error[keep], named[keep], origin, limits, degree, sigma)
        miss = np.abs(solution.line_residuals)
        worst = int(np.argmax(np.nan_to_num(miss)))
        limit = 4.0 * max(1.4826 * float(np.median(miss)), 0.015)
        if miss[worst] < limit or keep.sum() <= degree[0] + 4:
            return solution
        keep[np.flatnonzero(keep)[worst]] = False


def _fit_map(
    place: Array, error: Array, named: Array, origin: tuple[int, int], limits: _Limits, degree: tuple[int, int], sigma: float
) -> WaveMap:
    """The surface through all lines in all columns, single columns clipped."""
    x = np.broadcast_to(np.arange(place.shape[1])[None, :], place.shape)
    wave = np.broadcast_to(named[:, None], place.shape)
    start = np.asarray(np.nanmedian(place, axis=1), dtype=float)
    u, v = (
        _scale(np.asarray(place + origin[0], dtype=float), limits[0]),
        _scale(np.asarray(x + float(origin[1]), dtype=float), limits[1]),
    )
    pixel = float(np.median(np.abs(np.gradient(named) / np.gradient(start))))
    seen = np.isfinite(place)
    many = min(degree[0], max(named.size - 3, 1))
    spread = np.hypot(error, 0.02) * pixel
    coefficients, kept_seen = fit_surface(u[seen], v[seen], wave[seen], spread[seen], (many, degree[1]))
    kept = np.zeros(place.shape, dtype=bool)
    kept[seen] = kept_seen
    solution = WaveMap(coefficients, *limits, 0.0, 0.0, sigma, named, np.zeros(named.size))
    return _quality(solution, place, error, kept, origin, named, sigma)


def _quality(
    solution: WaveMap,
    place: Array,
    error: Array,
    kept: NDArray[np.bool_],
    origin: tuple[int, int],
    named: Array,
    sigma: float,
) -> WaveMap:
    """The map with its figures: offsets of the lines, rms of lines and of single columns, in pixels."""
    y = np.nan_to_num(place) + origin[0]
    x = np.broadcast_to(np.arange(place.shape[1]) + float(origin[1]), place.shape)
    dispersion = solution(y + 0.5, x) - solution(y - 0.5, x)
    miss = (solution(y, x) - named[:, None]) / dispersion
    weight = np.where(kept, 1.0 / np.hypot(error, 0.02) ** 2, 0.0)
    seen = np.isfinite(place)
    weight = np.where(kept, weight, np.where(seen & ~kept.any(axis=1, keepdims=True), 1.0, 0.0))
    used = (weight * np.nan_to_num(miss)).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
    return WaveMap(
        solution.coefficients,
        solution.rows,
        solution.columns,
        float(np.sqrt(np.mean(used**2))) if used.size else float("inf"),
        float(mad_std(miss[kept])) if kept.any() else float("inf"),
        sigma,
        named,
        used,
    )


def _collapse(image: Array, weight: Array) -> tuple[Array, Array]:
    """Mean spectrum of a few columns, and its weight."""
    total = weight.sum(axis=1)
    value = (image * weight).sum(axis=1) / np.maximum(total, 1e-30)
    return np.where(total > 0, value, 0.0), total


def _isolated(start: Array, peaks: Array, heights: Array, own: Array, distance: float) -> NDArray[np.bool_]:
    """Lines without a neighbour of a tenth of their height or more within *distance*."""
    gap = np.abs(start[:, None] - peaks[None, :])
    rival = (gap < distance) & (gap > 1e-6) & (heights[None, :] > 0.1 * own[:, None])
    return np.asarray(~rival.any(axis=1))


def _follow(arc: Array, weight: Array, start: Array, middle: int, sigma: float) -> tuple[Array, Array]:
    """Row of each line in each column and its error, of shape (lines, columns), followed outwards from the middle column."""
    columns = arc.shape[1]
    place, error = np.full((start.size, columns), np.nan), np.full((start.size, columns), np.inf)
    for direction in (1, -1):
        current, drift = start.copy(), 0.0
        column = middle if direction == 1 else middle - 1
        while 0 <= column < columns:
            found, spread, _ = fit_lines(arc[:, column], weight[:, column], current + drift, sigma)
            good = np.isfinite(found) & (np.abs(found - current - drift) < 1.5) & (spread < 0.5)
            if good.any():
                place[good, column], error[good, column] = found[good], spread[good]
                step = float(np.median(found[good] - current[good]))
                current = np.where(good, 0.7 * found + 0.3 * (current + step), current + step)
                drift = 0.7 * drift + 0.3 * step if column != middle else 0.0
            column += direction
    return place, error

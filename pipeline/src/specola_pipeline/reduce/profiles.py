"""Objects in a slit: found blindly in the sky-subtracted frame, followed along the dispersion, and their profiles.

A profile is the part of an object's light that falls on each pixel of a detector row; it sums to one over the row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from scipy import ndimage

from specola_pipeline.reduce.robust import mad_std

__all__ = ["Trace", "collapse", "detect", "find_objects", "follow", "gaussian_profile"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """An object in a slit: *centre* along the slit (pixels from the left edge) and *sigma* of its profile, polynomials of a row.

    *significance* is that of the detection in the collapsed slit.
    """

    centre: Polynomial
    sigma: Polynomial
    significance: float

    @property
    def place(self) -> float:
        """Mean place along the slit, pixels from the left edge."""
        low, high = self.centre.domain
        return float(np.mean(self.centre(np.linspace(low, high, 32))))


def collapse(residual: Array, weight: Array, position: Array, step: float = 0.5) -> tuple[Array, Array, Array]:
    """Sky-subtracted light along the slit: places (pixels from the left edge), mean and its error, in bins of *step*.

    Blocks of rows are averaged with their weights, then the blocks' mean is taken without outliers, so that neither a cosmic ray
    nor a bright emission line is taken for an object's continuum.
    """
    count, typical, value, norm = _collapse(residual, weight, position, step)
    # the scatter of blocks where an object shines is that of its spectrum, not noise: the typical bin tells the noise
    error = np.where(norm > 0, typical / np.sqrt(np.maximum(norm, 1e-30)), np.inf)
    return np.asarray(np.arange(count) * step, dtype=float), value, np.asarray(error, dtype=float)


@njit(cache=True)
def _collapse(residual: Array, weight: Array, position: Array, step: float) -> tuple[int, float, Array, Array]:
    """How many bins there are, the typical scatter of their blocks in units of the noise, their means and weights."""
    rows, columns = residual.shape
    farthest = 1.0
    for y in range(rows):
        for x in range(columns):
            if weight[y, x] > 0.0:
                farthest = max(farthest, position[y, x])
    count = math.ceil(farthest / step) + 1
    blocks = max(min(rows // 64, 32), 4)
    total, light = np.zeros((count, blocks)), np.zeros((count, blocks))
    for y in range(rows):
        block = min(y * blocks // rows, blocks - 1)
        for x in range(columns):
            if weight[y, x] > 0.0:
                at = min(max(int(np.rint(position[y, x] / step)), 0), count - 1)
                total[at, block] += weight[y, x]
                light[at, block] += weight[y, x] * residual[y, x]
    value, norm, scale = np.zeros(count), np.zeros(count), np.zeros(count)
    for k in range(count):
        known = total[k] > 0.0
        if not known.any():
            continue
        mean = light[k][known] / total[k][known]
        pull = (mean - _sorted_middle(np.sort(mean))) * np.sqrt(total[k][known])
        centre = _sorted_middle(np.sort(pull))
        scale[k] = max(1.482602 * _sorted_middle(np.sort(np.abs(pull - centre))), 1.0)
        keep = np.abs(pull) < 4.0 * scale[k]
        norm[k] = total[k][known][keep].sum()
        value[k] = light[k][known][keep].sum() / max(norm[k], 1e-30)
    seen = norm > 0.0
    return count, _sorted_middle(np.sort(scale[seen])) if seen.any() else 1.0, value, norm


@njit(cache=True)
def _sorted_middle(values: Array) -> float:
    """Median of sorted values."""
    middle: float = 0.5 * (values[(values.size - 1) // 2] + values[values.size // 2])
    return middle


def detect(places: Array, light: Array, error: Array, sigma: float, threshold: float = 5.0) -> tuple[float, float, float] | None:
    """The most significant object of a collapsed slit, as (place, significance, height), or None below *threshold*.

    A matched filter of the expected width, against the median of the slit.
    """
    step = places[1] - places[0] if places.size > 1 else 1.0
    good = np.isfinite(error)
    if good.sum() < 5:
        return None
    half = int(np.ceil(3 * sigma / step))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) * step / sigma) ** 2)
    weight = np.where(good, 1.0 / np.where(good, error, 1.0) ** 2, 0.0)
    left = np.where(good, light - float(np.median(light[good])), 0.0)
    over = ndimage.convolve1d(weight * left, kernel, mode="constant")
    norm = ndimage.convolve1d(weight, kernel**2, mode="constant")
    score = np.where(norm > 0.2 * norm.max(), over / np.sqrt(np.maximum(norm, 1e-30)), 0.0)
    edge = max(0.5 * sigma, 1.0)
    inner = np.flatnonzero((places >= places[good][0] + edge) & (places <= places[good][-1] - edge))
    if inner.size == 0:
        return None
    top = int(inner[np.argmax(score[inner])])
    if score[top] < threshold:
        return None
    place = float(places[top])
    if 0 < top < score.size - 1:
        curve = score[top - 1] - 2 * score[top] + score[top + 1]
        place += step * float(np.clip(0.5 * (score[top - 1] - score[top + 1]) / curve, -0.5, 0.5)) if curve < 0 else 0.0
    return place, float(score[top]), float(over[top] / norm[top])


def find_objects(residual: Array, weight: Array, position: Array, first_row: int, sigma: float, most: int) -> list[Trace]:
    """Objects of a sky-subtracted slit, brightest first, each followed and taken out before the next is looked for.

    Within 3 widths of a brighter object only what has more than a tenth of its height counts, within 6 more than 5 per cent,
    within 25 more than 1: less is its profile's wings.
    """
    rows = np.arange(first_row, first_row + residual.shape[0], dtype=float)
    left = residual.copy()
    left_weight = weight.copy()
    found: list[tuple[Trace, float]] = []
    for _ in range(2 * most):
        collapsed = collapse(left, left_weight, position)
        seen = detect(*collapsed, sigma)
        if seen is None or len(found) == most:
            break
        place, significance, height = seen
        centre, width = gaussian_width(*collapsed, place, sigma)
        trace = follow(left, left_weight, position, first_row, centre, width, significance)
        apart = [(abs(place - other.place) / float(np.mean(other.sigma(rows))), height / peak) for other, peak in found]
        if any(gap < 2 or (gap < 25 and part < (0.1 if gap < 3 else 0.05 if gap < 6 else 0.01)) for gap, part in apart):
            left_weight = np.where(np.abs(position - place) < 2 * sigma, 0.0, left_weight)
            continue
        found.append((trace, height))
        profile = gaussian_profile(trace, position, rows)
        flux = (weight * left * profile).sum(axis=1) / np.maximum((weight * profile**2).sum(axis=1), 1e-30)
        left = left - profile * flux[:, None]
    return [trace for trace, _ in found]


def gaussian_width(places: Array, light: Array, error: Array, at: float, first: float) -> tuple[float, float]:
    """Centre and sigma of the object near *at* in a collapsed slit; *first* where it can not be fitted."""
    near = (np.abs(places - at) < 4 * first) & np.isfinite(error)
    if near.sum() < 6:
        return at, first

    return _fit_gaussian(places[near], light[near], 1.0 / error[near] ** 2, at, first)


@njit(cache=True)
def _fit_gaussian(x: Array, light: Array, weight: Array, at: float, first: float) -> tuple[float, float]:
    """Centre (within *first* of *at*) and sigma (0.6 to 4 *first*) of a Gaussian on a constant, by damped Gauss-Newton steps."""
    best, damping = np.array([np.max(light), at, first, 0.0]), 1e-3
    trial, lowest = best.copy(), np.inf
    matrix, right = np.zeros((4, 4)), np.zeros(4)
    kept_matrix, kept_right, row = matrix.copy(), right.copy(), np.zeros(4)
    for _ in range(40):
        matrix[:], right[:], chi = 0.0, 0.0, 0.0
        for i in range(x.size):
            z = (x[i] - trial[1]) / trial[2]
            shape = np.exp(-0.5 * z * z)
            row[0], row[1], row[2], row[3] = shape, trial[0] * shape * z / trial[2], trial[0] * shape * z * z / trial[2], 1.0
            miss = light[i] - trial[0] * shape - trial[3]
            chi += weight[i] * miss * miss
            for a in range(4):
                right[a] += weight[i] * row[a] * miss
                for b in range(4):
                    matrix[a, b] += weight[i] * row[a] * row[b]
        if chi <= lowest:
            done = lowest - chi < 1e-9 * chi
            best[:], lowest, damping = trial, chi, damping * 0.2
            kept_matrix[:], kept_right[:] = matrix, right
            if done:
                break
        else:
            damping *= 10.0
            if damping > 1e8:
                break
        system = kept_matrix.copy()
        for a in range(4):
            system[a, a] += damping * kept_matrix[a, a] + 1e-30
        trial[:] = best + np.linalg.solve(system, kept_right)
        trial[0] = max(trial[0], 1e-9)
        trial[1] = min(max(trial[1], at - first), at + first)
        trial[2] = min(max(trial[2], 0.6), 4.0 * first)
    return best[1], best[2]


def follow(
    residual: Array, weight: Array, position: Array, first_row: int, place: float, sigma: float, significance: float
) -> Trace:
    """Centre and width of an object along the dispersion, measured in blocks of rows as far as its light allows.

    The number of blocks and the degree of the polynomials grow with the significance of the detection; a faint object keeps a
    constant place and width. Rows are those of the detector, *first_row* the first of the window.
    """
    rows = residual.shape[0]
    domain = [float(first_row), float(first_row + rows - 1)]
    blocks = int(np.clip((significance / 12.0) ** 2 / 2, 0, 32))
    if blocks < 4:
        return Trace(Polynomial([place], domain=domain), Polynomial([sigma], domain=domain), significance)
    edges = np.linspace(0, rows, blocks + 1).astype(int)
    centre: list[float] = []
    width: list[float] = []
    trust: list[float] = []
    at: list[float] = []
    for low, high in pairwise(edges):
        part = slice(low, high)
        if not (weight[part] > 0).any():
            continue
        places, light, error = collapse(residual[part], weight[part], position[part])
        c, s = gaussian_width(places, light, error, place, sigma)
        peak = np.interp(c, places, light) / max(float(np.interp(c, places, np.where(np.isfinite(error), error, 1e30))), 1e-30)
        if peak > 5 and abs(c - place) < 2.5 * sigma:
            for values, value in ((centre, c), (width, s), (trust, min(peak, 200.0)), (at, first_row + (low + high - 1) / 2)):
                values.append(float(value))
    if len(centre) < 4:
        return Trace(Polynomial([place], domain=domain), Polynomial([sigma], domain=domain), significance)
    degree = 1 if len(centre) < 6 else 2 if len(centre) < 12 else 4
    fits = [
        _robust_polynomial(np.array(at), np.array(v), np.array(trust), d, domain)
        for v, d in ((centre, degree), (width, min(degree, 2)))
    ]
    ends = fits[1](np.array(domain))
    if not (0.5 * sigma < ends.min() and ends.max() < 2.0 * sigma):
        fits[1] = Polynomial([float(np.median(width))], domain=domain)
    return Trace(fits[0], fits[1], significance)


def _robust_polynomial(x: Array, y: Array, trust: Array, degree: int, domain: list[float]) -> Polynomial:
    keep = np.ones(x.size, dtype=bool)
    for _ in range(4):
        fit = Polynomial.fit(x[keep], y[keep], min(degree, int(keep.sum()) - 1), domain=domain, w=trust[keep])
        miss = y - fit(x)
        again = np.abs(miss) < 4 * max(float(mad_std(miss[keep])), 0.02)
        if again.sum() < 3 or np.array_equal(again, keep):
            break
        keep = again
    return fit


def gaussian_profile(trace: Trace, position: Array, rows: Array) -> Array:
    """The profile of a trace as a Gaussian, of the shape of *position*; summed over all columns of the sky it is one."""
    sigma = np.maximum(trace.sigma(rows), 0.5)[:, None]
    z = (position - trace.centre(rows)[:, None]) / sigma
    return np.asarray(np.exp(-0.5 * z * z) / (sigma * np.sqrt(2 * np.pi)))

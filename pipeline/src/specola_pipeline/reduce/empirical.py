"""The profile of a bright object as it is seen, where a Gaussian is wrong by more than noise: :func:`empirical_profile`."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from specola_pipeline.reduce.profiles import Trace
from specola_pipeline.reduce.robust import mad_std
from specola_pipeline.reduce.sky import fit_slit

__all__ = ["empirical_profile"]

Array = NDArray[np.float64]

_BINS = 400
"""Places along a profile at which it is known."""

_SAMPLE = 4096
"""Pixels from which the scatter is known well enough to clip outliers."""

_WINGS = 0.02
"""Beside the height of a Gaussian, about what seeing leaves beyond three widths."""


def empirical_profile(
    trace: Trace, residual: Array, flux: Array, weight: Array, position: Array, rows: Array, reach: float = 5.0
) -> Array:
    """The profile of a bright object as it is seen: a spline of the distance from the trace in units of its width.

    *residual* is the sky-subtracted frame without other objects, *flux* the object's flux in each row. Beyond *reach* widths, and
    where it would be negative, the profile is zero.
    """
    sigma = np.maximum(trace.sigma(rows), 0.5)
    smooth = ndimage.gaussian_filter1d(np.nan_to_num(ndimage.median_filter(np.nan_to_num(flux), 9)), 8.0)
    least = max(0.1 * float(np.percentile(smooth, 90)), 0.0)
    z, shape, shape_weight = _across(position, trace.centre(rows), sigma, residual, weight, smooth, least, reach)
    seen = z[shape_weight > 0]
    none = np.zeros((0, _BINS, 1))
    for turn in range(3):
        # Only the place across the trace counts, and a profile is smooth: pixels of nearly the same place are one.
        place, mean, total = _binned(z, shape, shape_weight, reach)
        # What is smooth is the profile beside a Gaussian: over the hole that a bad column leaves a spline alone is too flat.
        beside = (np.exp(-0.5 * place * place) + _WINGS)[:, None]
        fit = fit_slit(mean[:, None], total[:, None], 4.0 * place[:, None], none, beside, step=1.6, errors=False)
        if turn < 2:
            pull = (shape - _between(z, place, fit.sky[:, 0], reach)) * np.sqrt(shape_weight)
            known = pull[shape_weight > 0]
            shape_weight[np.abs(pull) > 5 * max(float(mad_std(known[:: known.size // _SAMPLE + 1])), 1.0)] = 0.0
    curve = np.maximum(fit.sky[:, 0], 0.0)
    grid = np.linspace(-reach, reach, 401)
    # A hole among what was seen is a part of the profile; beyond its ends the last that was seen is.
    area = np.trapezoid(np.interp(np.clip(grid, seen.min(), seen.max()), place, curve), grid)
    model: Array = np.zeros(residual.size)
    model[_near(position, trace.centre(rows), sigma, reach)] = _between(z, place, curve, reach)
    return np.asarray(model.reshape(residual.shape) / (sigma[:, None] * max(float(area), 1e-6)))


@njit(cache=True)
def _near(position: Array, centre: Array, sigma: Array, reach: float) -> NDArray[np.int64]:
    """Indices, of the flattened image, of the pixels within *reach* widths of a trace."""
    at, n = np.empty(position.size, dtype=np.int64), 0
    for y in range(position.shape[0]):
        for x in range(position.shape[1]):
            if abs(position[y, x] - centre[y]) < reach * sigma[y]:
                at[n] = y * position.shape[1] + x
                n += 1
    return at[:n]


@njit(cache=True)
def _across(
    position: Array, centre: Array, sigma: Array, residual: Array, weight: Array, light: Array, least: float, reach: float
) -> tuple[Array, Array, Array]:
    """Of the pixels of :func:`_near` the place in widths, the part of the light a width, and its weight (0 in faint rows)."""
    z, shape, known = np.empty(position.size), np.zeros(position.size), np.zeros(position.size)
    n = 0
    for y in range(position.shape[0]):
        for x in range(position.shape[1]):
            if abs(position[y, x] - centre[y]) < reach * sigma[y]:
                z[n] = (position[y, x] - centre[y]) / sigma[y]
                if light[y] > least:
                    shape[n] = residual[y, x] * sigma[y] / light[y]
                    known[n] = weight[y, x] * (light[y] / sigma[y]) ** 2
                n += 1
    return z[:n], shape[:n], known[:n]


@njit(cache=True)
def _between(z: Array, place: Array, curve: Array, reach: float) -> Array:
    """The *curve* of :func:`_binned` places, interpolated at places *z*."""
    out = np.empty(z.size)
    for i in range(z.size):
        k = min(max(int((z[i] + reach) / (2.0 * reach) * _BINS), 0), _BINS - 1)
        if z[i] < place[k]:
            k -= 1
        if k < 0:
            out[i] = curve[0]
        elif k == _BINS - 1:
            out[i] = curve[k]
        else:
            part = (z[i] - place[k]) / (place[k + 1] - place[k])
            out[i] = curve[k] + part * (curve[k + 1] - curve[k])
    return out


@njit(cache=True)
def _binned(z: Array, value: Array, weight: Array, reach: float) -> tuple[Array, Array, Array]:
    """Mean place, mean value and weight of _BINS bins of places within *reach*; an empty bin's place is its middle."""
    total, at, mean = np.zeros(_BINS), np.zeros(_BINS), np.zeros(_BINS)
    for i in range(z.size):
        if weight[i] > 0.0:
            k = min(max(int((z[i] + reach) / (2.0 * reach) * _BINS), 0), _BINS - 1)
            total[k] += weight[i]
            at[k] += weight[i] * z[i]
            mean[k] += weight[i] * value[i]
    for k in range(_BINS):
        if total[k] > 0.0:
            at[k], mean[k] = at[k] / total[k], mean[k] / total[k]
        else:
            at[k] = (k + 0.5) / _BINS * 2.0 * reach - reach
    return at, mean, total

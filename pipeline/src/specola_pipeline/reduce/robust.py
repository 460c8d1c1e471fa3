"""Robust statistics and fits that several steps use."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["clipped_mean", "fit_surface", "mad_std", "median", "running_median", "surface", "thinned"]

Array = NDArray[np.float64]
_Any = TypeVar("_Any", bound=np.generic)


def mad_std(values: Array, axis: int | None = None) -> Array:
    """Standard deviation of a normal distribution with the same median absolute deviation (NaN ignored)."""
    if axis is None:
        known = values[np.isfinite(values)]
        return np.asarray(1.482602 * np.median(np.abs(known - np.median(known))) if known.size else np.nan)
    centre = np.expand_dims(median(values, axis), axis)
    return np.asarray(1.482602 * median(np.abs(values - centre), axis))


def median(values: Array, axis: int) -> Array:
    """Median along an axis, NaN ignored; NaN where all are. As numpy's ``nanmedian``, ten times as fast on short axes."""
    ordered = np.sort(values, axis=axis)  # NaN come last
    count = np.isfinite(ordered).sum(axis=axis, keepdims=True)
    low, high = (
        np.take_along_axis(ordered, np.maximum(at, 0), axis=axis) for at in ((count - 1) // 2, count // 2 - (count == 0))
    )
    return np.asarray(np.where(count > 0, 0.5 * (low + high), np.nan)).squeeze(axis)


def thinned(image: NDArray[_Any]) -> NDArray[_Any]:
    """Every seventh row of an image of many: what a median of all pixels says, they say in a seventh of the time."""
    return image[:: 7 if image.shape[0] >= 700 else 1]


def running_median(image: Array, size: int) -> Array:
    """Median of *size* rows about each pixel, in its column. Column by column scipy has a faster way than for images."""
    columns = np.ascontiguousarray(image.T)
    return np.stack([ndimage.median_filter(column, size, mode="nearest") for column in columns], axis=1)


def clipped_mean(values: Array, axis: int, clip: float = 4.0) -> Array:
    """Mean along an axis without values further than *clip* robust deviations from the median."""
    centre = np.nanmedian(values, axis=axis, keepdims=True)
    width = 1.482602 * np.nanmedian(np.abs(values - centre), axis=axis, keepdims=True)
    keep = np.abs(values - centre) <= clip * width + 1e-12
    return np.asarray(np.where(keep, values, 0.0).sum(axis=axis) / np.maximum(keep.sum(axis=axis), 1))


def surface(coefficients: Array, u: Array, v: Array) -> Array:
    """Legendre series of two coordinates within -1..1."""
    return np.asarray(legendre.legval2d(u, v, coefficients))


def fit_surface(
    u: Array, v: Array, values: Array, sigma: Array, degree: tuple[int, int], clip: float = 4.0, rounds: int = 6
) -> tuple[Array, NDArray[np.bool_]]:
    """Least-squares Legendre surface with outliers clipped; returns coefficients of shape degree + 1, and what was kept.

    Terms of total degree above the larger degree are left out, as they are not constrained where lines are few.
    """
    total = max(degree)
    powers = [(i, j) for i in range(degree[0] + 1) for j in range(degree[1] + 1) if i + j <= total]
    design = legendre.legvander2d(u, v, degree)[:, [i * (degree[1] + 1) + j for i, j in powers]]
    keep = np.isfinite(values) & np.isfinite(sigma)
    solution: Array = np.zeros(len(powers))
    for _ in range(rounds):
        if keep.sum() < len(powers):
            raise ValueError(f"{int(keep.sum())} points can not determine {len(powers)} terms")
        fitted, *_ = np.linalg.lstsq(design[keep] / sigma[keep, None], values[keep] / sigma[keep], rcond=1e-10)
        solution = np.asarray(fitted, dtype=float)
        pull = (values - design @ solution) / sigma
        scale = max(float(mad_std(pull[keep])), 1e-6)
        again = np.isfinite(pull) & (np.abs(pull) < clip * scale + 1e-9)
        if np.array_equal(again, keep):
            break
        keep = again
    out = np.zeros((degree[0] + 1, degree[1] + 1))
    for (i, j), value in zip(powers, solution, strict=True):
        out[i, j] = value
    return out, keep

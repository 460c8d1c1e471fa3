"""Where the slits lie on the detector: edges traced in the flat field, starting from where the instrument model expects them.

Several slits may share detector columns in different rows (multiplexed masks): each has its own range of rows, and nothing here
assumes one spectrum a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from scipy import ndimage

from specola_pipeline.reduce.robust import mad_std

__all__ = ["Slit", "mask_shift", "trace_slits"]

Array = NDArray[np.float64]

_BLOCK = 32
"""Rows averaged to measure an edge: enough light for a faint flat, little enough curvature."""


@dataclass(frozen=True)
class Slit:
    """A slit on the detector: its rows (first, one past the last) and the columns of its edges as polynomials of the row.

    Edges are in pixels, with pixel *x* spanning x - 0.5 to x + 0.5. *traced* says whether both were seen in the flat field.
    """

    number: int
    rows: tuple[int, int]
    left: Polynomial
    right: Polynomial
    traced: bool = False
    odd: tuple[str, ...] = ()

    @property
    def middle(self) -> float:
        """Mean column of the slit's middle."""
        y = np.arange(*self.rows, dtype=float)
        return float(np.mean(self.left(y) + self.right(y)) / 2)

    def window(self, columns: int, margin: int = 2) -> tuple[slice, slice]:
        """The part of the detector that holds the slit, *margin* columns wider on both sides."""
        y = np.arange(self.rows[0], self.rows[1], dtype=float)
        low = int(np.floor(np.min(self.left(y)))) - margin
        high = int(np.ceil(np.max(self.right(y)))) + margin + 1
        return slice(*self.rows), slice(max(low, 0), min(max(high, 1), columns))

    def position(self, window: tuple[slice, slice]) -> tuple[Array, Array]:
        """Place along the slit of each pixel of *window* in pixels from its left edge, and the slit's length in each row."""
        y = np.arange(window[0].start, window[0].stop, dtype=float)
        x = np.arange(window[1].start, window[1].stop, dtype=float)
        left = self.left(y)
        return x[None, :] - left[:, None], self.right(y) - left


def mask_shift(flat: Array, slits: Sequence[Slit], reach: int = 25) -> tuple[int, float]:
    """By how many columns all slits of a flat lie from where they are expected, and how clearly it is seen.

    The signed gradient of the flat is summed along all expected edges for each shift of at most *reach* columns; the second
    value is the best sum over the scatter of all sums (below about 4 the mask is not recognised).
    """
    gradient = _gradient(flat)
    shifts = np.arange(-reach, reach + 1)
    total = np.zeros(shifts.size)
    columns = flat.shape[1]
    for slit in slits:
        y = np.arange(slit.rows[0] + _BLOCK // 2, slit.rows[1], _BLOCK)
        for edge, sign in ((slit.left(y), 1.0), (slit.right(y), -1.0)):
            at = np.rint(edge)[None, :].astype(int) + shifts[:, None]
            inside = (at >= 1) & (at < columns - 1)
            values = gradient[np.broadcast_to(y, at.shape), np.clip(at, 0, columns - 1)]
            total += sign * np.where(inside, values, 0.0).sum(axis=1)
    best = int(np.argmax(total))
    return int(shifts[best]), float((total[best] - np.median(total)) / max(float(mad_std(total)), 1e-12))


def _gradient(flat: Array) -> Array:
    """Relative gradient across the slits of a flat, smoothed along the rows: how sharply light begins or ends.

    The light of a row is that of its brightest fiftieth: a mask for standard stars has three slits, a tenth of the detector. Dead
    and hot columns, which are far from any light a slit may have, do not count for more than a slit's edge does.
    """
    smooth = ndimage.uniform_filter1d(flat, _BLOCK, axis=0, mode="nearest")
    scale = np.maximum(np.percentile(smooth, 98, axis=1, keepdims=True), 1e-6)
    return np.asarray(ndimage.gaussian_filter1d(np.clip(smooth / scale, -0.5, 2.0), 1.0, axis=1, order=1, mode="nearest"))


def trace_slits(flat: Array, slits: Sequence[Slit], shift: float = 0.0, reach: float = 4.0, degree: int = 3) -> list[Slit]:
    """Trace the edges of *slits* in a flat, looking within *reach* columns of where they are expected after *shift*.

    An edge is the place of the steepest gradient, measured in blocks of rows and fitted with a polynomial of the row. An edge
    that is not seen keeps its expected place, moved as the slit's other edge is, and the slit says so.
    """
    gradient = _gradient(flat)
    return [_trace_slit(gradient, slit, shift, reach, degree) for slit in slits]


def _trace_slit(gradient: Array, slit: Slit, shift: float, reach: float, degree: int) -> Slit:
    y = np.arange(slit.rows[0] + _BLOCK // 2, slit.rows[1], _BLOCK)
    found: dict[str, Polynomial | None] = {}
    for name, edge, sign in (("left", slit.left, 1.0), ("right", slit.right, -1.0)):
        found[name] = _trace_edge(gradient, sign, y, edge, shift, reach, degree)
    odd = list(slit.odd)
    for name, other in (("left", "right"), ("right", "left")):
        if found[name] is None:
            odd.append(f"the {name} edge is not seen in the flat")
            seen = found[other]
            expected = getattr(slit, name)
            found[name] = (
                expected + shift if seen is None else expected + (seen.convert(domain=expected.domain) - getattr(slit, other))
            )
    left, right = found["left"], found["right"]
    traced = len(odd) == len(slit.odd)
    if left is not None and right is not None:
        return replace(slit, left=left, right=right, traced=traced, odd=tuple(odd))
    return slit


def _trace_edge(
    gradient: Array, sign: float, y: NDArray[np.int64], edge: Polynomial, shift: float, reach: float, degree: int
) -> Polynomial | None:
    """One edge, or None where fewer than half of the blocks show it."""
    expected = edge(y.astype(float)) + shift
    half = int(np.ceil(reach)) + 1
    at = np.rint(expected).astype(int)[:, None] + np.arange(-half, half + 1)[None, :]
    inside = (at >= 1) & (at < gradient.shape[1] - 1)
    values = np.where(inside, sign * gradient[y[:, None], np.clip(at, 0, gradient.shape[1] - 1)], -np.inf)
    peak = np.argmax(values[:, 1:-1], axis=1) + 1
    rows = np.arange(y.size)
    height = values[rows, peak]
    before, after = values[rows, peak - 1], values[rows, peak + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = np.clip(0.5 * (before - after) / (before - 2 * height + after), -0.5, 0.5)
    place = at[rows, peak] + offset
    keep = np.isfinite(place) & (height > 0.05)
    if keep.sum() < max(degree + 2, y.size // 2):
        return None
    domain = [float(y[0]), float(y[-1])]
    for _ in range(5):
        fit = Polynomial.fit(y[keep], place[keep], min(degree, int(keep.sum()) - 2), domain=domain)
        miss = place - fit(y)
        again = keep & (np.abs(miss) < 4 * max(float(mad_std(miss[keep])), 0.02))
        if again.sum() < y.size // 3:
            return None
        if np.array_equal(again, keep):
            break
        keep = again
    return fit

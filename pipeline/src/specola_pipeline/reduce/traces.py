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

__all__ = ["Slit", "mask_shift", "slits_moved", "trace_slits"]

Array = NDArray[np.float64]

_BLOCK = 32
"""Rows averaged to measure an edge: enough light for a faint flat, little enough curvature."""

_BENT = 12.0
"""Columns by which the optics may move a slit beside the middle of its mask."""

_ENOUGH_SLITS = 8
"""Slits from which they say together how the optics bend a mask's image."""

_APART = 5.0
"""Columns within which the light of a neighbour moves what is seen of an edge, or hides it."""

_ENOUGH_BLOCKS = 40
"""Blocks in which an edge is seen, below which an exposure's slits are taken to lie where the flat's did."""


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

    def window(self, columns: int, margin: int = 3) -> tuple[slice, slice]:
        """The part of the detector that holds the slit, *margin* columns wider on both sides: flexure may move its light."""
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
        y = _blocks(slit)
        for edge, sign in ((slit.left(y), 1.0), (slit.right(y), -1.0)):
            at = np.rint(edge)[None, :].astype(int) + shifts[:, None]
            inside = (at >= 1) & (at < columns - 1)
            values = gradient[np.broadcast_to(y // _BLOCK, at.shape), np.clip(at, 0, columns - 1)]
            total += sign * np.where(inside, values, 0.0).sum(axis=1)
    best = int(np.argmax(total))
    return int(shifts[best]), float((total[best] - np.median(total)) / max(float(mad_std(total)), 1e-12))


def _blocks(slit: Slit) -> NDArray[np.int64]:
    """Middle rows of the blocks of rows in which edges of a slit are looked for: those of the detector that begin within it."""
    return np.arange(-(-slit.rows[0] // _BLOCK) * _BLOCK + _BLOCK // 2, slit.rows[1], _BLOCK)


def _gradient(flat: Array) -> Array:
    """Relative gradient across the slits of a flat, of shape (blocks of rows, columns): how sharply light begins or ends.

    The light of a block is that of its brightest fiftieth: a mask for standard stars has three slits, a tenth of the detector.
    Dead and hot columns, which are far from any light a slit may have, do not count for more than a slit's edge does.
    """
    starts = np.arange(0, flat.shape[0], _BLOCK)
    rows = np.diff(np.append(starts, flat.shape[0]))
    smooth = np.add.reduceat(flat, starts, axis=0) / rows[:, None]
    scale = np.maximum(np.percentile(smooth, 98, axis=1, keepdims=True), 1e-6)
    return np.asarray(ndimage.gaussian_filter1d(np.clip(smooth / scale, -0.5, 2.0), 1.0, axis=1, order=1, mode="nearest"))


def slits_moved(sky: Array, slits: Sequence[Slit], reach: float) -> tuple[float, float]:
    """By how many columns the slits of an exposure lie from where they were in the flat, and the error.

    The *sky*'s light (the frame itself) has the same edges as the flat's, measured in the same way, within *reach* columns. Zero
    and NaN where too few are seen: the sky is faint in short exposures.
    """
    gradient = _gradient(sky)
    found = []
    for slit in slits:
        y = _blocks(slit)
        for edge, sign in ((slit.left, 1.0), (slit.right, -1.0)):
            place, seen = _edge_places(gradient, sign, y, edge(y.astype(float)), reach)
            found.append((place - edge(y))[seen])
    moved = np.concatenate(found) if found else np.empty(0)
    if moved.size < _ENOUGH_BLOCKS:
        return 0.0, float("nan")
    return float(np.median(moved)), 1.25 * float(mad_std(moved)) / float(np.sqrt(moved.size))


def trace_slits(flat: Array, slits: Sequence[Slit], shift: float = 0.0, reach: float = 4.0, degree: int = 3) -> list[Slit]:
    """Trace the edges of *slits* in a flat, looking within *reach* columns of where they are expected after *shift*.

    Where that is, the edges of all slits together say first: optics bend a mask's image by more than *reach* at its corners. An
    edge is the place of the steepest gradient, measured in blocks of rows and fitted with a polynomial of the row. Where it is
    not seen, or a neighbour's light is too near to see it truly, an edge follows the others. One that is nowhere seen keeps its
    expected place, moved as the slit's other edge is, and the slit says so.
    """
    gradient = _gradient(flat)
    moved = [replace(slit, left=slit.left + shift, right=slit.right + shift) for slit in slits]
    bent = _bent(gradient, moved, flat.shape) if len(slits) >= _ENOUGH_SLITS else None
    if bent is None:
        return [_trace_slit(gradient, slit, reach, degree) for slit in moved]
    return [_trace_slit(gradient, slit, reach, degree, bent) for slit in bent.slits]


@dataclass(frozen=True)
class _Bent:
    """Slits where the image of their mask puts them, and within how many columns of that what is seen of an edge is the edge."""

    slits: tuple[Slit, ...]
    near: float


def _bent(gradient: Array, slits: Sequence[Slit], shape: tuple[int, ...]) -> _Bent | None:
    """The image of the mask, bent by the optics as smoothly as they are; None where too few blocks of edges agree on it."""
    found, terms = [], []
    for slit in slits:
        y = _blocks(slit).astype(float)
        for edge, sign in ((slit.left, 1.0), (slit.right, -1.0)):
            place, seen = _edge_places(gradient, sign, y.astype(int), edge(y), _BENT)
            found.append(np.where(seen, place - edge(y), np.nan))
            terms.append(_bending(slit, edge(y), y, shape))
    miss, design = np.concatenate(found), np.concatenate(terms)
    keep = np.isfinite(miss)
    for _ in range(6):
        if keep.sum() < 4 * design.shape[1]:
            return None
        solution, *_ = np.linalg.lstsq(design[keep], miss[keep], rcond=1e-10)
        away = np.abs(miss - design @ solution)
        near = max(3 * float(np.median(away[keep])), 0.2)
        keep = away < near
    bent = []
    for slit in slits:
        y = np.arange(slit.rows[0], slit.rows[1], dtype=float)
        if y.size <= _BLOCK // 2:  # no block of rows
            bent.append(slit)
            continue
        left, right = (
            Polynomial.fit(y, edge(y) + _bending(slit, edge(y), y, shape) @ solution, 3) for edge in (slit.left, slit.right)
        )
        bent.append(replace(slit, left=left, right=right))
    return _Bent(tuple(bent), near)


def _bending(slit: Slit, x: Array, y: Array, shape: tuple[int, ...]) -> Array:
    """Terms of a mask's distortion at columns *x* of an edge, (rows, terms): of its image, and along its slits' dispersion."""
    u = 2.0 * x / shape[1] - 1.0
    middle = np.full(y.size, (slit.rows[0] + slit.rows[1]) / shape[0] - 1.0)
    along = (2.0 * y - slit.rows[0] - slit.rows[1]) / shape[0]
    image = [u**i * middle**j for i in range(4) for j in range(4 - i)]
    return np.stack([*image, along, along**2, along * u, along * middle], axis=1)


def _trace_slit(gradient: Array, slit: Slit, reach: float, degree: int, bent: _Bent | None = None) -> Slit:
    y = _blocks(slit)
    if not y.size:
        return replace(slit, traced=False, odd=(*slit.odd, "its spectrum does not fall on the detector"))
    found: dict[str, Polynomial | None] = {}
    for name, edge, sign in (("left", slit.left, 1.0), ("right", slit.right, -1.0)):
        place, clear = _edge_places(gradient, sign, y, edge(y.astype(float)), reach)
        found[name] = _fitted(y, place, clear, degree) if bent is None else _in_mask(y, place, clear, slit, edge, degree, bent)
    odd = list(slit.odd)
    for name, other in (("left", "right"), ("right", "left")):
        if found[name] is None:
            odd.append(f"the {name} edge is not seen in the flat")
            seen = found[other]
            expected = getattr(slit, name)
            found[name] = expected if seen is None else _beside(expected, seen, getattr(slit, other), slit.rows)
    left, right = found["left"], found["right"]
    traced = len(odd) == len(slit.odd)
    if left is not None and right is not None:
        return replace(slit, left=left, right=right, traced=traced, odd=tuple(odd))
    return slit


def _beside(expected: Polynomial, seen: Polynomial, other: Polynomial, rows: tuple[int, int]) -> Polynomial:
    """An edge that is not seen, moved from where it is *expected* as the *other* was, which was *seen*."""
    y = np.arange(rows[0], rows[1], dtype=float)
    return Polynomial.fit(y, expected(y) + seen(y) - other(y), 3)


def _in_mask(
    y: NDArray[np.int64], place: Array, seen: NDArray[np.bool_], slit: Slit, edge: Polynomial, degree: int, bent: _Bent
) -> Polynomial | None:
    """One *edge* of a *slit* of a mask, or None where fewer than half of the blocks that no neighbour's light reaches show it.

    Where it is not seen truly, for a neighbour's light or a bad column, it is where the mask's image has it, moved as in the
    other blocks. A polynomial alone would swing out there: by ten columns where a neighbour hides half of an edge.
    """
    expected = edge(y.astype(float))
    alone = ~_lit([one for one in bent.slits if one.number != slit.number], expected, y)
    if y.size < degree + 2 or (seen & alone).sum() < alone.sum() // 2:
        return None
    true = seen & alone & (np.abs(place - expected) < bent.near)
    own = float(np.median((place - expected)[true])) if true.any() else 0.0
    return Polynomial.fit(y, np.where(true, place, expected + own), degree, domain=[float(y[0]), float(y[-1])])


def _lit(others: Sequence[Slit], edge: Array, y: NDArray[np.int64]) -> NDArray[np.bool_]:
    """In which rows *y* the light of *others* is within _APART columns of an *edge*, rows averaged in a block included."""
    lit = np.zeros(y.size, dtype=bool)
    for slit in others:
        rows = (y > slit.rows[0] - _BLOCK) & (y < slit.rows[1] + _BLOCK)
        lit |= rows & (edge > slit.left(y) - _APART) & (edge < slit.right(y) + _APART)
    return lit


def _fitted(y: NDArray[np.int64], place: Array, keep: NDArray[np.bool_], degree: int) -> Polynomial | None:
    """One edge by itself, outliers left out; None where fewer than half of the blocks show it, or fewer than a third agree."""
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


def _edge_places(
    gradient: Array, sign: float, y: NDArray[np.int64], expected: Array, reach: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Columns at which light begins (*sign* 1) or ends (-1) within *reach* of *expected* in rows *y*, and where it is seen to.

    What is steepest at the end of the reach is the foot of something beyond it.
    """
    half = int(np.ceil(reach)) + 2
    at = np.rint(expected).astype(int)[:, None] + np.arange(-half, half + 1)[None, :]
    inside = (at >= 1) & (at < gradient.shape[1] - 1)
    values = np.where(inside, sign * gradient[y[:, None] // _BLOCK, np.clip(at, 0, gradient.shape[1] - 1)], -np.inf)
    peak = np.argmax(values[:, 1:-1], axis=1) + 1
    rows = np.arange(y.size)
    height = values[rows, peak]
    before, after = values[rows, peak - 1], values[rows, peak + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = np.clip(0.5 * (before - after) / (before - 2 * height + after), -0.5, 0.5)
    place = at[rows, peak] + offset
    return place, np.isfinite(place) & (height > 0.05) & (peak > 1) & (peak < 2 * half - 1)

"""The wavelength map of a slit from its whole lamp spectrum: every line of the list at once, blends and all.

At the resolution of a survey most lamp lines are blended, and the centroid of what looks like one line is not that of any line.
So no centroids are measured: the image is predicted from the list, with every line where the map puts it, and map, heights,
background and line shape are fitted together (Gauss-Newton steps, damped as Levenberg 1944 has it). Heights are free: nothing is
asked of the lamp but its wavelengths. Begin with :func:`fit_slit_map`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from specola_pipeline.reduce.linekernel import SHAPE, normal_equations
from specola_pipeline.reduce.lineoffsets import line_offsets
from specola_pipeline.reduce.robust import fit_surface, mad_std
from specola_pipeline.reduce.wavemap import WaveMap

__all__ = ["Blocks", "fit_slit_map"]

Array = NDArray[np.float64]

_MODEL_ERROR = 0.02
"""Part of a line's light that its shape is wrong by: bright lines must not outvote the others for that."""

_COMA = 0.3
"""Bound of the coma of lines, above which they have a second maximum."""

_ENOUGH = 1e-4
"""Relative gain of chi-square below which steps end: a step then moves the map by far less than its error."""

_NEAR_MISS, _MISSES = 0.02, 3
"""So many steps in turn that end so little above the best chi-square, however damped, are the end: steps take the weights as
given, which depend on heights, and so go round the least chi-square at a hundredth above it for as long as they may."""

_BLOCKS, _COLUMNS = 8, 8
"""Blocks of columns a slit is divided into, and how many columns one may have: lines must lean little within one."""

_UNRESOLVED = 0.3
"""Lines nearer to each other than this many widths are one line, whose place is not known well enough to vote."""

_WINGS = 5.0
"""Widths that a line's light reaches: one beyond the window's end may be seen in it."""


@dataclass(frozen=True)
class Blocks:
    """Spectra of neighbouring columns, averaged: *data* and *variance* (blocks, rows), and their mean columns in the window."""

    data: Array
    variance: Array
    column: Array

    @classmethod
    def of(cls, image: Array, weight: Array) -> Blocks:
        """From an image and its inverse variance, both (rows, columns)."""
        columns = np.flatnonzero((weight > 0).mean(axis=0) > 0.5)
        parts = np.array_split(columns, min(columns.size, max(_BLOCKS, columns.size // _COLUMNS))) if columns.size else []
        if not parts:
            raise ValueError("no column of its arc has enough usable pixels")
        data, variance = np.zeros((len(parts), image.shape[0])), np.full((len(parts), image.shape[0]), np.inf)
        for b, part in enumerate(parts):
            # A pixel that lacks a neighbour would show another mean column: bright lines lean, so all or none.
            w = weight[:, part]
            whole = (w > 0).all(axis=1)
            data[b, whole] = image[whole][:, part].mean(axis=1)
            variance[b, whole] = (1.0 / w[whole]).sum(axis=1) / part.size**2
        return cls(data, variance, np.array([part.mean() for part in parts]))

    def only(self, which: slice) -> Blocks:
        """Some of them."""
        return Blocks(self.data[which], self.variance[which], self.column[which])


@dataclass(frozen=True)
class _Model:
    """All that predicts the blocks but the map: see :func:`.linekernel.normal_equations`."""

    lines: Array
    voting: NDArray[np.bool_]
    height: Array
    background: Array
    widths: Array
    scale: Array


def fit_slit_map(
    blocks: Blocks,
    start: Array,
    lines: Array,
    origin: tuple[int, int],
    columns: int,
    *,
    middle: int,
    sigma: float,
    degree: tuple[int, int],
) -> WaveMap:
    """The map of a slit.

    *start* is the row within the window at which each of *lines* (Angstrom, ascending) is in block *middle*, to a line's width;
    *origin* the detector row and column of the window, *columns* how many it has, *sigma* the expected width of lines in pixels.
    Raises ValueError where the lines do not determine a map.
    """
    rows = blocks.data.shape[1]
    limits = ((float(origin[0]), float(origin[0] + rows - 1)), (float(origin[1]), float(origin[1] + columns - 1)))
    here = (start > -_WINGS * sigma) & (start < rows - 1 + _WINGS * sigma)
    lines, start, voting = _merged(lines[here], start[here], sigma)
    centre = blocks.only(slice(middle, middle + 1))
    knots = max(int(rows / (40 * sigma)), 2)
    model = _Model(
        lines,
        voting,
        np.zeros(lines.size),
        np.full(knots, float(np.median(centre.data))),
        np.array([1.5 * sigma, 0.8 * sigma, 0.0, 0.0, 0.0]),
        np.ones(1),
    )
    inside = (start >= 0) & (start < rows)
    x = np.full(start.size, origin[1] + centre.column[0])
    first, _ = _surface(start[inside] + origin[0], x[inside], lines[inside], limits, (degree[0], 0))
    wave = WaveMap(np.pad(first, ((0, 0), (0, degree[1]))), *limits)
    wave, model = _fit(centre, wave, model, origin, _terms(degree[0], 0))
    wave = _across(blocks, middle, wave, model, origin, degree)
    model = replace(model, scale=np.ones(blocks.column.size))
    terms = _terms(*degree)
    for _ in range(3):
        wave, model = _fit(blocks, wave, model, origin, terms)
        shift, error = _offsets(blocks, wave, model, origin)
        known = model.voting & (error < 0.2)
        width = max(float(mad_std(shift[known])), 0.01) if known.any() else 0.01
        wrong = known & (np.abs(shift) > 5 * width + 3 * error)
        if not wrong.any() or known.sum() - wrong.sum() <= degree[0] + 3:
            break
        model = replace(model, voting=model.voting & ~wrong)
    if known.sum() < degree[0] + 2:
        raise ValueError(f"{int(known.sum())} lines of its arc are measured to a fifth of a pixel, {degree[0] + 2} are needed")
    shift, weight = shift[known], 1.0 / (error[known] ** 2 + 0.01**2)
    return replace(
        wave,
        rms=float(np.sqrt(np.average(shift**2, weights=weight))),
        sigma=float(np.sqrt(model.widths[1] ** 2 + model.widths[0] ** 2 / 12)),
        shape=(float(model.widths[0]), float(model.widths[1] - model.widths[2]), float(model.widths[1] + model.widths[2])),
        lines=model.lines[known],
        line_residuals=shift,
    )


def _merged(lines: Array, start: Array, sigma: float) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Unresolved lines as one, and which may vote."""
    groups = np.split(np.arange(lines.size), np.flatnonzero(np.diff(start) > _UNRESOLVED * sigma) + 1)
    extent = np.array([np.ptp(start[group]) for group in groups])
    mean_line, mean_start = (np.array([values[group].mean() for group in groups]) for values in (lines, start))
    return mean_line, mean_start, extent < 0.02 * sigma


def _terms(rows: int, columns: int) -> list[tuple[int, int]]:
    """Degrees of the terms of a surface, none of a total above the larger."""
    return [(i, j) for i in range(rows + 1) for j in range(columns + 1) if i + j <= max(rows, columns)]


def _surface(
    y: Array, x: Array, lines: Array, limits: tuple[tuple[float, float], tuple[float, float]], degree: tuple[int, int]
) -> tuple[Array, NDArray[np.bool_]]:
    u, v = WaveMap(np.zeros((1, 1)), *limits).scaled(y, x)
    return fit_surface(u, v, lines, np.ones(lines.size), degree)


def _across(
    blocks: Blocks, middle: int, wave: WaveMap, model: _Model, origin: tuple[int, int], degree: tuple[int, int]
) -> WaveMap:
    """A first map of all columns: by how much all lines shift and stretch, followed from block to block."""
    rows = blocks.data.shape[1]
    y = np.linspace(0.0, rows - 1.0, 4 * (degree[0] + 1)) + origin[0]
    found = {middle: wave}
    for direction in (1, -1):
        last = wave
        block = middle + direction
        while 0 <= block < blocks.column.size:
            last, _ = _fit(blocks.only(slice(block, block + 1)), last, model, origin, [(0, 0), (1, 0)], held=True, rounds=5)
            found[block] = last
            block += direction
    wavelength = np.array([one(y, np.full(y.size, blocks.column[b] + origin[1])) for b, one in sorted(found.items())])
    x = np.broadcast_to(blocks.column[:, None] + origin[1], wavelength.shape)
    many = (degree[0], min(degree[1], len(found) - 1))
    u, v = wave.scaled(np.broadcast_to(y, wavelength.shape).ravel(), x.ravel())
    fitted, _ = fit_surface(u, v, wavelength.ravel(), np.ones(u.size), many)
    return replace(wave, coefficients=np.pad(fitted, ((0, 0), (0, degree[1] - many[1]))))


def _fit(
    blocks: Blocks,
    wave: WaveMap,
    model: _Model,
    origin: tuple[int, int],
    terms: list[tuple[int, int]],
    *,
    held: bool = False,
    rounds: int = 20,
) -> tuple[WaveMap, _Model]:
    """Gauss-Newton steps until nothing moves: map and model, or with *held* the *terms* of the map alone."""
    x = blocks.column + origin[1]
    start = np.broadcast_to(wave.rows[0] + (wave.rows[1] - wave.rows[0]) / 2, (x.size, model.lines.size))
    damping, best, misses = 1e-3, np.inf, 0
    kept = (wave, model)
    system: tuple[Array, Array, float, Array] | None = None
    for count in range(rounds):
        start = wave.places(model.lines, x, start, rounds=12 if count == 0 else 3)
        trial = _system(blocks, wave, model, origin, terms, x, start, held=held)
        if trial[2] <= best * (1 + 1e-9):
            gained = best - trial[2]
            system, kept, best, damping, misses = trial, (wave, model), trial[2], damping * 0.2, 0
            if count > 1 and gained < _ENOUGH * best:
                break
        else:
            damping *= 20
            misses = misses + 1 if trial[2] < best * (1 + _NEAR_MISS) else 0
            if misses == _MISSES or damping > 1e6:
                break
        assert system is not None  # noqa: S101 - the first trial is always taken
        wave, model = _step(*kept, system, terms, damping, held=held)
    return kept


def _system(
    blocks: Blocks,
    wave: WaveMap,
    model: _Model,
    origin: tuple[int, int],
    terms: list[tuple[int, int]],
    x: Array,
    place: Array,
    *,
    held: bool,
) -> tuple[Array, Array, float, Array]:
    columns = np.broadcast_to(x[:, None], place.shape)
    u, v = wave.scaled(place, x)
    row_degree, column_degree = np.array(terms).T
    across: Array = legendre.legvander(v, column_degree.max())[:, column_degree].astype(float)
    return normal_equations(
        blocks.data,
        blocks.variance,
        place - origin[0],
        -legendre.legvander(u, row_degree.max()) / wave.slope(place, columns)[..., None],
        across,
        row_degree,
        model.voting,
        model.height,
        model.background,
        model.widths,
        model.scale,
        _MODEL_ERROR,
        held,
    )


def _step(
    wave: WaveMap,
    model: _Model,
    system: tuple[Array, Array, float, Array],
    terms: list[tuple[int, int]],
    damping: float,
    *,
    held: bool,
) -> tuple[WaveMap, _Model]:
    """The damped solution of the normal equations, and what it makes of map and model."""
    normal, right, _, scales = system
    count, first = len(terms), len(terms) + SHAPE
    size = count if held else right.size
    matrix = normal[:size, :size].copy()
    strength = np.diag(matrix).copy()
    free = strength > 0
    if not model.height.any():
        # Without light no line says where it is or how wide: the first step finds the heights.
        free[:first] = False
    strength[:first] *= damping
    strength[first:] *= 1e-6
    matrix[np.diag_indices(size)] += strength + 1e-30
    lowest = np.full(size, -np.inf)
    if not held:
        lowest[first : first + model.lines.size] = -model.height
    step = _bounded(matrix, right[:size], free, lowest)
    coefficients = wave.coefficients.copy()
    for (i, j), value in zip(terms, step[:count], strict=True):
        coefficients[i, j] += value
    scale = np.where(scales[:, 1] > 0, scales[:, 0] / np.maximum(scales[:, 1], 1e-30), 1.0)
    if not model.height.any():
        scale = model.scale
    if held:
        return replace(wave, coefficients=coefficients), replace(model, scale=scale)
    height = model.height + step[first : first + model.lines.size]
    widths = model.widths + np.clip(step[count:first], -0.2 * model.widths[1], 0.2 * model.widths[1])
    widths[:2] = np.maximum(widths[:2], (0.3, 0.5))
    widths[2:] = np.clip(widths[2:], *np.outer((-1, 1), (0.5 * widths[1], _COMA, _COMA)))
    level = float(np.mean(scale))
    return replace(wave, coefficients=coefficients), replace(
        model,
        height=height * level,
        background=(model.background + step[first + model.lines.size :]) * level,
        widths=widths,
        scale=scale / level,
    )


def _bounded(matrix: Array, right: Array, free: NDArray[np.bool_], lowest: Array) -> Array:
    """The solution for the *free* unknowns, none below *lowest*.

    Light is never negative. Cutting negative heights after the step, as if the others did not know of it, left blends wrong and
    ended the fit far from the best map where most lines are blended.
    """
    step, free, right = np.zeros(right.size), free.copy(), right.copy()
    while free.any():
        step[free] = np.linalg.solve(matrix[np.ix_(free, free)], right[free])
        low = free & (step < lowest)
        if not low.any():
            break
        step[low] = lowest[low]
        right -= matrix[:, low] @ lowest[low]
        free &= ~low
    return step


def _offsets(blocks: Blocks, wave: WaveMap, model: _Model, origin: tuple[int, int]) -> tuple[Array, Array]:
    """Offset of each line from the map in rows, and its error."""
    x = blocks.column + origin[1]
    start = np.full((x.size, model.lines.size), sum(wave.rows) / 2)
    place = wave.places(model.lines, x, start, rounds=12) - origin[0]
    return line_offsets(
        blocks.data, blocks.variance, place, model.height, model.background, model.widths, model.scale, _MODEL_ERROR
    )

"""The sums of a template's fit on the pixels at some shifts, compiled: continuum, lines, and the normal equations of both."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from specola_pipeline.redshift.kernels import TERMS
from specola_pipeline.redshift.lines import Group
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.widths import SPEED_OF_LIGHT

__all__ = ["REACH", "absorb", "line_table", "sample"]

REACH = 5.0
"""Standard deviations beyond which a line has no light."""


def line_table(used: Sequence[Group], sigma: float) -> tuple[Floats, Floats]:
    """Of the lines: number of the group, ln(rest wavelength) and ratio, (lines, 3); of the groups: ln(wavelength) of one standard
    deviation at the resolution ``sigma``, (groups,).
    """
    rows = [
        (number, np.log(line.wave) + group.velocity / SPEED_OF_LIGHT, line.ratio)
        for number, group in enumerate(used)
        for line in group.lines
    ]
    widths = np.array([np.hypot(group.sigma / SPEED_OF_LIGHT, sigma) for group in used])
    return np.array(rows, dtype=float).reshape(-1, 3), np.asarray(widths, dtype=float)


@numba.njit(cache=True)
def absorb(model, rest, cuts, through):  # type: ignore[no-untyped-def]
    """Multiply a model (n,) by the transmission of what lies in front of it, in place.

    rest (n,) is its ln(wavelength) at rest, increasing; cuts are the ln(rest wavelengths), from red to blue, blueward of each of
    which another row of through (pieces, n) begins; with one row only nothing is absorbed.
    """
    for piece in range(1, through.shape[0]):
        for k in range(np.searchsorted(rest, cuts[piece - 1], side="right")):
            model[k] *= through[piece, k] / max(through[piece - 1, k], 1e-30)


@numba.njit(cache=True)
def sample(x, shifts, flux, first, step, cuts, through, powers, ivar, weighted, lines, widths):  # type: ignore[no-untyped-def]
    """Continuum, profiles of the groups, and the sums of their products with the data.

    x (n,) is the ln(wavelength) of the pixels, increasing; flux the template on its grid, whose point i is at
    (first + i) step at rest; cuts and through are as of `absorb`; powers (2 TERMS - 1, n); weighted is ivar times flux; lines and
    widths are those of `line_table`.

    Returns the continuum (s, n), profiles (s, g, n), and sums as `kernels.solve` wants them: moments (s, 2 TERMS - 1), right
    (s, TERMS), self (s, g), line (s, g), cross (s, TERMS, g).
    """
    number, n, groups, rows = shifts.size, x.size, widths.size, powers.shape[0]
    continuum, profiles = np.zeros((number, n)), np.zeros((number, groups, n))
    moments, right = np.zeros((number, rows)), np.zeros((number, TERMS))
    self_, line, cross = np.zeros((number, groups)), np.zeros((number, groups)), np.zeros((number, TERMS, groups))
    low, high = np.empty(groups, dtype=np.int64), np.empty(groups, dtype=np.int64)
    for s in range(number):
        for k in range(n):
            place = (x[k] - shifts[s]) / step - first
            i = int(np.floor(place))
            if 0 <= i < flux.size - 1:
                continuum[s, k] = flux[i] + (place - i) * (flux[i + 1] - flux[i])
        absorb(continuum[s], x - shifts[s], cuts, through)
        for k in range(n):
            t = continuum[s, k]
            square, product = t * t * ivar[k], t * weighted[k]
            for i in range(rows):
                moments[s, i] += square * powers[i, k]
            for i in range(TERMS):
                right[s, i] += product * powers[i, k]
        low[:], high[:] = n, 0
        for one in range(lines.shape[0]):
            g = int(lines[one, 0])
            centre, width, ratio = lines[one, 1] + shifts[s], widths[g], lines[one, 2]
            start, stop = np.searchsorted(x, centre - REACH * width), np.searchsorted(x, centre + REACH * width)
            for k in range(start, stop):
                u = (x[k] - centre) / width
                profiles[s, g, k] += ratio * np.exp(-0.5 * u * u)
            if start < stop:
                low[g], high[g] = min(low[g], start), max(high[g], stop)
        for g in range(groups):
            for k in range(low[g], high[g]):
                p = profiles[s, g, k]
                self_[s, g] += p * p * ivar[k]
                line[s, g] += p * weighted[k]
                both = p * continuum[s, k] * ivar[k]
                for i in range(TERMS):
                    cross[s, i, g] += both * powers[i, k]
    return continuum, profiles, moments, right, self_, line, cross

"""How wide emission lines are: long equivalent widths are rare, and how rare differs from line to line.

Equivalent widths at rest are distributed about as exp(-W / W0): W0 is some 76 Angstrom for Lyman alpha (Gronwall et al. 2007,
ApJ 667, 79), but near 10 to 30 for [O II] (Ciardullo et al. 2013, ApJ 769, 83), and a few for C III] and C IV (Shapley et al.
2003, ApJ 588, 65). As a prior that adds 2 W / W0 to chi-square, by which a strong single line is Lyman alpha rather than C III],
as Leung et al. (2017, ApJ 843, 130) tell [O II] from Lyman alpha. It is linear in the line's strength: in the normal equations
the sum of weight times data times line is less by half of it, and nothing else changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from specola_pipeline.redshift.lines import Group
from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.spectrum import Floats

__all__ = ["SPEED_OF_LIGHT", "Rarity", "continuum", "rarity"]

SPEED_OF_LIGHT = 299792.458
"""km/s."""
WINDOW = 6000.0
"""Velocities (km/s) over which the continuum beside a line is averaged."""
WIDEST = 3000.0
"""Equivalent width at rest (Angstrom) above which no line is taken to be: some of the widest known, [O III] and Lyman alpha."""
ASIDE = 4500.0
"""The middle of the window redward of the line, km/s: blueward of Lyman alpha the intergalactic medium absorbs."""


@dataclass(frozen=True)
class Rarity:
    """The prior of a group's strength, for some redshifts."""

    factor: Floats
    """Half the increase of chi-square with the strength, times the continuum; 0 where none of the lines is covered."""
    point: npt.NDArray[np.int64]
    """The grid's point at which the continuum counts."""

    def against(self, level: Floats) -> Floats:
        """What weight times data times line loses, with the `continuum` of the spectrum."""
        return np.asarray(self.factor / level[self.point])


def continuum(data: Prepared) -> Floats:
    """Flux beside every point of the grid: a running median, redward of it, but not less than its own error.

    A continuum that is not seen has no certain equivalent width; the error makes it the least that is compatible with the data.
    """
    covered = np.flatnonzero(data.weight > 0)
    flux = data.weighted[covered] / data.weight[covered]
    half = max(1, round(WINDOW / 2 / SPEED_OF_LIGHT / data.step))
    middle = median_filter(flux, 2 * half + 1, mode="nearest")
    total = np.concatenate([[0.0], np.cumsum(data.weight[covered])])
    at = np.arange(covered.size)
    inside = total[np.minimum(at + half + 1, covered.size)] - total[np.maximum(at - half, 0)]
    # The error of a median is sqrt(pi / 2) of a mean's.
    level = np.maximum(middle, np.sqrt(np.pi / 2 / inside))
    # No line is wider than WIDEST, however little the continuum beside it is: of a spectrum of nothing but lines the prior would
    # otherwise forbid the brightest, whose every other explanation is then better.
    wave = np.exp((data.first + covered) * data.step)
    brightest = float(np.max((flux - middle) * np.sqrt(2 * np.pi) * data.sigma * wave))
    level = np.maximum(level, brightest / WIDEST)
    beside = np.arange(data.weight.size) + round(ASIDE / SPEED_OF_LIGHT / data.step)
    return np.asarray(level[np.clip(np.searchsorted(covered, beside), half, max(half, covered.size - 1 - half)).clip(0, at[-1])])


def rarity(group: Group, shifts: Floats, data: Prepared, sigma: float) -> Rarity:
    """The prior of a group at ``shifts``, ln(1 + z), for spectra on the grid of ``data``; ``sigma`` is the line spread's.

    Of a group's lines the strongest that is covered counts.
    """
    factor, point = np.zeros(shifts.size), np.zeros(shifts.size, dtype=np.int64)
    width = float(np.hypot(group.sigma / SPEED_OF_LIGHT, sigma))
    for line in sorted(group.lines, key=lambda one: one.ratio):
        at = np.round((np.log(line.wave) + group.velocity / SPEED_OF_LIGHT + shifts) / data.step).astype(np.int64) - data.first
        covered = (at >= 0) & (at < data.weight.size)
        factor[covered] = np.sqrt(2 * np.pi) * width * line.wave / group.width
        point[covered] = at[covered]
    return Rarity(factor, point)

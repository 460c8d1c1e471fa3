"""Broad absorption of quasars: pixels in its troughs say nothing of a redshift, and are left out.

Outflows of one quasar in ten or so absorb blueward of the resonance lines, up to 25,000 km/s from them (Weymann et al. 1991,
ApJ 373, 23), often the blue half of a line itself, too, or all of Lyman alpha (by N V). A template without those troughs fits
best where its lines are at something else: with Lyman alpha where N V is, a redshift is some 5,000 km/s too high.

As DESI does (Filbert et al., arXiv:2309.03434) troughs are masked and the redshift is measured anew. Here each candidate has its
own mask: where its model is above the data, and where absorption is possible at its redshift. A pixel in a trough counts in
chi-square as noise does, 1, and a trough has a price: fits with and without troughs can then be held against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from specola_pipeline.redshift.prepare import Prepared, without
from specola_pipeline.redshift.refine import Fit, Refiner
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.widths import SPEED_OF_LIGHT

__all__ = ["SLACK", "Absorbed", "settle", "troughs"]

IONS = (1033.82, 1215.67, 1240.15, 1398.27, 1549.06, 1858.76, 2799.12)
"""O VI, Lyman alpha, N V, Si IV, C IV, Al III and Mg II, doublets at their middle; vacuum, Angstrom."""
FASTEST = 25000.0
"""km/s (Weymann et al. 1991): farther blueward of C IV is Si IV."""
WINDOW = 2000.0
"""A trough is at least so wide, km/s (the same)."""
DEPTH = 0.1
"""Where light is missing by more than this in the mean of a window, as a share of the model, a trough goes on (the same)."""
SURE = 0.25
"""What it must reach somewhere: templates are a tenth off at a line's wings, not a quarter."""
FOREST = 1260.0
"""Rest wavelength (Angstrom) redward of which it must reach that: neither the forest nor the edge of Lyman alpha is there."""
SIGMA = 4.0
"""By how many standard deviations of the noise light is missing: hundreds of windows are looked at."""
PRICE = 4.6
"""What a trough costs in chi-square: one quasar in ten has broad absorption."""
SLACK = 3000.0
"""How far redward of the ions troughs are looked for as long as the redshift is not certain, km/s."""
_ROUNDS = 4

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Absorbed:
    """A fit to what is outside of troughs."""

    fit: Fit
    """Its gain has the troughs' price in it, and is that of all pixels: those in troughs have a chi-square of 1 each."""
    mask: Mask
    """Pixels in troughs, shape (n,)."""
    data: Prepared
    """The spectrum with no weight there."""


def troughs(data: Prepared, fit: Fit, slack: float = 0.0) -> Mask:
    """Pixels in broad absorption of the light that ``fit`` says is there, shape (n,).

    ``slack`` is how far redward of the ions absorption may be, km/s.
    """
    x = np.log(data.wave)
    half = WINDOW / 2 / SPEED_OF_LIGHT
    low, high = np.searchsorted(x, x - half), np.searchsorted(x, x + half)

    def summed(values: Floats) -> Floats:
        total = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(total[high] - total[low])

    missing, light = summed(data.noise_ivar * (fit.model - data.flux)), summed(data.noise_ivar * fit.model)
    deep = (light > 0) & (missing > DEPTH * light) & (missing > SIGMA * np.sqrt(summed(data.noise_ivar)))
    rest = x - np.log1p(fit.z)
    # Blueward of an ion speeds are positive.
    speed = (np.log(np.array(IONS))[:, np.newaxis] - rest) * SPEED_OF_LIGHT
    mask = deep & ((speed > -slack) & (speed < FASTEST)).any(axis=0)
    sure = mask & (missing > SURE * light) & (rest > np.log(FOREST))
    return np.asarray(mask & sure.any())


def settle(refiner: Refiner, data: Prepared, template: int, z: float, mask: Mask) -> Absorbed:
    """The fit of a quasar's template near ``z`` outside of the troughs that belong to it, begun with ``mask``.

    ``template`` is counted as in `Refiner.refine`.
    """
    for _ in range(_ROUNDS):
        left = without(data, mask)
        fit = refiner.refine(left, "QSO", template, z)
        found = Absorbed(_of_all(data, fit, mask), mask, left)
        z, mask = fit.z, troughs(data, fit)
        if np.array_equal(mask, found.mask):
            break
    return found


def _of_all(data: Prepared, fit: Fit, mask: Mask) -> Fit:
    """The fit with the gain of all pixels: what those in troughs have in a model of zero, less their share and the price."""
    number = int(np.count_nonzero(mask[1:] & ~mask[:-1])) + int(mask[0])
    within = float(np.sum((data.ivar * data.flux**2)[mask]))
    return replace(fit, gain=fit.gain + within - float(np.count_nonzero(mask)) - PRICE * number)

"""From chi-square to the probability that a redshift is right, and to the flag a survey would print."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from specola_pipeline.redshift.result import Feature

__all__ = ["BEHIND_OUTFLOWS", "COEFFICIENTS", "flag_digit", "probability"]

COEFFICIENTS = (-1.91, 1.72, -0.94)
"""Constant, factor of ln(1 + gap), and factor of ln(rivals), of the log odds: a logistic regression on the 479 VANDELS
spectra, 450 made in the manner of VIPERS and, with half the weight, 196 of the mock survey; in five-fold cross-validation they
agree with the share that is right on each (docs/redshifts.md)."""
BEHIND_OUTFLOWS = 0.95
"""A quasar with broad absorption is not more certain than this: where troughs begin at rest a line may be another's, and the gap
does not tell. Of 120 made ones (`bench.redshift_outflows`, seeds from 1000) 115 are right."""
_ABOUT_AS_GOOD = 6.0
"""Chi-square within which rivals count as one more, each as exp(-difference / this)."""


def probability(gaps: Sequence[float]) -> float:
    """Probability that the best candidate is right.

    The gap to the next one says how clear the decision is, and how many are about as good as that one in how many
    places noise could have done as much.

    Parameters
    ----------
    gaps
        Chi-square of the other candidates minus that of the best, at least one.
    """
    constant, of_gap, of_rivals = COEFFICIENTS
    others = np.maximum(gaps, 0.0)
    gap = float(others.min())
    rivals = float(np.sum(np.exp(-(others - gap) / _ABOUT_AS_GOOD)))
    odds = constant + of_gap * np.log1p(gap) + of_rivals * np.log(rivals)
    return float(1 / (1 + np.exp(-odds)))


def flag_digit(chance: float, features: tuple[Feature, ...]) -> int:
    """Class digit in the sense of VIPERS and zCOSMOS: 4 from 99 per cent, 3 from 95, 2 from 80, 1 below.

    9 where all rests on one line.

    A single emission line stays 9, however clear it is, unless a second feature has evidence too.
    """
    clear = [one for one in features if one.evidence > 9.0]
    if (
        chance >= 0.5
        and len(clear) == 1
        and clear[0].evidence > 25.0
        and sum(o.evidence for o in features if o.evidence > 0) < 1.3 * clear[0].evidence
    ):
        return 9
    for digit, least in ((4, 0.99), (3, 0.95), (2, 0.8)):
        if chance >= least:
            return digit
    return 1

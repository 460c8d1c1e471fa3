"""From chi-square to the probability that a redshift is right, and to the flag a survey would print."""

from __future__ import annotations

import numpy as np

from specola_pipeline.redshift.result import Feature

__all__ = ["COEFFICIENTS", "flag_digit", "probability"]

COEFFICIENTS = (-1.28, 1.33)
"""Constant, and factor of ln(1 + gap), of the log odds: a logistic regression on the 479 VANDELS spectra with flags 3, 4 and 9.
Two numbers are all that was learnt there; in five-fold cross-validation they agree with the share that is right
(docs/redshifts.md)."""


def probability(gap: float) -> float:
    """Probability that the best candidate is right.

    Parameters
    ----------
    gap
        Chi-square of the next different candidate minus that of the best.
    """
    constant, of_gap = COEFFICIENTS
    odds = constant + of_gap * np.log1p(max(gap, 0.0))
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

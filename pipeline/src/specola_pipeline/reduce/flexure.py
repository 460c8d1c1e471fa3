"""Flexure of an exposure: what its slits measured by themselves, drawn together. Begin with :func:`shared_flexure`.

An instrument bends as a whole: how far its image has moved along the dispersion is a smooth function of the place on the
detector, and sixty slits know that better than each knows its own few sky lines. How much a slit may differ from its neighbours
is measured from the slits themselves, so that slits which differ truly keep what they saw (shrinkage as of James & Stein 1961).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.reduce.robust import mad_std

__all__ = ["shared_flexure"]

Array = NDArray[np.float64]

_TERMS = ((24, 6), (12, 3), (4, 1))
"""From how many slits on flexure has so many terms: a quadratic function of the place, a plane, a constant."""

_APART = 4.0
"""Errors by which a slit may differ from the others before it is believed against them."""

_DOUBT = 0.1
"""Error, pixels, above which a slit without sky lines is better left where the arc has it."""


def shared_flexure(place: Array, offset: Array, error: Array) -> tuple[Array, Array]:
    """Offset of each slit, pixels, given those of all others, and its error; arrays of shape (slits,).

    *place* (slits, 2) is where slits lie on the detector, *offset* and *error* what each measured by itself (an *error* that is
    not finite: nothing). A slit that saw nothing gets what the others say of its place, or is left as it is where they do not
    know it to 0.1 pixel. Fewer than four slits that measured something are left as they are.
    """
    seen = np.isfinite(offset) & np.isfinite(error) & (error > 0)
    count = next((terms for least, terms in _TERMS if seen.sum() >= least), 0)
    if count == 0:
        return offset, error
    design = _terms(place)[:, :count]
    own = np.where(seen, error, 1.0) ** 2
    keep, spread = seen.copy(), 0.0
    for _ in range(8):
        weight = np.where(keep, 1.0 / (own + spread), 0.0)
        covariance = np.linalg.pinv((design * weight[:, None]).T @ design, hermitian=True)
        model = design @ (covariance @ (design.T @ (weight * offset)))
        left = np.where(seen, offset - model, 0.0)
        freedom = max(float(keep.sum()) - count, 1.0)
        chance = 1.0 + np.sqrt(2.0 / freedom)  # by so much errors alone may make slits differ
        spread = max(float(np.sum(left[keep] ** 2)) / freedom - chance * float(np.mean(own[keep])), 0.0)
        again = seen & (np.abs(left) <= _APART * np.maximum(float(mad_std(left[seen])), np.sqrt(own)))
        if again.sum() < 2 * count or np.array_equal(again, keep):
            break
        keep = again
    of_model = np.einsum("si,ij,sj->s", design, covariance, design)
    trust = np.where(keep, spread / (own + spread), 1.0)  # what is left of a slit's own difference
    value = model + trust * left
    variance = np.where(keep, trust * own + (1.0 - trust) ** 2 * of_model, own)
    unseen = ~seen & (of_model + spread < _DOUBT**2)
    value = np.where(seen, value, np.where(unseen, model, offset))
    return value, np.where(seen, np.sqrt(variance), np.where(unseen, np.sqrt(of_model + spread), error))


def _terms(place: Array) -> Array:
    """Terms of a quadratic function of the place, scaled to the range of all slits; (slits, 6)."""
    low, high = place.min(axis=0), place.max(axis=0)
    x, y = (2.0 * (place - low) / np.maximum(high - low, 1.0) - 1.0).T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)

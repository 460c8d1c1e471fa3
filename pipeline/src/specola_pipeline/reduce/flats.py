"""The flat field of a slit: pixel response, and how evenly the slit is lit along its length.

The lamp's spectrum is a smooth function of wavelength and is fitted as such on unrectified pixels, like the sky; what is left is
the response of each pixel times the slit function. Dividing a frame by both makes the sky the same function of wavelength in
every column, which is what the sky fit assumes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.interpolate import PPoly, make_interp_spline

from specola_pipeline.reduce.robust import mad_std, median
from specola_pipeline.reduce.sky import fit_slit

__all__ = ["SlitFlat", "slit_flat"]

Array = NDArray[np.float64]

_LAMP_STEP = 20.0
"""Knots of the lamp's spectrum in rows: finer would follow the pixels' response, coarser not the lamp's filters."""

_SHARP = 0.2
"""How much less or more light than on both sides (relative) a broken column sees: the optics blur what is the slit's own."""

_BLOCK = 32
"""Rows of a column that are looked at together for that."""

_PIXEL_SCATTER = 0.015
"""How much detector pixels differ from each other (relative, standard deviation): the prior of the response."""


@dataclass(frozen=True)
class SlitFlat:
    """Response to divide by (slit function included), and its relative variance, of shape (rows, columns); 1 and 0 outside.

    *pixels* is the response of the pixels alone, of the same shape. The slit function is *light* at *place* (pixels from the
    left edge, ascending), and *illumination* in steps of a pixel. *broken* are pixels that see so little or so much of the lamp
    that nothing they see is to be believed. *signal* is the median number of electrons and *saturated* the
    part of the slit's pixels at or above saturation.
    """

    response: Array
    relative_variance: Array
    pixels: Array
    place: Array
    light: Array
    illumination: Array
    broken: NDArray[np.bool_]
    signal: float
    saturated: float

    def moved(self, position: Array) -> SlitFlat:
        """The flat field of an exposure whose slit lies elsewhere on the pixels: *position* as in :func:`slit_flat`.

        The response of pixels stays where it is, the slit function moves with the slit.
        """
        if self.place.size < 4:
            return self
        curve = PPoly.from_spline(make_interp_spline(self.place, self.light, k=3))
        # of the breaks at either end all but one are repeated, and what lies between them has no width
        first, last = np.searchsorted(curve.x, self.place[0], side="right") - 1, np.searchsorted(curve.x, self.place[-1])
        at = np.clip(position, self.place[0], self.place[-1])
        return replace(self, response=_piecewise(self.pixels, at, curve.x[first : last + 1], curve.c[:, first:last]))


@njit(cache=True)
def _piecewise(factor: Array, at: Array, breaks: Array, pieces: Array) -> Array:
    """*factor* times cubic *pieces* (4, intervals) between *breaks*, at places within them; (rows, columns).

    Where a column lies differs little from row to row: the interval of the row before is where the search begins.
    """
    rows, columns = at.shape
    out = np.empty((rows, columns))
    index, last = np.zeros(columns, dtype=np.int64), breaks.size - 2
    for y in range(rows):
        for x in range(columns):
            place, k = at[y, x], index[x]
            while k < last and place >= breaks[k + 1]:
                k += 1
            while k > 0 and place < breaks[k]:
                k -= 1
            index[x] = k
            t = place - breaks[k]
            out[y, x] = factor[y, x] * (((pieces[0, k] * t + pieces[1, k]) * t + pieces[2, k]) * t + pieces[3, k])
    return out


def slit_flat(
    flat: Array, variance: Array, usable: NDArray[np.bool_], rows_at: Array, position: Array, saturated: NDArray[np.bool_]
) -> SlitFlat:
    """The flat field of a slit from a combined lamp frame.

    *usable* is True within the slit on good pixels, *rows_at* the reference row of each pixel's wavelength, *position* its place
    along the slit in pixels from the left edge. Where the lamp is faint, the measured response is drawn towards the slit function
    in proportion to its noise, so that a faint flat never adds more noise than it takes out.
    """
    weight = np.where(usable & (variance > 0), 1.0 / np.where(variance > 0, variance, 1.0), 0.0)
    none = np.zeros((0, *flat.shape))
    illumination = np.ones_like(flat)
    lamp = fit_slit(flat, weight, rows_at, none, illumination, step=_LAMP_STEP, errors=False)
    # Most pixels of a broken column agree with each other: left in, it would be a part of the slit function.
    sharp = _broken_columns(np.where(weight > 0, flat / np.maximum(lamp.sky, 1e-6), np.nan))
    if sharp.any():
        weight[sharp] = 0.0
        lamp = fit_slit(flat, weight, rows_at, none, illumination, step=_LAMP_STEP, errors=False)
    for _ in range(2):
        spectrum = np.maximum(lamp.sky / illumination, 1e-6)
        ratio, ratio_weight = flat / spectrum, weight * spectrum**2
        ratio_weight = np.where(np.abs(ratio - 1) < 0.8, ratio_weight, 0.0)
        illumination = np.clip(_along_slit(ratio, ratio_weight, position), 0.05, 5.0)
        lamp = fit_slit(flat, weight, rows_at, none, illumination, step=_LAMP_STEP, errors=False)
    model = np.maximum(lamp.sky, 1e-6)
    own = np.where(usable, flat / model, 1.0)
    noise = np.where(usable, variance / model**2, np.inf)
    trust = _PIXEL_SCATTER**2 / (_PIXEL_SCATTER**2 + noise)
    odd = sharp | (np.abs(own - 1) > 0.3)
    broken = usable & (sharp | (np.abs(own - 1) > 0.3 + 5 * np.sqrt(np.where(usable, noise, 0.0))))
    detail = np.where(usable & ~odd, 1 + (own - 1) * trust, 1.0)
    response = np.where(usable, detail * illumination, 1.0)
    relative = np.where(usable & ~odd, np.where(usable, noise, 0.0) * trust**2, 0.0)
    signal = float(np.median(flat[usable])) if usable.any() else 0.0
    part = float(saturated.mean()) if saturated.size else 0.0
    bins = np.rint(position[usable]).astype(int)
    count = np.bincount(bins)
    profile = np.bincount(bins, illumination[usable]) / np.maximum(count, 1)
    return SlitFlat(
        response, relative, detail, *_function(position[usable], illumination[usable]), profile[count > 0], broken, signal, part
    )


def _broken_columns(ratio: Array) -> NDArray[np.bool_]:
    """Pixels of columns that see much less, or more, light than the two on either side of them, block of rows by block.

    *ratio* is the flat over the lamp's spectrum, NaN where there is none; (rows, columns). At the ends of a slit, with nothing on
    one side, there are none: light fades there.
    """
    rows, columns = ratio.shape
    blocks = -(-rows // _BLOCK)
    whole = np.full((blocks * _BLOCK, columns + 4), np.nan)
    whole[:rows, 2:-2] = ratio
    level = median(whole.reshape(blocks, _BLOCK, columns + 4), 1)
    left, right = (median(np.stack([level[:, at : at + columns], level[:, at + 1 : at + 1 + columns]]), 0) for at in (0, 3))
    own = level[:, 2:-2]
    with np.errstate(invalid="ignore"):
        sharp = (own < (1 - _SHARP) * np.minimum(left, right)) | (own > (1 + _SHARP) * np.maximum(left, right))
    return np.repeat(sharp, _BLOCK, axis=0)[:rows] & np.isfinite(ratio)


def _function(position: Array, illumination: Array) -> tuple[Array, Array]:
    """The slit function in steps of about a quarter of a pixel, where there are pixels."""
    order = np.argsort(position, kind="stable")
    place, light = position[order], illumination[order]
    first = np.flatnonzero(np.diff(np.floor(4 * place), prepend=np.nan) != 0)
    count = np.diff(np.append(first, place.size))
    return np.add.reduceat(place, first) / count, np.add.reduceat(light, first) / count


def _along_slit(ratio: Array, weight: Array, position: Array) -> Array:
    """Slit function at each pixel: a spline of the place along the slit, outliers clipped."""
    # The place along the slit is all that counts: each pixel is a row of its own.
    value, place, weight = ratio.reshape(-1, 1), position.reshape(-1, 1), weight.reshape(-1, 1).copy()
    none = np.zeros((0, *value.shape))
    model = fit_slit(value, weight, place, none, step=1.0, errors=False).sky
    pull = (value - model) * np.sqrt(weight)
    weight[np.abs(pull) > 5 * max(float(mad_std(pull[weight > 0])), 1.0)] = 0.0
    return np.asarray(fit_slit(value, weight, place, none, step=1.0, errors=False).sky.reshape(ratio.shape))

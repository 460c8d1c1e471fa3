"""What sky subtraction has left in a faint spectrum: estimated from the spectrum itself, and taken away.

In faint spectra the noise is the sky's, so that the squares of the errors are a picture of the sky's lines. Where these were
scaled a little wrong, shifted, or seen with another width, what is left is that picture, its first and its second derivative:
three numbers, which dozens of lines over the whole spectrum determine and no single feature of the object does. Wild & Hewett
(2005, MNRAS 358, 1083) took away principal components of what is left for the same reason; here each spectrum has its own.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d, median_filter, uniform_filter1d

from specola_pipeline.instruments.tables import sky
from specola_pipeline.redshift.spectrum import Floats

__all__ = ["sky_left"]

_WINDOW = 13.0
"""Full widths at half maximum of the line spread over which a local level is taken: wider than groups of OH lines."""
_BRIGHT = 10.0
"""Signal-to-noise ratio a pixel from which nothing is done: what is left of the sky does no harm there, and the noise is more and
more that of the object, whose own features the errors then show."""
_ALIKE = 0.4
"""Rank correlation of the squared errors' local contrast with that of the night sky, from which they show the sky. All of 479
spectra of VANDELS but a few have more (the median is 0.74), SDSS, BOSS and DESI 0.58 to 0.78."""
_FINE = 2e-5
"""Step of the atlas in ln(wavelength)."""
_OUTLIER = 4.0
_ROUNDS = 3


def sky_left(wave: Floats, flux: Floats, err: Floats, noise: Floats, sigma: float) -> tuple[Floats, Floats]:
    """What is left of the sky, and the variance of that, both (n,); zeros where the errors do not show the sky.

    Parameters
    ----------
    wave
        Vacuum wavelengths, increasing, (n,), Angstrom.
    flux, err
        As they were given.
    noise
        What errors really are.
    sigma
        Standard deviation of the line spread function in ln(wavelength).
    """
    nothing = np.zeros(wave.size), np.zeros(wave.size)
    window = int(_WINDOW * 2.3548 * sigma / float(np.median(np.diff(np.log(wave))))) | 1
    if np.median(flux / noise) > _BRIGHT or window < 3 or 2 * window > wave.size:
        return nothing
    level = median_filter(err**2, window, mode="nearest")
    picture = np.maximum(err**2 - level, 0.0)
    if not picture.any() or not _shows_the_sky(wave, err**2 / level, sigma, window):
        return nothing
    picture /= picture.max()
    slope = np.gradient(picture)
    parts = np.array([picture, slope, np.gradient(slope)])
    above, narrow = _narrow(flux - median_filter(flux, window, mode="nearest"), window), _narrow(parts, window)
    # Lines of the object are no sky.
    used = np.abs(above) < _OUTLIER * noise
    values, errors = np.zeros(len(parts)), np.ones(len(parts))
    for _ in range(_ROUNDS):
        weighted = narrow * np.where(used, noise**-2, 0.0)
        try:
            covariance = np.linalg.inv(weighted @ narrow.T)
        except np.linalg.LinAlgError:
            return nothing
        variances = np.diag(covariance)
        if not (variances > 0).all():
            # A picture of too few pixels does not tell its parts from one another.
            return nothing
        values, errors = covariance @ (weighted @ above), np.sqrt(variances)
        used = np.abs(above - values @ narrow) < _OUTLIER * noise
    # What is expected of each, known its scatter: nothing of what noise does by itself (James-Stein).
    share = np.maximum(1 - (errors / np.where(values == 0.0, errors, values)) ** 2, 0.0)
    return (share * values) @ parts, (share * errors**2) @ parts**2


def _shows_the_sky(wave: Floats, contrast: Floats, sigma: float, window: int) -> bool:
    grid, light = _atlas(round(sigma, 6))
    covered = (wave > grid[0]) & (wave < grid[-1])
    if covered.sum() < 2 * window:
        return False
    seen = np.interp(wave[covered], grid, light)
    known = seen / median_filter(seen, window, mode="nearest")
    return bool(np.corrcoef(_ranks(contrast[covered]), _ranks(known))[0, 1] > _ALIKE)


def _narrow(values: Floats, window: int) -> Floats:
    return np.asarray(values - uniform_filter1d(values, window, axis=-1))


def _ranks(values: Floats) -> npt.NDArray[np.int64]:
    return np.argsort(np.argsort(values))


@functools.lru_cache(maxsize=16)
def _atlas(sigma: float) -> tuple[Floats, Floats]:
    """Wavelengths (vacuum, Angstrom) and the night sky at a resolution."""
    atlas = sky()
    grid = np.arange(np.log(atlas.wavelength[0]), np.log(atlas.wavelength[-1]), _FINE)
    light = gaussian_filter1d(np.interp(grid, np.log(atlas.wavelength), atlas.flux), sigma / _FINE)
    # As finely as the resolution asks for.
    every = max(1, int(sigma / _FINE / 4))
    return np.exp(grid[::every]), light[::every]

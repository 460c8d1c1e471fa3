"""Line spread: the slit's box and the optics' Gaussian, and what becomes of it for an object that does not fill the slit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import erf, ndtr

from specola_pipeline.simulate.light import FRACTION

__all__ = ["Spread", "cumulative", "inside", "object_kernel", "optics_sigma", "slit_kernel"]

Array = npt.NDArray[np.float64]


def optics_sigma(field: tuple[float, float], varying: bool) -> float:
    """Sigma of the optics in pixels at a place of the field (x, y from the middle, in 1000 pixels): a tilted, curved focus."""
    if not varying:
        return 1.1
    return float(1.0 + 0.18 * (field[0] ** 2 + field[1] ** 2) + 0.12 * field[0] - 0.06 * field[1])


def _positions(half: float) -> Array:
    count = int(np.ceil(half * FRACTION))
    return np.arange(-count, count + 1) / FRACTION


def slit_kernel(width: float, sigma: float) -> Array:
    """Line profile of a filled slit: a box ``width`` pixels wide and a Gaussian; odd number of cells, sum 1."""
    x = _positions(width / 2 + 5 * sigma)
    kernel = ndtr((x + width / 2) / sigma) - ndtr((x - width / 2) / sigma)
    return np.asarray(kernel / kernel.sum())


def object_kernel(width: float, sigma: float, centre: float, blur: float) -> Array:
    """Line profile of a point ``centre`` pixels from the slit's middle, blurred by ``blur`` (sigma), cut by the slit; sum 1."""
    x = _positions(width / 2 + 5 * sigma)
    across = np.linspace(-width / 2, width / 2, 41)
    weight = np.exp(-0.5 * ((across - centre) / max(blur, 1e-3)) ** 2)
    kernel = (weight[:, None] * np.exp(-0.5 * ((x[None, :] - across[:, None]) / sigma) ** 2)).sum(axis=0)
    return np.asarray(kernel / kernel.sum())


def inside(low: npt.ArrayLike, high: npt.ArrayLike, centre: npt.ArrayLike, sigma: npt.ArrayLike) -> Array:
    """Part of a Gaussian between two limits; all broadcast."""
    scale = np.sqrt(2) * np.asarray(sigma)
    return np.asarray(0.5 * (erf((np.asarray(high) - centre) / scale) - erf((np.asarray(low) - centre) / scale)))


def cumulative(electrons: Array, kernel: Array) -> Array:
    """Running sum at the cells' edges (shape (n + 1,)) of electrons (n,) spread by a kernel; what leaves the ends is lost."""
    size = electrons.size + kernel.size - 1
    spread = np.fft.irfft(np.fft.rfft(electrons, size) * np.fft.rfft(kernel, size), size)
    spread = np.clip(spread[kernel.size // 2 : kernel.size // 2 + electrons.size], 0, None)
    return np.concatenate([[0.0], np.cumsum(spread)])


class Spread:
    """Electrons of a slit spread by kernels that change from the blue end to the red end; evaluated at any Δ.

    Between the ends the two running sums are mixed linearly in Δ: differences over neighbouring pixels then add up to the whole
    whatever the mixture.
    """

    def __init__(self, edges: Array, electrons: Array, blue: Array, red: Array) -> None:
        self.edges = edges
        self.blue, self.red = cumulative(electrons, blue), cumulative(electrons, red)

    def __call__(self, offset: Array) -> Array:
        """Electrons below ``offset``, of its shape."""
        flat = offset.ravel()
        mix = np.clip((flat - self.edges[0]) / (self.edges[-1] - self.edges[0]), 0, 1)
        low = np.interp(flat, self.edges, self.blue)
        return np.asarray((low + mix * (np.interp(flat, self.edges, self.red) - low)).reshape(offset.shape))

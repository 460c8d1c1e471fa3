"""Cosmic rays: the Laplacian of van Dokkum (2001, PASP 113, 1420) on residuals in units of their noise.

After sky and objects are taken out nothing with a sharp edge is left but cosmic rays, so the threshold can be low; on raw slit
frames the same filter takes edges of slits and sky lines for hits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["find_cosmics"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_KERNEL = np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]])


def find_cosmics(
    pull: Array, usable: Mask, objects: Array, threshold: float = 4.5, grow: float = 2.5, contrast: float = 2.0
) -> Mask:
    """Pixels hit by cosmic rays, of the shape of *pull* (residual over noise).

    *objects* is the object model over noise: where it is bright, an imperfect profile leaves structure in proportion, and the
    threshold rises by a tenth of it. A hit is sharp (its Laplacian, on a grid twice as fine, exceeds *threshold* and is
    *contrast* times its fine structure); its neighbours belong to it when they stand *grow* sigma high.
    """
    clean = np.where(usable, pull, 0.0)
    fine = np.repeat(np.repeat(clean, 2, axis=0), 2, axis=1)
    laplacian = np.maximum(ndimage.convolve(fine, _KERNEL, mode="nearest"), 0.0)
    rows, columns = clean.shape
    sharp = laplacian.reshape(rows, 2, columns, 2).mean(axis=(1, 3)) / 2.0 * np.sqrt(4.0 / 5.0) * 1.2
    small = ndimage.median_filter(clean, size=3, mode="nearest")
    limit = threshold + 0.1 * np.abs(objects)
    hit = usable & (sharp > limit) & (clean > 0.7 * limit)
    # The median of 35 pixels costs more than all the rest: it is asked of the few that may be hits.
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(small, ((3, 3), (2, 2)), mode="edge"), (7, 5))
    structure = np.maximum(small[hit] - np.median(windows[hit].reshape(-1, 35), axis=1), 0.3)
    hit[hit] = sharp[hit] > contrast * structure
    for round_limit in (max(grow, 2.5), grow, grow):
        near = ndimage.binary_dilation(hit, structure=np.ones((3, 3), dtype=bool))
        hit |= near & usable & (clean > round_limit + 0.1 * np.abs(objects))
    return np.asarray(hit)

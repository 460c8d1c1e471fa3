"""Slits: which targets a mask takes, and where their slits are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.mock.geometry import QUADRANT_SIZE, QUADRANTS, centre
from ingest.mock.setup import N_PIXELS, Floats

__all__ = ["SPECTRUM_LENGTH", "Slits", "place_slits"]

PIXEL_SCALE = 0.205
"""Arcsec on the sky of a detector pixel."""
SPECTRUM_LENGTH = N_PIXELS * PIXEL_SCALE
"""Length of a spectrum on the detector, arcsec: about a quarter of a quadrant, so four fit one above the other."""
GUARD_ALONG, GUARD_ACROSS = 2.0, 0.7
"""Free space between neighbouring spectra along the dispersion and across it, arcsec."""
SHORTEST, LONGEST = 6.5, 9.0
"""Slit lengths, arcsec."""
JITTER = 0.2
"""Arcmin by which the order of placing slits departs from the order of the targets' positions."""
EDGE = 0.15
"""Arcmin from a quadrant's edge within which no slit's centre is put."""


@dataclass
class Slits:
    """Slits of the four masks of a pointing, one array element each."""

    quadrant: npt.NDArray[np.intp]
    target: npt.NDArray[np.intp]
    """Index of the object the slit was made for."""
    x: Floats
    """Slit centre, arcmin east and north of the pointing's centre."""
    y: Floats
    length: Floats
    """Arcsec."""

    def __len__(self) -> int:
        return self.x.size


def place_slits(x: Floats, y: Floats, targets: npt.NDArray[np.intp], wanted: int, rng: np.random.Generator) -> Slits:
    """Put slits on targets as close as they fit, then keep as many as are wanted.

    Slits run east-west and spectra north-south. Two spectra overlap where their slits are closer than a spectrum's
    length along the dispersion and share a stretch across it; then only the first is taken, which is what makes a survey's target
    sampling rate depend on the density of targets (Bottini et al. 2005, PASP 117, 996).

    Parameters
    ----------
    x, y
        Offsets of all objects from the pointing's centre, arcmin.
    targets
        Indices of those that may get a slit.
    wanted
        How many slits to place at most, over the four masks.
    """
    placed: dict[int, list[tuple[int, float, float, float]]] = {quadrant: [] for quadrant in QUADRANTS}
    boxes = {quadrant: np.empty((0, 3)) for quadrant in QUADRANTS}
    # From one side to the other, with some disorder: slits then stand close, and which target is taken is still chance.
    for index in targets[np.argsort(x[targets] + rng.uniform(-JITTER, JITTER, targets.size))]:
        length = rng.uniform(SHORTEST, LONGEST)
        middle = x[index] + rng.uniform(-1, 1) * (length / 2 - 2.5) / 60
        quadrant = _quadrant_of(middle, y[index], length)
        if quadrant is None or not _fits(boxes[quadrant], middle, y[index], length):
            continue
        placed[quadrant].append((int(index), float(middle), float(y[index]), length))
        boxes[quadrant] = np.vstack([boxes[quadrant], (middle * 60, y[index] * 60, length)])
    chosen = [(quadrant, *slit) for quadrant, slits in placed.items() for slit in slits]
    kept = sorted(rng.permutation(len(chosen))[:wanted].tolist())
    chosen = sorted((chosen[i] for i in kept), key=lambda slit: (slit[0], slit[3], slit[2]))
    columns = list(zip(*chosen, strict=True)) or [()] * 5
    return Slits(
        np.array(columns[0], dtype=np.intp), np.array(columns[1], dtype=np.intp),
        *(np.array(column, dtype=float) for column in columns[2:]),
    )  # fmt: skip


def _quadrant_of(x: float, y: float, length: float) -> int | None:
    for quadrant in QUADRANTS:
        x0, y0 = centre(quadrant)
        if abs(x - x0) < QUADRANT_SIZE[0] / 2 - length / 120 and abs(y - y0) < QUADRANT_SIZE[1] / 2 - EDGE:
            return quadrant
    return None


def _fits(boxes: Floats, x: float, y: float, length: float) -> bool:
    along = np.abs(boxes[:, 1] - y * 60) < SPECTRUM_LENGTH + GUARD_ALONG
    across = np.abs(boxes[:, 0] - x * 60) < (boxes[:, 2] + length) / 2 + GUARD_ACROSS
    return not bool(np.any(along & across))

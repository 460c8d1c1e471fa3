"""How good our fluxes are: whole nights of bright objects and a standard star, reduced as ``specola-reduce run`` does.

Two nights of the same objects are simulated. In one all light comes through the slit: fluxes are absolute there. In the other it
does not, and less of some colours than of others: what is left is the shape.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.instruments import Kind
from specola_pipeline.reduce.results import MaskResult
from specola_pipeline.reduce.run import run
from specola_pipeline.simulate import Settings, read_truth, simulate

__all__ = ["FLUX_TARGETS", "fluxes"]

FLUX_TARGETS = {"flux, relative": 0.05, "flux, absolute": 0.10}
"""The most that fluxes may differ from the truth."""
BAND = 200.0
"""Width in Angstrom of the bands in which fluxes are compared: single pixels have more noise than that."""
EDGE = 100.0
"""Angstrom at the ends of a spectrum, where the extraction and the response end, that are not looked at."""


def fluxes(seed: int, slits: int) -> dict[str, Any]:
    """Figures of FLUX_TARGETS, and on how many objects they rest.

    ``absolute`` is how far an object's mean ratio to the truth is from 1, ``relative`` the rms of its bands' ratios about
    their mean: medians over the objects of the first night. ``with losses`` is the same rms in the second.
    """
    whole = _ratios(seed, slits, frozenset({"losses"}))
    lossy = _ratios(seed, slits, frozenset())
    return {
        "seed": seed,
        "objects": [len(whole), len(lossy)],
        "flux, absolute": float(np.median([abs(np.mean(one) - 1) for one in whole])),
        "flux, relative": float(np.median([_shape(one) for one in whole])),
        "flux, relative, with losses": float(np.median([_shape(one) for one in lossy])),
    }


def _shape(ratios: NDArray[np.float64]) -> float:
    return float(np.std(ratios) / np.mean(ratios))


def _ratios(seed: int, slits: int, without: frozenset[str]) -> list[NDArray[np.float64]]:
    """Reduced over true flux in bands, of each object that is alone in its slit."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(
            Settings(seed=seed, slits=slits, exposures=1, standards=1, objects=1.0, magnitudes=(19.0, 20.5), without=without),
            folder,
        )
        (mask,) = (one for one in run(folder / "raw", folder / "work").masks if one.group.kind is Kind.SCIENCE)
        return _of_mask(mask, folder)


def _of_mask(mask: MaskResult, folder: Path) -> list[NDArray[np.float64]]:
    truth = read_truth(folder)
    sources, slit_of = truth.sources(), [source["slit"] for source in truth.mask["sources"]]
    found = []
    for slit in mask.slits():
        known = [row for row, number in enumerate(slit_of) if number == slit.number]
        thing = slit.objects[0] if slit.objects else None
        if len(known) != 1 or thing is None or (flux := thing.flux) is None:
            continue
        true = np.interp(thing.wavelength, sources["wavelength"], sources["flux"][known[0]])
        good = np.isfinite(flux) & (true > 0)
        wave = thing.wavelength[good]
        if not wave.size:
            continue
        edges = np.arange(wave[0] + EDGE, wave[-1] - EDGE, BAND)
        place = np.digitize(wave, edges)
        bands = [place == number for number in range(1, edges.size)]
        sums = np.array([[np.sum(flux[good][band]), np.sum(true[good][band])] for band in bands if band.any()])
        found.append(sums[:, 0] / sums[:, 1])
    return found

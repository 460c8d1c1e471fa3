"""One exposure: its slits one by one, then what they know together. Begin with :func:`reduce_exposure`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from specola_pipeline import instruments
from specola_pipeline.reduce import fluxcal
from specola_pipeline.reduce.calibrate import Calibration
from specola_pipeline.reduce.detector import subtract_bias
from specola_pipeline.reduce.flexure import shared_flexure
from specola_pipeline.reduce.oneslit import OpenSlit, settle_slit
from specola_pipeline.reduce.raw import Raw, electrons
from specola_pipeline.reduce.results import SlitExposure, SlitQuality
from specola_pipeline.reduce.sharedsky import share_sky
from specola_pipeline.reduce.skylines import LINE_FLOOR
from specola_pipeline.reduce.traces import slits_moved

__all__ = ["ExposureRecord", "reduce_exposure"]

_DOUBT = 0.1
"""Error, columns, above which where an exposure's slits lie is not known better than that they have not moved."""


@dataclass(frozen=True)
class ExposureRecord:
    """What is kept of an exposure beside its slits: figures, failed slits as (identifier, words), and what was odd.

    *moved* is by how many columns its slits lie from where they were in the flat, 0 where the sky was too faint to see it.
    """

    quality: tuple[SlitQuality, ...]
    moved: float
    barycentric: float
    failed: tuple[tuple[str, str], ...]
    odd: tuple[str, ...]


def reduce_exposure(
    raw: Raw, calibration: Calibration, seeing: float, most: int, keep: Callable[[SlitExposure], None]
) -> ExposureRecord:
    """Reduce all slits of a frame; each is given to *keep* when all are done, since together they say how the image has
    moved and what the sky is.

    *seeing* is the expected FWHM of an object in arcsec, *most* how many objects a slit may have. A slit that fails is named and
    stops nothing else. Raises FrameError where the frame can not be read.
    """
    frame = electrons(raw)
    if calibration.bias is not None:
        frame = subtract_bias(frame, calibration.bias, reuse=True)
    instrument = instruments.instrument(raw.frame.instrument)
    sigma = max(seeing / 2.3548 / instrument.detector(raw.frame.quadrant).pixel_scale, 1.0)
    lines = instruments.line_list(instrument.sky_lines)
    seen = [one.slit for one in calibration.slits if one.slit.traced]
    moved, doubt = slits_moved(frame.data, seen, instrument.flexure.across)
    if not math.isfinite(doubt) or doubt > _DOUBT:
        moved = 0.0
    waiting: list[OpenSlit] = []
    failed: list[tuple[str, str]] = []
    for slit in calibration.slits:
        try:
            waiting.append(settle_slit(frame, slit, lines, instrument.flexure.along, sigma, most, moved))
        except ValueError as error:
            failed.append((slit.said.identifier, str(error)))
    figures = []
    for images, quality in _together(waiting):
        keep(images)
        figures.append(quality)
    return ExposureRecord(tuple(figures), moved, fluxcal.barycentric_factor(raw), tuple(failed), frame.odd)


def _together(waiting: list[OpenSlit]) -> Iterator[tuple[SlitExposure, SlitQuality]]:
    """Images and figures of all slits, with what they know together of flexure and of the sky; *waiting* is emptied."""
    if not waiting:
        return
    own, error, lines = np.array([one.sky_lines for one in waiting]).T
    offset, error = shared_flexure(np.array([one.place for one in waiting]), own, error)
    # What is uncertain of the lines themselves is the same in all slits: many slits do not know it better.
    common = LINE_FLOOR / math.sqrt(float(np.median(lines[lines > 0]))) if lines.any() else 0.0
    priors = share_sky([one.sky(moved) for one, moved in zip(waiting, offset, strict=True)])
    for moved, unsure, prior in zip(offset, np.maximum(error, common), priors, strict=True):
        yield waiting.pop(0).finish(float(moved), float(unsure), prior)

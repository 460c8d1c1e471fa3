"""Rows of the bundle's further tables: observations (pointings), slits, and quality control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from specola_bundle.survey import Survey
from specola_pipeline.bundle.spectra import object_of, observation_of
from specola_pipeline.instruments import instrument
from specola_pipeline.names import mask_name, slit_name
from specola_pipeline.quality.rows import column_definitions
from specola_pipeline.reduce.results import MaskResult, SlitResult

__all__ = ["QUALITY", "pointing_row", "slit_row", "with_quality_table"]

QUALITY = "quality"
"""Name of the table of quality control."""


def with_quality_table(survey: Survey) -> Survey:
    """The survey with the table of quality control documented, so that a bundle can hold it."""
    table, columns = column_definitions()
    options: Mapping[str, Any] = {
        **survey.options,
        "tables": {**survey.options.get("tables", {}), QUALITY: table},
        "columns": {**survey.options.get("columns", {}), QUALITY: list(columns)},
    }
    return replace(survey, options=MappingProxyType(options))


def pointing_row(mask: MaskResult) -> dict[str, Any] | None:
    """The row of an observation; None where its frames have no position, which the table can not be without."""
    frames = [one.entry.frame for one in mask.exposures if one.entry.frame is not None]
    first, known, seen = frames[0], instrument(mask.group.instrument), observation_of(mask)
    if first.ra is None or first.dec is None:
        return None
    airmasses = [frame.airmass for frame in frames if frame.airmass is not None]
    return {
        "pointing_id": mask_name(mask.group), "field": first.object or None,
        "quadrant": mask.group.quadrant if len(known.detectors) > 1 else None, "mask_id": mask.group.mask or None,
        "ra": first.ra, "dec": first.dec, "facility": known.telescope, "instrument": known.title, "disperser": mask.group.grism,
        "t_min": seen.start, "t_max": seen.end, "exptime": sum(frame.exptime for frame in frames),
        "airmass": sum(airmasses) / len(airmasses) if airmasses else None, "n_slits": len(mask.numbers),
    }  # fmt: skip


def slit_row(mask: MaskResult, slit: SlitResult) -> dict[str, Any]:
    """The row of a slit."""
    return {
        "slit_id": slit_name(mask.group, slit.number), "pointing_id": mask_name(mask.group),
        "object_id": object_of(mask, slit), "slit_number": slit.number,
        "ra": slit.ra, "dec": slit.dec, "length": slit.length, "width": slit.width,
    }  # fmt: skip

"""Write the bundle of a reduction: :func:`write_bundle`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from specola_bundle.build import Report, spectra_bundle
from specola_bundle.provenance import software
from specola_bundle.survey import Survey
from specola_pipeline.bundle.provenance import provenance
from specola_pipeline.bundle.spectra import reading_of
from specola_pipeline.bundle.tables import QUALITY, pointing_row, slit_row, with_quality_table
from specola_pipeline.instruments import Kind
from specola_pipeline.names import mask_name, slit_name
from specola_pipeline.quality.rows import Quality
from specola_pipeline.reduce.results import Reduction

__all__ = ["write_bundle"]

Progress = Callable[[str, int, int], None]


def write_bundle(
    reduction: Reduction,
    quality: Quality,
    survey: Survey,
    target: Path,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write the science spectra of a reduction as a bundle, whole or not at all.

    Every object of every slit becomes a spectrum with its state of quality control (column qc_state); the table quality has a row
    a slit and exposure, and one for whatever could not be reduced, with the reason. Standard stars stay in the report.

    Raises
    ------
    specola_bundle.errors.IngestError
        There is a bundle already (and not *overwrite*), or the reduction has no science spectrum.
    OSError
        It can not be written; what was at *target* is as it was.
    """
    version = reduction.software.split()
    programs = [{"name": version[0], "version": version[-1]}, *survey.bundle.get("software", ())]
    survey = with_quality_table(replace(survey, bundle=MappingProxyType({**survey.bundle, "software": programs})))
    masks = [mask for mask in reduction.masks if mask.group.kind is Kind.SCIENCE and mask.exposures]
    count = sum(len(mask.numbers) for mask in masks)
    sources = [entry.path for mask in masks for entry in mask.group.entries]
    report = Report(target)
    made: dict[str, list[dict[str, Any]]] = {}
    done = 0
    tables = ("pointings", "slits", QUALITY)
    with spectra_bundle(target, survey, sources, tables, expected=count, overwrite=overwrite, report=report) as builder:
        for mask in masks:
            pointing = pointing_row(mask)
            if pointing is not None:
                builder.add_row("pointings", pointing)
            for slit in mask.slits():
                if pointing is not None:
                    builder.add_row("slits", slit_row(mask, slit))
                state = quality.of_slit(slit_name(mask.group, slit.number))
                for thing in slit.objects:
                    reading = reading_of(mask, slit, thing, survey, state)
                    if pointing is None:
                        reading.row |= {"pointing_id": None, "slit_id": None}
                    made.setdefault(mask_name(mask.group), []).append(builder.add(reading))
                done += 1
                if progress:
                    progress("spectra", done, count)
        for row in quality.rows:
            builder.add_row(QUALITY, row)
        name = f"{survey.bundle['survey']}_{survey.bundle['release']}"
        builder.provenance = provenance(reduction, name, made, [*programs, *software()])
    return report

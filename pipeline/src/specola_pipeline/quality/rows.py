"""From a reduction to rows of quality control: begin with :func:`judge`."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from specola_pipeline.instruments import Kind
from specola_pipeline.names import mask_name, plain, slit_name
from specola_pipeline.organise import Status
from specola_pipeline.quality.thresholds import ACCEPTED, REJECTED, UNSURE, Limit, read_thresholds, worst
from specola_pipeline.reduce.results import ExposureResult, MaskResult, Problem, Reduction, SlitQuality, SlitResult

__all__ = ["Quality", "Row", "column_definitions", "judge", "judge_slit"]

Row = dict[str, Any]
"""A row of the table that ``columns.toml`` describes; what could not be measured is None."""


@cache
def column_definitions() -> tuple[dict[str, Any], tuple[dict[str, Any], ...]]:
    """What ``columns.toml`` says: the table's title, description and key, and its columns in their order."""
    found = tomllib.loads(Path(__file__).with_name("columns.toml").read_text("utf-8"))
    return found["table"], tuple(found["column"])


@dataclass(frozen=True)
class Quality:
    """Quality control of a reduction: the limits, a row a slit and exposure (failed ones included), and every problem."""

    limits: tuple[Limit, ...]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]

    @property
    def failed(self) -> bool:
        """Whether anything was rejected or could not be reduced: then the command's exit status is not 0."""
        return self.count(REJECTED) > 0

    def count(self, state: str) -> int:
        """Rows in a state."""
        return sum(row["state"] == state for row in self.rows)

    def of_slit(self, slit_id: str) -> str:
        """The state of a slit's combined spectra: the worst of the exposures that went in; at best unsure where one failed."""
        mine = [row for row in self.rows if row["slit_id"] == slit_id]
        return worst(*(UNSURE if row["arc_lines"] is None else row["state"] for row in mine))


def judge(reduction: Reduction, limits: Sequence[Limit] = ()) -> Quality:
    """Judge every slit of every exposure; *limits* are those of the package where none are given."""
    limits = tuple(limits) or read_thresholds()
    rows: list[Row] = []
    for mask in reduction.masks:
        for slit in mask.slits():
            rows += judge_slit(mask, slit, limits)
        rows += _failed(mask)
    rows += [*_of_no_mask(reduction), *_lost(reduction)]
    rows.sort(key=lambda row: (row["pointing_id"] or "", row["file"] or "", row["slit_id"] or "", row["quality_id"]))
    return Quality(limits, tuple(rows), reduction.problems)


def judge_slit(mask: MaskResult, slit: SlitResult, limits: Sequence[Limit]) -> list[Row]:
    """A row for each exposure in which a slit was reduced."""
    found = []
    for exposure in mask.exposures:
        quality = next((one for one in exposure.quality if one.number == slit.number), None)
        if quality is None:
            continue
        figures = _figures(quality, mask, slit)
        state, flags = ACCEPTED, []
        for limit in limits:
            value = figures[limit.figure]
            judged = limit.judge(value)
            if judged != ACCEPTED:
                state = worst(state, judged)
                flags.append(limit.words(value))
        odd = [*_unknown(figures, mask.group.kind), *quality.odd, *slit.odd, *exposure.odd, *mask.odd]
        if odd:
            state = worst(state, UNSURE)
        found.append(
            {
                **_names(mask, exposure, slit_name(mask.group, slit.number), slit.identifier),
                "state": state,
                "flags": "; ".join(dict.fromkeys([*flags, *odd])),
                **figures,
            }
        )
    return found


def _figures(quality: SlitQuality, mask: MaskResult, slit: SlitResult) -> Row:
    function = quality.slit_function[np.isfinite(quality.slit_function)]
    middle = float(np.median(function)) if function.size else math.nan
    return {
        "wavelength_rms": _known(quality.wavelength_rms),
        "arc_lines": int(quality.arc_wavelengths.size),
        "line_sigma": _known(quality.line_sigma),
        "sky_offset": _known(quality.sky_offset) if math.isfinite(quality.sky_offset_error) else None,
        "sky_offset_error": _known(quality.sky_offset_error),
        "sky_lines": int(quality.sky_lines),
        "sky_chi": _known(quality.sky_chi),
        "line_chi": _known(quality.line_chi),
        "sky_excess": _known(quality.sky_excess),
        "sky_excess_error": _known(quality.sky_excess_error),
        "map_correction": _known(quality.map_correction),
        "cosmic_part": _known(quality.cosmic_part),
        "bad_part": _known(quality.bad_part),
        "flat_signal": _known(quality.flat_signal),
        "slit_variation": _known(np.ptp(function) / middle) if middle > 0 else None,
        "edges_seen": bool(quality.traced),
        "objects": int(quality.objects),
        "snr": _known(quality.snr),
        "photon_limit": _known(quality.photon_limit),
        "profile_fwhm": _known(slit.objects[0].fwhm) if slit.objects else None,
        "response_scatter": None if mask.response is None else _known(mask.response[1]),
    }


def _known(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _unknown(figures: Row, kind: Kind) -> list[str]:
    """What could not be measured and should have been: silence would look like success."""
    said = []
    if figures["wavelength_rms"] is None:
        said.append("the scatter of the arc lines about the wavelength map could not be measured")
    if not figures["sky_lines"] and kind is not Kind.STANDARD:  # whose exposures are too short for them
        whose = "the arc" if figures["sky_offset"] is None else "the other slits' sky lines"
        said.append(f"no sky line was seen: the zero point of the wavelengths is that of {whose}")
    if figures["sky_chi"] is None:
        said.append("the residuals of the sky could not be measured: too few pixels are free of objects")
    if not figures["edges_seen"]:
        said.append("an edge of the slit was not seen in the flat")
    return said


def _names(mask: MaskResult, exposure: ExposureResult | None, slit_id: str | None, slit: str | None, file: str = "") -> Row:
    file = file if exposure is None else exposure.entry.path.name
    name = slit_id or mask_name(mask.group)
    return {
        "quality_id": f"{name}:{plain(file)}",
        "pointing_id": mask_name(mask.group),
        "slit_id": slit_id,
        "slit": slit,
        "file": file or None,
    }


def _failed(mask: MaskResult) -> list[Row]:
    """Rows of what failed: of a slit in an exposure, of a slit in all exposures, of a frame."""
    known = {one.identifier: one.number for exposure in mask.exposures for one in exposure.quality}
    rows: dict[str, Row] = {}
    problems: list[tuple[ExposureResult | None, Problem]] = [
        (exposure, problem) for exposure in mask.exposures for problem in exposure.failed
    ]
    problems += [(None, problem) for problem in mask.failed]
    for exposure, problem in problems:
        number = known.get(problem.slit)
        slit_id = slit_name(mask.group, number) if number is not None else None
        names = _names(mask, exposure, slit_id, problem.slit or None, problem.file)
        if slit_id is None and problem.slit:
            names["quality_id"] = f"{mask_name(mask.group)}_{plain(problem.slit)}:{plain(problem.file)}"
        _add(rows, names, problem.words)
    return list(rows.values())


def _of_no_mask(reduction: Reduction) -> list[Row]:
    """Rows of problems of files that came into no mask: broken, foreign, without calibrations …

    A foreign file or a second copy takes nothing from the reduction: it is listed, and is no failure.
    """
    told = {problem for mask in reduction.masks for problem in (*mask.failed, *(one for e in mask.exposures for one in e.failed))}
    harmless = {one.path.name for one in reduction.plan.entries if one.status in {Status.FOREIGN, Status.DUPLICATE}}
    rows: dict[str, Row] = {}
    for problem in reduction.problems:
        if problem not in told:
            name = {"quality_id": f"{plain(problem.file) or 'all'}:{plain(problem.slit)}", "pointing_id": None, "slit_id": None}
            names = {**name, "slit": problem.slit or None, "file": problem.file or None}
            _add(rows, names, problem.words, UNSURE if problem.file in harmless else REJECTED)
    return list(rows.values())


def _lost(reduction: Reduction) -> list[Row]:
    """Rows of frames that were to be reduced and are neither in a result nor in a problem: whatever lost them, it is said."""
    seen = {exposure.entry.path for mask in reduction.masks for exposure in mask.exposures}
    told = {problem.file for problem in reduction.problems}
    rows: dict[str, Row] = {}
    for group in reduction.plan.groups:
        for entry in group.entries:
            if entry.path not in seen and entry.path.name not in told:
                name = f"{mask_name(group)}:{plain(entry.path.name)}"
                names = {
                    "quality_id": name,
                    "pointing_id": mask_name(group),
                    "slit_id": None,
                    "slit": None,
                    "file": entry.path.name,
                }
                _add(rows, names, "was to be reduced and was not, and no step said why; start the same command again")
    return list(rows.values())


def _add(rows: dict[str, Row], names: Row, words: str, state: str = REJECTED) -> None:
    """A failed row, or one more reason in the row that is there."""
    name = names["quality_id"]
    if name in rows:
        rows[name] |= {"flags": f"{rows[name]['flags']}; {words}", "state": worst(state, rows[name]["state"])}
        return
    nothing = {column["name"]: None for column in column_definitions()[1]}
    rows[name] = {**nothing, **names, "state": state, "flags": words}

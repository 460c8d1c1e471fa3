"""From what was measured on a spectrum to rows of the contract's tables.

Identifiers end in ``_auto`` and what tells the rows of a spectrum apart, so that rows of an earlier run are known and replaced.
"""

from __future__ import annotations

import functools
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from astropy import units

from specola_bundle.registry import standard_tables
from specola_pipeline.derived.flag import automatic

__all__ = ["MARK", "candidate_rows", "file_row", "index_rows", "line_rows", "redshift_row"]

MARK = "_auto"
"""After the spectrum's identifier in every identifier that is made here."""

Row = dict[str, Any]


def redshift_row(
    record: Mapping[str, Any], spectrum: Mapping[str, Any], scheme: str, method: str, *, best: bool, secondary: bool,
    photoz: tuple[float | None, float | None, float | None],
) -> Row:  # fmt: skip
    """The row of the automatic redshift; z is None where there is none.

    Parameters
    ----------
    record
        What was measured (`measure.Measured`).
    spectrum
        The spectrum's row of the manifest.
    best
        Whether it is what the bundle recommends for the object.
    """
    return _limited("redshifts", {
        "redshift_id": f"{record['spectrum']}{MARK}", "object_id": spectrum["object_id"], "spectrum_id": record["spectrum"],
        "ra": spectrum.get("ra"), "dec": spectrum.get("dec"), "z": record["z"], "z_err": record["z_err"],
        "class": record["class"], **automatic(record, scheme, secondary=secondary, photoz=photoz), "best": best,
        "z_state": "automatic", "method": method,
    }) or {}  # fmt: skip


def candidate_rows(record: Mapping[str, Any], spectrum: Mapping[str, Any], method: str) -> Iterator[Row]:
    """A row for each candidate; the best has the calibrated probability."""
    for one in record["candidates"]:
        yield from _one("candidates", {
            "candidate_id": f"{record['spectrum']}{MARK}_{one['rank']}", **_of(record, spectrum, method),
            **{name: one[name] for name in ("rank", "z", "z_err", "class", "template", "chi2", "delta_chi2", "dof")},
            "probability": record["probability"] if one["rank"] == 1 else None,
        })  # fmt: skip


def line_rows(record: Mapping[str, Any], spectrum: Mapping[str, Any], method: str) -> Iterator[Row]:
    """A row for each line, seen or not; fluxes in erg/s/cm2, none where the spectrum has no absolute flux."""
    factor = None
    if spectrum.get("flux_calib") == "ABSOLUTE":
        factor = _absolute(spectrum["flux_unit"])
    for one in record["lines"]:
        fluxes = {name: one[name] for name in ("flux", "flux_err", "flux_limit", "continuum", "continuum_err")}
        yield from _one("lines", {
            "line_id": f"{record['spectrum']}{MARK}_{_word(one['line'])}", **_of(record, spectrum, method),
            "line_name": one["line"], "component": "single", "wave_rest": one["wave_rest"], "z": record["z_lines"],
            "detected": one["detected"],
            **{name: None if factor is None or value is None else value * factor for name, value in fluxes.items()},
            "ew_rest": one["ew"], "ew_rest_err": one["ew_err"], "sigma_v": one["sigma"], "sigma_v_err": one["sigma_err"],
            "velocity": one["velocity"], "velocity_err": one["velocity_err"], "snr": one["snr"],
        })  # fmt: skip


def index_rows(record: Mapping[str, Any], spectrum: Mapping[str, Any], method: str) -> Iterator[Row]:
    """A row for each index."""
    for one in record["indices"]:
        yield from _one("indices", {
            "index_id": f"{record['spectrum']}{MARK}_{_word(one['name'])}", **_of(record, spectrum, method),
            "index_name": one["name"], "z": record["z_lines"], "index_value": one["value"], "index_value_err": one["value_err"],
            "index_unit": one["unit"],
        })  # fmt: skip


def file_row(record: Mapping[str, Any]) -> Row:
    """The row of the file with the model."""
    title = f"Spectrum and model of the automatic redshift {record['z']:.5f} ({record['class']}, {record['template']})"
    return {
        "file_id": f"{record['spectrum']}{MARK}_model", "spectrum_id": record["spectrum"], "kind": "model", "title": title,
        "file": record["model"]["file"], "file_format": "application/fits", "file_size": record["model"]["size"],
        "file_sha256": record["model"]["sha256"],
    }  # fmt: skip


def _of(record: Mapping[str, Any], spectrum: Mapping[str, Any], method: str) -> Row:
    return {"spectrum_id": record["spectrum"], "object_id": spectrum["object_id"], "method": method}


def _one(table: str, row: Row) -> Iterator[Row]:
    limited = _limited(table, row)
    if limited is not None:
        yield limited


def _limited(table: str, row: Row) -> Row | None:
    """The row with None for what is not finite or beyond what the registry takes for possible (an equivalent width on hardly any
    continuum, say); None where a value that is required is.
    """
    result = dict(row)
    for name, (low, high, required) in _limits(table).items():
        value = row.get(name)
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            if required:
                return None
            result[name] = None
    return result


@functools.cache
def _limits(table: str) -> dict[str, tuple[float, float, bool]]:
    return {
        column.name: (-math.inf if column.min is None else column.min, math.inf if column.max is None else column.max,
                      column.required)
        for column in standard_tables()[table].columns
        if column.type in {"real", "double", "integer", "smallint"}
    }  # fmt: skip


@functools.cache
def _absolute(unit: str) -> float | None:
    """Factor from a VOUnit to erg/s/cm2/Angstrom; None where it is no flux density per wavelength."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)
        try:
            return float(units.Unit(unit, format="vounit").to(units.erg / units.s / units.cm**2 / units.AA))
        except (ValueError, TypeError):
            return None


def _word(name: str) -> str:
    """A line's or an index' name as part of an identifier: letters, digits and brackets' content."""
    return re.sub(r"[^A-Za-z0-9]+", "", name)

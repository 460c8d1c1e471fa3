"""Lines of many spectra: where redshifts come from, what is written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeGuard

import pyarrow as pa
import pyarrow.parquet as pq

from specola_pipeline.errors import SpectrumError
from specola_pipeline.lines.indices import measure_indices
from specola_pipeline.lines.measure import measure_lines
from specola_pipeline.redshift.prepare import UnmeasurableError, prepare
from specola_pipeline.redshift.readers import read_spectra
from specola_pipeline.redshift.spectrum import Spectrum

__all__ = ["Rows", "is_redshift", "known_redshifts", "line_results"]

Rows = Mapping[str, Mapping[str, Any]]
"""What is known of a spectrum besides its arrays, by its name; z is its redshift."""

_REDSHIFTS = (-0.1, 20.0)


def known_redshifts(source: Path, results: Path | None) -> Rows:
    """Redshifts and further columns of spectra: of a file that ``redshift --output`` wrote, or of a bundle's manifest.

    Raises
    ------
    SpectrumError
        There is neither, or the file is none.
    """
    known: dict[str, dict[str, Any]] = {}
    if (manifest := source / "manifest.parquet").exists():
        try:
            table = pq.read_table(manifest)
        except (OSError, pa.ArrowException) as error:
            raise SpectrumError(f"{manifest}: found {error}, expected the list of a bundle's spectra (docs/bundle.md)") from error
        known = {row["spectrum_id"]: {**row, "z": row.get("redshift")} for row in table.to_pylist()}
    elif results is None:
        raise SpectrumError(f"{source}: found no redshift, expected a bundle, or --redshifts FILE or --z VALUE beside a file")
    if results is not None:
        try:
            for line in results.read_text("utf-8").splitlines():
                row = json.loads(line)
                known[row["spectrum"]] = {**known.get(row["spectrum"], {}), **row}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SpectrumError(f"{results}: found {error}, expected what `specola-reduce redshift --output` writes") from error
    return known


def line_results(
    source: Path, redshifts: float | Rows | None, medium: str | None = None, *, broad: bool = False
) -> Iterator[dict[str, Any]]:
    """Lines and indices of each spectrum of a source, as plain values; with a reason where there are none.

    Parameters
    ----------
    redshifts
        As of `known_redshifts`, with the class of each; or the redshift of the only spectrum there is.
    broad
        Whether the lines of that only spectrum may be a quasar's.

    Raises
    ------
    SpectrumError
        The source can not be read; or there is one redshift and more spectra.
    """
    if not isinstance(redshifts, float):
        for spectrum in read_spectra(source, medium):
            known = (redshifts or {}).get(spectrum.name, {})
            yield _lines(spectrum, known.get("z"), broad="QSO" in (known.get("class"), known.get("target_class")))
        return
    first, *others = read_spectra(source, medium)
    if others:
        names = ", ".join(one.name for one in (first, *others)[:4])
        raise SpectrumError(
            f"{source}: found {1 + len(others)} spectra ({names}, …) for one redshift, expected --redshifts with what "
            "`specola-reduce redshift --output` writes"
        )
    yield _lines(first, redshifts, broad=broad)


def is_redshift(z: object) -> TypeGuard[float]:
    """Whether a value is a redshift that a spectrum can have."""
    return isinstance(z, int | float) and not isinstance(z, bool) and _REDSHIFTS[0] < z < _REDSHIFTS[1]


def _lines(spectrum: Spectrum, z: object, *, broad: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "spectrum": spectrum.name, "z": z if is_redshift(z) else None, "unit": spectrum.unit, "reason": None,
        "lines": [], "indices": [],
    }  # fmt: skip
    if not is_redshift(z):
        found = "no redshift is known" if z is None else "the redshift {!r} is none between {:g} and {:g}".format(z, *_REDSHIFTS)
        return {**row, "reason": found}
    try:
        data = prepare(spectrum)
    except UnmeasurableError as reason:
        return {**row, "reason": str(reason)}
    row["lines"] = [asdict(one) for one in measure_lines(data, z, broad=broad)]
    row["indices"] = [asdict(one) for one in measure_indices(data, z)]
    if not row["lines"] and not row["indices"]:
        row["reason"] = "no line and no index of the lists is covered at this redshift"
    return row

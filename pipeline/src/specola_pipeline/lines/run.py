"""Lines and stacks of many spectra: where redshifts come from, what is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits

from specola_pipeline.errors import SpectrumError
from specola_pipeline.lines.indices import measure_indices
from specola_pipeline.lines.measure import measure_lines
from specola_pipeline.lines.stack import Stack, Stacker
from specola_pipeline.redshift.prepare import UnmeasurableError, prepare
from specola_pipeline.redshift.readers import read_spectra
from specola_pipeline.redshift.spectrum import Spectrum

__all__ = ["Binned", "known_redshifts", "line_results", "stacked", "write_stacks"]

Rows = Mapping[str, Mapping[str, Any]]
"""What is known of a spectrum besides its arrays, by its name; z is its redshift."""


def known_redshifts(source: Path, results: Path | None) -> Rows:
    """Redshifts and further columns of spectra: of a file that ``redshift --output`` wrote, or of a bundle's manifest.

    Raises
    ------
    SpectrumError
        There is neither, or the file is none.
    """
    known: dict[str, dict[str, Any]] = {}
    if (manifest := source / "manifest.parquet").exists():
        table = pq.read_table(manifest)
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


def line_results(source: Path, redshifts: float | Rows | None, medium: str | None = None) -> Iterator[dict[str, Any]]:
    """Lines and indices of each spectrum of a source, as plain values; with a reason where there are none."""
    for spectrum in read_spectra(source, medium):
        known = redshifts if isinstance(redshifts, float) else (redshifts or {}).get(spectrum.name, {})
        z = known if isinstance(known, float) else known.get("z")
        broad = not isinstance(known, float) and "QSO" in (known.get("class"), known.get("target_class"))
        yield _lines(spectrum, z, broad=broad)


def _lines(spectrum: Spectrum, z: float | None, *, broad: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "spectrum": spectrum.name, "z": z, "unit": spectrum.unit, "reason": None, "lines": [], "indices": []
    }  # fmt: skip
    if z is None:
        return {**row, "reason": "no redshift is known"}
    try:
        data = prepare(spectrum)
    except UnmeasurableError as reason:
        return {**row, "reason": str(reason)}
    row["lines"] = [asdict(one) for one in measure_lines(data, z, broad=broad)]
    row["indices"] = [asdict(one) for one in measure_indices(data, z)]
    return row


@dataclass(frozen=True)
class Binned:
    """The stack of a bin."""

    label: str
    low: float
    high: float
    used: int
    left_out: int
    stack: Stack


def stacked(
    source: Path, redshifts: Path | None, window: tuple[float, float], by: str | None = None,
    edges: Sequence[float] | None = None, bins: int = 4, seed: int = 0, progress: Callable[[], None] = lambda: None,
) -> list[Binned]:  # fmt: skip
    """Stack a bundle's spectra in bins of a column.

    Raises
    ------
    SpectrumError
        There is no such column, or it is not of numbers.
    """
    known = known_redshifts(source, redshifts)
    values = {name: _value(row, by, source) for name, row in known.items() if row.get("z") is not None}
    finite = np.array([value for value in values.values() if np.isfinite(value)])
    if not finite.size:
        raise SpectrumError(f"{source}: found no spectrum with a redshift and a value of {by}, expected at least one")
    if by is None:
        limits = np.array([-np.inf, np.inf])
    else:
        limits = np.array(edges) if edges else np.quantile(finite, np.linspace(0, 1, bins + 1))
        limits[-1] = np.nextafter(limits[-1], np.inf)
    if limits.size < 2 or not (np.diff(limits) > 0).all():
        raise SpectrumError(f"{source}: found edges {limits.tolist()}, expected at least two increasing ones (fewer bins?)")
    stackers = [Stacker(window, seed=seed + number) for number in range(limits.size - 1)]
    left_out = [0] * len(stackers)
    for spectrum in read_spectra(source):
        progress()
        value = values.get(spectrum.name, np.nan)
        number = int(np.searchsorted(limits, value, side="right")) - 1
        if not np.isfinite(value) or not 0 <= number < len(stackers):
            continue
        try:
            added = stackers[number].add(prepare(spectrum), known[spectrum.name]["z"])
        except UnmeasurableError:
            added = False
        left_out[number] += not added
    return [
        Binned(
            "all" if by is None else f"{by} from {limits[i]:g} to {limits[i + 1]:g}",
            float(limits[i]), float(limits[i + 1]), one.used, left_out[i], one.result(),
        )
        for i, one in enumerate(stackers)
    ]  # fmt: skip


def _value(row: Mapping[str, Any], by: str | None, source: Path) -> float:
    if by is None:
        return 0.0
    if by not in row:
        raise SpectrumError(f"{source}: found no column {by}, expected one of {', '.join(sorted(row))}")
    try:
        return np.nan if row[by] is None else float(row[by])
    except (TypeError, ValueError) as error:
        raise SpectrumError(f"{source}: found {row[by]!r} in column {by}, expected numbers") from error


def write_stacks(path: Path, found: Sequence[Binned], by: str | None, window: tuple[float, float]) -> None:
    """Write a FITS file with a table a bin: WAVE, FLUX, ERR, NUMBER."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for number, one in enumerate(found, start=1):
        covered = one.stack.number > 0
        table = fits.BinTableHDU.from_columns(
            [
                fits.Column("WAVE", "D", unit="Angstrom", array=one.stack.wave[covered]),
                fits.Column("FLUX", "D", array=one.stack.flux[covered]),
                fits.Column("ERR", "D", array=one.stack.err[covered]),
                fits.Column("NUMBER", "J", array=one.stack.number[covered]),
            ],
            name=f"BIN{number}",
        )
        table.header["BINBY"] = (by or "", "column of the bins")
        if by:
            table.header["BINLOW"], table.header["BINHIGH"] = one.low, one.high
        table.header["NSPEC"] = (one.used, "spectra stacked")
        table.header["NLEFT"] = (one.left_out, "spectra of the bin left out")
        table.header["NORMLOW"], table.header["NORMHIGH"] = window
        table.header["WAVEMED"] = "vacuum"
        hdus.append(table)
    part = path.with_name(path.name + ".part")
    hdus.writeto(part, overwrite=True, checksum=True)
    part.replace(path)

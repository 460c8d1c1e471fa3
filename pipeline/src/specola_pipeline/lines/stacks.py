"""Stacks of many spectra: in which bin each falls, and the file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from specola_pipeline.errors import SpectrumError
from specola_pipeline.lines.run import Rows, is_redshift, known_redshifts
from specola_pipeline.lines.stack import Stack, Stacker
from specola_pipeline.redshift.prepare import UnmeasurableError, prepare
from specola_pipeline.redshift.readers import read_spectra

__all__ = ["Binned", "stacked", "write_stacks"]

MOST_WORDS = 20
"""Different words (or true and false) of a column, each of which is a bin: one takes 20 MB."""


@dataclass(frozen=True)
class Binned:
    """The stack of a bin."""

    label: str
    value: str | None
    """What all spectra of the bin have in the column; None where a bin is an interval of numbers, or of all spectra."""
    low: float
    high: float
    """The interval, the upper end not in it; infinite where there is none."""
    used: int
    left_out: int
    stack: Stack


@dataclass(frozen=True)
class _Bins:
    """Which spectrum is in which bin."""

    labels: tuple[tuple[str, str | None, float, float], ...]
    """As of `Binned`."""
    numbers: Mapping[str, int]
    """By spectra, those of no bin left out."""


def stacked(
    source: Path, redshifts: Path | None, window: tuple[float, float], by: str | None = None,
    edges: Sequence[float] | None = None, bins: int = 4, seed: int = 0, progress: Callable[[], None] = lambda: None,
) -> list[Binned]:  # fmt: skip
    """Stack a bundle's spectra in bins of a column.

    Parameters
    ----------
    by
        Column of the manifest or field of ``redshifts``, or ``TABLE.COLUMN`` of another table of the bundle; of numbers, or of
        words, each of which is a bin.
    edges, bins
        Of a column of numbers: the edges of the bins, or how many of equal numbers of spectra.

    Raises
    ------
    SpectrumError
        There is no such column, its rows are not one an object, or no spectrum has light in the window.
    """
    known = known_redshifts(source, redshifts)
    chosen = _bins(source, _values(source, known, by), by, edges, bins)
    stackers = [Stacker(window, seed=seed + number) for number in range(len(chosen.labels))]
    left_out = [0] * len(stackers)
    for spectrum in read_spectra(source):
        progress()
        number = chosen.numbers.get(spectrum.name)
        if number is None:
            continue
        try:
            added = stackers[number].add(prepare(spectrum), known[spectrum.name]["z"])
        except UnmeasurableError:
            added = False
        left_out[number] += not added
    if not any(one.used for one in stackers):
        raise SpectrumError(
            f"{source}: found no spectrum with light between {window[0]:g} and {window[1]:g} Angstrom at rest, "
            "expected at least one; give another --window"
        )
    return [
        Binned(*label, one.used, left, one.result()) for label, one, left in zip(chosen.labels, stackers, left_out, strict=True)
    ]


def _values(source: Path, known: Rows, by: str | None) -> dict[str, Any]:
    """By spectra with a redshift: what they have in a column, None where nothing."""
    rows = {name: row for name, row in known.items() if is_redshift(row.get("z"))}
    if by is None:
        return dict.fromkeys(rows, 0.0)
    table, _, column = by.rpartition(".")
    if not table:
        return {name: _field(row, by, source) for name, row in rows.items()}
    path = source / "catalogues" / f"{table}.parquet"
    if not path.is_file():
        there = ", ".join(sorted(one.stem for one in path.parent.glob("*.parquet"))) or "none at all"
        raise SpectrumError(f"{source}: found no table {table}, expected one of {there}")
    try:
        names = pq.read_schema(path).names
        key = next((one for one in ("spectrum_id", "object_id") if one in names), None)
        if column not in names or key is None:
            raise SpectrumError(f"{path}: found columns {', '.join(names)}, expected {column}, and spectrum_id or object_id")
        # Of several redshifts of an object that which the survey recommends counts.
        found = pq.read_table(path, columns=[key, column], filters=[("best", "=", True)] if "best" in names else None)
    except (OSError, pa.ArrowException) as error:
        raise SpectrumError(f"{path}: found {error}, expected a table of a bundle (docs/bundle.md)") from error
    values: dict[Any, Any] = {}
    wanted = {row.get(key, name) for name, row in rows.items()}
    for one, value in zip(found[key].to_pylist(), found[column].to_pylist(), strict=True):
        if one in values and one in wanted:
            raise SpectrumError(f"{path}: found several rows of {one}, expected one a spectrum or object to bin by {by}")
        values[one] = value
    return {name: values.get(row.get(key, name)) for name, row in rows.items()}


def _field(row: Mapping[str, Any], by: str, source: Path) -> Any:
    if by not in row:
        raise SpectrumError(
            f"{source}: found no column {by}, expected one of {', '.join(sorted(row))}, or TABLE.COLUMN of another of its tables"
        )
    return row[by]


def _bins(source: Path, values: Mapping[str, Any], by: str | None, edges: Sequence[float] | None, bins: int) -> _Bins:
    there = {
        name: value for name, value in values.items() if not (value is None or (isinstance(value, float) and np.isnan(value)))
    }
    if not there:
        of = f" and a value of {by}" if by else ""
        raise SpectrumError(f"{source}: found no spectrum with a redshift{of}, expected at least one")
    if by is None:
        return _Bins((("all", None, -np.inf, np.inf),), dict.fromkeys(there, 0))
    if all(isinstance(value, str | bool) for value in there.values()):
        words = sorted({str(value) for value in there.values()})
        if edges or len(words) > MOST_WORDS:
            raise SpectrumError(f"{source}: found {len(words)} words in {by}, expected numbers for edges, or {MOST_WORDS} words")
        return _Bins(
            tuple((f"{by} {word}", word, -np.inf, np.inf) for word in words),
            {name: words.index(str(value)) for name, value in there.items()},
        )
    try:
        numbers = {name: float(value) for name, value in there.items()}
    except (TypeError, ValueError) as error:
        raise SpectrumError(f"{source}: found {next(iter(there.values()))!r} in {by}, expected numbers or words") from error
    limits = _limits(source, np.array([one for one in numbers.values() if np.isfinite(one)]), edges, bins)
    at = {name: int(np.searchsorted(limits, value, side="right")) - 1 for name, value in numbers.items() if np.isfinite(value)}
    labels = tuple((f"{by} from {low:g} to {high:g}", None, float(low), float(high)) for low, high in itertools.pairwise(limits))
    return _Bins(labels, {name: number for name, number in at.items() if 0 <= number < len(labels)})


def _limits(source: Path, numbers: npt.NDArray[np.float64], edges: Sequence[float] | None, bins: int) -> npt.NDArray[np.float64]:
    if not numbers.size:
        raise SpectrumError(f"{source}: found no finite number to bin by, expected at least one")
    limits = np.array(edges, dtype=float) if edges else np.quantile(numbers, np.linspace(0, 1, bins + 1))
    if limits.size < 2 or not (np.diff(limits) > 0).all():
        given = "expected at least two that increase" if edges else f"expected more different values for {bins} bins"
        raise SpectrumError(
            f"{source}: found edges {', '.join(f'{one:g}' for one in limits)}, {given}; give other --edges or --bins"
        )
    # The largest value is in the last bin.
    limits[-1] = np.nextafter(limits[-1], np.inf)
    return limits


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
        if one.value is not None:
            table.header["BINVALUE"] = one.value
        elif by:
            table.header["BINLOW"], table.header["BINHIGH"] = one.low, one.high
        table.header["NSPEC"] = (one.used, "spectra stacked")
        table.header["NLEFT"] = (one.left_out, "spectra of the bin left out")
        table.header["NORMLOW"], table.header["NORMHIGH"] = window
        table.header["WAVEMED"] = "vacuum"
        hdus.append(table)
    part = path.with_name(path.name + ".part")
    hdus.writeto(part, overwrite=True, checksum=True)
    part.replace(path)

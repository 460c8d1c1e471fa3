"""The figures of a release's page, computed from its bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.bulk.columns import Floats, counted, numbers, truths
from ingest.bulk.completeness import Rate, completeness
from specola_bundle.bundle import Bundle

__all__ = ["Histogram", "Statistics", "statistics_of"]

_MOST_POINTS = 4000


@dataclass(frozen=True)
class Histogram:
    """Counts between edges: ``counts`` by name of the series, shape (n_bins,); ``edges`` (n_bins + 1,)."""

    edges: Floats
    counts: Mapping[str, npt.NDArray[np.int64]]
    outside: int = 0
    """Values beyond the edges."""


@dataclass
class Statistics:
    """What a page about a release shows; what the release has no data for is empty or None."""

    counts: Mapping[str, int]
    summary: dict[str, str] = field(default_factory=dict)
    """Facts in words, by name."""
    redshifts: Histogram | None = None
    snr: Histogram | None = None
    flags: list[tuple[str, int]] = field(default_factory=list)
    classes: list[tuple[str, int]] = field(default_factory=list)
    rates: list[Rate] = field(default_factory=list)
    """By magnitude."""
    colour: Rate | None = None
    """By photometric redshift."""
    band: str = ""
    local: Histogram | None = None
    """Target sampling rate about each target that has a spectrum, in small rectangles."""
    outlines: list[Floats] = field(default_factory=list)
    """Footprints of the pointings, shape (n_corners, 2), degrees."""
    points: Floats = field(default_factory=lambda: np.zeros((0, 2)))
    """Positions of spectra (or of objects), degrees; at most some thousand, evenly chosen."""


def statistics_of(bundle: Bundle) -> Statistics:
    """Read the tables of a bundle, the columns needed of each."""
    found = Statistics(counts=dict(bundle.description["counts"]))
    spectra = _columns(bundle, "spectra", ("ra", "dec", "snr", "redshift", "exptime", "wave_min", "wave_max", "t_min", "t_max"))
    redshifts = _columns(
        bundle, "redshifts", ("object_id", "z", "class", "flag_label", "confidence", "secure", "best", "secondary", "ra", "dec")
    )
    photometry = _columns(
        bundle, "photometry", ("object_id", "mag_selection", "band_selection", "photoz", "target", "observed", "ra", "dec")
    )
    _of_spectra(found, spectra)
    _of_redshifts(found, redshifts)
    for polygon in (
        _columns(bundle, "pointings", ("footprint",)).get("footprint", pa.array([], pa.list_(pa.float64()))).to_pylist()
    ):
        if polygon:
            found.outlines.append(np.array(polygon).reshape(-1, 2))
    shares = completeness(photometry, redshifts, found.outlines)
    found.rates, found.colour, found.band = shares.rates, shares.colour, shares.band
    found.local = _histogram({"targets": shares.local}, 0.05)
    for table in (spectra, redshifts, photometry):
        if {"ra", "dec"} <= set(table):
            positions = np.column_stack([numbers(table["ra"]), numbers(table["dec"])])
            positions = positions[np.isfinite(positions).all(axis=1)]
            if len(positions):
                found.points = positions[:: max(1, len(positions) // _MOST_POINTS)]
                break
    return found


def _columns(bundle: Bundle, name: str, columns: Sequence[str]) -> dict[str, Any]:
    """Columns of a table that are there, by name."""
    table = bundle.tables.get(name)
    if table is None or not table.rows:
        return {}
    there = set(pq.read_schema(table.path).names)
    read = pq.read_table(table.path, columns=[column for column in columns if column in there])
    return {column: read[column].combine_chunks() for column in read.column_names}


def _histogram(series: Mapping[str, Floats], step: float) -> Histogram | None:
    """Bins of a round width that hold all but the outermost half per cent."""
    finite = {name: values[np.isfinite(values)] for name, values in series.items()}
    every = np.concatenate(list(finite.values()))
    if every.size == 0:
        return None
    low, high = np.quantile(every, [0.0025, 0.9975])
    while (high - low) / step > 60:
        step *= 2
    first, last = np.floor(low / step), np.floor(high / step) + 1
    edges = step * np.arange(first, last + 1)
    counts = {name: np.histogram(values, edges)[0].astype(np.int64) for name, values in finite.items()}
    beyond = int(np.count_nonzero((every < edges[0]) | (every > edges[-1])))
    return Histogram(edges, counts, beyond)


def _of_spectra(found: Statistics, spectra: Mapping[str, Any]) -> None:
    if "snr" in spectra:
        snr = numbers(spectra["snr"])
        found.snr = _histogram({"spectra": snr}, 0.5)
        if np.isfinite(snr).any():
            found.summary["median S/N per pixel"] = f"{np.nanmedian(snr):.2g}"
    if "wave_min" in spectra:
        low, high = numbers(spectra["wave_min"]).min(), numbers(spectra["wave_max"]).max()
        found.summary["wavelengths"] = f"{low:,.0f} to {high:,.0f} Å"
    for column, name, form in (("exptime", "exposure time", "{:,.0f} s (median)"),):
        if column in spectra and np.isfinite(numbers(spectra[column])).any():
            found.summary[name] = form.format(np.nanmedian(numbers(spectra[column])))
    if "t_min" in spectra and np.isfinite(numbers(spectra["t_min"])).any():
        from astropy.time import Time

        span = (np.nanmin(numbers(spectra["t_min"])), np.nanmax(numbers(spectra["t_max"])))
        days = [Time(value, format="mjd").strftime("%Y-%m-%d") for value in span]
        found.summary["observed"] = days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"


def _of_redshifts(found: Statistics, redshifts: Mapping[str, Any]) -> None:
    if not {"z", "secure", "best"} <= set(redshifts):
        return
    z, best, secure = numbers(redshifts["z"]), truths(redshifts["best"]), truths(redshifts["secure"])
    known = np.isfinite(z) & best
    found.redshifts = _histogram({"all": z[known], "secure": z[known & secure]}, 0.02)
    found.summary["objects with a redshift"] = f"{int(known.sum()):,}, of which {int((known & secure).sum()):,} secure"
    if (known & secure).any():
        found.summary["median redshift"] = f"{np.median(z[known & secure]):.3g} (secure)"
    labels = redshifts.get("flag_label")
    confidence = redshifts.get("confidence")
    if confidence is not None and confidence.null_count < len(confidence):
        found.flags = [(_word(value), number) for value, number in sorted(counted(confidence))]
    elif labels is not None:
        found.flags = [(value or "none", number) for value, number in sorted(counted(labels), key=lambda one: -one[1])][:12]
    if "class" in redshifts:
        found.classes = [
            (value or "unknown", number) for value, number in sorted(counted(redshifts["class"]), key=lambda o: -o[1])
        ]


def _word(confidence: int) -> str:
    words = {
        -99: "fake", -10: "not detected", 0: "no redshift", 1: "about 50 %", 2: "about 90 %", 3: "clear features",
        4: "99 % secure", 8: "one broad line", 9: "one emission line",
    }  # fmt: skip
    return f"{confidence}: {words.get(confidence, '')}".rstrip(": ")

"""The figures of a release's page, computed from its bundle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from specola_bundle.bundle import Bundle

__all__ = ["Histogram", "Rate", "Statistics", "statistics_of"]

Floats = npt.NDArray[np.float64]

_DETECTED = {0, 1, 2, 3, 4, 8, 9}
_SUCCESS = {2, 3, 4, 8, 9}
_MOST_POINTS = 4000
_FEWEST = 5
"""Objects a bin of a rate needs to be shown."""


@dataclass(frozen=True)
class Histogram:
    """Counts between edges: ``counts`` by name of the series, shape (n_bins,); ``edges`` (n_bins + 1,)."""

    edges: Floats
    counts: Mapping[str, npt.NDArray[np.int64]]
    outside: int = 0
    """Values beyond the edges."""


@dataclass(frozen=True)
class Rate:
    """A share of objects as a function of magnitude or redshift: ``good`` of ``all`` in each bin, shapes (n_bins,)."""

    name: str
    meaning: str
    edges: Floats
    good: npt.NDArray[np.int64]
    all: npt.NDArray[np.int64]

    @property
    def total(self) -> float:
        """The share over all bins."""
        return float(self.good.sum() / self.all.sum())

    @property
    def shown(self) -> npt.NDArray[np.bool_]:
        """Which bins hold enough objects."""
        return np.asarray(self.all >= _FEWEST)


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
    _completeness(found, photometry, redshifts)
    _selection(found, photometry)
    for polygon in (
        _columns(bundle, "pointings", ("footprint",)).get("footprint", pa.array([], pa.list_(pa.float64()))).to_pylist()
    ):
        if polygon:
            found.outlines.append(np.array(polygon).reshape(-1, 2))
    for table in (spectra, redshifts, photometry):
        if {"ra", "dec"} <= set(table):
            positions = np.column_stack([_numbers(table["ra"]), _numbers(table["dec"])])
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


def _numbers(array: Any) -> Floats:
    return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _flags(array: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=bool)


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
        snr = _numbers(spectra["snr"])
        found.snr = _histogram({"spectra": snr}, 0.5)
        if np.isfinite(snr).any():
            found.summary["median S/N per pixel"] = f"{np.nanmedian(snr):.2g}"
    if "wave_min" in spectra:
        low, high = _numbers(spectra["wave_min"]).min(), _numbers(spectra["wave_max"]).max()
        found.summary["wavelengths"] = f"{low:,.0f} to {high:,.0f} Å"
    for column, name, form in (("exptime", "exposure time", "{:,.0f} s (median)"),):
        if column in spectra and np.isfinite(_numbers(spectra[column])).any():
            found.summary[name] = form.format(np.nanmedian(_numbers(spectra[column])))
    if "t_min" in spectra and np.isfinite(_numbers(spectra["t_min"])).any():
        from astropy.time import Time

        span = (np.nanmin(_numbers(spectra["t_min"])), np.nanmax(_numbers(spectra["t_max"])))
        days = [Time(value, format="mjd").strftime("%Y-%m-%d") for value in span]
        found.summary["observed"] = days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"


def _of_redshifts(found: Statistics, redshifts: Mapping[str, Any]) -> None:
    if not {"z", "secure", "best"} <= set(redshifts):
        return
    z, best, secure = _numbers(redshifts["z"]), _flags(redshifts["best"]), _flags(redshifts["secure"])
    known = np.isfinite(z) & best
    found.redshifts = _histogram({"all": z[known], "secure": z[known & secure]}, 0.02)
    found.summary["objects with a redshift"] = f"{int(known.sum()):,}, of which {int((known & secure).sum()):,} secure"
    if (known & secure).any():
        found.summary["median redshift"] = f"{np.median(z[known & secure]):.3g} (secure)"
    labels = redshifts.get("flag_label")
    confidence = redshifts.get("confidence")
    if confidence is not None and confidence.null_count < len(confidence):
        found.flags = [(_word(value), number) for value, number in sorted(_counted(confidence))]
    elif labels is not None:
        found.flags = [(value or "none", number) for value, number in sorted(_counted(labels), key=lambda one: -one[1])][:12]
    if "class" in redshifts:
        found.classes = [
            (value or "unknown", number) for value, number in sorted(_counted(redshifts["class"]), key=lambda o: -o[1])
        ]


def _counted(array: Any) -> list[tuple[Any, int]]:
    return [(value, number) for value, number in Counter(array.to_pylist()).items() if value is not None]


def _word(confidence: int) -> str:
    words = {
        -99: "fake", -10: "not detected", 0: "no redshift", 1: "about 50 %", 2: "about 90 %", 3: "clear features",
        4: "99 % secure", 8: "one broad line", 9: "one emission line",
    }  # fmt: skip
    return f"{confidence}: {words.get(confidence, '')}".rstrip(": ")


def _completeness(found: Statistics, photometry: Mapping[str, Any], redshifts: Mapping[str, Any]) -> None:
    """TSR: share of the targets that got a slit. SSR: share of the detected ones with a secure redshift (main objects only)."""
    if not {"object_id", "mag_selection", "target", "observed"} <= set(photometry):
        return
    magnitude = _numbers(photometry["mag_selection"])
    target, observed = _flags(photometry["target"]), _flags(photometry["observed"])
    usable = target & np.isfinite(magnitude)
    if not usable.any():
        return
    bands = [value for value, _ in _counted(photometry["band_selection"])] if "band_selection" in photometry else []
    found.band = bands[0] if len(bands) == 1 else ""
    low, high = magnitude[usable].min(), magnitude[usable].max()
    step = 0.25 if high - low < 8 else 0.5
    edges = step * np.arange(np.floor(low / step), np.floor(high / step) + 2)
    if (usable & ~observed).any() and (usable & observed).any():
        meaning = "targets that were put on a slit or fibre, of all targets of the parent catalogue"
        found.rates.append(_rate("TSR", meaning, edges, magnitude, usable, usable & observed))
    if not {"object_id", "confidence", "best"} <= set(redshifts):
        return
    best = {
        key: (grade, second)
        for key, grade, use, second in zip(
            redshifts["object_id"].to_pylist(),
            redshifts["confidence"].to_pylist(),
            _flags(redshifts["best"]).tolist(),
            _flags(redshifts["secondary"]).tolist() if "secondary" in redshifts else [False] * len(redshifts["best"]),
            strict=True,
        )
        if use
    }
    grades = [best.get(key, (None, False)) for key in photometry["object_id"].to_pylist()]
    detected = np.array([grade in _DETECTED and not second for grade, second in grades]) & usable
    success = np.array([grade in _SUCCESS for grade, _ in grades]) & detected
    if detected.any():
        meaning = "redshifts with confidence 2, 3, 4, 8 or 9, of the targets observed and detected"
        found.rates.append(_rate("SSR", meaning, edges, magnitude, detected, success))


def _selection(found: Statistics, photometry: Mapping[str, Any]) -> None:
    """CSR: share of the parent catalogue, as bright as the targets, that the (colour) selection took, in bins of redshift.

    As Garilli et al. 2014 (A&A 562, A23) have it, but by photometric redshift, which the whole parent catalogue has.
    """
    if not {"mag_selection", "photoz", "target"} <= set(photometry):
        return
    magnitude, redshift = _numbers(photometry["mag_selection"]), _numbers(photometry["photoz"])
    target = _flags(photometry["target"])
    if not (target & np.isfinite(magnitude)).any():
        return
    limits = magnitude[target & np.isfinite(magnitude)]
    bright = np.isfinite(redshift) & (magnitude >= limits.min()) & (magnitude <= limits.max())
    if (bright & target).any() and (bright & ~target).any():
        low, high = np.quantile(redshift[bright], [0.0, 0.995])
        edges = 0.1 * np.arange(np.floor(low / 0.1), np.floor(high / 0.1) + 2)
        meaning = "objects of the parent catalogue that passed the selection, of all as bright as the targets"
        found.colour = _rate("CSR", meaning, edges, redshift, bright, bright & target)


def _rate(
    name: str, meaning: str, edges: Floats, values: Floats, every: npt.NDArray[np.bool_], good: npt.NDArray[np.bool_]
) -> Rate:
    return Rate(
        name,
        meaning,
        edges,
        np.histogram(values[good], edges)[0].astype(np.int64),
        np.histogram(values[every], edges)[0].astype(np.int64),
    )

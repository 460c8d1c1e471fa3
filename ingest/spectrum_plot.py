"""A spectrum drawn: the plot of 1200 pixels and the thumbnail of 200."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ingest import plot
from specola_bundle.specfile import SpectrumData

__all__ = ["HEIGHT", "WIDTH", "render_preview", "render_thumbnail"]

Floats = npt.NDArray[np.float64]
Row = Mapping[str, Any]

WIDTH, HEIGHT = 1200, 500
LEFT, RIGHT, TOP, BOTTOM = 96, 22, 48, 66
THUMB_WIDTH, THUMB_HEIGHT = 200, 84
LINE_WIDTH = 1.7
"""Of the curve, pixels."""
SIGNIFICANT = 3.5
"""Standard deviations from which on a peak is let into the plot."""
HIGHEST_PEAK = 60.0
"""How many times higher than nearly all of the spectrum a peak may be to be shown whole."""
FEATURES = {"Ly\N{GREEK SMALL LETTER ALPHA}": 1215.7, "C IV": 1549.5, "C III]": 1908.7, "Mg II": 2799.5, "[O II]": 3728.5,
            "K": 3934.8, "H": 3969.6, "Hδ": 4102.9, "G": 4305.6, "Hβ": 4862.7, "[O III]": 5008.2, "Mg": 5176.6, "Na": 5895.6,
            "H\N{GREEK SMALL LETTER ALPHA}": 6564.6}  # fmt: skip
"""Where people look first; vacuum wavelengths at rest, Angstrom."""
AIR = 1.00028
"""Refraction, good enough for a mark on a plot."""


def render_preview(data: SpectrumData, row: Row) -> bytes:
    """A plot of a spectrum as PNG, 1200 by 500 pixels.

    The curve is the flux; the shade below is its standard deviation, drawn from zero (from the foot of the plot where zero
    is not on it). Masked stretches are grey. The flux axis leaves out what only a few pixels reach, unless they are
    significant. Never fails for want of data: without any it says so.

    Parameters
    ----------
    data
        The arrays; NaN where there is nothing.
    row
        The spectrum's row of the manifest (spectrum_id, target_name, redshift, target_class, snr, flux_unit, wave_medium,
        simulated are used, all may be missing).
    """
    canvas = np.full((HEIGHT, WIDTH), plot.PAPER, dtype=np.uint8)
    area = canvas[TOP : HEIGHT - BOTTOM, LEFT : WIDTH - RIGHT]
    _title(canvas, row)
    span, levels = _wave_span(data), _flux_range(data)
    if span is None or levels is None:
        plot.stamp(canvas, plot.label("no valid data", 22), (LEFT + WIDTH - RIGHT) / 2, HEIGHT / 2 - 20, align=0.5)
        _frame(canvas)
        return plot.png(canvas)
    _curve(area, data, span, levels, LINE_WIDTH, band=True)
    _features(canvas, row, span)
    _frame(canvas)
    _wave_axis(canvas, span, str(row.get("wave_medium") or ""))
    _flux_axis(canvas, levels, str(row.get("flux_unit") or ""))
    return plot.png(canvas)


def render_thumbnail(data: SpectrumData) -> bytes:
    """The curve alone, 200 by 84 pixels, as PNG."""
    canvas = np.full((THUMB_HEIGHT, THUMB_WIDTH), plot.PAPER, dtype=np.uint8)
    span, levels = _wave_span(data), _flux_range(data)
    if span is not None and levels is not None:
        _curve(canvas, data, span, levels, 1.3, band=False)
    canvas[-1] = np.where(canvas[-1] > plot.INKS, canvas[-1], plot.FAINT + 8)
    return plot.png(canvas)


def _wave_span(data: SpectrumData) -> tuple[float, float] | None:
    wave = data.wave[np.isfinite(data.wave)]
    if wave.size == 0:
        return None
    low, high = float(wave.min()), float(wave.max())
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _flux_range(data: SpectrumData) -> tuple[float, float] | None:
    """Ends of the flux axis: nearly all good pixels, and significant peaks."""
    flux = np.asarray(data.flux, dtype=float)
    finite = np.isfinite(flux)
    good = finite & (data.qual == 0)
    if not good.any():
        good = finite
    if not good.any():
        return None
    values = flux[good]
    err = np.nan_to_num(np.asarray(data.err, dtype=float)[good], nan=0.0, posinf=0.0, neginf=0.0)
    low, middle, high = np.percentile(values, (1, 50, 98.5))
    # A peak is let in where it stands out of the noise after a running median of three: a wild pixel does not survive that.
    if values.size > 2:
        _, second, first = np.sort(np.stack([values[:-2], values[1:-1], values[2:]]) - middle, axis=0)
        noise = err[1:-1]
        peaks = np.minimum(first, 2 * second)[(second > SIGNIFICANT * noise) & (noise > 0)]
        if peaks.size:
            high = max(high, middle + min(float(peaks.max()), HIGHEST_PEAK * (high - middle)))
    if 0 < low < 0.6 * high:
        low = 0.0
    if not high > low:
        pad = abs(high) * 0.1 or 1.0
        return float(low - pad), float(high + pad)
    pad = 0.07 * (high - low)
    return float(low if low == 0 else low - pad), float(high + 2.0 * pad)


def _curve(area: plot.Indices, data: SpectrumData, span: tuple[float, float], levels: tuple[float, float], width: float, *,
           band: bool) -> None:  # fmt: skip
    height, columns = area.shape
    edges = np.linspace(*span, columns + 1)
    order = slice(None) if np.all(np.diff(data.wave) > 0) else np.argsort(data.wave)
    wave, flux, err = (np.asarray(values, dtype=float)[order] for values in (data.wave, data.flux, data.err))
    to_row = height / (levels[1] - levels[0])
    rows = np.clip((levels[1] - flux) * to_row, -2 * height, 3 * height)
    top, bottom = _extent(wave, rows, edges)
    thin = np.maximum(0.0, width - (bottom - top)) / 2
    middles = (edges[1:] + edges[:-1]) / 2
    if band:
        foot = np.full(columns, (levels[1] - max(0.0, levels[0])) * to_row)
        noise = np.interp(middles, wave, np.clip(np.nan_to_num(err), 0, 2 * (levels[1] - levels[0])))
        plot.draw(area, foot - noise * to_row, foot, plot.BAND)
    bad = (np.asarray(data.qual)[order] != 0) | ~np.isfinite(flux)
    area[:, np.interp(middles, wave, bad) >= 0.5] = plot.MASK
    plot.draw(area, top - thin, bottom + thin)


def _extent(wave: Floats, rows: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Smallest and largest row of the polyline in each column, NaN where it has a gap."""
    ends = np.interp(edges, wave, rows)
    low, high = np.fmin(ends[:-1], ends[1:]), np.fmax(ends[:-1], ends[1:])
    starts = np.searchsorted(wave, edges)
    filled = np.flatnonzero(np.diff(starts) > 0)
    if filled.size:
        cuts = starts[:-1][filled]
        inside = rows[: starts[-1]]
        low[filled] = np.fmin(low[filled], np.fmin.reduceat(inside, cuts))
        high[filled] = np.fmax(high[filled], np.fmax.reduceat(inside, cuts))
    return low, high


def _frame(canvas: plot.Indices) -> None:
    shade = plot.FAINT + 10
    canvas[HEIGHT - BOTTOM, LEFT - 1 : WIDTH - RIGHT + 1] = shade
    canvas[TOP - 1, LEFT - 1 : WIDTH - RIGHT + 1] = plot.FAINT + 5
    canvas[TOP - 1 : HEIGHT - BOTTOM + 1, LEFT - 1] = shade
    canvas[TOP - 1 : HEIGHT - BOTTOM + 1, WIDTH - RIGHT] = plot.FAINT + 5


def _title(canvas: plot.Indices, row: Row) -> None:
    name = str(row.get("target_name") or row.get("spectrum_id") or "")
    ink = plot.label(name[:50], 24)
    plot.stamp(canvas, ink, LEFT, 8)
    facts = []
    if row.get("redshift") is not None:
        facts.append(f"z = {row['redshift']:.4f}".replace("-", "−"))  # noqa: RUF001 - a minus sign
    if row.get("target_class") not in {None, "UNKNOWN"}:
        facts.append({"QSO": "QSO"}.get(row["target_class"], str(row["target_class"]).lower()))
    if row.get("snr") is not None and np.isfinite(row["snr"]):
        facts.append(f"S/N {row['snr']:.1f}")
    plot.stamp(canvas, plot.label("   ".join(facts), 20), LEFT + ink.shape[1] + 28, 12)
    right = float(WIDTH - RIGHT)
    identifier = str(row.get("spectrum_id") or "")
    if identifier and identifier != name:
        ink = plot.label(identifier[:40], 16)
        plot.stamp(canvas, ink, right, 15, plot.FAINT, align=1)
        right -= ink.shape[1] + 18
    if row.get("simulated"):
        plot.stamp(canvas, plot.label("simulated", 18), right, 13, plot.WARM, align=1)


def _features(canvas: plot.Indices, row: Row, span: tuple[float, float]) -> None:
    """Marks at the top where known lines are, at the spectrum's redshift."""
    z = row.get("redshift")
    if z is None or row.get("target_class") == "STAR":
        return
    taken = 0.0
    for name, rest in FEATURES.items():
        wave = rest * (1 + z) / (AIR if row.get("wave_medium") == "air" else 1.0)
        x = LEFT + (wave - span[0]) / (span[1] - span[0]) * (WIDTH - LEFT - RIGHT)
        if not LEFT + 8 < x < WIDTH - RIGHT - 8:
            continue
        canvas[TOP : TOP + 9, round(x)] = plot.FAINT + 12
        ink = plot.label(name, 14)
        if x - ink.shape[1] / 2 > taken:
            plot.stamp(canvas, ink, x, TOP + 9, plot.FAINT, align=0.5)
            taken = x + ink.shape[1] / 2 + 3


def _wave_axis(canvas: plot.Indices, span: tuple[float, float], medium: str) -> None:
    base = HEIGHT - BOTTOM
    for value in plot.ticks(*span, 9):
        x = LEFT + (value - span[0]) / (span[1] - span[0]) * (WIDTH - LEFT - RIGHT)
        canvas[base : base + 7, min(round(x), WIDTH - RIGHT)] = plot.FAINT + 12
        plot.stamp(canvas, plot.label(f"{value:g}", 17), x, base + 8, align=0.5)
    text = f"Wavelength (Å, {medium})" if medium else "Wavelength (Å)"
    plot.stamp(canvas, plot.label(text, 18), (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 31, align=0.5)
    plot.stamp(
        canvas, plot.label("shaded: noise (1\N{GREEK SMALL LETTER SIGMA})", 14), WIDTH - RIGHT, HEIGHT - 28, plot.FAINT, align=1
    )


def _flux_axis(canvas: plot.Indices, levels: tuple[float, float], unit: str) -> None:
    largest = max(abs(levels[0]), abs(levels[1]))
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    power = 0 if -2 <= power <= 3 else power
    values = plot.ticks(levels[0] / 10.0**power, levels[1] / 10.0**power, 5)
    step = values[1] - values[0] if values.size > 1 else 1.0
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    digits += int(round(step * 10**digits, 6) % 1 > 0)
    for value in values:
        y = TOP + (levels[1] - value * 10.0**power) / (levels[1] - levels[0]) * (HEIGHT - TOP - BOTTOM)
        canvas[min(round(y), HEIGHT - BOTTOM), LEFT - 7 : LEFT] = plot.FAINT + 12
        plot.stamp(canvas, plot.label(f"{value:.{digits}f}".replace("-", "−"), 17), LEFT - 11, y - 13, align=1)  # noqa: RUF001 - a minus sign
    factor = f"10^{{{power}}} ".replace("-", "−") if power else ""  # noqa: RUF001 - a minus sign
    named = f"{factor}{plot.spelled(unit)}".strip()
    ink = plot.label(f"Flux ({named})" if named else "Flux", 18, upright=True)
    plot.stamp(canvas, ink, 4, TOP + (HEIGHT - TOP - BOTTOM - ink.shape[0]) / 2)

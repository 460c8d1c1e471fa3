"""Pictures of the report, as PNG files in memory. Matplotlib without a window, and without what depends on the machine."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from specola_pipeline.quality.rows import Row
from specola_pipeline.quality.thresholds import ACCEPTED, REJECTED, UNSURE, Limit
from specola_pipeline.reduce.results import ObjectSpectrum, SlitResult

__all__ = ["COLOURS", "figures_of_mask", "picture_of_slit"]

COLOURS = {ACCEPTED: "#2a7f62", UNSURE: "#c77f0a", REJECTED: "#b3261e"}
"""One colour a state, on the page and in its pictures."""

_GRAY = colormaps["gray"].with_extremes(bad="#c9d4e5")

_PANELS = (
    ("wavelength_rms", "wavelength rms [px]"),
    ("sky_offset", "sky lines less arc [px]"),
    ("sky_chi", "sky residual / noise"),
    ("line_chi", "the same on sky lines"),
    ("photon_limit", "noise / photon limit"),
    ("flat_signal", "flat [electron/px]"),
    ("snr", "S/N per px"),
    ("profile_fwhm", "object FWHM [arcsec]"),
)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=85, metadata={"Software": None})
    return stream.getvalue()


def figures_of_mask(rows: Sequence[Row], limits: Sequence[Limit]) -> bytes:
    """Eight figures of a mask's slits, a point a slit and exposure in the colour of its state, and the limits as lines."""
    by_name = {limit.figure: limit for limit in limits}
    slits = sorted({row["slit_id"] for row in rows if row["slit_id"]})
    figure = Figure(figsize=(12.5, 5.0))
    figure.subplots_adjust(0.045, 0.06, 0.995, 0.95, 0.2, 0.3)
    for axes, (name, label) in zip(figure.subplots(2, 4).flat, _PANELS, strict=True):
        points = [(slits.index(row["slit_id"]), row[name], COLOURS[row["state"]]) for row in rows if _drawn(row, name)]
        if points:
            x, y, colours = zip(*points, strict=True)
            axes.scatter(x, y, c=colours, s=18, linewidths=0, zorder=3)
        else:
            axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes, color="#777777")
        _limits(axes, by_name.get(name), [point[1] for point in points])
        axes.set_title(label, fontsize=9, loc="left")
        axes.set_xlim(-0.7, max(len(slits), 1) - 0.3)
        step = max(1, math.ceil(len(slits) / 8))
        ticks = range(0, len(slits), step)
        axes.set_xticks(list(ticks), [slits[tick].rsplit("_", 1)[-1] for tick in ticks], fontsize=8)
        axes.tick_params(axis="y", labelsize=8)
        axes.grid(axis="y", color="#e5e5e5", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    return _png(figure)


def _drawn(row: Row, name: str) -> bool:
    return bool(row["slit_id"]) and row[name] is not None


def _limits(axes: Axes, limit: Limit | None, values: Sequence[float]) -> None:
    """Lines of the limits that lie within reach of the points: a limit far away would flatten them."""
    if limit is None or not values:
        return
    reach = 3 * max(map(abs, values))
    for state, value in ((UNSURE, limit.unsure), (REJECTED, limit.rejected)):
        signs = (1, -1) if min(values) < 0 else (1,)
        for sign in signs:
            if abs(value) <= reach:
                axes.axhline(sign * value, color=COLOURS[state], lw=0.9, ls="--", zorder=2)


def picture_of_slit(slit: SlitResult) -> bytes:
    """The slit's sky-subtracted spectrum in units of its noise, its brightest object, and the profile along the slit."""
    figure = Figure(figsize=(12.5, 3.8))
    grid = figure.add_gridspec(
        2,
        2,
        left=0.055,
        right=0.995,
        bottom=0.125,
        top=0.94,
        wspace=0.06,
        hspace=0.4,
        width_ratios=(6, 1),
        height_ratios=(1, 1.2),
    )
    image, profile, spectrum = (figure.add_subplot(cell) for cell in (grid[0, 0], grid[0, 1], grid[1, :]))
    _image(image, profile, slit)
    if slit.objects:
        _spectrum(spectrum, slit.objects[0])
    else:
        spectrum.text(0.5, 0.5, "no object was found in this slit", ha="center", va="center", color="#777777")
        spectrum.set_axis_off()
    for axes in (image, profile, spectrum):
        axes.tick_params(labelsize=8)
    return _png(figure)


def _image(image: Axes, profile: Axes, slit: SlitResult) -> None:
    two = slit.rectified
    if two is None:
        image.text(0.5, 0.5, "no exposure of this slit could be used", ha="center", va="center", color="#777777")
        for axes in (image, profile):
            axes.set_axis_off()
        return
    with np.errstate(all="ignore"):
        ratio = np.asarray(two.flux / np.sqrt(two.variance), dtype=float)
    known = np.isfinite(ratio)
    along = np.where(known, ratio, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    extent: Any = (two.wavelength[0], two.wavelength[-1], two.place[0], two.place[-1])
    image.imshow(ratio, vmin=-3, vmax=8, aspect="auto", origin="lower", cmap=_GRAY, extent=extent, interpolation="nearest")
    image.set_ylabel("arcsec", fontsize=8)
    image.set_title("sky-subtracted, in units of the noise", fontsize=9, loc="left")
    profile.plot(along, two.place, lw=0.9, color="#333333")
    for thing in slit.objects:
        profile.axhline(thing.place, color=COLOURS[ACCEPTED], lw=0.8, ls=":")
    profile.set_ylim(extent[2], extent[3])
    profile.set_title("mean", fontsize=9, loc="left")
    profile.spines[["top", "right"]].set_visible(False)


def _spectrum(axes: Axes, thing: ObjectSpectrum) -> None:
    calibrated = thing.flux is not None and thing.flux_variance is not None
    flux = np.asarray(thing.flux if calibrated else thing.counts, dtype=float)
    with np.errstate(invalid="ignore"):
        noise = np.sqrt(np.asarray(thing.flux_variance if calibrated else thing.variance, dtype=float))
    scale = 1e17 if calibrated else 1.0
    axes.plot(thing.wavelength, flux * scale, lw=0.7, color="#1f3d7a")
    axes.plot(thing.wavelength, np.where(np.isfinite(noise), noise, np.nan) * scale, lw=0.6, color="#b0b0b0")
    finite = flux[np.isfinite(flux)] * scale
    if finite.size:
        low, high = np.percentile(finite, (1, 99.5))
        axes.set_ylim(min(0.0, low) - 0.05 * abs(high), 1.25 * high if high > 0 else 1.0)
    axes.set_xlim(thing.wavelength[0], thing.wavelength[-1])
    axes.set_xlabel("vacuum wavelength [Angstrom]", fontsize=8)
    axes.set_ylabel("1e-17 erg/s/cm2/Å" if calibrated else "electrons/Å", fontsize=8)
    axes.set_title("brightest object (blue) and its noise (grey)", fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)

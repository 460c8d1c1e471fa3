# ruff: noqa: INP001
"""Make the figure of docs/reduction.md again, from a night that was simulated and reduced as the page says.

specola-reduce simulate night --seed 5
specola-reduce run night/raw reduced --workers 2
python docs/images/make_reduction_figures.py night reduced
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from specola_pipeline.instruments import Kind
from specola_pipeline.reduce.results import MaskResult
from specola_pipeline.reduce.run import run
from specola_pipeline.simulate import read_truth

HERE = Path(__file__).resolve().parent
SLIT = 16
"""One with a galaxy bright enough to be seen and an emission line."""


def figure_of(mask: MaskResult, night: Path) -> Figure:
    """A slit of the first exposure: what was seen, the sky that was fitted, what is left, and the flux beside the truth."""
    images = mask.images(0, SLIT)
    sources = read_truth(night).sources()
    slit = next(one for one in mask.slits() if one.number == SLIT)
    figure = Figure(figsize=(9.5, 6.6))
    figure.subplots_adjust(0.075, 0.075, 0.99, 0.965, hspace=0.55)
    seen, sky, left, flux = figure.subplots(4, 1, height_ratios=(1, 1, 1, 2.2))
    column = images.position.shape[1] // 2
    extent = (images.wavelength[0, column], images.wavelength[-1, column], 0, images.position.shape[1])
    style = {"aspect": "auto", "origin": "lower", "interpolation": "nearest", "cmap": "gray", "extent": extent}
    inside = images.inside & (images.mask == 0)
    low, high = np.percentile(images.data[inside], (1, 98))
    noise = (images.data - images.sky) / np.sqrt(images.variance)
    for axes, image, title, limits in (
        (seen, images.data, "flat-fielded frame (electrons): sky lines, a galaxy, cosmic rays", (low, high)),
        (sky, images.sky, "the sky as it was fitted, line by line where it is on the pixels", (low, high)),
        (left, noise, "what is left, in units of its noise (blue: cosmic rays and bad pixels, not used)", (-3, 8)),
    ):
        axes.imshow(np.where(images.inside, image, np.nan).T, vmin=limits[0], vmax=limits[1], **style)
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_ylabel("pixel", fontsize=8)
    cover = np.where(images.inside & (images.mask != 0), 1.0, np.nan)
    left.imshow(cover.T, vmin=0, vmax=1, **{**style, "cmap": "Blues"})
    thing = slit.objects[0]
    known = np.flatnonzero([one["slit"] == SLIT for one in read_truth(night).mask["sources"]])
    brightest = max(known, key=lambda one: float(np.median(sources["flux"][one])))
    flux.plot(thing.wavelength, 1e17 * thing.flux, color="#1d3c78", lw=0.7, label="reduced, three exposures")
    flux.plot(thing.wavelength, 1e17 * np.sqrt(thing.flux_variance), color="0.65", lw=0.7, label="its error")
    true = np.interp(thing.wavelength, sources["wavelength"], sources["flux"][brightest])
    through = float(np.nanmedian(thing.flux / true))
    label = f"put in, times {through:.2f}: what comes through the slit"
    flux.plot(thing.wavelength, 1e17 * through * true, color="#c77f0a", lw=0.9, label=label)
    flux.set(xlim=(extent[0], 8900), ylim=(0, np.nanpercentile(1e17 * thing.flux, 99.7) * 1.3))
    flux.set_ylabel("1e-17 erg/s/cm2/Å", fontsize=8)
    flux.set_xlabel("vacuum wavelength (Å)", fontsize=8)
    flux.legend(fontsize=8, loc="upper left", frameon=False)
    for axes in (seen, sky, left, flux):
        axes.tick_params(labelsize=8)
    return figure


def main() -> None:
    """Write the PNG beside this file."""
    night, reduced = Path(sys.argv[1]), Path(sys.argv[2])
    (mask,) = (one for one in run(night / "raw", reduced / "work").masks if one.group.kind is Kind.SCIENCE)
    figure_of(mask, night).savefig(HERE / "reduction-slit.png", dpi=90)


if __name__ == "__main__":
    main()

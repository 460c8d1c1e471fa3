# ruff: noqa: INP001
"""Make the figures of docs/simulator.md again, from a night that was simulated as the page says.

specola-reduce simulate night --exposures 1 --standards 0 --biases 1 --flats 1 --arcs 1 --seed 3
python docs/images/make_simulator_figures.py night
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from matplotlib.figure import Figure

from specola_pipeline.simulate import read_truth

HERE = Path(__file__).resolve().parent


def frame_figure(raw: np.ndarray, slits: np.ndarray) -> Figure:
    """The raw frame, turned so that wavelength runs to the right, and three slits of it."""
    figure = Figure(figsize=(10, 7.2))
    figure.subplots_adjust(0.06, 0.07, 0.99, 0.96, hspace=0.35)
    top, *others = figure.subplots(4, 1, height_ratios=(4, 1, 1, 1))
    low, high = np.percentile(raw, (2, 98.5))
    style = {"cmap": "gray", "vmin": low, "vmax": high, "aspect": "auto", "origin": "lower", "interpolation": "nearest"}
    top.imshow(raw[::2, ::2].T, extent=(0, raw.shape[0], 0, raw.shape[1]), **style)
    top.set_title("raw science frame (ADU), wavelength to the right", fontsize=9, loc="left")
    names = [name for name in np.unique(slits) if name]
    for axes, name in zip(others, names[10:46:15], strict=True):
        rows, columns = np.nonzero(slits == name)
        part = raw[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        middle = slice(part.shape[0] // 3, part.shape[0] // 3 + 900)
        axes.imshow(part[middle].T, **style)
        axes.set_title(f"slit {name}, 900 rows", fontsize=9, loc="left")
    for axes in (top, *others):
        axes.tick_params(labelsize=8)
    return figure


def sky_figure(raw: np.ndarray, diffuse: np.ndarray, wavelength: np.ndarray, column: int, gain: float) -> Figure:
    """A column of a slit: the expected sky, and the raw frame."""
    figure = Figure(figsize=(10, 3.4))
    figure.subplots_adjust(0.07, 0.14, 0.99, 0.93)
    axes = figure.subplots()
    inside = np.isfinite(wavelength[:, column])
    axes.plot(wavelength[inside, column], raw[inside, column] * gain, lw=0.4, color="#b0b0b0", label="raw frame")
    axes.plot(wavelength[inside, column], diffuse[inside, column], lw=0.7, color="#16498c", label="expected")
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(float(np.percentile(diffuse[inside, column], 1)) / 2, 1.0))
    axes.set_xlabel("vacuum wavelength [Angstrom]", fontsize=9)
    axes.set_ylabel("electrons a pixel", fontsize=9)
    axes.set_xlim(4850, 9850)
    axes.legend(frameon=False, fontsize=9)
    return figure


def save(figure: Figure, name: str) -> None:
    """Write a PNG of 256 colours: the frame's noise does not compress otherwise."""
    import io

    from PIL import Image

    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=95)
    Image.open(stream).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(HERE / f"{name}.png", optimize=True)


def main(folder: Path) -> None:
    """Both figures."""
    truth = read_truth(folder)
    file = next(frame["file"] for frame in truth.frames if frame["kind"] == "science")
    with fits.open(folder / "raw" / file) as hdus:
        level = float(np.median(hdus[0].data[:, :50]))
        raw = hdus[0].data[:, 50:2098].astype(float) - level
        gain = float(hdus[0].header["ESO DET OUT1 CONAD"])
    one = truth.frame(file)
    save(frame_figure(raw, np.asarray(one.slit)), "simulated-frame")
    names, counts = np.unique(np.asarray(one.slit)[one.slit > 0], return_counts=True)
    columns = np.nonzero((one.slit == names[np.argmax(counts)]).any(axis=0))[0]
    save(sky_figure(raw, np.asarray(one.diffuse), np.asarray(one.wavelength), int(columns[4]), gain), "simulated-sky")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

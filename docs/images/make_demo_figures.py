# ruff: noqa: INP001
"""Make the figures of docs/demo-survey.md again (needs matplotlib, which Specola itself does not).

python docs/images/make_demo_figures.py
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from ingest.mock import tables  # noqa: E402
from ingest.mock.geometry import QUADRANT_SIZE, QUADRANTS, centre, layout  # noqa: E402
from ingest.mock.instrument import detector  # noqa: E402
from ingest.mock.masks import SPECTRUM_LENGTH  # noqa: E402
from ingest.mock.pointing import Observation, simulate  # noqa: E402
from ingest.mock.redshifts import OUTLIER  # noqa: E402
from ingest.mock.setup import Mock  # noqa: E402
from ingest.spectrum_plot import render_preview  # noqa: E402
from specola_bundle.specfile import SpectrumData  # noqa: E402

BLUE, ORANGE, GREY = "#16498c", "#d97a1a", "#b8b8b8"


def masks(axes: plt.Axes, one: Observation) -> None:
    """The four masks of a pointing: objects, targets, slits, and where the spectra fall."""
    axes.plot(one.objects.x, one.objects.y, ".", ms=1, color=GREY, label="parent catalogue")
    axes.plot(one.objects.x[one.targets], one.objects.y[one.targets], ".", ms=2, color=ORANGE, label="targets")
    for i in range(len(one.slits)):
        x, y, length = one.slits.x[i], one.slits.y[i], one.slits.length[i] / 60
        half = SPECTRUM_LENGTH / 120
        axes.add_patch(Rectangle((x - length / 2, y - half), length, 2 * half, fc=BLUE, alpha=0.22, lw=0))
        axes.plot([x - length / 2, x + length / 2], [y, y], color=BLUE, lw=1.2, label="slits" if i == 0 else None)
    for quadrant in QUADRANTS:
        x, y = centre(quadrant)
        axes.add_patch(
            Rectangle((x - QUADRANT_SIZE[0] / 2, y - QUADRANT_SIZE[1] / 2), *QUADRANT_SIZE, fill=False, ec="black", lw=1)
        )
    axes.set(xlim=(9, -9), ylim=(-10, 10), aspect="equal", xlabel="east (arcmin)", ylabel="north (arcmin)")
    axes.set_title(f"Pointing {one.pointing.name}", fontsize=10)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncol=3, fontsize=8, frameon=False, markerscale=4)


def redshifts(axes: plt.Axes, sky: list[Observation]) -> None:
    """Redshift distributions of the galaxies of the parent catalogue and of those with a secure redshift."""
    bins = np.arange(0, 1.61, 0.05)
    parents = np.concatenate([o.objects.z[(o.objects.kind == 0) & (o.objects.mag_i < 22.5)] for o in sky])
    targets = np.concatenate([o.objects.z[(o.objects.kind == 0) & o.targets] for o in sky])
    secure = [z for o in sky for z, flag in zip(o.measured.z, o.measured.flags, strict=True) if flag.secure and z]
    axes.hist(parents, bins, color=GREY, label="parent galaxies, i < 22.5")
    axes.hist(targets, bins, color=ORANGE, histtype="step", lw=1.6, label="targets (after the colour cut)")
    axes.hist(secure, bins, color=BLUE, label="secure measured redshifts")
    axes.set(xlabel="redshift", ylabel="number in 0.05", xlim=(0, 1.6))
    axes.legend(fontsize=8, frameon=False)


def truth(axes: plt.Axes, sky: list[Observation]) -> None:
    """Measured against true redshift, by confidence."""
    z = np.array([np.nan if v is None else v for o in sky for v in o.measured.z])
    true = np.concatenate([o.objects.z[o.shown] for o in sky])
    confidence = np.array([flag.confidence for o in sky for flag in o.measured.flags])
    for flag, colour, size in ((4, BLUE, 2), (3, "#4f8fd6", 2), (2, ORANGE, 3), (1, "#b03a2e", 4)):
        some = confidence == flag
        right = np.mean(np.abs(z - true)[some] < OUTLIER * (1 + true[some]))
        axes.plot(true[some], z[some], "o", ms=size, mew=0, color=colour, label=f"flag {flag}: {100 * right:.1f} % right")
    axes.set(xlim=(-0.05, 1.6), ylim=(-0.05, 1.6), xlabel="true redshift", ylabel="measured redshift")
    axes.legend(fontsize=8, frameon=False, loc="upper left", markerscale=2)


def overview(sky: list[Observation]) -> None:
    """Masks, redshift distribution, measured against true."""
    figure, axes = plt.subplots(1, 3, figsize=(13.5, 4.9), width_ratios=(1.0, 1.1, 1.1), layout="constrained")
    masks(axes[0], sky[0])
    redshifts(axes[1], sky)
    truth(axes[2], sky)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=95)
    image = Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    image.save(HERE / "demo-survey.png", optimize=True)


def spectra(sky: list[Observation]) -> None:
    """Four plots as the archive serves them."""
    wanted = (
        lambda o, i: o.measured.flags[i].confidence == 4 and o.objects.galaxy_type[o.shown[i]] < 1 and 12 < o.snr[i] < 20,
        lambda o, i: o.measured.flags[i].confidence == 3 and o.objects.galaxy_type[o.shown[i]] > 4 and 5 < o.snr[i] < 9,
        lambda o, i: o.measured.flags[i].broad_line and 12 < o.snr[i] < 30 and 1 < o.objects.z[o.shown[i]] < 2,
        lambda o, i: o.measured.flags[i].confidence == 2 and (o.observed.qual[i] == 2).any(),
    )
    plots = []
    for wish in wanted:
        one, i = next((o, i) for o in sky for i in range(o.shown.size) if wish(o, i))
        row = tables.spectrum_rows(one)[i]
        seen = one.observed
        data = SpectrumData(detector().air, seen.flux[i].astype("f4"), seen.err[i].astype("f4"), seen.qual[i])
        plot = Image.open(io.BytesIO(render_preview(data, row))).convert("RGB")
        plots.append(plot.resize((780, 325), Image.Resampling.LANCZOS))
    sheet = Image.new("RGB", (1580, 660), "white")
    for number, plot in enumerate(plots):
        sheet.paste(plot, ((number % 2) * 800, (number // 2) * 335))
    sheet.quantize(64, dither=Image.Dither.NONE).save(HERE / "demo-spectra.png", optimize=True)


def main() -> None:
    """Make both."""
    mock = Mock()
    sky = [simulate(mock, pointing) for pointing in layout(mock)]
    overview(sky)
    spectra(sky)


if __name__ == "__main__":
    main()

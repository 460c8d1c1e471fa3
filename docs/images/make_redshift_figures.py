# ruff: noqa: INP001
"""Make figures again: a simulated spectrum with its model and the lines that were seen, and a quasar with broad absorption.

The first is of docs/lines.md. The second, of docs/redshifts.md, wants the real data of the tests (SPECOLA_SHARED_DATA).

python docs/images/make_redshift_figures.py
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits

mpl.use("agg")
from matplotlib import pyplot as plt
from scipy.ndimage import median_filter

from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from specola_pipeline.derived.write import Options, measure_bundle
from specola_pipeline.redshift.absorption import troughs
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.prepare import prepare
from specola_pipeline.redshift.readers import read_spectra
from specola_pipeline.redshift.refine import Fit

HERE = Path(__file__).resolve().parent
QUASAR = "sdss/spec-3655-55240-0110.fits.gz"
QUASAR_LINES = {
    "Ly\u03b1": 1215.67, "N V": 1240.15, "Si IV": 1398.27, "C IV": 1549.06, "Al III": 1858.76, "C III]": 1908.73,
    "Mg II": 2799.12,
}  # fmt: skip


def main() -> None:
    """Draw what there are data for."""
    simulated()
    data = Path(os.environ.get("SPECOLA_SHARED_DATA", HERE.parents[2] / "shared" / "data"))
    if (data / QUASAR).exists():
        broad_absorption(data / QUASAR)


def broad_absorption(path: Path) -> None:
    """The quasar with the lines of SDSS' redshift, and our models without and with a look behind outflows."""
    (spectrum,) = read_spectra(path)
    data = prepare(spectrum)
    figure, panels = plt.subplots(3, 1, figsize=(9, 6.6), sharex=True, layout="constrained")
    panels[0].set_title("SDSS, z = 3.388", loc="left", fontsize=9)
    redshifts = [3.388]
    for axes, outflows in ((panels[1], False), (panels[2], True)):
        best = Redshifter(outflows=outflows).measure(spectrum).best
        if best is None:
            raise SystemExit(f"{path} has no redshift")
        words = "what is shaded is left out" if outflows else "all pixels"
        axes.set_title(f"ours, {words}: z = {best.z:.3f}", loc="left", fontsize=9)
        axes.plot(data.wave, best.model, color="tab:orange", lw=1)
        if outflows:
            fit = Fit("QSO", best.template, best.z, best.z_err, 0.0, best.model / data.scale, {}, 0)
            axes.fill_between(data.wave, -0.5, 13.5, where=troughs(data, fit), color="tab:blue", alpha=0.2, lw=0)
        redshifts.append(best.z)
    for axes, z in zip(panels, redshifts, strict=True):
        axes.plot(data.wave, median_filter(data.flux * data.scale, 11), color="black", lw=0.6)
        for name, wave in QUASAR_LINES.items():
            if wave * (1 + z) < data.wave[-1]:
                axes.axvline(wave * (1 + z), color="tab:blue", lw=0.8, ls=":")
                axes.text(wave * (1 + z), 12.3, f" {name}", color="tab:blue", fontsize=7)
        axes.set(xlim=(data.wave[0], data.wave[-1]), ylim=(-0.5, 13.5), ylabel="flux")
    panels[-1].set_xlabel("vacuum wavelength [\u00c5]")
    figure.savefig(HERE / "redshift-broad-absorption.png", dpi=98)


def simulated() -> None:
    """Measure forty simulated spectra and draw the one with the most lines."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_mock(folder / "mock", Mock(spectra=40, seed=5))
        measure_bundle(folder / "mock", folder / "measured", Options(classes=("GALAXY",), workers=1))
        rows = pq.read_table(folder / "measured" / "catalogues" / "lines.parquet").to_pylist()
        seen = [row for row in rows if row["detected"]]
        names = [row["spectrum_id"] for row in seen if row["flux"] > 0]
        chosen = max(sorted(set(names)), key=names.count)
        files = pq.read_table(folder / "measured" / "catalogues" / "files.parquet").to_pylist()
        file = next(row["file"] for row in files if row["spectrum_id"] == chosen)
        with fits.open(folder / "measured" / file) as hdus:
            table, header = hdus[1].data, hdus[1].header
    lines = [row for row in seen if row["spectrum_id"] == chosen]
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    axes.plot(table["WAVE"], table["FLUX"], color="0.35", lw=0.6, label="spectrum")
    axes.plot(table["WAVE"], table["ERR"], color="0.75", lw=0.6, label="its error")
    axes.plot(table["WAVE"], table["MODEL"], color="tab:orange", lw=1.2, label=f"model, {header['CLASS']} at {header['Z']:.4f}")
    top = 1.35 * np.nanpercentile(table["FLUX"], 99.8)
    for number, row in enumerate(lines):
        place = row["wave_rest"] * (1 + row["z"])
        axes.axvline(place, color="tab:blue", lw=0.6, ls=":")
        words = f"{row['line_name']}  {row['ew_rest']:.1f} Å" if row["ew_rest"] is not None else row["line_name"]
        axes.text(place, top * (0.97 - 0.09 * (number % 3)), words, color="tab:blue", fontsize=7, ha="center", va="top")
    unit = header["TUNIT2"]
    axes.set(ylim=(-0.1 * top, top), xlabel=f"wavelength [Å], {header['WAVEMED']}", ylabel=f"flux [{unit}]")
    axes.legend(loc="upper center", bbox_to_anchor=(0.52, 0.85), fontsize=8)
    figure.savefig(HERE / "redshift-lines.png", dpi=90)


if __name__ == "__main__":
    main()

# ruff: noqa: INP001
"""Make the figure of docs/lines.md again: a simulated spectrum with its model and the lines that were seen.

python docs/images/make_redshift_figures.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow.parquet as pq
from astropy.io import fits

mpl.use("agg")
from matplotlib import pyplot as plt

from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from specola_pipeline.derived.write import Options, measure_bundle

HERE = Path(__file__).resolve().parent


def main() -> None:
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

"""A page with every spectrum whose redshift came out wrong: the spectrum, our model, and the best model at the true redshift."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from specola_pipeline.redshift.lines import line_list
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.prepare import Prepared, UnmeasurableError, prepare
from specola_pipeline.redshift.refine import Fit, Refiner
from specola_pipeline.redshift.scan import Scanner
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.redshift.templates import load_library

__all__ = ["best_fit_at", "write_gallery"]


def best_fit_at(scanner: Scanner, refiner: Refiner, data: Prepared, z: float, reach: float = 0.003) -> Fit | None:
    """The best fit of any template within ``reach`` (1 + z) of a redshift; None where no class covers it.

    The scanner has to be exact at every lag (``within`` infinite).
    """
    best: tuple[float, str, int, float] | None = None
    for scan in scanner.scan(data):
        inside = np.abs(scan.z - z) < reach * (1 + z)
        if inside.any():
            gain = np.where(inside, scan.gain, -np.inf)
            template, lag = np.unravel_index(int(np.argmax(gain)), gain.shape)
            if best is None or gain[template, lag] > best[0]:
                best = (float(gain[template, lag]), scan.spectral_class, int(template), float(scan.z[lag]))
    return None if best is None else refiner.refine(data, *best[1:])


def write_gallery(path: Path, wrong: list[tuple[str, float, str, Spectrum]]) -> None:
    """Write the page; ``wrong`` has name, true redshift, flag or class, and spectrum."""
    library = load_library()
    scanner, refiner, redshifter = Scanner(library, within=np.inf), Refiner(library), Redshifter(library)
    parts = []
    for name, z, flag, spectrum in wrong:
        try:
            data = prepare(spectrum)
        except UnmeasurableError as reason:
            parts.append(f"<h2>{html.escape(name)}</h2><p>No redshift: {html.escape(str(reason))}</p>")
            continue
        result = redshifter.measure(spectrum)
        true = best_fit_at(scanner, refiner, data, z)
        text = f"true z = {z:.4f} (flag {flag})"
        if result.best:
            text += f"; ours {result.best.z:.4f}, {result.best.spectral_class} {result.best.template}, {result.probability:.2f}"
            if true:
                total = float(np.sum(data.ivar * data.flux**2))
                text += f"; the true redshift's chi-square is {total - true.gain - result.best.chi2:.1f} above ours"
        found = result.best.model / data.scale if result.best else None
        picture = base64.b64encode(_plot(data, z, found, true.model if true else None)).decode()
        parts.append(
            f'<h2>{html.escape(name)}</h2><p>{html.escape(text)}</p><img alt="spectrum" src="data:image/png;base64,{picture}">'
        )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Redshifts that came out wrong</title>'
        "<style>body{font:15px sans-serif;margin:2em auto;max-width:1000px}img{width:100%}h2{font-size:1em}</style>"
        f"<h1>{len(wrong)} redshifts that came out wrong</h1><p>Black: the spectrum, smoothed; grey: its error. "
        "Orange: our model. Blue: the best model at the redshift people found, with the places of its lines.</p>"
    )
    partial = path.with_suffix(".part")
    partial.write_text(page + "\n".join(parts) + "</html>\n", "utf-8")
    partial.replace(path)


def _plot(data: Prepared, z: float, found: np.ndarray | None, true: np.ndarray | None) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    smooth = gaussian_filter1d(data.flux, 2)
    axes.plot(data.wave, smooth, color="black", lw=0.6)
    axes.plot(data.wave, gaussian_filter1d(1 / np.sqrt(data.ivar), 3), color="0.6", lw=0.6)
    for model, colour in ((found, "tab:orange"), (true, "tab:blue")):
        if model is not None:
            axes.plot(data.wave, model, color=colour, lw=1)
    for line in line_list():
        if data.wave[0] < line.wave * (1 + z) < data.wave[-1]:
            axes.axvline(line.wave * (1 + z), color="tab:blue", lw=0.4, ls=":")
    axes.set(
        xlim=(data.wave[0], data.wave[-1]), ylim=(-0.5, 1.2 * np.percentile(smooth, 99.5)), xlabel="vacuum wavelength [Å]",
        ylabel="flux / median",
    )  # fmt: skip
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80)
    return stream.getvalue()

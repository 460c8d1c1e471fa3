"""Quality control: a row a slit and exposure, thresholds from a file, and a report that a person reads in a minute."""

from __future__ import annotations

import base64
import html
import io
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specola_pipeline.reduce.calibrate import Calibration
from specola_pipeline.reduce.detector import COSMIC
from specola_pipeline.reduce.fluxcal import Response

if TYPE_CHECKING:
    from specola_pipeline.reduce.run import Exposure

__all__ = ["rows_of", "thresholds", "write_report"]

_CHECKS = (
    ("wavelength_rms", "wavelength_rms", 1),
    ("sky_offset_scatter", "sky_offset_scatter", 1),
    ("sky_chi", "sky_chi", 1),
    ("line_chi", "line_chi", 1),
    ("cosmic_part", "cosmic_part", 1),
    ("flat_signal", "flat_signal", -1),
)


def thresholds() -> dict[str, float]:
    """The limits of ``thresholds.toml``."""
    return {
        name: float(value)
        for name, value in tomllib.loads((Path(__file__).parent / "thresholds.toml").read_text("utf-8")).items()
    }


def rows_of(exposure: Exposure, calibration: Calibration, response: Response | None) -> list[dict[str, Any]]:
    """Figures and flags of each slit of an exposure, failed ones included."""
    limits = thresholds()
    known = {one.slit.number: one for one in calibration.slits}
    rows: list[dict[str, Any]] = []
    for slit in exposure.slits:
        one = known[slit.number]
        offset, scatter, lines = exposure.offsets[slit.number]
        snr = [float(np.nanmedian(s.flux / np.sqrt(s.variance))) for s in slit.spectra]
        row: dict[str, Any] = {
            "file": exposure.raw.path.name,
            "slit": slit.number,
            "identifier": one.identifier,
            "status": "reduced",
            "wavelength_rms": one.wave.rms,
            "arc_lines": int(one.wave.lines.size),
            "sky_offset": offset,
            "sky_offset_scatter": scatter,
            "sky_lines": lines,
            "sky_chi": slit.chi_sky,
            "line_chi": slit.chi_lines,
            "map_correction": slit.map_correction,
            "objects": len(slit.spectra),
            "snr": max(snr, default=None),
            "cosmic_part": float(((slit.mask & COSMIC) > 0)[slit.inside].mean()),
            "flat_signal": one.flat.signal,
            "response_rms": None if response is None else response.rms,
        }
        flags = [
            f"{name} {row[column]:.3g}, limit {limits[name]:g}"
            for name, column, sign in _CHECKS
            if np.isfinite(row[column]) and sign * row[column] > sign * limits[name]
        ]
        row["flags"] = [*flags, *slit.odd, *one.slit.odd, *exposure.odd]
        rows.append({name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in row.items()})
    rows += [
        {"file": exposure.raw.path.name, "slit": number, "status": "failed", "flags": [words]}
        for number, words in exposure.failed
    ]
    return rows


def write_report(rows: list[dict[str, Any]], problems: list[tuple[str, str]], files: list[Path], output: Path) -> None:
    """Write ``qc.json`` and ``report.html`` into *output*, each under another name first."""
    said = {"thresholds": thresholds(), "slits": rows, "problems": [{"file": file, "problem": words} for file, words in problems]}
    _replace(output / "qc.json", json.dumps(said, indent=1, sort_keys=True) + "\n")
    _replace(output / "report.html", _page(rows, problems, files))


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, "utf-8")
    partial.replace(path)


def _page(rows: list[dict[str, Any]], problems: list[tuple[str, str]], files: list[Path]) -> str:
    bad = [row for row in rows if row["flags"]]
    columns = ("file", "slit", "status", "wavelength_rms", "sky_offset", "sky_chi", "line_chi", "objects", "snr", "flags")
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in columns)
    body = "".join(
        f'<tr class="{"bad" if row["flags"] else "good"}">'
        + "".join(f"<td>{_cell(row.get(name))}</td>" for name in columns)
        + "</tr>"
        for row in sorted(rows, key=lambda row: (not row["flags"], row["file"], row["slit"]))
    )
    listed = "".join(f"<li>{html.escape(words)}</li>" for _, words in sorted(problems)) or "<li>none</li>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Reduction report</title>"
        "<style>body{font:15px sans-serif;margin:2em}"
        "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.3em .6em;text-align:left}.bad td{background:#fdecea}"
        "img{max-width:100%}</style>"
        f"<h1>Reduction report</h1><p>{len(rows)} slit exposures, {len(bad)} flagged or failed, {len(problems)} problems.</p>"
        f"<h2>Problems</h2><ul>{listed}</ul><h2>Slits</h2><table><tr>{head}</tr>{body}</table>"
        f"<h2>Spectra</h2>{''.join(_plot(path) for path in files[:12])}</html>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return html.escape("; ".join(value)) or "none"
    return html.escape(str(value))


def _plot(path: Path) -> str:
    """A picture of a slit's sky-subtracted image and its brightest object."""
    from astropy.io import fits
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    top, bottom = figure.subplots(2, 1)
    with fits.open(path) as hdus:
        image, noise = hdus["EXR2D"].data, hdus["NOISE"].data
        top.imshow((image / noise).T, vmin=-3, vmax=8, aspect="auto", origin="lower", cmap="gray")
        top.set_ylabel("along the slit [pixel]")
        top.set_title(path.stem)
        if "OBJECT1" in hdus:
            table = hdus["OBJECT1"].data
            name = "FLUX" if "FLUX" in table.names else "COUNTS"
            bottom.plot(table["WAVE"], table[name], lw=0.7)
            finite = table[name][np.isfinite(table[name])]
            if finite.size:
                bottom.set_ylim(min(0.0, float(np.percentile(finite, 1))), 1.2 * float(np.percentile(finite, 99)))
            bottom.set_ylabel(name.lower())
        bottom.set_xlabel("vacuum wavelength [Angstrom]")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80)
    return f'<p><img alt="{html.escape(path.stem)}" src="data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}">'

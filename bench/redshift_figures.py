"""Two pictures of what bench.redshift measured: whether the probability is honest, and success by signal-to-noise ratio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["draw_figures"]

PROGRAMS = {"ours": ("tab:blue", "Specola, cross-validated"), "ours, all stacks": ("tab:cyan", "Specola, all stacks"),
            "redrock": ("tab:orange", "redrock, all stacks")}  # fmt: skip


def draw_figures(result: dict[str, Any], folder: Path) -> None:
    """Write redshift-reliability.png and redshift-success.png; ``result`` is what the benchmark writes as JSON."""
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", lw=1)
    series = [(result["reliability"], "tab:blue", "o", "VANDELS, all flags, cross-validated")]
    if made := result.get("VIPERS' set-up"):
        series.append((made["reliability"], "tab:orange", "s", "made spectra in the manner of VIPERS"))
    for rows, colour, marker, label in series:
        said, right, number = (np.array([row[name] for row in rows]) for name in ("said", "right", "spectra"))
        axes.errorbar(said, right, _interval(right, number), fmt=f"{marker}-", color=colour, capsize=3, label=label)
        for x, y, n in zip(said, right, number, strict=True):
            axes.annotate(f"{n}", (x, y), (6, -13), textcoords="offset points", fontsize=8, color=colour)
    axes.legend(loc="upper left", fontsize=8)
    axes.set(
        xlim=(0, 1.02), ylim=(0, 1.05), xlabel="probability said (mean of a bin)", ylabel="share that is right",
        aspect="equal",
    )  # fmt: skip
    figure.savefig(folder / "redshift-reliability.png", dpi=100)

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    names = [name for name in result["ours"] if name.startswith(("S/N", "flag "))]
    shown = [name for name in PROGRAMS if name in result]
    for place, name in enumerate(shown):
        right, number = np.array([result[name][one] for one in names]).T
        share = right / np.maximum(number, 1)
        x = np.arange(len(names)) + (place - (len(shown) - 1) / 2) * 0.2
        colour, label = PROGRAMS[name]
        axes.errorbar(x, 100 * share, 100 * _interval(share, number), fmt="o", color=colour, capsize=3, label=label)
    labels = [f"{one}\n({result['ours'][one][1]})" for one in names]
    axes.set(xticks=np.arange(len(names)), ylabel="right [%]", title="VANDELS (flags; S/N a pixel of flags 3 and 4)")
    axes.set_xticklabels(labels, fontsize=8)
    axes.legend(loc="lower left", bbox_to_anchor=(0.42, 0.02), fontsize=8)
    axes.grid(axis="y", lw=0.4)
    figure.savefig(folder / "redshift-success.png", dpi=100)


def _interval(share: Any, number: Any) -> Any:
    """Lengths of the error bars below and above a share, shape (2, n): Wilson's interval of 68 per cent."""
    number = np.maximum(number, 1)
    centre = (share + 0.5 / number) / (1 + 1 / number)
    half = np.sqrt(share * (1 - share) / number + 0.25 / number**2) / (1 + 1 / number)
    return np.abs(np.array([share - np.minimum(centre - half, share), np.maximum(centre + half, share) - share]))

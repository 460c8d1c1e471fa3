"""PypeIt on frames of one mask. Begin with :func:`reduce_with_pypeit`.

PypeIt has no VIMOS: bench/pypeit_worker.py tells it what it needs, and runs it in an environment of its own, which is made
here by version. It gets the same catalogue of lines as ESO's recipes, as the grism shows them: with its own lists of single
lines its arcs were two or three times worse. Slits it finds by itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

from bench.reduction_eso import FAINTEST, bent, shown
from bench.reduction_truth import Extracted, Seen
from specola_pipeline.instruments import Grism, Kind, Lines, instrument, line_list
from specola_pipeline.organise import Entry
from specola_pipeline.simulate.truth import FrameTruth

__all__ = ["PYPEIT", "Products", "PypeItError", "install", "reduce_with_pypeit", "seen_by_pypeit"]

PYPEIT = "pypeit==2.0.1"
WORKER = Path(__file__).with_name("pypeit_worker.py")
TYPES = {
    Kind.BIAS: ("bias",),
    Kind.FLAT: ("pixelflat", "illumflat", "trace"),
    Kind.ARC: ("arc", "tilt"),
    Kind.SCIENCE: ("science",),
}
"""What PypeIt takes raw frames of a kind for."""
DARK = 2458
"""Pixels before and after the lamps' template: spectra begin on any of the first 2200 rows of 4096."""
PEAK = 30000.0
"""Counts of the template's strongest line: PypeIt takes lines for saturated, and ignores them, also in a template."""
FITTING = 1800
"""Seconds that the installation may take."""
LONGEST = 4 * 3600
"""Seconds that the reduction may take."""


class PypeItError(RuntimeError):
    """PypeIt can not be had here, failed, or did not make what it should."""


@dataclass(frozen=True)
class Products:
    """What PypeIt made: its two files of the science exposure; processor seconds and peak memory."""

    images: Path
    spectra: Path | None
    """None where PypeIt found no object at all."""
    calibration_seconds: float
    science_seconds: float
    memory_gib: float


def install(folder: Path) -> Path:
    """The Python of an environment with PypeIt in *folder*, made where it is not there.

    Raises:
        PypeItError: it could not be installed.
    """
    python = folder / "venv" / "bin" / "python"
    told = folder / "venv" / "installed"
    if told.exists() and told.read_text("utf-8") == PYPEIT:
        return python
    try:
        for command in (["-m", "venv", "--clear", str(folder / "venv")], ["-m", "pip", "install", "--quiet", PYPEIT]):
            by = sys.executable if "venv" in command else str(python)
            subprocess.run([by, *command], check=True, capture_output=True, text=True, timeout=FITTING)
    except subprocess.CalledProcessError as error:
        raise PypeItError(f"{PYPEIT} could not be installed: {_end(error.stderr)}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PypeItError(f"{PYPEIT} could not be installed: {error}") from error
    told.write_text(PYPEIT, "utf-8")
    return python


def reduce_with_pypeit(python: Path, entries: Sequence[Entry], folder: Path) -> Products:
    """Reduce biases, flats, arcs and a science exposure of one mask in *folder*. A reduction that came to its end there is taken.

    Raises:
        PypeItError: PypeIt ended with an error.
    """
    if not (folder / "seconds.json").exists():
        _run(python, entries, folder)
    seconds = json.loads((folder / "seconds.json").read_text("utf-8"))
    made = {name: next(iter((folder / "Science").glob(f"{name}_*.fits")), None) for name in ("spec2d", "spec1d")}
    if made["spec2d"] is None:
        raise PypeItError(f"PypeIt ended, but made no spec2d file: {_end((folder / 'said.txt').read_text('utf-8', 'replace'))}")
    return Products(made["spec2d"], made["spec1d"], seconds["calibrations"], seconds["science"], seconds["memory"])


def _run(python: Path, entries: Sequence[Entry], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    known = [(str(entry.path.resolve()), entry.frame) for entry in entries if entry.frame is not None]
    science = next(frame for _, frame in known if frame.kind is Kind.SCIENCE)
    chosen = instrument(science.instrument)
    grism, lamps = chosen.grism(science.grism), line_list(*(name for lamp in chosen.lamps for name in lamp.lines))
    _write_lines(lamps, grism, folder / "VIMOS_lines.dat")  # PypeIt takes it from the folder that it runs in
    frames: dict[str, list[str]] = {}
    for path, frame in known:
        for kind in TYPES.get(frame.kind, ()):
            frames.setdefault(kind, []).append(path)
    job = {
        "folder": str(folder),
        "frames": frames,
        "lamps": ["VIMOS"],
        "template": str(_write_template(lamps, grism, folder / "template.fits")),
        "fwhm": grism.reference / grism.resolution / grism.angstrom_per_pixel,
    }
    (folder / "job.json").write_text(json.dumps(job), "utf-8")
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    with (folder / "said.txt").open("wb") as said:
        try:
            done = subprocess.run(
                [str(python), str(WORKER), str(folder / "job.json")], cwd=folder, env={**os.environ, **threads},
                stdout=said, stderr=subprocess.STDOUT, check=False, timeout=LONGEST,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise PypeItError(f"PypeIt was not done after {LONGEST} s") from error
    if done.returncode:
        raise PypeItError(f"PypeIt ended with {done.returncode}: {_end((folder / 'said.txt').read_text('utf-8', 'replace'))}")


def seen_by_pypeit(products: Products, truth: FrameTruth) -> Seen:
    """What PypeIt made, on the simulated detector; *truth* says only which slit is where.

    Raises:
        PypeItError: a file lacks an image or a column that it should have.
    """
    try:
        with fits.open(products.images) as hdus:
            wavelength = hdus["DET01-WAVEIMG"].data.astype(float)
            residual = hdus["DET01-SCIIMG"].data.astype(float) - hdus["DET01-SKYMODEL"].data
        spectra = tuple(_objects(products, truth))
    except (KeyError, OSError) as error:
        raise PypeItError(f"{products.images.parent} could not be read: {error}") from error
    wavelength[wavelength <= 0] = np.nan
    return Seen(
        wavelength,
        np.where(np.isfinite(wavelength), residual, np.nan),
        spectra,
        products.calibration_seconds,
        products.science_seconds,
        products.memory_gib,
    )


def _objects(products: Products, truth: FrameTruth) -> Iterator[Extracted]:
    """Spectra by optimal extraction, or of boxes where PypeIt gave up on that; row and column in the middle of the lit part."""
    if products.spectra is None:
        return
    with fits.open(products.spectra) as hdus:
        tables = [Table(hdu.data) for hdu in hdus if "TRACE_SPAT" in getattr(getattr(hdu, "columns", None), "names", ())]
    for table in tables:
        which = "OPT" if "OPT_COUNTS" in table.colnames else "BOX"
        rows = np.flatnonzero(table[f"{which}_WAVE"] > 0)
        if rows.size < 2:
            continue
        part = np.arange(rows[0], rows[-1] + 1)
        wave = np.interp(part, rows, table[f"{which}_WAVE"][rows].astype(float))
        counts = np.where(table[f"{which}_MASK"][part], table[f"{which}_COUNTS"][part].astype(float), np.nan)
        columns = np.clip(np.rint(table["TRACE_SPAT"][part]).astype(int), 0, truth.slit.shape[1] - 1)
        slits = truth.slit[part, columns]
        lit = np.flatnonzero(slits)  # PypeIt gives all rows of the detector
        middle = int(lit[lit.size // 2]) if lit.size else part.size // 2
        row = int(part[middle])
        yield Extracted(int(slits[middle]), row, float(table["TRACE_SPAT"][row]), wave, counts)


def _write_lines(lamps: Lines, grism: Grism, path: Path) -> None:
    wave = shown(bent(lamps), FAINTEST, grism)
    rest: dict[str, Any] = {"NIST": 0, "Instr": 0, "amplitude": 1000, "Source": "bench"}
    rows = [{"ion": "ArI", "wave": round(float(one), 4), **rest} for one in wave]  # PypeIt wants an ion
    Table(rows).write(path, format="ascii.fixed_width")


def _write_template(lamps: Lines, grism: Grism, path: Path) -> Path:
    """The lamps as the grism shows them, in the middle of darkness: PypeIt wants a template that is longer than the detector."""
    sigma = grism.reference / grism.resolution / 2.3548
    margin = DARK * grism.angstrom_per_pixel
    wave = np.arange(grism.range[0] - margin, grism.range[1] + margin, grism.angstrom_per_pixel)
    near = np.exp(-0.5 * ((wave[:, None] - lamps.wavelength) / sigma) ** 2)
    lit = (wave > grism.range[0]) & (wave < grism.range[1])
    flux = np.where(lit, near @ np.sqrt(lamps.strength), 0.0)
    table: Any = Table({"wave": wave, "flux": flux / flux.max() * PEAK}, meta={"BINSPEC": 1})
    table.write(path)
    return path


def _end(said: str) -> str:
    """The last words of a program, without colours."""
    return " / ".join(line.strip() for line in re.sub(r"\x1b\[[\d;]*m", "", said).strip().splitlines()[-4:])

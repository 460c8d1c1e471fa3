"""Running redrock, installed by name into an environment of its own, on spectra and with the templates that we use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from bench.redshift_cases import Case
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.redshift.templates import Library, load_library

__all__ = ["redrock", "start_redrock"]

WORKER = Path(__file__).with_name("redrock_worker.py")
REDROCK = "redrock==0.21.0"


def start_redrock(
    folder: Path, spectra: list[tuple[Case, Spectrum]], console: Console, *, reuse: bool, environment: Path | None = None
) -> subprocess.Popen[bytes] | None:
    """Start redrock in its own environment; it runs beside us, and both report the processor's time.

    ``environment`` is that environment's folder, by default ``venv`` in ``folder``. None where ``reuse`` is wanted and the
    results of the same spectra with the same templates are there.
    """
    arrays: dict[str, Any] = {}
    for number, (_, one) in enumerate(spectra):
        for name, values in (("wave", one.wave), ("flux", one.flux), ("err", one.err), ("power", one.res_power)):
            arrays[f"{name}_{number}"] = np.asarray(values, dtype=float)
    inputs = {"spectra.npz": arrays, "templates.npz": _converted(load_library())}
    results = folder / "results.jsonl"
    known = len(results.read_text("utf-8").splitlines()) if results.exists() else 0
    if reuse and known == len(spectra) and all(_same(folder / name, content) for name, content in inputs.items()):
        return None
    place = environment or folder / "venv"
    python = place / "bin" / "python"
    if not python.exists():
        with console.status(f"installing {REDROCK} into {place}"):
            subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", REDROCK], check=True)
    for name, content in inputs.items():
        np.savez(folder / name, **content)
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    files = [str(folder / name) for name in ("spectra.npz", "templates.npz", "results.jsonl")]
    with (folder / "redrock.log").open("w") as log:
        return subprocess.Popen([str(python), str(WORKER), *files], env=variables, stdout=log, stderr=subprocess.STDOUT)


def redrock(folder: Path, process: subprocess.Popen[bytes] | None, mine: list[Case], console: Console) -> list[Case]:
    """What redrock found of the spectra of ``mine``."""
    with console.status(f"waiting for redrock, {len(mine)} spectra, some seconds each"):
        if process is not None and process.wait():
            raise SystemExit(f"redrock failed; its last words are in {folder / 'redrock.log'}")
    rows = {row["number"]: row for row in map(json.loads, (folder / "results.jsonl").read_text("utf-8").splitlines())}
    return [
        Case(
            one.name, one.z_true, one.flag, rows[i]["z"], rows[i]["z_err"], rows[i]["class"],
            None, one.snr, rows[i]["seconds"], None, one.tolerance,
        )
        for i, one in enumerate(mine)
    ]  # fmt: skip


def _converted(library: Library) -> dict[str, Any]:
    """The library for redrock, which wants templates that reach beyond the spectra at every redshift it scans.

    All but `other_light`, as redrock has the intergalactic medium in front of every galaxy.
    """
    step = library.step
    grid = np.exp(np.arange(round(np.log(400.0) / step), round(np.log(14000.0) / step) + 1) * step)
    rest = library.wave
    return {"wave": grid} | {
        f"{one.spectral_class}:{one.name}": np.interp(grid, rest, one.flux, left=0.0) for one in library.templates if one.absorbed
    }


def _same(path: Path, content: dict[str, Any]) -> bool:
    """Whether a file has these arrays."""
    if not path.exists():
        return False
    with np.load(path) as arrays:
        return set(arrays.files) == set(content) and all(np.allclose(arrays[key], content[key]) for key in content)

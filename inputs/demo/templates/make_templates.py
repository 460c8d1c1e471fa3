#!/usr/bin/env python3
"""Make templates.npz again from the packages it came from.

Needs a network with the Python package index and Debian's archive, `apt-get`, `dpkg-deb`, and numpy and astropy. Nothing is
installed: the packages are fetched by name into a temporary folder and read there. The demonstration itself never runs this.

    python3 inputs/demo/templates/make_templates.py

What comes from where, and under which licence, is in README.md beside this file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

Floats = npt.NDArray[np.float64]

HERE = Path(__file__).resolve().parent
SOURCES = ("grizli==1.14.3", "kcorrect==5.1.9", "pypeit==2.0.1")
DEBIAN = "iraf-rvsao"

LOG_STEP = 0.0007
"""Step of the grid in ln(wavelength): a third of the resolution element at R = 220."""
GRID = np.exp(np.arange(np.log(900.0), np.log(11000.0), LOG_STEP))
"""Vacuum wavelengths of the templates, Angstrom."""

GALAXIES = {
    "early": "fsps/fsps_QSF_12_v3_nolines_005.dat",
    "lenticular": "fsps/fsps_QSF_12_v3_nolines_004.dat",
    "Sab": "fsps/fsps_QSF_12_v3_nolines_003.dat",
    "Sbc": "fsps/fsps_QSF_12_v3_nolines_002.dat",
    "Scd": "fsps/fsps_QSF_12_v3_nolines_001.dat",
    "starburst": "fsps/fsps_QSF_12_v3_nolines_008.dat",
    "young": "fsps/fsps_QSF_12_v3_nolines_007.dat",
    "Lyman-break": "erb2010_continuum.dat",
}
"""Name to file of grizli's template folder, from red to blue; continua without emission lines."""
STARS = {"star-A": ("sdssAstar", 9000.0), "star-F": ("sdssFstar", 6800.0), "star-G": ("sdssGstar", 5700.0),
         "star-K": ("sdssKstar", 4600.0), "star-M1": ("sdssM1star", 3700.0), "star-M3": ("sdssM3star", 3300.0)}  # fmt: skip
"""Name to file of rvsao's template folder, and the temperature (K) of the black body that prolongs it."""
FILTERS = {band: f"capak_cfht_megaprime_sagem_{band}.dat" for band in "ugriz"}


def fetch(folder: Path) -> None:
    """Fetch the packages by name and unpack them into ``folder``."""
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *SOURCES], check=True)
    subprocess.run(["apt-get", "download", DEBIAN], cwd=folder, check=True)
    for path in sorted(folder.iterdir()):
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                wheel.extractall(folder)
        elif path.name.endswith(".tar.gz"):
            shutil.unpack_archive(path, folder)
        elif path.suffix == ".deb":
            subprocess.run(["dpkg-deb", "-x", str(path), str(folder)], check=True)


def one(folder: Path, pattern: str) -> Path:
    """The one file below ``folder`` that matches."""
    found = sorted(folder.glob(f"**/{pattern}"))
    if not found:
        raise SystemExit(f"no {pattern} in what was fetched: has the package changed?")
    return found[0]


def on_grid(wave: Floats, flux: Floats) -> Floats:
    """Flux density (per Angstrom) averaged over the grid's bins, 1 at 5500 Angstrom; 0 where the source ends."""
    edges = np.exp(np.arange(GRID.size + 1) * LOG_STEP + np.log(GRID[0]) - LOG_STEP / 2)
    steps = np.diff(wave) * (flux[1:] + flux[:-1]) / 2
    integral = np.interp(edges, wave, np.concatenate([[0.0], np.cumsum(steps)]))
    mean = np.diff(integral) / np.diff(edges)
    return np.asarray(mean / np.interp(5500.0, GRID, mean))


def planck(wave: Floats, temperature: float) -> Floats:
    """A black body's flux density per wavelength, in arbitrary units."""
    return np.asarray(wave**-5.0 / np.expm1(1.43878e8 / (wave * temperature)))


def star(path: Path, temperature: float) -> tuple[Floats, Floats]:
    """An SDSS stellar template, prolonged at both ends by a black body that meets it."""
    with fits.open(path) as hdus:
        header = hdus[0].header
        flux = hdus[0].data[0].astype(float)
    wave = 10.0 ** (header["CRVAL1"] + header["CD1_1"] * np.arange(flux.size))
    good = flux > 0
    wave, flux = wave[good], flux[good]
    blue, red = np.arange(GRID[0], wave[0], 5.0), np.arange(wave[-1], GRID[-1] + 50.0, 5.0)[1:]
    levels = [np.median(flux[s]) / np.median(planck(wave[s], temperature)) for s in (slice(0, 60), slice(-60, None))]
    return (np.concatenate([blue, wave, red]),
            np.concatenate([levels[0] * planck(blue, temperature), flux, levels[1] * planck(red, temperature)]))  # fmt: skip


def quasar(path: Path) -> tuple[Floats, Floats]:
    """The composite quasar spectrum; beyond its end it goes on as a power law of index -1.6 in wavelength."""
    with fits.open(path) as hdus:
        header = hdus[0].header
        flux = hdus[0].data.astype(float)
    wave = header["CRVAL1"] + header["CDELT1"] * np.arange(flux.size)
    red = np.arange(wave[-1], GRID[-1] + 50.0, 5.0)[1:]
    level = np.median(flux[-200:]) * (red / wave[-100]) ** -1.6
    return np.concatenate([wave, red]), np.concatenate([flux, level])


def read_bars(path: Path) -> Floats:
    """The first two columns of numbers of a text table whose cells stand between bars."""
    rows = []
    for line in path.read_text("utf-8").splitlines():
        cells = line.strip().strip("|").split("|")
        try:
            rows.append([float(cells[0]), float(cells[1])])
        except (ValueError, IndexError):
            continue
    return np.array(rows)


def sky_lines(path: Path) -> Floats:
    """OH lines as rows of vacuum wavelength and relative amplitude."""
    rows = []
    for line in path.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        # wave, ion, NIST, Instr, amplitude, Source
        if len(cells) == 6 and cells[1] == "OH":
            rows.append([float(cells[0]), float(cells[4])])
    return np.array(sorted(rows))


def main() -> None:
    """Write templates.npz and the licences beside this file."""
    arrays: dict[str, Any] = {"wave": GRID.astype(np.float64)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fetch(folder)
        for name, file in GALAXIES.items():
            table = np.loadtxt(one(folder, f"grizli/data/templates/{file}"))
            arrays[f"template:{name}"] = on_grid(table[:, 0], table[:, 1]).astype(np.float32)
        arrays["template:QSO"] = on_grid(*quasar(one(folder, "rvsao/templates/sdss_qso.fits"))).astype(np.float32)
        for name, (file, temperature) in STARS.items():
            curve = star(one(folder, f"rvsao/templates/{file}.fits"), temperature)
            arrays[f"template:{name}"] = on_grid(*curve).astype(np.float32)
        for band, file in FILTERS.items():
            curve = read_bars(one(folder, f"kcorrect/data/responses/{file}"))
            wave = np.arange(np.ceil(curve[0, 0] / 25) * 25, curve[-1, 0], 25.0)
            arrays[f"filter:{band}"] = np.stack([wave, np.interp(wave, *curve.T)]).astype(np.float32)
        arrays["sky_lines"] = sky_lines(one(folder, "pypeit/data/arc_lines/lists/OH_MODS_lines.dat")).astype(np.float64)
        licences = {"grizli-MIT.txt": "grizli-*/LICENSE.txt",
                    "kcorrect-BSD-3-Clause.txt": "kcorrect-*.dist-info/licenses/LICENSE",
                    "pypeit-BSD-3-Clause.txt": "pypeit-*.dist-info/**/LICENSE*",
                    "iraf-rvsao-copyright.txt": "usr/share/doc/iraf-rvsao/copyright"}  # fmt: skip
        for name, pattern in licences.items():
            (HERE / "licences" / name).write_bytes(one(folder, pattern).read_bytes())
    np.savez_compressed(HERE / "templates.npz", **arrays)


if __name__ == "__main__":
    main()

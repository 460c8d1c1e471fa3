#!/usr/bin/env python3
"""Make the templates of ``specola-reduce redshift`` again from the packages they came from.

Needs a network with the Python package index and Debian's archive, ``apt-get``, ``dpkg-deb``, and numpy and astropy. Nothing is
installed: the packages are fetched by name into a temporary folder and read there.

    python3 pipeline/tools/make_redshift_templates.py

What comes from where, and under which licence, is in ``src/specola_pipeline/redshift/data/README.md``. No survey spectrum that the
redshifts are tested on goes into these templates: galaxies are stellar population models, and what the far ultraviolet of
star-forming galaxies has beside stars (interstellar absorption, Lyman alpha) is put in by hand.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

Floats = npt.NDArray[np.float64]

DATA = Path(__file__).resolve().parents[1] / "src" / "specola_pipeline" / "redshift" / "data"
SOURCES = ("grizli==1.14.3",)
DEBIAN = "iraf-rvsao"

STEP = 2e-4
"""Step of the grid in ln(wavelength), 60 km/s: half a resolution element at R = 2,000."""
GRID = np.exp(np.arange(round(np.log(600.0) / STEP), round(np.log(11300.0) / STEP) + 1) * STEP)
"""Vacuum wavelengths, Angstrom: multiples of the step in the logarithm."""
LYMAN_LIMIT = 911.75
LYMAN_ALPHA = 1215.67
SPEED_OF_LIGHT = 299792.458

GALAXIES = {
    "early": "fsps/fsps_QSF_12_v3_nolines_005.dat",
    "lenticular": "fsps/fsps_QSF_12_v3_nolines_004.dat",
    "Sab": "fsps/fsps_QSF_12_v3_nolines_003.dat",
    "Sbc": "fsps/fsps_QSF_12_v3_nolines_002.dat",
    "Scd": "fsps/fsps_QSF_12_v3_nolines_001.dat",
    "post-starburst": "eazy_intermediate.dat",
    "starburst": "fsps/fsps_QSF_12_v3_nolines_008.dat",
    "young": "fsps/fsps_QSF_12_v3_nolines_007.dat",
}
"""Name to file of grizli's template folder, from red to blue: stellar population models without emission lines."""
NEBULAR_LINES = ((3727.09, 0.45), (3729.88, 0.55), (4341.68, 0.15), (4862.68, 0.35), (4960.30, 0.18), (5008.24, 0.55), (6549.86, 0.12),
                 (6564.61, 1.3), (6585.27, 0.36), (6718.29, 0.25), (6732.67, 0.2))  # fmt: skip
"""Vacuum wavelength, and equivalent width relative to that of [O II]."""
LEAST_OII = {"post-starburst": 4.0, "Sbc": 4.0, "Scd": 8.0, "starburst": 15.0, "young": 25.0}
"""Equivalent width (A) of [O II] that a galaxy with such stars has at the least: hot stars ionise. The scan's groups of lines add to it; what
this forbids is a blue continuum at a redshift at which its lines should be seen and are not."""
OBSERVED_GALAXIES = {"red sequence": ("sdssDR2temp028", 3050.0, 6750.0), "early SDSS": ("sdssDR2temp023", 3600.0, 8800.0)}
"""Name to file of rvsao's folder and the wavelengths between which it is used; elsewhere the model "early" goes on."""
FAR_ULTRAVIOLET = {
    # name: (stellar continuum, strength of interstellar lines, log N(H I), equivalent width of Ly alpha in emission [A])
    "Lyman-break, mean": ("young", 0.9, 20.2, 4.0),
}
"""A star-forming galaxy from the Lyman limit on. What Lyman-break galaxies really look like between 1000 and 2300 A is in the stacks of
``learn_lyman_break_templates.py``; this curve goes on where they end."""
ULTRAVIOLET_SLOPE = -1.5
"""Power-law index of the continuum, set by hand; the scan's polynomial finds the rest."""
INTERSTELLAR = (
    # vacuum wavelength [A], equivalent width [A] at rest: set by hand to what strong lines of star-forming galaxies look like,
    # not measured values
    (1190.42, 0.7), (1193.29, 0.7), (1206.50, 1.2), (1260.42, 1.63), (1302.17, 1.1), (1304.37, 1.1), (1334.53, 1.72), (1393.76, 1.83),
    (1402.77, 0.81), (1526.71, 1.72), (1548.20, 1.3), (1550.78, 0.8), (1608.45, 0.91), (1670.79, 1.04), (1854.72, 0.7),
    (1862.79, 0.5), (2344.21, 1.5), (2374.46, 1.1), (2382.77, 1.7), (2586.65, 1.5), (2600.17, 2.0), (2796.35, 2.2), (2803.53, 1.9),
    (2852.96, 0.6), (1031.93, 0.8), (1036.34, 1.2), (1083.99, 0.7),
)  # fmt: skip
STELLAR = (
    # photospheric and wind features of hot stars: wavelength, equivalent width (negative: emission), sigma in km/s
    (1175.7, 1.0, 350.0), (1540.0, 1.6, 900.0), (1554.5, -0.5, 400.0), (1238.0, 0.8, 500.0), (1296.3, 0.3, 200.0), (1417.2, 0.3, 200.0),
    (1501.8, 0.3, 200.0), (1640.4, -0.8, 700.0),
)  # fmt: skip
NEBULAR = ((1264.7, -0.2), (1309.3, -0.2), (1533.4, -0.3), (1660.8, -0.1), (1666.15, -0.2), (1908.0, -1.5))
"""Fluorescent and nebular emission: wavelength and equivalent width, Angstrom; set by hand, too."""
QUASARS = {"broad absorption": ("sdssQSOBAL", 1192.0, 3400.0), "broad absorption, low": ("sdssQSOBAL2", 1192.0, 3400.0),
           "high luminosity": ("sdssHLQSO", 1420.0, 6000.0)}  # fmt: skip
"""Name to file of rvsao's folder and the wavelengths between which it is used; elsewhere the composite goes on."""
LINE_STRENGTHS = {"composite": 1.0, "composite, weak lines": 0.45, "composite, strong lines": 1.8}
"""Strength of the emission lines relative to the composite."""
STARS = {
    "O": ("sdssOstar", 35000.0), "OB": ("sdssOBstar", 22000.0), "B": ("sdssBstar", 15000.0), "A": ("sdssAstar", 9500.0),
    "A2": ("sdssAstar2", 8500.0), "FA": ("sdssFAstar", 7800.0), "F": ("sdssFstar", 6800.0), "F2": ("sdssFstar2", 6300.0),
    "G": ("sdssGstar", 5700.0), "G2": ("sdssGstar2", 5300.0), "K": ("sdssKstar", 4600.0), "M1": ("sdssM1star", 3700.0),
    "M3": ("sdssM3star", 3300.0), "M5": ("sdssM5star", 3000.0), "M8": ("sdssM8star", 2500.0), "L1": ("sdssL1star", 2200.0),
    "C": ("sdssCstar", 3600.0), "C2": ("sdssCstar2", 3800.0), "C3": ("sdssCstar3", 3000.0), "WD": ("sdssWDstar", 13000.0),
    "WD magnetic": ("sdssMWDstar", 15000.0),
}  # fmt: skip
"""Name to file of rvsao's folder, and the temperature (K) of the black body that prolongs it."""


def fetch(folder: Path) -> None:
    """Fetch the packages by name and unpack them into ``folder``."""
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *SOURCES], check=True)
    subprocess.run(["apt-get", "download", DEBIAN], cwd=folder, check=True)
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".tar.gz", ".whl")):
            shutil.unpack_archive(path, folder, "zip" if path.suffix == ".whl" else None)
        elif path.suffix == ".deb":
            subprocess.run(["dpkg-deb", "-x", str(path), str(folder)], check=True)


def one(folder: Path, pattern: str) -> Path:
    """The one file below ``folder`` that matches."""
    found = sorted(folder.glob(f"**/{pattern}"))
    if not found:
        raise SystemExit(f"no {pattern} in what was fetched: has the package changed?")
    return found[0]


def on_grid(wave: Floats, flux: Floats) -> Floats:
    """Flux density (per Angstrom) averaged over the grid's bins."""
    edges = np.exp((np.arange(GRID.size + 1) - 0.5) * STEP) * GRID[0]
    steps = np.diff(wave) * (flux[1:] + flux[:-1]) / 2
    integral = np.interp(edges, wave, np.concatenate([[0.0], np.cumsum(steps)]))
    return np.asarray(np.diff(integral) / np.diff(edges))


def smooth(flux: Floats, sigma: float) -> Floats:
    """Convolve with a Gaussian of ``sigma`` in ln(wavelength)."""
    width = sigma / STEP
    reach = int(4 * width) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.convolve(np.pad(flux, reach, mode="edge"), kernel / kernel.sum(), mode="valid")


def read_rvsao(path: Path) -> tuple[Floats, Floats]:
    """Vacuum wavelengths and flux of a template of rvsao, without what is empty."""
    with fits.open(path) as hdus:
        header = hdus[0].header
        flux = np.squeeze(hdus[0].data).astype(float)
    flux = flux[0] if flux.ndim > 1 else flux
    step = header["CD1_1"] if "CD1_1" in header else header["CDELT1"]
    wave = header["CRVAL1"] + step * np.arange(flux.size)
    if header["CRVAL1"] < 10:
        wave = 10.0**wave
    good = np.isfinite(flux) & (flux > 0)
    return wave[good], flux[good]


def planck(wave: Floats, temperature: float) -> Floats:
    """A black body's flux density per wavelength, in arbitrary units."""
    return np.asarray(wave**-5.0 / np.expm1(1.43878e8 / (wave * temperature)))


def star(path: Path, temperature: float) -> Floats:
    """An SDSS stellar template, prolonged at both ends by a black body that meets it."""
    wave, flux = read_rvsao(path)
    # The SDSS templates of late stars have night sky residuals.
    keep = np.abs(wave - 5578.5) > 8
    wave, flux = wave[keep], flux[keep]
    blue, red = np.arange(GRID[0] - 5, wave[0], 5.0), np.arange(wave[-1], GRID[-1] + 50.0, 5.0)[1:]
    levels = [np.median(flux[s]) / np.median(planck(wave[s], temperature)) for s in (slice(0, 60), slice(-60, None))]
    return on_grid(
        np.concatenate([blue, wave, red]),
        np.concatenate([levels[0] * planck(blue, temperature), flux, levels[1] * planck(red, temperature)]),
    )


def spliced(path: Path, low: float, high: float, model: Floats) -> Floats:
    """An observed galaxy between ``low`` and ``high``, and a model that meets it at either end."""
    wave, flux = read_rvsao(path)
    inside = (wave > low) & (wave < high)
    wave, flux = wave[inside], flux[inside]
    seen = on_grid(wave, flux)
    result = model.copy()
    middle = (low + 60 < GRID) & (high - 60 > GRID)
    result[middle] = seen[middle]
    for end, part in ((np.flatnonzero(middle)[:200], high + 60 > GRID), (np.flatnonzero(middle)[-200:], low - 60 < GRID)):
        side = ~middle & (GRID[end[0]] > GRID if part[0] else GRID[end[-1]] < GRID)
        result[side] *= np.median(seen[end]) / np.median(model[end])
    return result


def absorbed(wave: float, width: float, sigma: float) -> Floats:
    """Optical depth-like exponent of a line: exp(-result) removes ``width`` Angstrom at rest (negative: adds)."""
    x = np.log(GRID / wave) * SPEED_OF_LIGHT / sigma
    shape = np.exp(-0.5 * x * x)
    if width < 0:
        return -np.log1p(shape * (-width) / (np.sqrt(2 * np.pi) * sigma / SPEED_OF_LIGHT * wave))
    widths = GRID * STEP
    # The optical depth at the centre that gives the equivalent width, by bisection: strong lines saturate.
    low, high = 0.0, 1e3
    for _ in range(60):
        depth = (low + high) / 2
        low, high = (depth, high) if np.sum((1 - np.exp(-depth * shape)) * widths) < width else (low, depth)
    return depth * shape


def damped(log_column: float) -> Floats:
    """Optical depth of the damping wings of Ly alpha and Ly beta of neutral hydrogen with log10 N / cm^-2."""
    if not log_column:
        return np.zeros_like(GRID)
    column = 10.0**log_column
    alpha = 4.26e-20 * column / (6.04e-10 + (GRID - LYMAN_ALPHA) ** 2)
    beta = 0.0292 * 4.26e-20 * column / (6.04e-10 + (GRID - 1025.72) ** 2)
    return np.minimum(alpha + beta, 50.0)


def lyman_break(stars: Floats, strength: float, log_column: float, emission: float) -> Floats:
    """A star-forming galaxy from the Lyman limit on: stellar continuum, interstellar absorption, Ly alpha.

    The models have 10 Angstrom a point in the ultraviolet and no dust; there the continuum is a power law, and lines come from the tables.
    """
    continuum = stars.copy()
    level = np.median(stars[(GRID > 2650) & (GRID < 2750)])
    blue = GRID < 2700
    continuum[blue] = level * (GRID[blue] / 2700) ** ULTRAVIOLET_SLOPE
    meet = (GRID > 2600) & (GRID < 2800)
    weight = np.clip((GRID - 2600) / 200, 0, 1)
    continuum[meet] = (continuum * (1 - weight) + smooth(stars, 0.01) * weight)[meet]
    # Below Ly alpha the intrinsic continuum flattens (reddening grows, and the photosphere absorbs).
    below = GRID < 1250
    continuum[below] *= (GRID[below] / 1250) ** 1.5
    depth = sum(absorbed(wave, width * strength, 260.0) for wave, width in INTERSTELLAR)
    depth = depth + sum(absorbed(wave, width, sigma) for wave, width, sigma in STELLAR)
    depth = depth + sum(absorbed(wave, width, 150.0) for wave, width in NEBULAR) + damped(log_column)
    result = continuum * np.exp(-depth)
    if emission:
        # Ly alpha of outflows is redshifted by some 400 km/s from the systemic velocity and 500 from interstellar lines, and skewed.
        x = np.log(GRID / LYMAN_ALPHA) * SPEED_OF_LIGHT
        profile = np.exp(-0.5 * ((x - 250) / np.where(x < 250, 130.0, 260.0)) ** 2)
        level = np.interp(1230.0, GRID, continuum)
        result += level * emission * profile / np.sum(profile * GRID * STEP)
    result[GRID < LYMAN_LIMIT] = 0.0
    return result


def composite(path: Path) -> Floats:
    """The composite quasar: beyond 7800 A a power law, below Ly alpha, which the scan absorbs anew, a power law with O VI."""
    wave, flux = read_rvsao(path)
    keep = wave < 7800
    wave, flux = wave[keep], flux[keep]
    red = np.arange(wave[-1], GRID[-1] + 50.0, 5.0)[1:]
    level = np.median(flux[-150:]) * (red / wave[-75]) ** -1.2
    curve = on_grid(np.concatenate([[GRID[0] - 1], wave, red]), np.concatenate([[flux[0]], flux, level]))
    blue = GRID < 1192
    base = np.interp(1284.0, GRID, smooth(curve, 0.002))
    x = np.log(GRID / 1033.8) * SPEED_OF_LIGHT / 3500
    curve[blue] = (base * (GRID / 1284.0) ** -0.8 * (1 + 0.25 * np.exp(-0.5 * x * x)))[blue]
    curve[GRID < LYMAN_LIMIT] *= 0.3
    return curve


def quasar(path: Path, low: float, high: float, rest: Floats) -> Floats:
    """Another composite between ``low`` and ``high``, smoothed to 300 km/s; elsewhere the first one goes on."""
    return smooth(spliced(path, low, high, rest), 300 / SPEED_OF_LIGHT)


def windows(curve: Floats) -> Floats:
    """The continuum of a quasar through windows without lines, as power laws between them."""
    nodes = np.array([620.0, 1000.0, 1150.0, 1285.0, 1450.0, 1690.0, 2200.0, 3020.0, 4200.0, 5600.0, 7100.0, 11000.0])
    level = np.interp(nodes, GRID, smooth(curve, 0.004))
    return np.asarray(np.exp(np.interp(np.log(GRID), np.log(nodes), np.log(level))))


def main() -> None:
    """Write templates.npz and the licences."""
    arrays: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fetch(folder)
        galaxies = {}
        for name, file in GALAXIES.items():
            table = np.loadtxt(one(folder, f"grizli/data/templates/{file}"))
            curve = on_grid(table[:, 0], table[:, 1])
            curve[GRID < LYMAN_LIMIT] = 0.0
            galaxies[name] = curve
        for name, width in LEAST_OII.items():
            galaxies[name] *= np.exp(-sum(absorbed(wave, -width * ratio, 100.0) for wave, ratio in NEBULAR_LINES))
        for name, (file, low, high) in OBSERVED_GALAXIES.items():
            galaxies[name] = spliced(one(folder, f"rvsao/templates/{file}.fits"), low, high, galaxies["early"])
        for name, (stars, strength, column, emission) in FAR_ULTRAVIOLET.items():
            galaxies[name] = lyman_break(galaxies[stars], strength, column, emission)
        for name in ("Sbc", "Scd", "starburst", "young"):
            galaxies[name] *= np.exp(-sum(absorbed(w, width, 200.0) for w, width in INTERSTELLAR if w > 2000))
        for name, curve in galaxies.items():
            arrays[f"GALAXY:{name}"] = curve
        quasars = composite(one(folder, "rvsao/templates/sdss_qso.fits"))
        for name, strength in LINE_STRENGTHS.items():
            continuum = windows(quasars)
            arrays[f"QSO:{name}"] = continuum + strength * (quasars - continuum)
        for name, (file, low, high) in QUASARS.items():
            arrays[f"QSO:{name}"] = quasar(one(folder, f"rvsao/templates/{file}.fits"), low, high, quasars)
        for name, (file, temperature) in STARS.items():
            arrays[f"STAR:{name}"] = star(one(folder, f"rvsao/templates/{file}.fits"), temperature)
        for name, pattern in {
            "grizli-MIT.txt": "grizli-*/LICENSE.txt",
            "iraf-rvsao-copyright.txt": "usr/share/doc/iraf-rvsao/copyright",
        }.items():
            (DATA / "licences" / name).write_bytes(one(folder, pattern).read_bytes())
    packed = {
        name: (curve / np.median(curve[(GRID > 1500) & (GRID < 8000)])).astype(np.float32) for name, curve in arrays.items()
    }
    np.savez_compressed(DATA / "templates.npz", step=np.float64(STEP), first=np.int64(round(np.log(GRID[0]) / STEP)), **packed)
    print(f"{len(packed)} templates, {GRID.size} points, {(DATA / 'templates.npz').stat().st_size} bytes")


if __name__ == "__main__":
    main()

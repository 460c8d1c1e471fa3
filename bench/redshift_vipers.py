"""Spectra in the manner of VIPERS with known redshifts, made of templates that nobody here fits with.

Galaxies are sums, with random shares of light, of the five templates of kcorrect (Blanton & Roweis 2007, AJ 133, 734: stellar
populations of Bruzual & Charlot and nebular lines), whose stars and lines are others' than those of the templates that we
and redrock fit (FSPS, SDSS). The spectrograph and the sky are those of the demonstration survey: LR red's 557 pixels of 7.14
Angstrom at a resolving power of 220, five exposures under an OH sky, what sky subtraction leaves, fringes, bands of the
atmosphere. The flux calibration is without error. What the targets say is measured on the flags that VIPERS calls secure;
redshifts are right within 6.6e-3 (1 + z), as VIPERS counts (Scodeggio et al. 2018, A&A 609, A84).
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from rich.console import Console
from rich.table import Table

from bench.redshift_cases import Case, mad, measured, share
from bench.redshift_redrock import redrock, start_redrock
from ingest.mock.instrument import detector, observe
from ingest.mock.setup import RESOLVING_POWER
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.scan import smoothed
from specola_pipeline.redshift.spectrum import Floats, Spectrum

__all__ = ["BINS", "compare", "make", "print_table", "templates"]

BINS = ((1.0, 2.0), (2.0, 4.0), (4.0, 10.0))
"""Median signal-to-noise ratios a pixel; each has a third of the spectra, uniform in the logarithm."""
REDSHIFTS = (0.4, 1.2)
CONCENTRATION = 0.5
"""Of the Dirichlet distribution of the shares: below 1 one template prevails in most galaxies."""
SEEING = 0.8
"""FWHM, arcsec."""
OII = ((3727.09, 1.0), (3729.88, 1.4))
"""Vacuum wavelengths (Angstrom) and relative strengths at low density."""
OII_SIGMA = 4e-4
"""In ln(wavelength), 120 km/s."""
STEP = 2e-4
NUMBER, SEED = 600, 2
"""How many spectra, and the seed. The probability was learnt on other seeds."""
OUTLIER = 0.0066
"""Difference over 1 + z beyond which a redshift counts as wrong."""
SECURE = ((4,), (3,), (2,), (9,), (3, 4), (2, 3, 4, 9))
PROBABILITIES = (0.0, 0.5, 0.8, 0.95, 1.0001)
SPEED_OF_LIGHT = 299792.458
_FILE = "templates/kcorrect/kcorrect-default-v4.fits"


def templates(data: Path) -> tuple[Floats, Floats]:
    """ln(vacuum wavelength), (n,), and the templates at the spectrograph's resolution, (5, n), of mean 1 at 4000 to 5000 A."""
    with fits.open(data / _FILE) as hdus:
        wave, flux = (np.asarray(hdus[1].data[name][0], dtype=float) for name in ("wave", "flux"))
    grid = np.arange(np.log(1800.0), np.log(8000.0), STEP)
    sharp = np.array([_with_doublet(grid, np.interp(grid, np.log(wave), one)) for one in flux])
    blurred = np.array([smoothed(one, 1 / (2.3548 * RESOLVING_POWER), STEP) for one in sharp])
    middle = (grid > np.log(4000)) & (grid < np.log(5000))
    return grid, blurred / blurred[:, middle].mean(axis=1, keepdims=True)


def _with_doublet(grid: Floats, flux: Floats) -> Floats:
    """A template whose [O II] is the doublet at its wavelengths: kcorrect's single line stands 50 to 90 km/s redward of it."""
    near = (grid > np.log(3700.0)) & (grid < np.log(3760.0))
    ends = grid[near][[0, -1]], flux[near][[0, -1]]
    above = flux[near] - np.interp(grid[near], *ends)
    profile = sum(ratio * np.exp(-0.5 * ((grid[near] - np.log(one)) / OII_SIGMA) ** 2) for one, ratio in OII)
    result = flux.copy()
    result[near] += profile * max(float(above.sum()), 0.0) / np.sum(profile) - above
    return result


def make(data: Path, number: int, seed: int = SEED) -> list[tuple[float, float, Spectrum]]:
    """So many spectra as redshift, median signal-to-noise ratio a pixel, and spectrum; bins take turns.

    Spectra of which the spectrograph lost an end are drawn again: redrock brings its templates to each wavelength grid anew.
    """
    rng = np.random.default_rng(seed)
    grid, basis = templates(data)
    wave = detector().vacuum
    made: list[tuple[float, float, Spectrum]] = []
    while len(made) < number:
        low, high = BINS[len(made) % len(BINS)]
        z = float(rng.uniform(*REDSHIFTS))
        shares = rng.dirichlet(np.full(len(basis), CONCENTRATION))
        light = np.interp(np.log(wave) - np.log1p(z), grid, shares @ basis)
        wanted = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        faint = _level(light, wanted)
        seen = observe(faint[np.newaxis], SEEING, np.array([np.nan]), rng)
        if np.isfinite(seen.err).all():
            name = f"V{len(made):04d}"
            made.append((z, wanted, Spectrum(name, wave, seen.flux[0], seen.err[0], RESOLVING_POWER)))
    return made


def _level(light: Floats, wanted: float) -> Floats:
    """The light so bright that its median signal-to-noise ratio is what is wanted."""
    levels = np.geomspace(1e-20, 1e-15, 60) / np.median(light)
    trial = levels[:, np.newaxis] * light
    err = observe(trial, SEEING, np.full(levels.size, np.nan), np.random.default_rng(0)).err
    return np.asarray(light * np.exp(np.interp(np.log(wanted), np.log(np.nanmedian(trial / err, axis=1)), np.log(levels))))


def compare(data: Path, folder: Path, console: Console, *, beside: bool, reuse: bool) -> dict[str, Any]:
    """What we find, and redrock ``beside`` us, on spectra of which both know nothing."""
    made = make(data, NUMBER)
    spectra = [(Case(one.name, z, "made", snr=snr, tolerance=OUTLIER), one) for z, snr, one in made]
    own = folder / "vipers"
    own.mkdir(exist_ok=True)
    process = None
    if beside:
        process = start_redrock(own, spectra, console, reuse=reuse, environment=folder / "venv")
    redshifter = Redshifter()
    redshifter.measure(spectra[0][1])
    cases = measured([(redshifter, *one) for one in spectra], "VIPERS' set-up", console)
    for case, (z, snr, _) in zip(cases, made, strict=True):
        assert case.z_true == z
        case.snr = snr
    result = {"ours": _figures(cases), "reliability": _reliability(cases)}
    if beside:
        result["redrock"] = _figures(redrock(own, process, cases, console))
    return result


def _figures(cases: list[Case]) -> dict[str, Any]:
    """What is known of a program from its cases; scatter and pulls are of redshifts that are right."""
    found: dict[str, Any] = {f"S/N {low:g} to {high:g}": share([o for o in cases if low <= o.snr < high]) for low, high in BINS}
    found["as galaxies"] = [sum(one.spectral_class == "GALAXY" for one in cases), len(cases)]
    if cases[0].confidence is None:
        good = cases
    else:
        for digits in SECURE:
            name = "flag " + ", ".join(map(str, digits))
            found[name] = share([one for one in cases if one.confidence in digits])
        good = [one for one in cases if one.confidence in SECURE[-1]]
    for low, high in (*BINS, (BINS[0][0], BINS[-1][1])):
        inside = [one for one in good if low <= one.snr < high and one.right]
        shift = np.array([(one.z - one.z_true) / (1 + one.z_true) for one in inside if one.z is not None])
        pulls = np.array([(o.z - o.z_true) / o.z_err for o in inside if o.z is not None and o.z_err and np.isfinite(o.z_err)])
        if pulls.size > 1:
            name = f"S/N {low:g} to {high:g}"
            found[f"km/s, {name}"] = SPEED_OF_LIGHT * mad(shift - np.median(shift))
            found[f"pull width, {name}"] = mad(pulls - np.median(pulls))
    found["milliseconds"] = 1e3 * float(np.mean([one.seconds for one in cases]))
    return found


def _reliability(cases: list[Case]) -> list[dict[str, float]]:
    """Mean probability said, and share that is right, in bins of the probability."""
    rows = []
    for low, high in itertools.pairwise(PROBABILITIES):
        inside = [one for one in cases if one.probability is not None and low <= one.probability < high]
        if inside:
            said = float(np.mean([one.probability for one in inside if one.probability is not None]))
            rows.append({"from": low, "said": said, "right": float(np.mean([o.right for o in inside])), "spectra": len(inside)})
    return rows


def print_table(result: dict[str, Any], console: Console) -> None:
    """Show what was measured."""
    programs = [name for name in ("ours", "redrock") if name in result]
    table = Table("what", *programs, title="Made spectra in the manner of VIPERS", title_justify="left")
    for key in result["ours"]:
        cells = [result[name].get(key) for name in programs]
        table.add_row(key, *(_text(cell) for cell in cells))
    console.print(table)
    table = Table("probability from", "mean said", "right", "spectra", title="Is it honest there?", title_justify="left")
    for row in result["reliability"]:
        table.add_row(f"{row['from']:g}", f"{row['said']:.3f}", f"{row['right']:.3f}", str(row["spectra"]))
    console.print(table)


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, list):
        right, number = cell
        return f"{right} of {number}" + (f" ({100 * right / number:.1f} %)" if number else "")
    return f"{cell:.4g}"

#!/usr/bin/env python3
"""Stack spectra of Lyman-break galaxies into the templates of ``data/lyman_break.npz``.

    python pipeline/tools/learn_lyman_break_templates.py ../shared/data

reads the VANDELS spectra of Gazagnes et al. (2024, CC BY 4.0) with flags 3 and 4 and the redshifts people gave them, and writes a
stack for each bin of the equivalent width of Lyman alpha. What the figures of docs/redshifts.md say of these spectra is
cross-validated: five times the stacks of four fifths were used to measure the other fifth (``--cross-validate``).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.prepare import prepare
from specola_pipeline.redshift.spectrum import Floats, Spectrum
from specola_pipeline.redshift.templates import Library, Template, load_library
from specola_pipeline.spectral import air_to_vacuum

DATA = Path(__file__).resolve().parents[1] / "src" / "specola_pipeline" / "redshift" / "data"
POWER = 580.0
"""Resolving power of the spectra stacked."""
BINS = 6
FOLDS = 5
LINES = (1175.7, 1193.0, 1206.5, 1215.67, 1240.0, 1260.4, 1265.0, 1303.0, 1334.5, 1393.8, 1402.8, 1526.7, 1549.0, 1608.5, 1640.4,
         1664.0, 1670.8, 1854.7, 1862.8, 1908.0)  # fmt: skip
"""Rest wavelengths (Angstrom) near which the continuum is not fitted."""
SLOPE = -1.5
"""Index of the power law that the stacks' continuum gets; the scan's polynomial finds a spectrum's own."""
CAP = 25.0
"""Largest weight of a pixel, (S/N)^2: no bright galaxy rules a stack."""
FEWEST = 25
"""Spectra that must cover a wavelength of a stack."""
OUTSIDE = "Lyman-break, mean"
"""Template that goes on where the stacks end."""

Item = tuple[Spectrum, float, int]
"""A spectrum, its redshift and its flag."""


def read(data: Path) -> list[Item]:
    """The VANDELS spectra in the order of their list."""
    rows = [line.split() for line in (data / "vandels" / "sample.info").read_text("utf-8").splitlines()[1:]]
    arrays = {}
    with tarfile.open(data / "vandels" / "spectra.tar.xz") as archive:
        for member in archive:
            if stream := archive.extractfile(member):
                arrays[Path(member.name).name.removesuffix(".dat")] = np.loadtxt(stream).T
    return [
        (Spectrum(name, air_to_vacuum(arrays[name][0]), arrays[name][1], arrays[name][2], POWER), float(z), int(flag))
        for name, z, flag, *_ in rows
    ]


def normalised(spectrum: Spectrum, z: float, rest: Floats) -> tuple[Floats, Floats]:
    """Flux over continuum, freed of the mean intergalactic absorption, and its weight, on the grid of the templates."""
    data = prepare(spectrum)
    wave = data.wave / (1 + z)
    piece = np.sum(wave[:, np.newaxis] <= np.array(igm.CUTS), axis=1)
    through = igm.transmissions(data.wave)[piece, np.arange(wave.size)]
    use = (wave > 1225) & (wave < 2300)
    for line in LINES:
        use &= np.abs(np.log(wave / line)) > 700 / 299792.458
    x = np.log(wave / 1500)
    root = np.sqrt(data.noise_ivar) * use
    design = np.column_stack([np.ones_like(x), x])
    constant, slope = np.linalg.lstsq(design * root[:, np.newaxis], data.flux * root, rcond=None)[0]
    continuum = np.maximum(constant * (1 + np.clip(slope / constant, -3.0, 1.0) * x), 0.2 * abs(constant))
    weight = np.minimum(data.noise_ivar * (continuum * through) ** 2, CAP)
    ratio = data.flux / (continuum * np.maximum(through, 0.02))
    log_wave, log_rest = np.log(wave), np.log(rest)
    return (
        np.interp(log_rest, log_wave, np.clip(ratio, -20.0, 60.0), left=0.0, right=0.0),
        np.interp(log_rest, log_wave, weight, left=0.0, right=0.0),
    )


def stacks(items: list[Item], library: Library) -> tuple[Template, ...]:
    """A template for each bin of the equivalent width of Lyman alpha."""
    rest = np.exp((library.first + np.arange(library.templates[0].flux.size)) * library.step)
    pairs = [normalised(spectrum, z, rest) for spectrum, z, _ in items]
    ratios, weights = (np.array(part) for part in zip(*pairs, strict=True))
    near = (rest > 1212) & (rest < 1222)
    covered = (weights[:, near] > 0).all(axis=1)
    widths = np.where(covered, np.sum((ratios[:, near] - 1) * rest[near] * library.step, axis=1), np.nan)
    order = np.argsort(np.where(covered, widths, np.inf))[: int(covered.sum())]
    outside = next(one.flux for one in library.templates if one.name == OUTSIDE)
    found = []
    for number, members in enumerate(np.array_split(order, BINS), start=1):
        # Where Lyman alpha is not covered nothing says into which bin a galaxy belongs: those are left out.
        total = weights[members].sum(axis=0)
        curve = np.sum(weights[members] * ratios[members], axis=0) / np.maximum(total, 1e-30)
        inside = np.flatnonzero(((weights[members] > 0).sum(axis=0) >= FEWEST) & (rest > 1000))
        low, high = inside[0], inside[-1]
        flux = np.maximum(curve, 0.0) * (rest / 1500) ** SLOPE
        for part, edge in ((slice(0, low), slice(low, low + 100)), (slice(high, None), slice(high - 100, high))):
            flux[part] = outside[part] * np.median(flux[edge]) / np.median(outside[edge])
        flux[rest < 911.75] = 0.0
        middle = float(np.median(widths[members]))
        found.append(Template("GALAXY", f"stack {number}, Ly alpha {middle:+.0f} A", flux, 1 / (2.3548 * POWER)))
    return tuple(found)


def plain() -> Library:
    """The library without stacks."""
    return load_library((DATA / "templates.npz",))


def measured(argument: tuple[list[Item], list[Item]]) -> list[bool]:
    """Whether the spectra of the second list come out right with stacks of the first."""
    training, testing = argument
    library = plain()
    whole = Library(library.step, library.first, library.templates + stacks(training, library))
    redshifter = Redshifter(whole)
    right = []
    with threadpool_limits(1):
        for spectrum, z, _ in testing:
            best = redshifter.measure(spectrum).best
            right.append(best is not None and abs(best.z - z) < 0.003 * (1 + z))
    return right


def main() -> None:
    """Write the stacks, or cross-validate them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with vandels/sample.info and vandels/spectra.tar.xz")
    parser.add_argument(
        "--cross-validate", action="store_true", help="measure each fifth with stacks of the others; write nothing"
    )
    options = parser.parse_args()
    items = read(options.data)
    secure = [one for one in items if one[2] in {3, 4}]
    if not options.cross_validate:
        library = plain()
        learnt: dict[str, Any] = {f"GALAXY:{one.name}": one.flux.astype(np.float32) for one in stacks(secure, library)}
        sigma = np.float64(1 / (2.3548 * POWER))
        np.savez_compressed(
            DATA / "lyman_break.npz", step=np.float64(library.step), first=np.int64(library.first), sigma=sigma, **learnt
        )
        print(f"{len(learnt)} stacks of {len(secure)} spectra")
        return
    tasks = [
        ([one for i, one in enumerate(items) if i % FOLDS != fold and one[2] in {3, 4}], items[fold::FOLDS])
        for fold in range(FOLDS)
    ]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        answers = pool.map(measured, tasks, chunksize=1)
    right = {items[fold + FOLDS * i][0].name: value for fold, part in enumerate(answers) for i, value in enumerate(part)}
    for flags in ({3, 4}, {4}, {3}, {9}):
        chosen = [right[spectrum.name] for spectrum, _, flag in items if flag in flags]
        print(f"flags {sorted(flags)}: {sum(chosen)} of {len(chosen)}, {100 * np.mean(chosen):.1f} per cent")


if __name__ == "__main__":
    main()

"""Quasars behind made broad absorption, measured with and without masked troughs: ``python -m bench.redshift_outflows``.

Seeded spectra like BOSS' (3,600 to 10,300 Angstrom, S/N 3 to 10, z 1.8 to 3.5) of two of the templates, each measured with the
others: the strengths of broad lines differ by a third, the continuum's slope by 0.4, and the forest is uneven. One or two
outflows of each absorb in O VI, Lyman alpha, N V, Si IV and C IV, one in four also in Al III and Mg II, at 1,500 to 18,000 km/s,
2,000 to 8,000 wide, of optical depths up to 2.5. Half as many spectra are without outflows. Right is within 0.005 (1 + z).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.redshift_cases import Case, mad, measured
from specola_pipeline.redshift import igm
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.scan import smoothed
from specola_pipeline.redshift.spectrum import Floats, Spectrum
from specola_pipeline.redshift.templates import Library, load_library
from specola_pipeline.redshift.widths import SPEED_OF_LIGHT

SOURCES = ("composite", "high luminosity")
WAVE = 10 ** np.arange(np.log10(3600), np.log10(10300), 1e-4)
LINES = {"Ly alpha": 1215.67, "N V": 1240.8, "Si IV": 1398.3, "C IV": 1549.1, "C III]": 1905.0, "Mg II": 2799.1}
NODES = np.array([620.0, 1000.0, 1150.0, 1285.0, 1450.0, 1690.0, 2200.0, 3020.0, 4200.0, 5600.0, 7100.0, 11000.0])
"""Rest wavelengths of the continuum without lines, as in pipeline/tools/make_redshift_templates.py."""
POWER = 2000.0
TOLERANCE = 0.005


def _depth(rest: Floats, rng: np.random.Generator) -> Floats:
    """Optical depth of one or two outflows at rest wavelengths."""
    depth = np.zeros_like(rest)
    low = rng.random() < 0.25
    for _ in range(rng.integers(1, 3)):
        speed, width, strength = rng.uniform(1500, 18000), rng.uniform(2000, 8000), rng.uniform(0.4, 2.5)
        shares = {
            1033.8: rng.uniform(0.6, 1.1), 1215.67: rng.uniform(0.3, 1), 1240.8: rng.uniform(0.6, 1.1),
            1398.3: rng.uniform(0.2, 0.8), 1549.5: 1.0, 1857.4: rng.uniform(0.2, 0.6) * low, 2799.1: rng.uniform(0.2, 0.7) * low,
        }  # fmt: skip
        for wave, share in shares.items():
            x = np.log(wave / rest) * SPEED_OF_LIGHT - speed
            depth += strength * share * np.exp(-(np.abs(x / (width / 2)) ** 3))
    return depth


def make(library: Library, seed: int, *, outflows: bool) -> tuple[str, float, Spectrum]:
    """The source, the redshift, and the spectrum."""
    rng = np.random.default_rng(seed)
    source = SOURCES[0] if rng.random() < 0.5 else SOURCES[1]
    rest = library.wave
    flux = next(one.flux for one in library.templates if one.name == source)
    z, snr = rng.uniform(1.8, 3.5), rng.uniform(3, 10)
    level = np.interp(NODES, rest, smoothed(flux, 0.004, library.step))
    plain = np.exp(np.interp(np.log(rest), np.log(NODES), np.log(level)))
    near, stronger = np.zeros_like(rest), np.zeros_like(rest)
    for name, factor in zip(LINES, np.exp(0.35 * rng.standard_normal(len(LINES))), strict=True):
        width = 3000 if name in {"Ly alpha", "N V"} else 5000
        share = np.exp(-0.5 * (np.log(rest / LINES[name]) * SPEED_OF_LIGHT / width) ** 2)
        near, stronger = near + share, stronger + share * factor
    light = np.maximum(plain + (flux - plain) * (stronger + 0.02) / (near + 0.02), 0) * (rest / 2000) ** rng.normal(0, 0.4)
    if outflows:
        light = light * np.exp(-_depth(rest, rng))
    seen = np.interp(np.log(WAVE) - np.log1p(z), np.log(rest), smoothed(light, 1 / (2.3548 * POWER), library.step))
    through = igm.transmissions(WAVE)[np.sum(WAVE[:, None] / (1 + z) <= np.array(igm.CUTS), axis=1), np.arange(WAVE.size)]
    uneven = np.convolve(rng.standard_normal(WAVE.size + 40), np.exp(-0.5 * (np.arange(-10, 11) / 3) ** 2), "same")[20:-20]
    forest = np.exp(np.log(through) * np.exp(0.8 * uneven / uneven.std() - 0.32))
    seen = seen * np.where(WAVE / (1 + z) < igm.CUTS[0], forest, 1.0)
    seen = seen / np.median(seen)
    # BOSS' blue end has less light.
    err = (1 + 1.5 * np.exp(-(WAVE - WAVE[0]) / 200)) / snr
    return source, z, Spectrum(f"{source} {seed}", WAVE, seen + err * rng.standard_normal(WAVE.size), err, POWER)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=200, help="of spectra with outflows")
    parser.add_argument("--seed", type=int, default=2000, help="of the first one; the others count on")
    options = parser.parse_args()
    console = Console(width=max(Console().width, 110))
    library = load_library()
    rest = {name: replace(library, templates=tuple(o for o in library.templates if o.name != name)) for name in SOURCES}
    table = Table("quasars", "troughs", "right", "off by 0.015 (1 + z)", "not quasars", "scatter of right, km/s", "ms")
    for outflows, first, number in ((True, options.seed, options.number), (False, options.seed + 4000, options.number // 2)):
        spectra = [make(library, first + one, outflows=outflows) for one in range(number)]
        for masked in (False, True):
            redshifters = {name: Redshifter(one, outflows=masked) for name, one in rest.items()}
            order = [(redshifters[source], Case(one.name, z, "QSO", tolerance=TOLERANCE), one) for source, z, one in spectra]
            for source, one in redshifters.items():
                one.measure(next(spectrum for name, _, spectrum in spectra if name == source))
            cases = measured(order, "measuring", console)
            shift = np.array([(o.z - o.z_true) / (1 + o.z_true) if o.z is not None else np.inf for o in cases])
            table.add_row(
                "absorbed" if outflows else "not absorbed", "masked" if masked else "not masked",
                f"{sum(o.right for o in cases)} of {number}", str(int(np.sum(np.abs(shift) > 0.015))),
                str(sum(o.spectral_class != "QSO" for o in cases)),
                f"{SPEED_OF_LIGHT * mad(shift[np.abs(shift) < TOLERANCE] - np.median(shift)):.0f}",
                f"{np.mean([o.seconds for o in cases]) * 1e3:.0f}",
            )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()

"""The light of the objects: templates, emission lines and magnitudes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ingest.mock.setup import RESOLVING_POWER, Floats

__all__ = ["BANDS", "GALAXIES", "LINES", "Library", "library", "line_widths"]

FILE = Path(__file__).resolve().parents[2] / "inputs" / "demo" / "templates" / "templates.npz"
GALAXIES = ("early", "lenticular", "Sab", "Sbc", "Scd", "starburst", "young", "Lyman-break")
"""From red to blue; a galaxy's type is a number between 0 (early) and 7 (Lyman-break), its light a mixture of neighbours."""
BANDS = ("u", "g", "r", "i", "z")
PHOTOMETRY_Z = np.arange(0.0, 4.51, 0.01)
SPEED_OF_LIGHT = 299792.458
GALAXY_DISPERSION = 150.0
"""Width of emission lines within a galaxy, km/s."""
FWHM = 2.3548
"""Full width at half maximum of a Gaussian over its standard deviation."""


@dataclass(frozen=True)
class Line:
    """An emission line of galaxies; wavelengths in vacuum (Angstrom), strength relative to the equivalent width of [O II]."""

    name: str
    wave: float
    strength: tuple[float, float]
    """For types up to Sab and from starburst on; between them it goes linearly."""


LINES = (
    Line("Lya", 1215.67, (0.0, 0.4)),
    Line("[OII]", 3727.09, (0.45, 0.45)),
    Line("[OII]", 3729.88, (0.55, 0.55)),
    Line("[NeIII]", 3869.86, (0.0, 0.12)),
    Line("Hd", 4102.89, (0.0, 0.08)),
    Line("Hg", 4341.68, (0.05, 0.16)),
    Line("Hb", 4862.68, (0.16, 0.40)),
    Line("[OIII]", 4960.30, (0.07, 0.33)),
    Line("[OIII]", 5008.24, (0.20, 1.00)),
    Line("HeI", 5877.25, (0.0, 0.05)),
    Line("[NII]", 6549.86, (0.25, 0.10)),
    Line("Ha", 6564.61, (0.90, 1.60)),
    Line("[NII]", 6585.27, (0.75, 0.30)),
    Line("[SII]", 6718.29, (0.30, 0.25)),
    Line("[SII]", 6732.67, (0.22, 0.18)),
)
OII_WIDTH = np.array([1.0, 2.0, 6.0, 16.0, 32.0, 50.0, 75.0, 40.0])
"""Median rest-frame equivalent width of [O II] of each galaxy type, Angstrom."""


class Library:
    """The templates at the resolution of the spectrograph, and their colours.

    The resolving power is the same at all wavelengths, so the templates are smoothed once, in ln(wavelength), whatever their
    redshift will be.
    """

    def __init__(self, path: Path = FILE) -> None:
        with np.load(path) as arrays:
            self.wave: Floats = arrays["wave"]
            self.names = tuple(key.removeprefix("template:") for key in arrays if key.startswith("template:"))
            raw = np.array([arrays[f"template:{name}"] for name in self.names], dtype=float)
            self.sky_lines: Floats = arrays["sky_lines"]
            filters = {band: arrays[f"filter:{band}"].astype(float) for band in BANDS}
        self._step = float(np.log(self.wave[1] / self.wave[0]))
        self.flux = self._smooth(raw)
        self.index = {name: number for number, name in enumerate(self.names)}
        self.band_flux = self._photometry(raw, filters)

    def _smooth(self, raw: Floats) -> Floats:
        sigma = 1 / (RESOLVING_POWER * FWHM) / self._step
        reach = int(5 * sigma) + 1
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        kernel /= kernel.sum()
        return np.array([np.convolve(np.pad(one, reach, mode="edge"), kernel, mode="valid") for one in raw])

    def _photometry(self, raw: Floats, filters: dict[str, Floats]) -> Floats:
        """Mean flux density f_nu in each band, erg/s/cm2/Hz for flux densities in erg/s/cm2/A; (template, redshift, band)."""
        result = np.empty((len(raw), PHOTOMETRY_Z.size, len(BANDS)))
        for b, band in enumerate(BANDS):
            wave, response = filters[band]
            rest = wave / (1 + PHOTOMETRY_Z[:, np.newaxis])
            # Photon counting: f_nu = int f_lambda R lambda dlambda / (c int R dlambda / lambda).
            weight = response * wave / (SPEED_OF_LIGHT * 1e13 * np.sum(response / wave))
            for t, one in enumerate(raw):
                result[t, :, b] = np.interp(rest, self.wave, one) @ weight
        return result

    def mixture(self, galaxy_type: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
        """The redder template of each galaxy and the share of the next bluer one."""
        lower = np.clip(galaxy_type.astype(int), 0, len(GALAXIES) - 2)
        return np.array([self.index[name] for name in GALAXIES])[lower], galaxy_type - lower

    def bands(self, template: npt.NDArray[np.intp], share: Floats, z: Floats) -> Floats:
        """Flux densities f_nu of mixtures of ``template`` and its neighbour, seen at redshift z; shape (n, 5)."""
        low = np.clip(np.searchsorted(PHOTOMETRY_Z, z) - 1, 0, PHOTOMETRY_Z.size - 2)
        part = ((z - PHOTOMETRY_Z[low]) / 0.01)[:, np.newaxis]
        neighbour = np.where(share > 0, template + 1, template)
        both = [(1 - part) * self.band_flux[t, low] + part * self.band_flux[t, low + 1] for t in (template, neighbour)]
        return np.asarray((1 - share)[:, np.newaxis] * both[0] + share[:, np.newaxis] * both[1])

    def spectrum(self, template: int, share: float, rest: Floats) -> Floats:
        """Flux density of a mixture at rest-frame vacuum wavelengths, in the templates' own units."""
        flux = self.flux[template]
        if share > 0:
            flux = (1 - share) * flux + share * self.flux[template + 1]
        return np.asarray(np.interp(rest, self.wave, flux))


@functools.cache
def library() -> Library:
    """The library that ships with the demonstration, read once a process."""
    return Library()


def line_widths(galaxy_type: Floats, rng: np.random.Generator) -> Floats:
    """Rest-frame equivalent widths (Angstrom) of `LINES` for galaxies of the given types; shape (n, lines)."""
    oii = np.interp(galaxy_type, np.arange(len(GALAXIES)), OII_WIDTH) * np.exp(0.35 * rng.standard_normal(galaxy_type.size))
    active = np.clip((galaxy_type - 2) / 3, 0, 1)[:, np.newaxis]
    ends = np.array([line.strength for line in LINES])
    strength = ends[:, 0] * (1 - active) + ends[:, 1] * active
    names = sorted({line.name for line in LINES})
    scatter = np.exp(0.25 * rng.standard_normal((galaxy_type.size, len(names))))
    return np.asarray(oii[:, np.newaxis] * strength * scatter[:, [names.index(line.name) for line in LINES]])

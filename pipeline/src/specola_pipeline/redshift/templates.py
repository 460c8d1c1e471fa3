"""Template sets: the one that ships with the package, and any in redrock's format."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from specola_pipeline.errors import SpectrumError
from specola_pipeline.redshift.spectrum import Floats

__all__ = ["RANGES", "EigenSet", "Library", "Template", "load_library", "load_redrock"]

FILES = tuple(Path(__file__).with_name("data") / name for name in ("templates.npz", "lyman_break.npz"))
RANGES = {"GALAXY": (-0.003, 6.5), "QSO": (0.05, 6.5), "STAR": (-0.004, 0.004)}
"""Redshifts that are searched, by class."""


OLD = (0.886, 2.46)
"""Redshifts of early-type galaxies are distributed as z^a exp(-(z / z_m)^a); z_m and a after Benitez (2000,
ApJ 536, 571, table 1) at a magnitude of 25 in I, the faintest of spectroscopic surveys, at which z_m is largest. Up to the
maximum at z_m nothing is rare."""
OLD_STARS = frozenset({"early", "lenticular", "Sab", "red sequence", "early SDSS"})
"""The templates it is said of."""
QUASARS = 9.2
"""One spectrum in a hundred is a quasar's, as in surveys of galaxies; where quasars are sought their lines tell by hundreds."""


@dataclass(frozen=True)
class Template:
    """A continuum at rest, on the library's grid."""

    spectral_class: str
    name: str
    flux: Floats
    """Flux per wavelength, any unit."""
    sigma: float = 0.0
    """Standard deviation in ln(wavelength) of the line spread it already has: of a stack, that of the spectra stacked."""
    absorbed: bool = True
    """Whether the intergalactic medium is in front of it; not if its light is of something else."""
    handicap: float = 0.0
    """What chi-square is higher for, because spectra like it are rare: -2 ln of their share."""
    low: float = -1.0
    """Redshift below which it is not used."""
    old: bool = False
    """Whether its stars are old: such galaxies are rare at high redshift, see `OLD`."""

    def rareness(self, z: Floats) -> Floats:
        """What chi-square is higher for at each redshift because such spectra are rare, `low` apart."""
        x = np.maximum(z / OLD[0], 1.0)
        late = 2 * (x ** OLD[1] - 1 - OLD[1] * np.log(x)) if self.old else 0.0
        return np.asarray(self.handicap + late + np.zeros_like(z))


@dataclass(frozen=True)
class EigenSet:
    """Spectra whose sums with coefficients of any sign are the spectra of a class: the mean and what it varies by."""

    spectral_class: str
    name: str
    vectors: Floats
    """At rest on the library's grid, shape (vectors, points), the first a spectrum; 0 where the set says nothing."""
    low: float
    high: float
    """Redshifts it is made for."""


@dataclass(frozen=True)
class Library:
    """Templates on one grid: point i has the vacuum wavelength exp((first + i) step), Angstrom."""

    step: float
    first: int
    templates: tuple[Template, ...]
    sets: tuple[EigenSet, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes there are templates of, in the order of `RANGES`."""
        there = {one.spectral_class for one in self.templates} | {one.spectral_class for one in self.sets}
        return tuple(name for name in RANGES if name in there)

    @property
    def wave(self) -> Floats:
        """Vacuum wavelengths of the grid, Angstrom."""
        points = self.templates[0].flux.size if self.templates else self.sets[0].vectors.shape[1]
        return np.asarray(np.exp((self.first + np.arange(points)) * self.step), dtype=np.float64)

    def of(self, spectral_class: str) -> tuple[Template, ...]:
        """The templates of a class."""
        return tuple(one for one in self.templates if one.spectral_class == spectral_class)

    def sets_of(self, spectral_class: str) -> tuple[EigenSet, ...]:
        """The sets of a class."""
        return tuple(one for one in self.sets if one.spectral_class == spectral_class)

    def only(self, classes: Iterable[str]) -> Library:
        """The library without other classes."""
        wanted = set(classes)
        return Library(
            self.step,
            self.first,
            tuple(one for one in self.templates if one.spectral_class in wanted),
            tuple(one for one in self.sets if one.spectral_class in wanted),
        )


_OTHER_LIGHT = 4.6
"""One spectrum in ten."""
_ALPHA_SEEN = 2.0


def other_light(points: int) -> Template:
    """Light without features, not absorbed below Lyman alpha: a neighbour's, or left of the sky.

    Of a faint line emitter, lines on such light are often all that is seen; a galaxy's continuum with its break does not fit.
    Where Lyman alpha is in the ultraviolet a galaxy's continuum times the polynomial does.
    """
    return Template("GALAXY", "other light", np.ones(points), absorbed=False, handicap=_OTHER_LIGHT, low=_ALPHA_SEEN)


@functools.cache
def load_library(paths: tuple[Path, ...] = FILES) -> Library:
    """The templates of ``npz`` files, and `other_light`.

    Files have arrays ``CLASS:name``, and the ``step`` and ``first`` of their grid.

    The grid is the same everywhere; ``sigma`` is that of the file's templates.
    """
    templates: list[Template] = []
    for path in paths:
        with np.load(path) as arrays:
            step, first = float(arrays["step"]), int(arrays["first"])
            sigma = float(arrays["sigma"]) if "sigma" in arrays else 0.0
            for key in arrays.files:
                spectral_class, colon, name = key.partition(":")
                if colon:
                    handicap = QUASARS if spectral_class == "QSO" else 0.0
                    flux = arrays[key].astype(float)
                    templates.append(Template(spectral_class, name, flux, sigma, handicap=handicap, old=name in OLD_STARS))
    return Library(step, first, (*templates, other_light(templates[0].flux.size)))


def load_redrock(paths: tuple[Path, ...]) -> Library:
    """Templates of files in redrock's format: HDU BASIS_VECTORS with CRVAL1, CDELT1, LOGLAM and RRTYPE.

    Where all vectors are spectra (archetypes, or sets made by non-negative factorisation) each is a template of its own, to be
    multiplied by a polynomial. Where some are negative they are components of one set, as a principal component
    analysis makes them, and are fitted together; an HDU REDSHIFTS says for which redshifts.

    Raises
    ------
    SpectrumError
        A file is not in that format, or its vectors make no spectrum.
    """
    step = 2e-4
    first, last = round(np.log(600.0) / step), round(np.log(11300.0) / step)
    grid = np.exp(np.arange(first, last + 1) * step)
    templates: list[Template] = []
    sets: list[EigenSet] = []
    for path in paths:
        wave, vectors, spectral_class, name, limits = _read_redrock(path)
        if not np.isfinite(vectors).all() or not np.abs(vectors).max(axis=1).all():
            raise SpectrumError(f"{path}: found vectors that are not finite or nothing but zero, expected spectra or components")
        if _below(vectors)[0] > 0.5 and vectors.shape[0] > 1:
            # The sign of a principal component is arbitrary; the first is a spectrum.
            vectors = np.vstack([-vectors[:1], vectors[1:]])
        if _below(vectors)[0] > _NEGATIVE:
            raise SpectrumError(f"{path}: found negative flux in vector 0, expected a spectrum there (archetypes, NMF or PCA)")
        # Rounded, so that a point at the end of both grids is not lost to the last bit of a logarithm.
        x, known = np.round(np.log(grid), 9), np.round(np.log(wave), 9)
        on_grid = np.array([np.interp(x, known, one, left=0.0, right=0.0) for one in vectors])
        if (_below(vectors) > _NEGATIVE).any():
            sets.append(EigenSet(spectral_class, name or path.stem, on_grid, *(limits or RANGES[spectral_class])))
        else:
            templates += [
                Template(spectral_class, f"{name} {number}".strip(), np.maximum(one, 0.0)) for number, one in enumerate(on_grid)
            ]
    return Library(step, first, tuple(templates), tuple(sets))


_NEGATIVE = 0.05
"""Share of a vector that may be below zero, by noise, in what is a spectrum."""


def _below(vectors: Floats) -> Floats:
    """How much of each vector is below zero, as a share of its absolute sum; shape (vectors,)."""
    return np.asarray(np.maximum(-vectors, 0.0).sum(axis=1) / np.abs(vectors).sum(axis=1))


def _read_redrock(path: Path) -> tuple[Floats, Floats, str, str, tuple[float, float] | None]:
    """Wavelengths, vectors, class, name, and the redshifts it is for where the file says so."""
    try:
        with fits.open(path, memmap=False) as hdus:
            hdu = hdus["BASIS_VECTORS"]
            header, vectors = hdu.header, np.atleast_2d(np.asarray(hdu.data, dtype=float))
            limits = None
            if "REDSHIFTS" in hdus:
                redshifts = np.asarray(hdus["REDSHIFTS"].data, dtype=float)
                limits = (float(redshifts.min()), float(redshifts.max()))
        wave = header["CRVAL1"] + header["CDELT1"] * np.arange(vectors.shape[1])
        spectral_class = str(header["RRTYPE"]).strip().upper()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise SpectrumError(f"{path}: found {error}, expected templates in redrock's format (HDU BASIS_VECTORS)") from error
    if spectral_class not in RANGES:
        raise SpectrumError(f"{path}: found RRTYPE {spectral_class}, expected one of {', '.join(RANGES)}")
    wave = 10.0**wave if header.get("LOGLAM") else wave
    return wave, vectors, spectral_class, str(header.get("RRSUBTYP", "")).strip(), limits

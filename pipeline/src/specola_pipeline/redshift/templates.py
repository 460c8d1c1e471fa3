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

__all__ = ["RANGES", "Library", "Template", "load_library", "load_redrock"]

FILES = tuple(Path(__file__).with_name("data") / name for name in ("templates.npz", "lyman_break.npz"))
RANGES = {"GALAXY": (-0.003, 6.5), "QSO": (0.05, 6.5), "STAR": (-0.004, 0.004)}
"""Redshifts that are searched, by class."""


@dataclass(frozen=True)
class Template:
    """A continuum at rest, on the library's grid."""

    spectral_class: str
    name: str
    flux: Floats
    """Flux per wavelength, any unit."""
    sigma: float = 0.0
    """Standard deviation in ln(wavelength) of the line spread it already has: of a stack, that of the spectra stacked."""


@dataclass(frozen=True)
class Library:
    """Templates on one grid: point i has the vacuum wavelength exp((first + i) step), Angstrom."""

    step: float
    first: int
    templates: tuple[Template, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes there are templates of, in the order of `RANGES`."""
        return tuple(name for name in RANGES if any(one.spectral_class == name for one in self.templates))

    def of(self, spectral_class: str) -> tuple[Template, ...]:
        """The templates of a class."""
        return tuple(one for one in self.templates if one.spectral_class == spectral_class)

    def only(self, classes: Iterable[str]) -> Library:
        """The library without other classes."""
        wanted = set(classes)
        return Library(self.step, self.first, tuple(one for one in self.templates if one.spectral_class in wanted))


@functools.cache
def load_library(paths: tuple[Path, ...] = FILES) -> Library:
    """The templates of ``npz`` files: arrays ``CLASS:name``, and of each file the ``step`` and ``first`` of its grid.

    The grid is the same everywhere; ``sigma`` is that of the file's templates.
    """
    templates: list[Template] = []
    for path in paths:
        with np.load(path) as arrays:
            step, first = float(arrays["step"]), int(arrays["first"])
            sigma = float(arrays["sigma"]) if "sigma" in arrays else 0.0
            templates += [
                Template(key.partition(":")[0], key.partition(":")[2], arrays[key].astype(float), sigma)
                for key in arrays.files
                if ":" in key
            ]
    return Library(step, first, tuple(templates))


def load_redrock(paths: tuple[Path, ...]) -> Library:
    """Templates of files in redrock's format: HDU BASIS_VECTORS with CRVAL1, CDELT1, LOGLAM and RRTYPE.

    Each vector is a template of its own. That is right for archetypes and for sets made by non-negative factorisation;
    vectors of a principal component analysis, which are negative in places and mean nothing one by one, are refused.

    Raises
    ------
    SpectrumError
        A file is not in that format, or holds components that are no spectra.
    """
    step = 2e-4
    first, last = round(np.log(600.0) / step), round(np.log(11300.0) / step)
    grid = np.exp(np.arange(first, last + 1) * step)
    templates = []
    for path in paths:
        try:
            with fits.open(path, memmap=False) as hdus:
                hdu = hdus["BASIS_VECTORS"]
                header, vectors = hdu.header, np.atleast_2d(np.asarray(hdu.data, dtype=float))
            wave = header["CRVAL1"] + header["CDELT1"] * np.arange(vectors.shape[1])
            spectral_class = str(header["RRTYPE"]).strip().upper()
        except (OSError, KeyError, TypeError) as error:
            raise SpectrumError(f"{path}: found {error}, expected templates in redrock's format (HDU BASIS_VECTORS)") from error
        if spectral_class not in RANGES:
            raise SpectrumError(f"{path}: found RRTYPE {spectral_class}, expected one of {', '.join(RANGES)}")
        wave = 10.0**wave if header.get("LOGLAM") else wave
        for number, vector in enumerate(vectors):
            if not np.isfinite(vector).all() or np.mean(vector < 0) > 0.05 or not vector.max() > 0:
                raise SpectrumError(
                    f"{path}: found negative flux in vector {number}, expected spectra (archetypes or RRMETHOD NMF)"
                )
            # Rounded, so that a point at the end of both grids is not lost to the last bit of a logarithm.
            flux = np.interp(np.round(np.log(grid), 9), np.round(np.log(wave), 9), np.maximum(vector, 0.0), left=0.0, right=0.0)
            templates.append(Template(spectral_class, f"{str(header.get('RRSUBTYP', '')).strip()} {number}".strip(), flux))
    return Library(step, first, tuple(templates))

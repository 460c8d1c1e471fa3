"""Fits of one template, or of one set, on the pixels of a spectrum at several redshifts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.eigen import fit_set
from specola_pipeline.redshift.kernels import TERMS, solve
from specola_pipeline.redshift.lines import groups
from specola_pipeline.redshift.pixels import absorb, line_table, sample
from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.scan import LINE_PENALTY, SPREAD, reaches
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.templates import Library, Template
from specola_pipeline.redshift.widths import continuum, rarity

__all__ = ["Pixels", "Sampled", "SetFits", "TemplateFits"]

_CUTS: Floats = np.log(np.array(igm.CUTS))


@dataclass(frozen=True)
class Pixels:
    """What the fits of all templates need of a spectrum."""

    x: Floats
    """ln(wavelength), (n,)."""
    powers: Floats
    """Of the polynomial, (2 TERMS - 1, n)."""
    weighted: Floats
    """Inverse variance times flux."""
    level: Floats
    """The continuum beside lines, on the grid."""
    through: Floats
    """Transmission of the intergalactic medium, (pieces, n)."""

    @classmethod
    def of(cls, data: Prepared) -> Pixels:
        """Those of a spectrum."""
        x = np.log(data.wave)
        powers = np.vander(2 * (x - x[0]) / (x[-1] - x[0]) - 1, 2 * TERMS - 1, increasing=True).T
        return cls(x, np.ascontiguousarray(powers), data.ivar * data.flux, continuum(data), igm.transmissions(data.wave))


class Sampled(Protocol):
    """Fits of one template or set at some shifts; what is asked for after `gains` is of its shifts."""

    def gains(self, shifts: Floats) -> Floats:
        """Gain at each shift in ln(1 + z)."""

    def model(self, number: int) -> Floats:
        """The model at a shift."""

    def parameters(self, number: int) -> tuple[dict[str, float], int]:
        """Strengths of the groups of lines in the model at a shift, and how many parameters are in it."""


class TemplateFits:
    """A template times a polynomial, and groups of lines."""

    def __init__(self, data: Prepared, pixels: Pixels, one: Template, flux: Floats, library: Library) -> None:
        self._data, self._pixels, self._one, self._flux, self._library = data, pixels, one, flux, library
        self._through = pixels.through if one.absorbed else pixels.through[:1]

    def gains(self, shifts: Floats) -> Floats:
        """Gain at each shift in ln(1 + z)."""
        data, pixels, library = self._data, self._pixels, self._library
        low, high = float(pixels.x[0] - shifts.max()), float(pixels.x[-1] - shifts.min())
        self._used = tuple(one for one in groups(self._one.spectral_class) if reaches(one, low, high, data.sigma))
        self._continuum, self._profiles, moments, right, self_, line, cross = sample(
            pixels.x, shifts, self._flux, library.first, library.step, _CUTS, self._through, pixels.powers, data.ivar,
            pixels.weighted, *line_table(self._used, data.sigma),
        )  # fmt: skip
        for number, group in enumerate(self._used):
            line[:, number] -= rarity(group, shifts, data, data.sigma).against(pixels.level)
        gain, self._coefficients = solve(moments, right, self_, line, cross, SPREAD, LINE_PENALTY)
        strengths = self._coefficients[:, TERMS:]
        left = line - np.einsum("stg,st->sg", cross, self._coefficients[:, :TERMS]) - strengths * self_
        return np.asarray(gain - self._missing(strengths, left, self_) - self._one.rareness(np.expm1(shifts)))

    def _missing(self, strengths: Floats, left: Floats, self_: Floats) -> Floats:
        """What chi-square is higher if groups that need others have them, at the least strength, (shifts,).

        strengths, left (what of the data's product with the group the model leaves) and self_ are (shifts, groups).
        """
        place = {one.name: number for number, one in enumerate(self._used)}
        total = np.zeros(len(strengths))
        for name, number in place.items():
            least = np.zeros(len(strengths))
            for other in self._used:
                if name in other.needs:
                    least = np.maximum(least, other.needs[name] * strengths[:, place[other.name]])
            more = np.maximum(least - strengths[:, number], 0.0)
            total += np.maximum(more**2 * self_[:, number] - 2 * more * left[:, number], 0.0)
        return total

    def model(self, number: int) -> Floats:
        """The model at a shift."""
        values = self._coefficients[number]
        smooth = self._continuum[number] * (values[:TERMS] @ self._pixels.powers[:TERMS])
        return np.asarray(smooth + values[TERMS:] @ self._profiles[number])

    def parameters(self, number: int) -> tuple[dict[str, float], int]:
        """Strengths of the groups of lines in the model at a shift, and how many parameters are in it."""
        values = self._coefficients[number]
        strengths = {one.name: float(value) for one, value in zip(self._used, values[TERMS:], strict=True) if value > 0}
        return strengths, int(np.count_nonzero(values))


class SetFits:
    """A sum of the vectors of a set."""

    def __init__(self, data: Prepared, pixels: Pixels, vectors: Floats, library: Library) -> None:
        self._data, self._pixels, self._vectors, self._library = data, pixels, vectors, library

    def gains(self, shifts: Floats) -> Floats:
        """Gain at each shift in ln(1 + z)."""
        points = np.arange(self._vectors.shape[1])
        self._seen = np.empty((shifts.size, len(self._vectors), self._pixels.x.size))
        for seen, shift in zip(self._seen, shifts, strict=True):
            rest = self._pixels.x - shift
            for row, one in zip(seen, self._vectors, strict=True):
                row[:] = np.interp(rest / self._library.step - self._library.first, points, one, left=0.0, right=0.0)
                absorb(row, rest, _CUTS, self._pixels.through)
        fitted = [fit_set(one, self._data.flux, self._data.ivar) for one in self._seen]
        self._coefficients = np.array([values for _, values in fitted])
        return np.array([gain for gain, _ in fitted])

    def model(self, number: int) -> Floats:
        """The model at a shift."""
        return np.asarray(self._coefficients[number] @ self._seen[number])

    def parameters(self, number: int) -> tuple[dict[str, float], int]:
        """Strengths of the groups of lines in the model at a shift, and how many parameters are in it."""
        return {}, int(np.count_nonzero(self._coefficients[number]))

"""All redshifts of all templates at once.

On a grid in ln(wavelength) a redshift is a shift, and sums over pixels of data times a shifted template are correlations,
computed for all shifts by FFT. The model is a template times a polynomial (a continuum that absorbs wrong flux
calibration and reddening), plus groups of emission lines of non-negative strength:

    d(x) = T(x - s) sum_j c_j u^j + sum_g a_g G_g(x - s),    x = ln(wavelength), s = ln(1 + z), u = x scaled to -1..1

Strengths have a prior (see `widths`), which takes a share of the sums of w d with G.

Its normal equations at shift s are made of the correlations of w u^m with T^2, of w d u^j with T, of w with G^2, w d
with G and w u^j with G: 2n - 1 + n inverse transforms a template and n + 2 a group for a polynomial of n terms. Absorption by
the intergalactic medium is exact (see `igm`): templates are cut at the Lyman series, and each piece has weights of its own,
added up before the inverse transform.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.eigen import SetBank, scan_set
from specola_pipeline.redshift.kernels import TERMS, add_pieces, scan_templates
from specola_pipeline.redshift.lines import Group, groups
from specola_pipeline.redshift.pixels import REACH
from specola_pipeline.redshift.prepare import Prepared
from specola_pipeline.redshift.spectrum import Floats
from specola_pipeline.redshift.templates import RANGES, Library
from specola_pipeline.redshift.widths import SPEED_OF_LIGHT, Rarity, continuum, rarity

__all__ = ["LINE_PENALTY", "SPREAD", "WITHIN", "Scan", "Scanner", "beyond", "line_profile", "reaches", "smoothed"]

SPREAD = np.array([1.0, 0.4, 0.2, 0.1])
"""Prior standard deviations of the polynomial's coefficients relative to the first."""
LINE_PENALTY = 0.5
"""What a group of lines must gain in chi-square to be worth its freedom."""
WITHIN = 90.0
"""Maxima whose gain is farther below the best one's than this are of no interest: without any nearer one a redshift is as certain
as it gets (see `confidence`)."""

Complex = npt.NDArray[np.complex128]


def smoothed(flux: Floats, sigma: float, step: float) -> Floats:
    """A template at the resolution of the spectrograph: convolved with a Gaussian of ``sigma`` in ln(wavelength)."""
    width = sigma / step
    if width < 0.3:
        return flux
    reach = int(4 * width) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.asarray(np.convolve(np.pad(flux, reach, mode="edge"), kernel / kernel.sum(), mode="valid"))


def beyond(sigma: float, own: float) -> float:
    """The smoothing that brings a template with a line spread of its ``own`` to ``sigma``; none where it has more already."""
    return float(np.sqrt(max(sigma**2 - own**2, 0.0)))


def reaches(group: Group, low: float, high: float, sigma: float) -> bool:
    """Whether a line of a group is seen between two rest wavelengths (ln) at all."""
    width = REACH * float(np.hypot(group.sigma / SPEED_OF_LIGHT, sigma))
    return any(low - width < np.log(line.wave) + group.velocity / SPEED_OF_LIGHT < high + width for line in group.lines)


def line_profile(group: Group, log_wave: Floats, sigma: float) -> Floats:
    """Flux per wavelength of a group's lines at rest, 1 at the peak of a line of ratio 1; ``log_wave``, (n,), increases."""
    width = np.hypot(group.sigma / SPEED_OF_LIGHT, sigma)
    total = np.zeros_like(log_wave)
    for line in group.lines:
        centre = np.log(line.wave) + group.velocity / SPEED_OF_LIGHT
        low, high = np.searchsorted(log_wave, [centre - REACH * width, centre + REACH * width])
        x = (log_wave[low:high] - centre) / width
        total[low:high] += line.ratio * np.exp(-0.5 * x * x)
    return total


@dataclass(frozen=True)
class Scan:
    """The scan of one class."""

    spectral_class: str
    z: Floats
    """Shape (lags,)."""
    gain: Floats
    """Reduction of chi-square from a model of zero, shape (templates and then sets, lags). Its largest value at a lag is that of
    the best; others are upper bounds, and so is all that is below the best of all classes by more than `WITHIN`."""
    total: float
    """Chi-square of a model of zero."""


@dataclass(frozen=True)
class _Bank:
    """A class' templates and groups for one grid, transformed."""

    z: Floats
    size: int
    lags: int
    pieces: tuple[int, ...]
    squares: Complex
    """(pieces, templates, frequencies)."""
    plain: Complex
    groups: Complex
    group_squares: Complex
    tau: Floats
    handicaps: Floats
    rarities: tuple[Rarity, ...]
    """Of the groups, in the order of lags."""
    sets: tuple[SetBank, ...]


class Scanner:
    """Scans spectra with a library; keeps the transformed templates of the last grids.

    ``within`` says how far below the best one a reduction of chi-square is of no interest; infinity makes the best template of
    every lag exact.
    """

    def __init__(self, library: Library, keep: int = 4, within: float = WITHIN) -> None:
        self.library = library
        self._keep = keep
        self._within = within
        self._banks: dict[tuple[object, ...], dict[str, _Bank]] = {}

    def scan(self, data: Prepared, classes: Container[str] = tuple(RANGES)) -> list[Scan]:
        """Scan all classes of the library, or those of them that are named."""
        banks = {name: bank for name, bank in self._of(data).items() if name in classes}
        u = np.linspace(-1, 1, data.weight.size)
        powers = u[np.newaxis, :] ** np.arange(2 * TERMS - 1)[:, np.newaxis]
        wave = np.exp((data.first + np.arange(data.weight.size)) * data.step)
        transmission = igm.transmissions(wave)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = float(np.sum(np.where(data.weight > 0, data.weighted**2 / data.weight, 0.0)))
        level = continuum(data)
        result = []
        best = 0.0
        for name, bank in banks.items():
            through = transmission[list(bank.pieces)]
            parts = [scan_set(one, data.weight, data.weighted, through)[np.newaxis] for one in bank.sets]
            if bank.plain.shape[1]:
                best = max([best, *(float(part.max()) for part in parts)])
                parts.insert(0, self._scan_templates(data, powers, through, level, bank, best))
            gain = np.concatenate(parts)
            best = max(best, float(gain.max()))
            # Lags count from the highest redshift down.
            result.append(Scan(name, bank.z, gain[:, ::-1], total))
        return result

    def _scan_templates(self, data: Prepared, powers: Floats, through: Floats, level: Floats, bank: _Bank, best: float) -> Floats:
        """Gain of the templates of one class, shape (templates, lags); lags count from the highest redshift down."""
        moments = self._correlate(data.weight * powers, through**2, bank.squares, bank)
        right = self._correlate(data.weighted * powers[:TERMS], through, bank.plain, bank)
        if bank.groups.size:
            weight = np.conj(fft.rfft(data.weight * powers[:TERMS], bank.size))
            plain = np.conj(fft.rfft(data.weighted, bank.size))
            self_ = fft.irfft(weight[0] * bank.group_squares, bank.size)[:, : bank.lags]
            line = fft.irfft(plain * bank.groups, bank.size)[:, : bank.lags]
            line -= np.array([one.against(level) for one in bank.rarities])
            cross = fft.irfft(weight[:, np.newaxis] * bank.groups, bank.size)[:, :, : bank.lags]
            # What the transform leaves of a group outside the data is rounding.
            self_[self_ < 1e-9 * data.weight.max()] = 0.0
        else:
            self_ = line = np.zeros((0, bank.lags))
            cross = np.zeros((TERMS, 0, bank.lags))
        return np.asarray(
            scan_templates(moments, right, self_, line, cross, bank.tau, SPREAD, LINE_PENALTY, bank.handicaps, best, self._within)
        )

    @staticmethod
    def _correlate(data: Floats, through: Floats, templates: Complex, bank: _Bank) -> Floats:
        """Correlations (templates, rows of data, lags), pieces added."""
        spectra = np.conj(fft.rfft(data[np.newaxis] * through[:, np.newaxis], bank.size))
        product = add_pieces(spectra, templates)
        return np.ascontiguousarray(fft.irfft(product, bank.size, overwrite_x=True)[:, :, : bank.lags])

    def _of(self, data: Prepared) -> dict[str, _Bank]:
        sigma = float(np.round(data.sigma, 6))
        key = (data.step, data.first, data.weight.size, sigma)
        if key not in self._banks:
            if len(self._banks) >= self._keep:
                self._banks.pop(next(iter(self._banks)))
            self._banks[key] = {name: self._bank(name, data, sigma) for name in self.library.classes}
        return self._banks[key]

    def _bank(self, name: str, data: Prepared, sigma: float) -> _Bank:
        low, high = RANGES[name]
        least, most = int(np.floor(np.log1p(low) / data.step)), int(np.ceil(np.log1p(high) / data.step))
        lags = most - least + 1
        count = data.weight.size + lags - 1
        size = fft.next_fast_len(count, real=True)
        # Correlation number c belongs to shift most - c: point k of the data meets point first + k - shift of the template.
        points = np.asarray((data.first - most + np.arange(count)) * data.step, dtype=np.float64)
        grid = np.log(self.library.wave)
        blur = np.hypot(sigma, data.step / np.sqrt(12))
        rest = np.exp(points)
        flux = np.array(
            [
                np.interp(points, grid, smoothed(one.flux, beyond(blur, one.sigma), self.library.step), left=0, right=0)
                for one in self.library.of(name)
            ]
        ).reshape(-1, count)
        level = np.maximum(np.median(np.abs(flux), axis=1), np.max(np.abs(flux), axis=1, initial=0.0) * 1e-3)
        flux /= np.where(level > 0, level, 1.0)[:, np.newaxis]
        vectors = [
            np.array([np.interp(points, grid, smoothed(v, blur, self.library.step), left=0, right=0) for v in one.vectors])
            for one in self.library.sets_of(name)
        ]
        edges = (np.inf, *igm.CUTS, 0.0)
        observed = np.exp((data.first + data.weight.size) * data.step)
        inside = [(rest <= edges[i]) & (rest > edges[i + 1]) for i in range(len(edges) - 1)]
        everything = np.concatenate([flux, *vectors])
        pieces = tuple(i for i in range(len(inside)) if i == 0 or (observed > edges[i] and np.any(everything[:, inside[i]])))
        direct = np.array([[not one.absorbed] for one in self.library.of(name)], dtype=bool).reshape(-1, 1)
        # The first piece is what nothing is in front of.
        cut = np.array([np.where(direct, flux if i == 0 else 0.0, np.where(inside[i], flux, 0.0)) for i in pieces])
        shifts = np.asarray(np.arange(least, most + 1) * data.step, dtype=np.float64)
        redshifts = np.expm1(shifts)
        sets = tuple(
            SetBank.of(
                np.array([np.where(inside[i], one / np.sqrt(np.mean(one**2, axis=1, keepdims=True)), 0.0) for i in pieces]),
                size,
                ((redshifts < made.low) | (redshifts > made.high))[::-1],
            )
            for one, made in zip(vectors, self.library.sets_of(name), strict=True)
        )
        used = groups(name)
        profiles = np.array([line_profile(group, points, blur) for group in used]).reshape(len(used), count)
        tau = np.array([[np.sum(one * profile) / max(profile.sum(), 1e-30) for profile in profiles] for one in flux])
        return _Bank(
            z=redshifts, size=size, lags=lags, pieces=pieces,
            squares=_transform(cut**2, size), plain=_transform(cut, size), groups=_transform(profiles, size),
            group_squares=_transform(profiles**2, size), tau=tau.reshape(len(flux), len(used)),
            handicaps=np.array(
                [np.where(redshifts < one.low, np.inf, one.rareness(redshifts))[::-1] for one in self.library.of(name)]
            ).reshape(-1, lags),
            rarities=tuple(rarity(group, shifts[::-1], data, blur) for group in used), sets=sets,
        )  # fmt: skip


def _transform(values: Floats, size: int) -> Complex:
    """Transform along the last axis, also of no rows at all."""
    if not values.size:
        return np.zeros((*values.shape[:-1], 0), dtype=complex)
    return np.asarray(fft.rfft(values, size))

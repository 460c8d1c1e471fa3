"""Electrons on the detector, without noise: slit by slit, of the sky or a lamp and of objects."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from specola_pipeline.simulate.light import Grid, refraction
from specola_pipeline.simulate.mask import MaskSlit, Source
from specola_pipeline.simulate.optics import Optics, SlitMap
from specola_pipeline.simulate.spread import Spread, inside, object_kernel, optics_sigma, slit_kernel

__all__ = ["Pointing", "Scene", "SourceTruth", "Telescope"]

Array = npt.NDArray[np.float64]
HALO = ((0.85, 1.0), (0.15, 2.1))
"""Seeing as two Gaussians, (part, factor on sigma): the wings of a Moffat profile, yet separable: slit losses are exact."""
EDGE = 0.7
"""Pixels (sigma) that the optics blur the ends of a slit."""
REACH = 5.0
"""Sigmas of the wider Gaussian out to which an object is drawn."""


@dataclass(frozen=True)
class Telescope:
    """What does not change from frame to frame: scales, errors of the slits, read noise (e-) for the optimum's variance."""

    mm_per_arcsec: float
    pixel_scale: float
    read_noise: float
    varying_spread: bool
    slit_errors: dict[int, Array]
    """Transmission along each slit in steps of 0.1 pixel; empty arrays for perfect slits."""


@dataclass(frozen=True)
class Pointing:
    """One exposure: seeing FWHM (arcsec at 5000 Å), airmass, the dither along and the error across the slit (arcsec)."""

    seeing: float
    airmass: float
    along: float
    across: float
    parallactic: float
    refraction: bool
    losses: bool

    def sigma(self, wavelength: Array) -> Array:
        """Arcsec of the seeing's core; λ^-0.2 (Kolmogorov)."""
        return np.asarray(self.seeing / 2.3548 * (np.clip(wavelength, 3000, None) / 5000) ** -0.2)

    def shift(self, wavelength: Array) -> tuple[Array, Array]:
        """Arcsec along and across the slit by which refraction moves an object at each wavelength."""
        towards_zenith = refraction(wavelength, self.airmass) if self.refraction else np.zeros_like(wavelength)
        return towards_zenith * np.cos(self.parallactic), towards_zenith * np.sin(self.parallactic)


@dataclass(frozen=True)
class SourceTruth:
    """One object in one exposure: per detector row its trace (x, NaN outside), electrons, and error of the best extraction."""

    identifier: int
    slit: int
    trace: Array
    electrons: Array
    optimum: Array


@dataclass
class Scene:
    """Images of the trimmed detector, (rows, columns), filled slit by slit."""

    grid: Grid
    shape: tuple[int, int]
    diffuse: npt.NDArray[np.float32] = field(init=False)
    objects: npt.NDArray[np.float32] = field(init=False)
    wavelength: npt.NDArray[np.float32] = field(init=False)
    slit: npt.NDArray[np.int16] = field(init=False)
    sources: list[SourceTruth] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.diffuse, self.objects = np.zeros(self.shape, "f4"), np.zeros(self.shape, "f4")
        self.wavelength, self.slit = np.full(self.shape, np.nan, "f4"), np.zeros(self.shape, "i2")

    def add(
        self,
        optics: Optics,
        telescope: Telescope,
        slit: MaskSlit,
        diffuse: Array,
        behind: list[tuple[Source, Array]],
        pointing: Pointing,
    ) -> None:
        """Draw one slit.

        Args:
            optics: of this frame, flexure included.
            telescope: scales and slit errors.
            slit: which.
            diffuse: electrons in each cell, an arcsec along the slit, of what fills the slit.
            behind: objects and their electrons in each cell before the slit cuts them.
            pointing: of this frame.
        """
        half = slit.length / 2
        found = optics.slit_map(slit.x, slit.y, half, (self.grid.edges[0], self.grid.edges[-1]))
        top, bottom, left, right = found.window(self.shape)
        if top >= bottom or left >= right:
            return
        rows, columns = np.arange(top, bottom, dtype=float), np.arange(left, right, dtype=float)
        edges = found.offset(np.arange(top, bottom + 1, dtype=float) - 0.5, columns)
        along = found.along(rows, np.arange(left, right + 1, dtype=float) - 0.5) / telescope.mm_per_arcsec
        area = (slice(top, bottom), slice(left, right))
        width = slit.width / telescope.mm_per_arcsec / telescope.pixel_scale
        sigmas = self._sigmas(found, telescope.varying_spread)
        kernels = [slit_kernel(width, sigma) for sigma in sigmas]
        light = np.diff(Spread(self.grid.edges, diffuse, *kernels)(edges), axis=0)
        part = np.diff(self._slit_function(telescope, slit)(along), axis=1)
        drawn = light * part
        self.diffuse[area] += drawn
        self._mark(found, rows, columns, half, slit.identifier, area)
        if behind:
            self._objects(telescope, slit, behind, pointing, sigmas, edges, along, area, drawn)

    def _sigmas(self, found: SlitMap, varying: bool) -> tuple[float, float]:
        x = (0.5 * (found.box[2] + found.box[3]) - self.shape[1] / 2) / 1000
        blue, red = ((y - self.shape[0] / 2) / 1000 for y in found.box[:2])
        return optics_sigma((x, blue), varying), optics_sigma((x, red), varying)

    def _slit_function(self, telescope: Telescope, slit: MaskSlit) -> _Running:
        half = slit.length / 2 / telescope.mm_per_arcsec
        step = 0.1 * telescope.pixel_scale
        at = np.arange(-half - 6 * telescope.pixel_scale, half + 6 * telescope.pixel_scale, step)
        errors = telescope.slit_errors.get(slit.identifier, np.empty(0))
        open_part = np.clip((half - abs(at)) / step + 0.5, 0, 1)
        if errors.size:
            open_part *= np.interp(at, np.linspace(-half, half, errors.size), errors)
        blurred = gaussian_filter1d(open_part, EDGE / 0.1, mode="constant")
        return _Running(at - step / 2, np.concatenate([[0.0], np.cumsum(blurred * step)])[:-1])

    def _mark(self, found: SlitMap, rows: Array, columns: Array, half: float, identifier: int, area: tuple[slice, slice]) -> None:
        """Truth of every pixel whose centre is in the slit and whose wavelength is in the grism's range."""
        wavelength = self.grid.grism.wavelength(found.offset(rows, columns))
        low, high = self.grid.grism.range
        here = (abs(found.along(rows, columns)) <= half) & (wavelength >= low) & (wavelength <= high)
        self.wavelength[area][here] = wavelength[here]
        self.slit[area][here] = identifier

    def _objects(
        self,
        telescope: Telescope,
        slit: MaskSlit,
        behind: list[tuple[Source, Array]],
        pointing: Pointing,
        sigmas: tuple[float, float],
        edges: Array,
        along: Array,
        area: tuple[slice, slice],
        sky: Array,
    ) -> None:
        half_width = slit.width / 2 / telescope.mm_per_arcsec
        half_length = slit.length / 2 / telescope.mm_per_arcsec
        cell_wave = np.clip(self.grid.centres, 3000, None)
        row_wave = np.clip(self.grid.grism.wavelength(0.5 * (edges[1:] + edges[:-1]).mean(axis=1)), 3000, None)
        drawn = []
        for source, electrons in behind:
            image = np.zeros(sky.shape)
            centre = source.along + pointing.along + pointing.shift(row_wave)[0]
            for share, factor in HALO:
                cell_sigma = np.hypot(factor * pointing.sigma(cell_wave), source.size)
                off = source.across + pointing.across + pointing.shift(cell_wave)[1]
                through = inside(-half_width, half_width, off, cell_sigma) if pointing.losses else np.ones_like(cell_sigma)
                middle = float(source.across + pointing.across) / telescope.pixel_scale
                blur = float(np.median(cell_sigma)) / telescope.pixel_scale
                kernels = [object_kernel(2 * half_width / telescope.pixel_scale, sigma, middle, blur) for sigma in sigmas]
                light = np.diff(Spread(self.grid.edges, share * electrons * through, *kernels)(edges), axis=0)
                row_sigma = np.hypot(factor * pointing.sigma(row_wave), source.size)[:, None]
                row_sigma = np.hypot(row_sigma, EDGE * telescope.pixel_scale)
                limit = np.clip(along, -half_length, half_length)
                image += light * inside(limit[:, :-1], limit[:, 1:], centre[:, None], row_sigma)
            drawn.append(image)
        variance = sky + sum(drawn) + telescope.read_noise**2
        for (source, _), image in zip(behind, drawn, strict=True):
            self.objects[area] += image
            self.sources.append(self._truth(source, image, variance, along, pointing, row_wave, area))

    def _truth(
        self,
        source: Source,
        image: Array,
        variance: Array,
        along: Array,
        pointing: Pointing,
        wave: Array,
        area: tuple[slice, slice],
    ) -> SourceTruth:
        """Horne (1986), eq. 9: the variance of the best extraction is 1/Σ(P²/V)."""
        rows = self.shape[0]
        trace, electrons, optimum = (np.full(rows, np.nan) for _ in range(3))
        total = image.sum(axis=1)
        good = total > 0
        profile = np.divide(image, total[:, None], out=np.zeros_like(image), where=good[:, None])
        weight = (profile**2 / variance).sum(axis=1)
        centre = source.along + pointing.along + pointing.shift(wave)[0]
        middle = 0.5 * (along[:, 1:] + along[:, :-1])
        where = np.array(
            [
                np.interp(c, line, np.arange(line.size)) if line[-1] > line[0] else np.nan
                for c, line in zip(centre, middle, strict=True)
            ]
        )
        low, high = self.grid.grism.range
        good &= (wave >= low) & (wave <= high)
        inner = slice(area[0].start, area[0].stop)
        trace[inner] = np.where(good, where + area[1].start, np.nan)
        electrons[inner] = np.where(good, total, np.nan)
        optimum[inner] = np.where(good, 1 / np.sqrt(np.where(weight > 0, weight, np.nan)), np.nan)
        return SourceTruth(source.identifier, source.slit, trace, electrons, optimum)


@dataclass(frozen=True)
class _Running:
    """A running sum that is interpolated."""

    at: Array
    total: Array

    def __call__(self, where: Array) -> Array:
        return np.asarray(np.interp(where.ravel(), self.at, self.total).reshape(where.shape))

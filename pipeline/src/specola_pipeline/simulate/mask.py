"""Masks and what is behind their slits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from specola_pipeline.errors import PipelineError
from specola_pipeline.instruments import Grism, Instrument, MaskSlits
from specola_pipeline.simulate.settings import Settings

__all__ = ["Mask", "MaskSlit", "Source", "design", "standard_mask"]

Array = npt.NDArray[np.float64]
MASK_HALF = (119.0, 134.0)
"""Half the field of a quadrant along X and Y, mm: 7 by 8 arcmin."""
GAP = 4.0
"""Pixels left dark between slits."""
FILLING = 21.5
"""AB magnitudes an arcsec² at 7500 Å in the middle of an object that fills a slit."""
LINES = (
    (3728.5, 30.0),
    (4102.9, 4.0),
    (4341.7, 8.0),
    (4862.7, 18.0),
    (4960.3, 14.0),
    (5008.2, 40.0),
    (6564.6, 55.0),
    (6585.3, 18.0),
)
"""Emission lines of a star-forming galaxy, vacuum Å at rest, and rest equivalent width in Å."""
ABSORPTION = ((3934.8, 8.0), (3969.6, 7.0), (4305.6, 5.0), (5176.7, 4.0), (5895.6, 3.0))


@dataclass(frozen=True)
class MaskSlit:
    """One slit: position of its centre and size on the mask in mm."""

    identifier: int
    x: float
    y: float
    length: float
    width: float


@dataclass(frozen=True)
class Source:
    """One object: its slit, its place in it (arcsec along the slit from the centre, and across from the middle), what it is.

    ``wavelength`` (vacuum Å) and ``flux`` (erg/s/cm²/Å above the atmosphere), both of shape (n,); ``size`` is the Gaussian sigma
    of the object before seeing, arcsec.
    """

    identifier: int
    slit: int
    along: float
    across: float
    magnitude: float
    redshift: float
    size: float
    wavelength: Array
    flux: Array


@dataclass(frozen=True)
class Mask:
    """A mask with its slits and the objects behind them."""

    identifier: int
    slits: tuple[MaskSlit, ...]
    sources: tuple[Source, ...]


def design(settings: Settings, instrument: Instrument) -> Mask:
    """Slits that do not collide on the detector, with a target in each and other objects in some.

    Raises:
        PipelineError: that many slits do not fit.
    """
    geometry, scale, grism = _geometry(settings, instrument)
    rng = settings.random(1)
    tiers = [
        settings.slits // settings.multiplex + (tier < settings.slits % settings.multiplex) for tier in range(settings.multiplex)
    ]
    per_mm = 1 / geometry.mm_per_arcsec / scale
    centres = _tiers(settings, grism, per_mm)
    slits: list[MaskSlit] = []
    for tier, count in enumerate(tiers):
        pitch = 2 * MASK_HALF[0] / count
        length = pitch - GAP / per_mm
        if length * per_mm < 12:
            raise PipelineError(
                f"{count} slits side by side leave {length * per_mm:.0f} pixels each; ask for fewer, or for --multiplex."
            )
        for number in range(count):
            x = -MASK_HALF[0] + (number + 0.5) * pitch
            low, high = centres[tier]
            slits.append(
                MaskSlit(len(slits) + 1, x, float(rng.uniform(low, high)), length, settings.slit_width * geometry.mm_per_arcsec)
            )
    sources: list[Source] = []
    for slit in slits:
        sources += _behind(slit, settings, geometry.mm_per_arcsec, rng, len(sources))
    filled = settings.filled if settings.has("objects") else 0
    for number in range(filled):
        sources.append(_filling(slits[(2 * number + 1) * len(slits) // (2 * filled)], geometry.mm_per_arcsec, len(sources) + 1))
    return Mask(100000 + settings.seed % 10000 * 10 + settings.quadrant, tuple(slits), tuple(sources))


def standard_mask(settings: Settings, instrument: Instrument, star: tuple[Array, Array], width: float = 2.0) -> Mask:
    """The mask for standard stars: three wide slits, the star (wavelength, flux) in the middle one."""
    geometry, _, _ = _geometry(settings, instrument)
    mm = geometry.mm_per_arcsec
    slits = tuple(MaskSlit(number, x, 0.0, 16 * mm, width * mm) for number, x in ((1, -25.0), (2, 0.0), (3, 25.0)))
    source = Source(1, 2, 0.4, 0.05, float("nan"), 0.0, 0.0, star[0], star[1])
    return Mask(900000 + settings.quadrant, slits, (source,) if settings.has("objects") else ())


def _geometry(settings: Settings, instrument: Instrument) -> tuple[MaskSlits, float, Grism]:
    if not isinstance(instrument.geometry, MaskSlits):
        raise PipelineError(f"{instrument.title} has no masks; only instruments with masks are simulated.")
    return instrument.geometry, instrument.detector(settings.quadrant).pixel_scale, instrument.grism(settings.grism)


def _tiers(settings: Settings, grism: Grism, per_mm: float) -> list[tuple[float, float]]:
    """Ranges of Y (mm) for each row of slits, such that spectra of two rows do not overlap."""
    length = grism.length + 40
    if settings.multiplex == 1:
        free = min(MASK_HALF[1], max(0.0, (4096 - length) / 2 / per_mm))
        return [(-0.8 * free, 0.8 * free)]
    step = length / per_mm
    free = 2 * MASK_HALF[1] - (settings.multiplex - 1) * step
    if free < 0:
        raise PipelineError(
            f"{settings.multiplex} spectra of {grism.name} ({length:.0f} pixels) do not fit one behind the other."
        )
    # the second half of each row's freedom stays empty, or the end of one row could reach into the next
    return [
        (
            -MASK_HALF[1] + tier * (step + free / settings.multiplex),
            -MASK_HALF[1] + tier * (step + free / settings.multiplex) + free / settings.multiplex * 0.9,
        )
        for tier in range(settings.multiplex)
    ]


def _behind(slit: MaskSlit, settings: Settings, mm: float, rng: np.random.Generator, before: int) -> list[Source]:
    if not settings.has("objects"):
        return []
    half = slit.length / mm / 2
    places = [float(rng.uniform(-0.35, 0.35) * half)]
    for _ in range(rng.poisson(max(0.0, settings.objects - 1))):
        place = float(rng.uniform(-0.85, 0.85) * half)
        if min(abs(place - other) for other in places) > 2.0:
            places.append(place)
    found: list[Source] = []
    for place in places[: 1 if settings.objects >= 1 else int(rng.random() < settings.objects)] + places[1:]:
        magnitude = float(rng.uniform(*settings.magnitudes))
        redshift = float(np.clip(rng.gamma(4.0, 0.2), 0.01, 2.5))
        wavelength, flux = galaxy(magnitude, redshift, float(rng.uniform(-1.5, 0.8)), float(rng.uniform(0.2, 1.5)))
        across = float(rng.normal(0, 0.08))
        size = float(abs(rng.normal(0, 0.25)))
        found.append(Source(before + len(found) + 1, slit.identifier, place, across, magnitude, redshift, size, wavelength, flux))
    return found


def _filling(slit: MaskSlit, mm: float, identifier: int) -> Source:
    """An old nearby galaxy of which the slit sees only the middle; its width is the slit's length."""
    size = slit.length / mm
    magnitude = FILLING - 2.5 * float(np.log10(2 * np.pi * size**2))
    return Source(identifier, slit.identifier, 0.0, 0.0, magnitude, 0.02, size, *galaxy(magnitude, 0.02, 0.0, 0.3))


def galaxy(magnitude: float, redshift: float, slope: float, emission: float) -> tuple[Array, Array]:
    """A galaxy's spectrum: power law with a 4000 Å break, absorption and emission lines 150 km/s wide.

    Args:
        magnitude: AB at 7500 Å.
        redshift: of the lines and the break.
        slope: of F_λ ∝ λ^slope; red galaxies have the larger break and the weaker lines.
        emission: factor on the equivalent widths of the emission lines.

    Returns:
        vacuum Å, 3000 to 11000 in steps of 0.5, and erg/s/cm²/Å, both of shape (16001,).
    """
    wavelength = np.arange(3000.0, 11000.5, 0.5)
    rest = wavelength / (1 + redshift)
    depth = 0.15 + 0.25 * (slope + 1.5) / 2.3
    shape = (wavelength / 7500) ** slope * (1 - depth / (1 + np.exp((rest - 4000) / 40)))
    line = np.zeros_like(wavelength)
    strength = emission * (0.8 - slope) / 2.3
    for at, width in LINES:
        line += strength * width * _gauss(rest, at)
    for at, width in ABSORPTION:
        line -= 2 * depth * width * _gauss(rest, at)
    shape = shape * np.clip(1 + line, 0.05, None)
    level = 3.631e-20 * 10 ** (-0.4 * magnitude) * 2.99792458e18 / 7500**2
    return wavelength, level * shape / np.median(shape[abs(wavelength - 7500) < 400])


def _gauss(rest: Array, centre: float) -> Array:
    sigma = centre * 150 / 2.998e5
    return np.asarray(np.exp(-0.5 * ((rest - centre) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)))

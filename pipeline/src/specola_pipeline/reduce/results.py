"""What a reduction gives: the one interface between the reduction and whatever writes, judges or publishes what it made.

:func:`specola_pipeline.reduce.run.run` returns a :class:`Reduction`. A :class:`MaskResult` is a science or standard group that
``organise`` found. It lists exposures (:class:`ExposureResult`, small: figures only) and gives, one at a time so that memory
stays flat, the images of a slit in an exposure (:class:`SlitExposure`, by :meth:`MaskResult.images`) and the combination of all
exposures of a slit (:class:`SlitResult`, by :meth:`MaskResult.slits`)::

    for mask in reduction.masks:
        for slit in mask.slits():              # a SlitResult: rectified 2-D, and its objects
            for thing in slit.objects:         # an ObjectSpectrum
                thing.wavelength, thing.flux, thing.flux_variance

Conventions: wavelengths are vacuum Angstrom; variances are squares of the unit of what they belong to (a noise is the square
root: a standard deviation); a pixel without data has a variance of infinity and a value of NaN. Arrays are float64 or float32
and belong to the caller. Nothing here reads or computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.organise import Entry, Group, Plan

__all__ = [
    "ExposureResult",
    "MaskResult",
    "ObjectSpectrum",
    "Problem",
    "Rectified",
    "Reduction",
    "SlitExposure",
    "SlitQuality",
    "SlitResult",
    "Spectrum1D",
]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Problem:
    """Something that failed, in words a person can act on. *slit* is the header's identifier, "" for a whole frame."""

    file: str
    slit: str
    words: str


@dataclass(frozen=True)
class SlitQuality:
    """Figures of a slit in an exposure. Pixels are those along the dispersion; NaN or 0 lines where nothing could be measured."""

    number: int
    identifier: str
    arc_wavelengths: Array
    """Vacuum Angstrom of the arc lines that the wavelength map rests on."""
    arc_residuals: Array
    """Mean offset of each from the map, pixels."""
    wavelength_rms: float
    """Of the arc lines about the map."""
    line_sigma: float
    """Width of an arc line, standard deviation in pixels."""
    sky_offset: float
    """Of the sky lines from the arc's map: flexure as all slits together say it, already taken out."""
    sky_offset_error: float
    sky_lines: int
    sky_chi: float
    """Width of the sky's residuals in units of their noise, corrected for degrees of freedom, away from sky lines."""
    line_chi: float
    """The same on sky lines (the brightest tenth of the sky's pixels)."""
    map_correction: float
    """Root mean square of what the sky lines changed in the map within the slit."""
    cosmic_part: float
    """Part of the slit's pixels taken for cosmic rays."""
    bad_part: float
    """Part of the slit's pixels that can not be used for other reasons."""
    flat_signal: float
    """Median electrons a pixel of the combined flat."""
    slit_function: Array
    """Illumination along the slit, in steps of a pixel from its left edge."""
    traced: bool
    """Whether both edges were seen in the flat."""
    objects: int
    snr: float
    """Median signal to noise a pixel of the brightest object; NaN without one."""
    photon_limit: float
    """Its noise over that of the best possible extraction with the same sky and profile (median): 1 is the limit."""
    odd: tuple[str, ...] = ()
    """What was odd, in words."""
    sky_excess: float = float("nan")
    """Light between sky lines that is in the slit's sky beyond what its lines and the other slits say, as part of that: an object
    that fills the slit. NaN where slits could not be compared."""
    sky_excess_error: float = float("nan")


@dataclass(frozen=True)
class Spectrum1D:
    """An object in one exposure, on the detector's own rows: nothing is resampled, so pixels are independent but for the sky.

    *wavelength* is topocentric, flexure taken out. *flux* (electrons a row), *variance* and *sky* (electrons in the same
    effective aperture) have shape (rows,); *used* is the part of the profile on usable pixels. *place* is along the slit in
    pixels from its left edge, *sigma* the width of the profile there, *significance* that of the detection.
    """

    place: float
    sigma: float
    significance: float
    wavelength: Array
    flux: Array
    variance: Array
    sky: Array
    used: Array
    centre: Array
    """Place along the slit in each row, pixels from the left edge."""


@dataclass(frozen=True)
class SlitExposure:
    """Images of a slit in an exposure, of shape (rows, columns), electrons, flat-fielded, not resampled.

    *window* is where they lie on the trimmed and turned detector, *mask* has the bits of :mod:`.detector`, *inside* is True
    within the slit, *position* is along the slit in pixels from its left edge, *wavelength* topocentric, flexure taken out.
    """

    number: int
    window: tuple[slice, slice]
    data: Array
    variance: Array
    sky: Array
    mask: NDArray[np.uint8]
    inside: NDArray[np.bool_]
    wavelength: Array
    position: Array
    length: float
    """Of the slit in pixels, at its middle."""
    spectra: tuple[Spectrum1D, ...]


@dataclass(frozen=True)
class Rectified:
    """All exposures of a slit on one grid, of shape (places, wavelengths).

    *flux* is sky-subtracted, *sky* the sky, *variance* that of *flux*: electrons an Angstrom and pixel along the slit, added over
    exposures (so that they are counts of *exptime* seconds). *wavelength* (even steps, barycentric) and *place* (arcsec along the
    slit from its middle on the first exposure) are the axes. *weight* is how many exposures a pixel rests on.
    """

    wavelength: Array
    place: Array
    flux: Array
    variance: Array
    sky: Array
    weight: Array


@dataclass(frozen=True)
class ObjectSpectrum:
    """One object, all exposures combined, on the wavelengths of the slit's :class:`Rectified` (even steps, barycentric).

    Arrays have shape (wavelengths,). *counts* are electrons an Angstrom in *exptime* seconds, *variance* theirs, *sky* the sky in
    the same effective aperture. *flux* is erg/s/cm2/Angstrom above the atmosphere and *flux_variance* its square, None without a
    response. *telluric* is the transmission that was divided out (1 where none was). *neighbour* is the correlation of
    neighbouring pixels' errors. *exposures* is how many exposures each pixel rests on.
    """

    number: int
    """Within the slit, brightest first, from 1."""
    place: float
    """Arcsec along the slit from its middle."""
    ra: float | None
    dec: float | None
    """Degrees, from the slit's target in the header and the offset along the slit; None where the header has no positions."""
    fwhm: float
    """Of the profile along the slit, arcsec."""
    significance: float
    wavelength: Array
    counts: Array
    variance: Array
    sky: Array
    flux: Array | None
    flux_variance: Array | None
    telluric: Array
    neighbour: float
    exposures: NDArray[np.int16]
    airmass: float
    exptime: float
    """Seconds, of all exposures together."""


@dataclass(frozen=True)
class SlitResult:
    """A slit of a mask with all its exposures: *rectified* is None where no exposure of it could be used."""

    number: int
    identifier: str
    ra: float | None
    dec: float | None
    """Degrees, of the target that the slit was cut for."""
    width: float
    length: float
    """Arcsec."""
    rectified: Rectified | None
    objects: tuple[ObjectSpectrum, ...]
    quality: tuple[SlitQuality, ...]
    """One an exposure in which it was reduced."""
    odd: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExposureResult:
    """One frame: figures of its slits, and what failed."""

    entry: Entry
    sha256: str
    """Of the file's bytes."""
    quality: tuple[SlitQuality, ...]
    barycentric: float
    """Factor that makes topocentric wavelengths barycentric."""
    failed: tuple[Problem, ...]
    odd: tuple[str, ...]


@dataclass(frozen=True)
class MaskResult:
    """One group of ``organise``: exposures of a mask in one night, quadrant and grism, and their calibrations.

    *response* names the standard star that calibrated the flux and its scatter, None where there was none.
    """

    group: Group
    exposures: tuple[ExposureResult, ...]
    failed: tuple[Problem, ...]
    odd: tuple[str, ...]
    """What was odd of the calibrations, and what was missing without which it could be reduced."""
    inputs: tuple[tuple[str, str], ...]
    """(file, SHA-256) of every raw file that went in, calibrations included."""
    response: tuple[str, float] | None
    numbers: tuple[int, ...]
    """Slits that were reduced in at least one exposure."""
    load_slit: Callable[[int], SlitResult] = field(repr=False)
    load_images: Callable[[int, int], SlitExposure] = field(repr=False)

    def slits(self) -> Iterator[SlitResult]:
        """Each slit with all its exposures, in the order of the mask; one is in memory at a time."""
        return (self.load_slit(number) for number in self.numbers)

    def images(self, exposure: int, number: int) -> SlitExposure:
        """Images of a slit in the exposure of that index. Raises KeyError where it was not reduced there."""
        return self.load_images(exposure, number)


@dataclass(frozen=True)
class Reduction:
    """A run: what was found, what was made, and every problem, in order of file and slit."""

    plan: Plan
    masks: tuple[MaskResult, ...]
    problems: tuple[Problem, ...]
    parameters: dict[str, object]
    software: str

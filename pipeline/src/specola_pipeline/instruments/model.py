"""What an instrument is. Frozen, built by :mod:`.load` from a TOML file, free of I/O.

Conventions of the whole package: arrays are ``[y, x]``, pixel (0, 0) is the centre of the first pixel of the array it is
said of, positions on the detector are those of the *trimmed* frame (the data sections of all amplifiers, side by side),
wavelengths are vacuum Å, angles degrees, lengths on a mask millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from specola_pipeline.errors import FrameError
from specola_pipeline.instruments.detector import Detector, Header

__all__ = [
    "Association",
    "Condition",
    "Flexure",
    "Grism",
    "Instrument",
    "Kind",
    "Lamp",
    "LongSlit",
    "MaskSlits",
    "Order",
    "Rule",
    "Site",
    "Transform",
]

Array = npt.NDArray[np.float64]


class Kind(StrEnum):
    """What a raw frame is for."""

    BIAS = "bias"
    DARK = "dark"
    FLAT = "flat"
    ARC = "arc"
    STANDARD = "standard"
    SCIENCE = "science"
    IMAGE = "image"


@dataclass(frozen=True)
class Order:
    """A diffraction order other than the first: its strength beside the first, and where (Å, in first order) it sets in."""

    number: int
    relative: float
    from_wavelength: float


@dataclass(frozen=True)
class Grism:
    """A disperser with its order-sorting filter.

    ``dispersion`` is a first guess: λ(Δ) = Σ cₖ Δᵏ, Δ in pixels along the dispersion from where ``reference`` falls: at
    ``reference_pixel`` for a long slit, where the mask's transform puts the slit otherwise. ``resolution`` is λ/FWHM at the
    reference for a slit of ``resolution_slit`` arcsec; ``multiplex`` how many spectra fit one behind the other.
    """

    name: str
    filters: tuple[str, ...]
    reference: float
    reference_pixel: float | None
    dispersion: tuple[float, ...]
    range: tuple[float, float]
    resolution: float
    resolution_slit: float
    multiplex: int
    orders: tuple[Order, ...]

    @property
    def angstrom_per_pixel(self) -> float:
        """At the reference wavelength."""
        return self.dispersion[1]

    def wavelength(self, offset: npt.ArrayLike) -> Array:
        """λ in vacuum Å at ``offset`` pixels from the reference, by the first guess; the shape of ``offset``."""
        return np.asarray(np.polynomial.polynomial.polyval(np.asarray(offset, dtype=float), np.asarray(self.dispersion)))

    def offset(self, wavelength: npt.ArrayLike) -> Array:
        """Pixels from the reference at ``wavelength``: the inverse of :meth:`wavelength` by Newton's steps."""
        goal = np.asarray(wavelength, dtype=float)
        coefficients = np.asarray(self.dispersion)
        slope = np.polynomial.polynomial.polyder(coefficients)
        found = (goal - coefficients[0]) / coefficients[1]
        for _ in range(8):
            found = found - (self.wavelength(found) - goal) / np.polynomial.polynomial.polyval(found, slope)
        return np.asarray(found)

    @property
    def length(self) -> float:
        """Pixels from the blue to the red end of ``range``."""
        low, high = self.offset(np.array(self.range))
        return float(high - low)


@dataclass(frozen=True)
class Lamp:
    """A calibration lamp: the keyword that says it is on, the values that mean so, the line lists it shows (none: continuum)."""

    name: str
    state: str
    on: tuple[str, ...]
    lines: tuple[str, ...]
    name_keyword: str | None = None

    def is_on(self, header: Header) -> bool:
        """Whether this lamp was on in a frame."""
        if str(header.get(self.state, "")).strip().upper() not in self.on:
            return False
        return self.name_keyword is None or str(header.get(self.name_keyword, "")).strip().upper() == self.name.upper()


@dataclass(frozen=True)
class Condition:
    """One test on one header keyword; all that are given must hold.

    ``equals`` compares text (stripped, any case) with any of several, ``matches`` is a regular expression on the whole value,
    ``least`` and ``most`` bound a number, ``present`` asks only whether the keyword is there. ``lamps`` (``"lines"``,
    ``"continuum"``, ``"none"``) and ``near_standard`` (arcmin) do not look at one keyword.
    """

    key: str | None = None
    equals: tuple[str, ...] = ()
    matches: str | None = None
    least: float | None = None
    most: float | None = None
    present: bool | None = None
    lamps: str | None = None
    near_standard: float | None = None


@dataclass(frozen=True)
class Rule:
    """A frame is of ``kind`` when every condition holds; the first rule of the file that fits is taken."""

    kind: Kind
    when: tuple[Condition, ...]


@dataclass(frozen=True)
class Association:
    """Which calibration frames a frame needs: alike in the fields ``same``, within ``hours``, ``least`` to ``most`` of them.

    A ``required`` one missing makes a frame irreducible; the others are reported as odd.
    """

    of: tuple[Kind, ...]
    needs: Kind
    same: tuple[str, ...]
    hours: float
    least: int
    most: int
    required: bool


@dataclass(frozen=True)
class Transform:
    """First guess of where a point of the mask falls on the trimmed detector: x, y = Σ cᵢⱼ Xⁱ Yʲ in pixels, X and Y in mm."""

    x: tuple[tuple[float, ...], ...]
    y: tuple[tuple[float, ...], ...]

    def __call__(self, mask_x: npt.ArrayLike, mask_y: npt.ArrayLike) -> tuple[Array, Array]:
        """Pixels along x and y of the trimmed frame; the arguments broadcast."""
        x, y = np.broadcast_arrays(np.asarray(mask_x, dtype=float), np.asarray(mask_y, dtype=float))
        across, along = (np.polynomial.polynomial.polyval2d(x, y, np.array(_rectangular(part))) for part in (self.x, self.y))
        return np.asarray(across), np.asarray(along)


def _rectangular(rows: tuple[tuple[float, ...], ...]) -> list[list[float]]:
    width = max(len(row) for row in rows)
    return [[*row, *([0.0] * (width - len(row)))] for row in rows]


@dataclass(frozen=True)
class MaskSlits:
    """Slits listed in the header, as ``INS SLITi X``; ``{n}`` in a keyword counts from 1 to the value of ``count``."""

    count: str
    identifier: str
    x: str
    y: str
    length: str
    width: str
    ra: str | None
    dec: str | None
    mm_per_arcsec: float
    transform: Mapping[int, Transform]


@dataclass(frozen=True)
class LongSlit:
    """One slit over the whole detector; ``width`` arcsec is read from a keyword such as ``SLIT_N = '2.0 arcsec'``."""

    width: str


@dataclass(frozen=True)
class Site:
    """Where the telescope stands: east longitude and latitude in degrees, height in metres, name of the extinction table."""

    name: str
    longitude: float
    latitude: float
    height: float
    extinction: str


@dataclass(frozen=True)
class Flexure:
    """How far the image may wander between calibration and exposure, pixels: search range for alignment on sky lines."""

    along: float
    across: float


@dataclass(frozen=True)
class Instrument:
    """All that is known of one instrument. ``keywords`` maps a field of a frame to the keywords that may hold it, in order."""

    name: str
    title: str
    file: str
    telescope: str
    site: Site
    identify: tuple[Condition, ...]
    keywords: Mapping[str, tuple[str, ...]]
    sexagesimal_ra_hours: bool
    detectors: tuple[Detector, ...]
    grisms: tuple[Grism, ...]
    lamps: tuple[Lamp, ...]
    rules: tuple[Rule, ...]
    associations: tuple[Association, ...]
    geometry: MaskSlits | LongSlit
    flexure: Flexure
    sky_lines: str

    def detector(self, quadrant: int) -> Detector:
        """The CCD of a quadrant.

        Raises:
            FrameError: the instrument has no such quadrant.
        """
        for detector in self.detectors:
            if detector.quadrant == quadrant:
                return detector
        known = ", ".join(str(detector.quadrant) for detector in self.detectors)
        raise FrameError(f"{self.title} has no quadrant {quadrant}; {self.file} describes {known}.")

    def grism(self, name: str) -> Grism:
        """The grism of that name, as the header writes it.

        Raises:
            FrameError: the instrument has no such grism.
        """
        for grism in self.grisms:
            if grism.name.upper() == name.strip().upper():
                return grism
        known = ", ".join(grism.name for grism in self.grisms)
        raise FrameError(f"{self.title} has no grism '{name}'; {self.file} describes {known}.")

"""Where light of a wavelength from a point of a slit falls, and back: the truth a reduction has to find.

A point (X, Y) of the mask, in pixels of the instrument file's first-guess transform and from the middle of the field, is moved
by distortion to (x₀, y₀); light that the file's dispersion would put Δ pixels from there falls at::

    y = y₀ + Δ (1 + scale + slope·(X, Y) + bend·X²) + curve₂ Δ² + curve₃ Δ³
    x = x₀ + Δ (tilt + keystone·(X, Y)) + bow Δ²

with X, Y, Δ in units of 1000 pixels in the coefficients. Lines are curved and tilted because y₀ and the factor of Δ depend on X.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.polynomial import chebyshev

from specola_pipeline.instruments import Transform

__all__ = ["Optics", "SlitMap"]

Array = npt.NDArray[np.float64]
UNIT = 1000.0
"""Pixels that X, Y and Δ are counted in by the coefficients below."""


@dataclass(frozen=True)
class Optics:
    """One quadrant with one grism at one moment; lengths are pixels, angles radians. Zero everywhere: a perfect instrument."""

    transform: Transform
    shape: tuple[int, int]
    shift: tuple[float, float] = (0.0, 0.0)
    magnification: float = 0.0
    rotation: float = 0.0
    barrel: float = 0.0
    smile: float = 0.0
    scale: float = 0.0
    slope: tuple[float, float] = (0.0, 0.0)
    bend: float = 0.0
    curve: tuple[float, float] = (0.0, 0.0)
    tilt: float = 0.0
    keystone: tuple[float, float] = (0.0, 0.0)
    bow: float = 0.0

    @classmethod
    def random(cls, transform: Transform, shape: tuple[int, int], rng: np.random.Generator) -> Optics:
        """As a well aligned VIMOS quadrant may be: some pixels of distortion, none known beforehand."""
        normal = rng.normal
        return cls(
            transform,
            shape,
            shift=(normal(0, 3), normal(0, 4)),
            magnification=normal(0, 4e-4),
            rotation=normal(0, 6e-4),
            barrel=normal(1.2, 0.3),
            smile=normal(5.0, 1.5),
            scale=normal(0, 1.5e-3),
            slope=(normal(0, 1.5), normal(0, 1.5)),
            bend=normal(-3.0, 1.0),
            curve=(normal(10.0, 2.0), normal(-2.0, 0.5)),
            tilt=normal(0, 2.0),
            keystone=(normal(2.0, 0.5), normal(0, 0.5)),
            bow=normal(1.0, 0.5),
        )

    def at(self, shift_x: float, shift_y: float) -> Optics:
        """The same, with the image moved by flexure."""
        return Optics(**{**self.__dict__, "shift": (self.shift[0] + shift_x, self.shift[1] + shift_y)})

    def detector(self, mask_x: npt.ArrayLike, mask_y: npt.ArrayLike, offset: npt.ArrayLike) -> tuple[Array, Array]:
        """Pixels (x, y) of the trimmed frame for points of the mask (mm) and wavelengths (as offsets Δ); they broadcast."""
        first_x, first_y = self.transform(mask_x, mask_y)
        middle_x, middle_y = (self.shape[1] - 1) / 2, (self.shape[0] - 1) / 2
        across, along = first_x - middle_x, first_y - middle_y
        x, y, delta = across / UNIT, along / UNIT, np.asarray(offset, dtype=float) / UNIT
        stretch = 1 + self.magnification
        radial = self.barrel * (x**2 + y**2)
        x0 = middle_x + self.shift[0] + across * stretch + radial * x - self.rotation * along
        y0 = middle_y + self.shift[1] + along * stretch + radial * y + self.rotation * across + self.smile * x**2
        factor = UNIT * (1 + self.scale) + self.slope[0] * x + self.slope[1] * y + self.bend * x**2
        return (
            x0 + delta * (self.tilt + self.keystone[0] * x + self.keystone[1] * y) + self.bow * delta**2,
            y0 + delta * factor + self.curve[0] * delta**2 + self.curve[1] * delta**3,
        )

    def slit_map(
        self, mask_x: float, mask_y: float, half_mm: float, offsets: tuple[float, float], margin: float = 4.0
    ) -> SlitMap:
        """Pixel to (Δ, position along the slit), for one slit and a range of Δ; see :class:`SlitMap`."""
        ends = np.array([-half_mm, half_mm])[:, None]
        deltas = np.linspace(*offsets, 33)[None, :]
        x, y = self.detector(mask_x + ends, mask_y, deltas)
        box = (float(y.min() - margin), float(y.max() + margin), float(x.min() - margin), float(x.max() + margin))
        return SlitMap.fit(self, (mask_x, mask_y), box)


@dataclass(frozen=True)
class SlitMap:
    """Δ and the position along the slit (mm from its centre) as functions of the pixel: tensor Chebyshev series in a box of it.

    ``box`` is (y low, y high, x low, x high) in pixels. The series replace solving for every pixel; they agree with
    :meth:`Optics.detector` to a few 1e-6 pixel (a test).
    """

    box: tuple[float, float, float, float]
    offset_series: Array
    along_series: Array

    ROWS = 14
    COLUMNS = 7

    @classmethod
    def fit(cls, optics: Optics, centre: tuple[float, float], box: tuple[float, float, float, float]) -> SlitMap:
        """Solve at the nodes by Newton's method, then interpolate."""
        nodes = [chebyshev.chebpts1(count) for count in (cls.ROWS, cls.COLUMNS)]
        y = 0.5 * (box[0] + box[1]) + 0.5 * (box[1] - box[0]) * nodes[0][:, None]
        x = 0.5 * (box[2] + box[3]) + 0.5 * (box[3] - box[2]) * nodes[1][None, :]
        y, x = np.broadcast_arrays(y, x)
        per_mm = optics.transform(1.0, 0.0)[0] - optics.transform(0.0, 0.0)[0]
        along = (x - optics.detector(centre[0], centre[1], 0.0)[0]) / per_mm
        delta = y - optics.detector(centre[0], centre[1], 0.0)[1]
        step_mm, step_px = 1e-3, 1e-2
        for _ in range(12):
            at_x, at_y = optics.detector(centre[0] + along, centre[1], delta)
            by_mm = [
                (b - a) / step_mm
                for a, b in zip((at_x, at_y), optics.detector(centre[0] + along + step_mm, centre[1], delta), strict=True)
            ]
            by_px = [
                (b - a) / step_px
                for a, b in zip((at_x, at_y), optics.detector(centre[0] + along, centre[1], delta + step_px), strict=True)
            ]
            determinant = by_mm[0] * by_px[1] - by_mm[1] * by_px[0]
            miss_x, miss_y = x - at_x, y - at_y
            along = along + (miss_x * by_px[1] - miss_y * by_px[0]) / determinant
            delta = delta + (by_mm[0] * miss_y - by_mm[1] * miss_x) / determinant
        to_rows, to_columns = (np.linalg.inv(chebyshev.chebvander(node, node.size - 1)) for node in nodes)
        return cls(box, to_rows @ delta @ to_columns.T, to_rows @ along @ to_columns.T)

    def _evaluate(self, series: Array, y: Array, x: Array) -> Array:
        low_y, high_y, low_x, high_x = self.box
        rows = chebyshev.chebvander((2 * y - low_y - high_y) / (high_y - low_y), self.ROWS - 1)
        columns = chebyshev.chebvander((2 * x - low_x - high_x) / (high_x - low_x), self.COLUMNS - 1)
        return np.asarray(rows @ series @ columns.T)

    def offset(self, y: Array, x: Array) -> Array:
        """Δ at rows ``y`` and columns ``x`` (pixels, not necessarily whole): shape (y.size, x.size)."""
        return self._evaluate(self.offset_series, y, x)

    def along(self, y: Array, x: Array) -> Array:
        """Millimetres from the slit's centre, of shape (y.size, x.size)."""
        return self._evaluate(self.along_series, y, x)

    def window(self, shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Rows and columns of the detector in the box: (first row, row after the last, first column, column after the last)."""
        return (
            max(0, int(np.ceil(self.box[0]))),
            min(shape[0], int(np.floor(self.box[1])) + 1),
            max(0, int(np.ceil(self.box[2]))),
            min(shape[1], int(np.floor(self.box[3])) + 1),
        )

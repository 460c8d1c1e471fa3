"""From a FITS header to the slits of its mask, and where they should fall on the trimmed detector."""

from __future__ import annotations

from dataclasses import dataclass

from specola_pipeline.errors import FrameError
from specola_pipeline.instruments.detector import Header, Value
from specola_pipeline.instruments.frame import Frame
from specola_pipeline.instruments.model import Instrument, LongSlit, MaskSlits

__all__ = ["Slit", "slits"]

MOST = 2000
"""Slits a mask may have; a larger number in a header is an error of the header, not a mask."""
FARTHEST = 1000.0
"""Millimetres from the centre of a mask; VIMOS' masks end at 140."""


@dataclass(frozen=True)
class Slit:
    """One slit of a mask.

    ``centre`` and ``half_length`` are a first guess in pixels of the trimmed detector across the dispersion, ``reference`` the
    pixel along the dispersion where the grism's reference wavelength falls. ``length`` and ``width`` are arcsec on the sky,
    ``mask_x`` and ``mask_y`` mm (None for a long slit); ``ra`` and ``dec`` degrees, of the target, where the header has them.
    """

    identifier: str
    number: int
    centre: float
    half_length: float
    reference: float
    length: float
    width: float
    mask_x: float | None
    mask_y: float | None
    ra: float | None
    dec: float | None


def slits(instrument: Instrument, header: Header, frame: Frame, shape: tuple[int, int]) -> tuple[Slit, ...]:
    """The slits of a frame, in the order of the header.

    Args:
        instrument: that took the frame.
        header: of the frame.
        frame: what :func:`read_frame` made of it.
        shape: of the trimmed frame (rows, columns).

    Raises:
        FrameError: the header names no slits, or a slit lacks a number.
    """
    detector = instrument.detector(frame.quadrant)
    grism = instrument.grism(frame.grism)
    if isinstance(instrument.geometry, LongSlit):
        across = shape[1 - detector.dispersion_axis]
        along = shape[detector.dispersion_axis]
        width = Value(None, _leading_number(header, instrument.geometry.width, frame.file)).default
        return (
            Slit(
                identifier="1",
                number=1,
                centre=(across - 1) / 2,
                half_length=across / 2,
                reference=(along - 1) / 2 if grism.reference_pixel is None else grism.reference_pixel,
                length=across * detector.pixel_scale,
                width=width or 0.0,
                mask_x=None,
                mask_y=None,
                ra=frame.ra,
                dec=frame.dec,
            ),
        )
    return _mask_slits(instrument.geometry, header, frame, detector.pixel_scale, detector.dispersion_axis)


def _leading_number(header: Header, key: str, file: str) -> float:
    text = str(header.get(key, "")).split()
    try:
        return float(text[0])
    except (IndexError, ValueError):
        raise FrameError(f"{file}: {key} is {header.get(key)!r}, expected a width such as '2.0 arcsec'.") from None


def _mask_slits(geometry: MaskSlits, header: Header, frame: Frame, scale: float, axis: int) -> tuple[Slit, ...]:
    count = Value(geometry.count, None).read(header, frame.file)
    if count != int(count) or not 1 <= count <= MOST:
        raise FrameError(
            f"{frame.file}: '{geometry.count}' is {count}, expected 1 to {MOST} slits. Is this a frame through a mask?"
        )
    transform = geometry.transform.get(frame.quadrant)
    if transform is None:
        raise FrameError(f"{frame.file}: the instrument file has no [[slits.transform]] for quadrant {frame.quadrant}.")
    found = []
    for number in range(1, int(count) + 1):
        x, y, length, width = (
            Value(key.format(n=number), None).read(header, frame.file)
            for key in (geometry.x, geometry.y, geometry.length, geometry.width)
        )
        if length <= 0 or width <= 0:
            raise FrameError(f"{frame.file}: slit {number} is {length} by {width} mm; both must be above zero.")
        if max(abs(x), abs(y), length, width) > FARTHEST:
            raise FrameError(f"{frame.file}: slit {number} at {x}, {y} mm, {length} by {width} mm: no mask is that large.")
        across, along = (float(part) for part in transform(x, y))
        if axis == 1:
            across, along = along, across
        name = header.get(geometry.identifier.format(n=number))
        ra, dec = (header.get(key.format(n=number)) if key is not None else None for key in (geometry.ra, geometry.dec))
        found.append(
            Slit(
                identifier=str(number if name is None else name).strip(),
                number=number,
                centre=across,
                half_length=0.5 * length / geometry.mm_per_arcsec / scale,
                reference=along,
                length=length / geometry.mm_per_arcsec,
                width=width / geometry.mm_per_arcsec,
                mask_x=x,
                mask_y=y,
                ra=_degrees(ra),
                dec=_degrees(dec),
            )
        )
    return tuple(found)


def _degrees(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

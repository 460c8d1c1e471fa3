"""From a raw frame to electrons with a variance and a mask: overscan, bias, gain, saturation, bad pixels.

Arrays are turned so that axis 0 runs along the dispersion with wavelength increasing and axis 1 along the slit. The variance is
there from the first step: read noise as the overscan shows it, and the photons of the frame itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from specola_pipeline.reduce.robust import clipped_mean, mad_std

__all__ = [
    "BAD",
    "COSMIC",
    "SATURATED",
    "Amplifier",
    "Box",
    "Frame",
    "Readout",
    "combine",
    "subtract_bias",
    "to_electrons",
    "with_hot_pixels",
]

Array = NDArray[np.float64]
Mask = NDArray[np.uint8]
Box = tuple[int, int, int, int]
_T = TypeVar("_T", bound=np.generic)
_ROWS = 64
"""Rows that are combined at once: what is looked at together stays small, however many frames there are."""

BAD, SATURATED, COSMIC = 1, 2, 4
"""Bits of a mask: not to be used (dead, hot, NaN, outside), at or above saturation, hit by a cosmic ray."""


@dataclass(frozen=True)
class Amplifier:
    """One read-out of a detector: where its pixels and overscans are in the raw array, as (y0, y1, x0, x1), and its constants."""

    data: Box
    overscans: tuple[Box, ...]
    gain: float
    """Electrons per ADU."""
    read_noise: float
    """Electrons."""


@dataclass(frozen=True)
class Readout:
    """How a detector is read: its amplifiers, where it saturates (ADU), and how its raw array is turned."""

    amplifiers: tuple[Amplifier, ...]
    saturation: float
    dispersion_axis: int = 0
    flip_dispersion: bool = False
    flip_slit: bool = False


@dataclass(frozen=True)
class Frame:
    """A frame in electrons: *data*, *variance* (electrons squared), *mask*, and what was *odd* about it, in words."""

    data: Array
    variance: Array
    mask: Mask
    exposure: float
    odd: tuple[str, ...] = ()


def to_electrons(raw: NDArray[np.generic], readout: Readout, exposure: float = 0.0) -> Frame:
    """Overscan-corrected electrons of a raw array, trimmed and turned.

    An amplifier's level is the clipped mean of its overscan, line by line smoothed where the overscan has 8 pixels or more in a
    line. Read noise is the larger of the instrument's and the scatter of the overscan. NaN, saturated and dead pixels are masked;
    a dead amplifier (no scatter at all, or more than half of it not finite) is masked whole and named in *odd*.
    Raises ValueError where the array does not hold a section.
    """
    values = np.asarray(raw, dtype=float)
    boxes = [one.data for one in readout.amplifiers]
    y_min, x_min = min(box[0] for box in boxes), min(box[2] for box in boxes)
    shape = (max(box[1] for box in boxes) - y_min, max(box[3] for box in boxes) - x_min)
    data, variance, flags = np.zeros(shape), np.full(shape, np.inf), np.full(shape, BAD, dtype=np.uint8)
    odd: list[str] = []
    for number, amplifier in enumerate(readout.amplifiers, start=1):
        y0, y1, x0, x1 = amplifier.data
        if y1 > values.shape[0] or x1 > values.shape[1]:
            raise ValueError(
                f"the array has {values.shape[0]} x {values.shape[1]} pixels (rows x columns), amplifier {number} should "
                f"reach row {y1} and column {x1}: is this frame windowed or truncated?"
            )
        level, noise = _overscan(values, amplifier)
        read = float(np.clip(noise * amplifier.gain, amplifier.read_noise, 5 * amplifier.read_noise))
        if noise * amplifier.gain > 2 * amplifier.read_noise:
            odd.append(f"amplifier {number}: read noise {noise * amplifier.gain:.1f} e-, expected {amplifier.read_noise:.1f}")
        block, at = values[y0:y1, x0:x1], (slice(y0 - y_min, y1 - y_min), slice(x0 - x_min, x1 - x_min))
        levels = np.ravel(np.broadcast_to(level, (y1 - y0, 1)))
        out = data[at], variance[at], flags[at]
        finite, spread = _read_out(block, levels, amplifier.gain, read, readout.saturation, out)
        if finite < block.size / 2 or spread == 0.0:
            flags[at] |= BAD
            odd.append(f"amplifier {number} is dead: {finite} of {block.size} pixels are finite, all alike")
    return Frame(_turn(data, readout), _turn(variance, readout), _turn(flags, readout), exposure, tuple(odd))


@njit(cache=True)
def _read_out(
    block: Array, levels: Array, gain: float, read: float, saturation: float, out: tuple[Array, Array, Mask]
) -> tuple[int, float]:
    """Fill electrons, variance and mask of an amplifier; how many of its pixels are finite, and from least to largest of them."""
    data, variance, flags = out
    finite, low, high = 0, np.inf, -np.inf
    for y in range(block.shape[0]):
        for x in range(block.shape[1]):
            value = block[y, x]
            flags[y, x] = SATURATED if value >= saturation else 0
            if np.isfinite(value):
                finite, low, high = finite + 1, min(low, value), max(high, value)
                data[y, x] = (value - levels[y]) * gain
            else:
                flags[y, x] |= BAD
                data[y, x] = 0.0
            variance[y, x] = max(data[y, x], 0.0) + read * read
    return finite, high - low


def _overscan(values: Array, amplifier: Amplifier) -> tuple[Array | float, float]:
    """Level of an amplifier in ADU, to be subtracted from its data section, and the scatter of its overscan in ADU."""
    first, last = amplifier.data[:2]
    strips = [values[y0:y1, x0:x1] for y0, y1, x0, x1 in amplifier.overscans]
    strips = [strip for strip in strips if strip.size and np.isfinite(strip).any()]
    if not strips:
        return 0.0, 0.0
    every = np.concatenate([strip.ravel() for strip in strips])
    noise = float(mad_std(np.concatenate([(strip - np.nanmedian(strip)).ravel() for strip in strips])))
    beside = all((y0, y1) == (first, last) for y0, y1, _, _ in amplifier.overscans)
    width = sum(strip.shape[1] for strip in strips)
    if not beside or width < 8:
        return float(clipped_mean(every[np.isfinite(every)], axis=0)), noise
    lines = clipped_mean(np.concatenate(strips, axis=1), axis=1)
    return _running_mean(lines, 51)[:, None], noise


def _running_mean(values: Array, width: int) -> Array:
    """Mean over *width* neighbours, with the edges repeated."""
    width = min(width, values.size | 1)
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, np.full(width, 1.0 / width), mode="valid")[: values.size]


def _turn(array: NDArray[_T], readout: Readout) -> NDArray[_T]:
    """Dispersion along axis 0 with wavelength increasing, the slit along axis 1."""
    turned = array if readout.dispersion_axis == 0 else array.T
    if readout.flip_dispersion:
        turned = turned[::-1]
    if readout.flip_slit:
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def combine(frames: Sequence[Frame], *, level: bool = False, clip: float = 5.0) -> Frame:
    """Mean of frames of a kind with outliers beyond *clip* sigma taken out; with *level*, scaled to the first one's light.

    Used for biases and flats. One frame is returned as it is; two are compared with the smaller one, so that a cosmic ray in one
    of them is found. Raises ValueError without frames or with frames of different shape.
    """
    if not frames:
        raise ValueError("nothing to combine: expected at least one frame")
    shapes = {frame.data.shape for frame in frames}
    if len(shapes) > 1:
        raise ValueError(f"frames of different shapes can not be combined: {sorted(shapes)}")
    if len(frames) == 1:
        return frames[0]
    scale = np.ones(len(frames))
    if level:
        # of the brightest hundredth: through a mask for standard stars no more than a twentieth of a flat is lit
        typical = np.array([np.percentile(frame.data, 99) for frame in frames])
        scale = typical[0] / np.where(typical > 0, typical, 1.0)
    shape = frames[0].data.shape
    mean, noise, mask = np.empty(shape), np.empty(shape), np.empty(shape, dtype=np.uint8)
    width = clip * (2**0.5 if len(frames) == 2 else 1.0)
    for first in range(0, shape[0], _ROWS):
        part = slice(first, first + _ROWS)
        data, variance = np.stack([one.data[part] for one in frames]), np.stack([one.variance[part] for one in frames])
        flags = np.stack([one.mask[part] for one in frames])
        _combine(data, variance, flags, scale, width, (mean[part], noise[part], mask[part]))
    odd = tuple(dict.fromkeys(word for frame in frames for word in frame.odd))
    return Frame(mean, noise, mask, sum(frame.exposure for frame in frames), odd)


@njit(cache=True)
def _combine(data: Array, variance: Array, flags: Mask, scale: Array, width: float, out: tuple[Array, Array, Mask]) -> None:
    """Fill mean, its variance and mask of frames of shape (frames, rows, columns)."""
    frames, rows, columns = data.shape
    ordered = np.empty(frames)
    for y in range(rows):
        for x in range(columns):
            for f in range(frames):
                value, at = data[f, y, x] * scale[f], f
                while at > 0 and ordered[at - 1] > value:
                    ordered[at] = ordered[at - 1]
                    at -= 1
                ordered[at] = value
            middle = 0.5 * (ordered[(frames - 1) // 2] + ordered[frames // 2])
            reference = ordered[0] if frames == 2 else middle
            count, total, noise, common = 0, 0.0, 0.0, 255
            for f in range(frames):
                value, own = data[f, y, x] * scale[f], variance[f, y, x] * scale[f] ** 2
                common &= flags[f, y, x]
                if flags[f, y, x] == 0 and abs(value - reference) <= width * np.sqrt(own) + 0.02 * abs(reference):
                    count, total, noise = count + 1, total + value, noise + own
            out[0][y, x] = total / count if count else reference
            out[1][y, x] = noise / count**2 if count else np.inf
            out[2][y, x] = 0 if count else common | BAD


def with_hot_pixels(bias: Frame) -> Frame:
    """A combined bias in which pixels far from all others are masked."""
    typical, scatter = float(np.median(bias.data)), float(mad_std(bias.data))
    hot = np.abs(bias.data - typical) > 20 * scatter + 20.0
    return replace(bias, mask=(bias.mask | np.where(hot, BAD, 0)).astype(np.uint8))


def subtract_bias(frame: Frame, bias: Frame, *, reuse: bool = False) -> Frame:
    """Take out the structure that overscan leaves; bad pixels of the bias are masked. The bias's own noise is added.

    With *reuse* the arrays of *frame*, which is then lost, are those of the result: making new ones takes longer than the sum.
    """
    if frame.data.shape != bias.data.shape:
        raise ValueError(f"the bias has shape {bias.data.shape}, the frame {frame.data.shape}: they are of different set-ups")
    out = frame if reuse else replace(frame, data=frame.data.copy(), variance=frame.variance.copy(), mask=frame.mask.copy())
    _subtract(out.data, out.variance, out.mask, bias.data, bias.variance, bias.mask)
    return out


@njit(cache=True)
def _subtract(data: Array, variance: Array, mask: Mask, bias: Array, noise: Array, bad: Mask) -> None:
    """Take a bias out of a frame in place, in one pass over its pixels."""
    for y in range(data.shape[0]):
        for x in range(data.shape[1]):
            data[y, x] -= bias[y, x]
            if np.isfinite(noise[y, x]):
                variance[y, x] += noise[y, x]
            mask[y, x] |= bad[y, x] & BAD

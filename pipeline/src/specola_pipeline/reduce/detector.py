"""From a raw frame to electrons with a variance and a mask: overscan, bias, gain, saturation, bad pixels.

Arrays are turned so that axis 0 runs along the dispersion with wavelength increasing and axis 1 along the slit. The variance is
there from the first step: read noise as the overscan shows it, and the photons of the frame itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.reduce.robust import clipped_mean, mad_std

__all__ = ["BAD", "COSMIC", "SATURATED", "Amplifier", "Box", "Frame", "Readout", "combine", "subtract_bias", "to_electrons"]

Array = NDArray[np.float64]
Mask = NDArray[np.uint8]
Box = tuple[int, int, int, int]
_T = TypeVar("_T", bound=np.generic)

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
    pieces: list[tuple[Box, Array, Array, Mask]] = []
    odd: list[str] = []
    for number, amplifier in enumerate(readout.amplifiers, start=1):
        y0, y1, x0, x1 = amplifier.data
        if y1 > values.shape[0] or x1 > values.shape[1]:
            raise ValueError(
                f"the array has {values.shape[0]} x {values.shape[1]} pixels (rows x columns), amplifier {number} should "
                f"reach row {y1} and column {x1}: is this frame windowed or truncated?"
            )
        block = values[y0:y1, x0:x1]
        mask = np.zeros(block.shape, dtype=np.uint8)
        mask[~np.isfinite(block)] |= BAD
        mask[block >= readout.saturation] |= SATURATED
        level, noise = _overscan(values, amplifier)
        finite = block[np.isfinite(block)]
        if finite.size < block.size / 2 or float(np.ptp(finite)) == 0.0:
            mask |= BAD
            odd.append(f"amplifier {number} is dead: {finite.size} of {block.size} pixels are finite, all alike")
        electrons = np.where(np.isfinite(block), block - level, 0.0) * amplifier.gain
        read = float(np.clip(noise * amplifier.gain, amplifier.read_noise, 5 * amplifier.read_noise))
        if noise * amplifier.gain > 2 * amplifier.read_noise:
            odd.append(f"amplifier {number}: read noise {noise * amplifier.gain:.1f} e-, expected {amplifier.read_noise:.1f}")
        pieces.append(((y0, y1, x0, x1), electrons, np.maximum(electrons, 0.0) + read**2, mask))
    y_min, x_min = min(p[0][0] for p in pieces), min(p[0][2] for p in pieces)
    shape = (max(p[0][1] for p in pieces) - y_min, max(p[0][3] for p in pieces) - x_min)
    data, variance, flags = np.zeros(shape), np.full(shape, np.inf), np.full(shape, BAD, dtype=np.uint8)
    for (y0, y1, x0, x1), electrons, var, mask in pieces:
        at = (slice(y0 - y_min, y1 - y_min), slice(x0 - x_min, x1 - x_min))
        data[at], variance[at], flags[at] = electrons, var, mask
    return Frame(_turn(data, readout), _turn(variance, readout), _turn(flags, readout), exposure, tuple(odd))


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
    stack = np.stack([frame.data for frame in frames])
    variance = np.stack([frame.variance for frame in frames])
    if level:
        # of the brightest hundredth: through a mask for standard stars no more than a twentieth of a flat is lit
        typical = np.percentile(stack.reshape(len(frames), -1), 99, axis=1)
        scale = typical[0] / np.where(typical > 0, typical, 1.0)
        stack, variance = stack * scale[:, None, None], variance * (scale**2)[:, None, None]
    good = np.stack([frame.mask for frame in frames]) == 0
    reference = np.min(stack, axis=0) if len(frames) == 2 else np.median(stack, axis=0)
    width = clip * (2**0.5 if len(frames) == 2 else 1.0)
    good &= np.abs(stack - reference) <= width * np.sqrt(variance) + 0.02 * np.abs(reference)
    count = good.sum(axis=0)
    weight = np.maximum(count, 1)
    mean = np.where(good, stack, 0.0).sum(axis=0) / weight
    noise = np.where(good, variance, 0.0).sum(axis=0) / weight**2
    common = np.bitwise_and.reduce(np.stack([frame.mask for frame in frames]), axis=0)
    common = np.where(count > 0, 0, common | BAD).astype(np.uint8)
    odd = tuple(dict.fromkeys(word for frame in frames for word in frame.odd))
    return Frame(
        np.where(count > 0, mean, reference), np.where(count > 0, noise, np.inf), common, sum(f.exposure for f in frames), odd
    )


def subtract_bias(frame: Frame, bias: Frame) -> Frame:
    """Take out the structure that overscan leaves; hot pixels of the bias are masked. The bias's own noise is added."""
    if frame.data.shape != bias.data.shape:
        raise ValueError(f"the bias has shape {bias.data.shape}, the frame {frame.data.shape}: they are of different set-ups")
    typical, scatter = float(np.median(bias.data)), float(mad_std(bias.data))
    hot = np.abs(bias.data - typical) > 20 * scatter + 20.0
    return replace(
        frame,
        data=frame.data - bias.data,
        variance=frame.variance + np.where(np.isfinite(bias.variance), bias.variance, 0.0),
        mask=(frame.mask | np.where(hot, BAD, 0) | (bias.mask & BAD)).astype(np.uint8),
    )

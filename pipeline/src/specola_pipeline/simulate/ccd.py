"""From electrons to a raw frame: response, fringes, cosmic rays, noise, bias, digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import gaussian_filter

from specola_pipeline.instruments import Detector
from specola_pipeline.simulate.settings import Settings

__all__ = ["Camera"]

Image = npt.NDArray[np.float32]
LEVEL = 195.0
"""ADU of the bias."""
GAIN, READ_NOISE = 1.75, 3.5
"""e-/ADU and e-; the headers say the same (DET OUT1 CONAD, RON)."""
FULL_WELL = 110000.0
"""e-."""
THICKNESS = 16.0
"""µm of the e2v CCD44-82's sensitive layer; pixels of 15 µm."""
PIXEL = 15.0
RATE = 1.6 / 60
"""Cosmic rays a cm² and second, as on the VLT's instruments."""


@dataclass(frozen=True)
class Camera:
    """The CCD of one quadrant with its imperfections, which do not change over the night."""

    detector: Detector
    response: Image
    thickness: Image
    pattern: Image
    settings: Settings

    @classmethod
    def of(cls, settings: Settings, detector: Detector) -> Camera:
        """As the seed makes it."""
        rng = settings.random(2)
        rows, columns = detector.shape[0], 2048
        response = np.ones((rows, columns), "f4")
        if settings.has("response"):
            response *= rng.normal(1, 0.006, (rows, columns)).astype("f4")
            response *= 1 + 0.01 * _smooth(rng, (rows, columns))
            for column in rng.integers(5, columns - 5, 3):
                response[int(rng.integers(0, rows - 50)) :, column] *= np.float32(rng.uniform(0.1, 0.6))
        thickness = THICKNESS * 1e4 * (1 + 0.004 * _smooth(rng, (rows, columns)))  # Å
        pattern = np.zeros(detector.shape, "f4")
        if settings.has("bias"):
            pattern += np.linspace(-2.0, 2.5, rows, dtype="f4")[:, None] + rng.normal(0, 0.5, detector.shape[1]).astype("f4")
            pattern[:, :8] += np.float32(6.0) * np.exp(-np.arange(8) / 2.5).astype("f4")
        return cls(detector, response, thickness.astype("f4"), pattern, settings)

    def fringed(self, electrons: Image, wavelength: Image) -> Image:
        """Interference in the silicon: grows redwards of 8000 Å to 3 % (the detectors of 2010); refractive index 3.65."""
        if not self.settings.has("fringes"):
            return electrons
        lit = np.isfinite(wavelength)
        wave = wavelength[lit]
        amplitude = 0.03 / (1 + np.exp(-(wave - 8900) / 250))
        found = electrons.copy()
        found[lit] *= 1 + amplitude * np.cos(4 * np.pi * 3.65 * self.thickness[lit] / wave)
        return found

    def cosmics(self, exptime: float, rng: np.random.Generator) -> Image:
        """Electrons of straight tracks through the sensitive layer: angles as muons' (cos²), 80 e-/µm with a long tail."""
        rows, columns = self.response.shape
        image = np.zeros((rows, columns), "f4")
        if not self.settings.has("cosmics"):
            return image
        count = rng.poisson(RATE * exptime * rows * columns * (PIXEL * 1e-4) ** 2)
        tangent = np.minimum(np.tan(np.arccos(np.cbrt(rng.random(count)))), 40.0)
        azimuth = rng.random(count) * 2 * np.pi
        length = THICKNESS * np.hypot(1, tangent)
        charge = 80 * length * np.exp(np.clip(rng.gumbel(-0.15, 0.35, count), -1, 3))
        steps = 1 + np.ceil(3 * THICKNESS * tangent / PIXEL).astype(int)
        track = np.repeat(np.arange(count), steps)
        step = np.arange(track.size) - np.repeat(np.cumsum(steps) - steps, steps)
        along = (step + 0.5) / steps[track] * (THICKNESS * tangent / PIXEL)[track]
        diffusion = rng.normal(0, 0.25, (2, track.size))
        y = (rng.random(count) * rows)[track] + along * np.sin(azimuth)[track] + diffusion[0]
        x = (rng.random(count) * columns)[track] + along * np.cos(azimuth)[track] + diffusion[1]
        here = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
        np.add.at(image, (y[here].astype(int), x[here].astype(int)), (charge / steps)[track][here].astype("f4"))
        return image

    def expose(self, electrons: Image, cosmics: Image, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
        """The raw frame, prescan and overscan included, of expected ``electrons`` on the trimmed frame."""
        section = self.detector.amplifiers[0].data.slices()
        # Light is drawn as differences of running sums, which rounding leaves a trace below zero where there is none.
        collected = np.maximum(electrons, 0.0) * self.response
        if self.settings.has("noise"):
            collected = rng.poisson(collected).astype("f4")
        raw = np.zeros(self.detector.shape, "f4")
        raw[section] = np.minimum(collected + cosmics, FULL_WELL)
        if self.settings.has("noise"):
            raw += READ_NOISE * rng.standard_normal(raw.shape, dtype="f4")
        level = LEVEL + (rng.normal(0, 1.0) if self.settings.has("bias") else 0.0)
        raw = raw / np.float32(GAIN) + self.pattern + np.float32(level)
        return np.clip(np.rint(raw), 0, 65535).astype("u2")


def _smooth(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """A random surface of mean zero and unit rms that varies over some hundred pixels."""
    coarse = gaussian_filter(rng.standard_normal((shape[0] // 64 + 8, shape[1] // 64 + 8)), 3.0, mode="wrap")
    spline = RectBivariateSpline(*(np.arange(size) * 64.0 for size in coarse.shape), coarse / coarse.std())
    return np.asarray(spline(np.arange(shape[0], dtype=float), np.arange(shape[1], dtype=float)), dtype="f4")

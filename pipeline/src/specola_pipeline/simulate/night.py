"""One night of one mask in one quadrant: biases, flats, arcs, standard star and its calibrations, dithered science exposures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from specola_pipeline.instruments import Instrument, Kind, MaskSlits, instrument, standards
from specola_pipeline.simulate import headers, light
from specola_pipeline.simulate.ccd import READ_NOISE, Camera
from specola_pipeline.simulate.mask import Mask, design, standard_mask
from specola_pipeline.simulate.optics import Optics
from specola_pipeline.simulate.render import Pointing, Scene, Telescope
from specola_pipeline.simulate.settings import Settings
from specola_pipeline.simulate.truth import write_atomically, write_scene

__all__ = ["Exposure", "simulate"]

Array = npt.NDArray[np.float64]
START = 57000.05
"""MJD of the first science exposure; the calibrations are taken in the morning after, as at Paranal."""
FIELD = (53.1, -27.8)
"""Degrees: the Chandra Deep Field South, where VANDELS looked."""
STAR = "LTT 3218"
ARC_PEAK, FLAT_PEAK = 60000.0, 32000.0
"""Electrons a pixel of the strongest arc line, were it not spread, and of the flat's brightest pixel."""


@dataclass(frozen=True)
class Exposure:
    """One frame to be made."""

    number: int
    kind: Kind
    standard: bool
    mjd: float
    exptime: float
    repeat: tuple[int, int]
    truth: bool


def plan(settings: Settings) -> list[Exposure]:
    """Every frame of the night, in order of time."""
    found: list[Exposure] = []
    groups = [
        (Kind.SCIENCE, False, settings.exposures, settings.exptime, START),
        (Kind.FLAT, False, settings.flats if settings.exposures else 0, 8.0, START + 0.2),
        (Kind.ARC, False, settings.arcs, 12.0, START + 0.21),
        (Kind.STANDARD, True, settings.standards, 60.0, START + 0.25),
        (Kind.FLAT, True, settings.flats if settings.standards else 0, 8.0, START + 0.26),
        (Kind.ARC, True, settings.arcs if settings.standards else 0, 12.0, START + 0.27),
        (Kind.BIAS, False, settings.biases, 0.0, START + 0.3),
    ]
    for kind, standard, count, exptime, start in groups:
        for index in range(count):
            mjd = start + index * (exptime + 60) / headers.SECONDS
            truth = kind in {Kind.SCIENCE, Kind.STANDARD, Kind.ARC}
            found.append(Exposure(len(found), kind, standard, mjd, exptime, (index + 1, count), truth))
    return found


def simulate(settings: Settings, folder: Path, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Make a night's raw frames in ``folder``/raw and the truth in ``folder``/truth.

    Files of the same names are replaced. ``progress`` is told frames done and frames in all.

    Returns:
        the raw files, in order of time.

    Raises:
        PipelineError: the settings do not go together.
    """
    night = _Night.of(settings)
    raw, truth = folder / "raw", folder / "truth"
    raw.mkdir(parents=True, exist_ok=True)
    truth.mkdir(exist_ok=True)
    exposures, files, said = plan(settings), [], []
    for done, exposure in enumerate(exposures):
        frame, scene, cosmics, facts = night.frame(exposure)
        stem = headers.name(exposure.mjd, settings.quadrant)
        if exposure.truth:
            write_scene(truth / f"{stem}.fits", scene, cosmics)
        write_atomically(fits.HDUList([frame]), raw / f"{stem}.fits")
        files.append(raw / f"{stem}.fits")
        said.append({"file": f"{stem}.fits", **facts})
        if progress:
            progress(done + 1, len(exposures))
    night.write(truth, said)
    return files


@dataclass(frozen=True)
class _Night:
    settings: Settings
    instrument: Instrument
    optics: Optics
    camera: Camera
    mask: Mask
    standard_mask: Mask
    grid: light.Grid

    @classmethod
    def of(cls, settings: Settings) -> _Night:
        chosen = instrument(settings.instrument)
        detector, grism = chosen.detector(settings.quadrant), chosen.grism(settings.grism)
        mask = design(settings, chosen)
        assert isinstance(chosen.geometry, MaskSlits)  # noqa: S101 - design() refuses others
        transform = chosen.geometry.transform[settings.quadrant]
        shape = (detector.shape[0], 2048)
        optics = Optics(transform, shape)
        if settings.has("distortion"):
            optics = Optics.random(transform, shape, settings.random(3))
        star = next(one for one in standards() if one.name == STAR)
        masks = mask, standard_mask(settings, chosen, (star.wavelength, star.flux))
        return cls(settings, chosen, optics, Camera.of(settings, detector), *masks, light.Grid.of(grism, settings.has("orders")))

    def _telescope(self, mask: Mask) -> Telescope:
        assert isinstance(self.instrument.geometry, MaskSlits)  # noqa: S101 - design() refuses others
        errors = {}
        if self.settings.has("slit"):
            rng = self.settings.random(4, mask.identifier)
            for slit in mask.slits:
                rough = rng.normal(0, 1, 600)
                errors[slit.identifier] = 1 + 0.01 * np.convolve(rough, np.ones(30) / np.sqrt(30), "same") + 0.003 * rough
        detector = self.instrument.detector(self.settings.quadrant)
        return Telescope(
            self.instrument.geometry.mm_per_arcsec, detector.pixel_scale, READ_NOISE, self.settings.has("spread"), errors
        )

    def frame(self, exposure: Exposure) -> tuple[fits.PrimaryHDU, Scene, npt.NDArray[np.float32], dict[str, Any]]:
        """One raw frame, its scene, its cosmic rays and its conditions."""
        settings = self.settings
        rng = settings.random(5, exposure.number)
        mask = self.standard_mask if exposure.standard else self.mask
        pointing, flexure = self._conditions(exposure, rng)
        scene = Scene(self.grid, self.optics.shape)
        if exposure.kind is not Kind.BIAS:
            optics, telescope = self.optics.at(*flexure), self._telescope(mask)
            diffuse = self._diffuse(exposure, mask, rng)
            on_sky = exposure.kind in {Kind.SCIENCE, Kind.STANDARD}
            for slit in mask.slits:
                behind = [
                    (one, self._electrons(one, pointing, exposure.exptime)) for one in mask.sources if one.slit == slit.identifier
                ]
                scene.add(optics, telescope, slit, diffuse, behind if on_sky else [], pointing)
            scene.diffuse = self.camera.fringed(scene.diffuse, scene.wavelength)
            scene.objects = self.camera.fringed(scene.objects, scene.wavelength)
        cosmics = self.camera.cosmics(exposure.exptime, rng)
        raw = self.camera.expose(scene.diffuse + scene.objects, cosmics, rng)
        star = next(one for one in standards() if one.name == STAR)
        cards = headers.header(
            self.instrument,
            self.grid.grism,
            settings.quadrant,
            exposure.kind,
            mask,
            exposure.mjd,
            exposure.exptime,
            target=STAR if exposure.kind is Kind.STANDARD else "CDFS-SIM",
            where=(star.ra, star.dec) if exposure.standard else FIELD,
            airmass=pointing.airmass,
            seeing=pointing.seeing,
            exposure=exposure.repeat,
        )
        facts = {
            "kind": str(exposure.kind),
            "mask": mask.identifier,
            "mjd": exposure.mjd,
            "exptime": exposure.exptime,
            "flexure": flexure,
            "seeing": pointing.seeing,
            "airmass": pointing.airmass,
            "dither": pointing.along,
        }
        return fits.PrimaryHDU(raw, header=cards), scene, cosmics, facts

    def _conditions(self, exposure: Exposure, rng: np.random.Generator) -> tuple[Pointing, tuple[float, float]]:
        settings = self.settings
        index, count = exposure.repeat
        on_sky = exposure.kind in {Kind.SCIENCE, Kind.STANDARD}
        seeing = settings.seeing * float(np.exp(rng.normal(0, 0.08))) if on_sky else settings.seeing
        dither = settings.dither * (index - (count + 1) / 2) if exposure.kind is Kind.SCIENCE else 0.0
        guiding = rng.normal(0, 0.05, 2) if on_sky else np.zeros(2)
        shift = rng.normal(0, 0.5, 2) if settings.has("flexure") and on_sky else np.zeros(2)
        pointing = Pointing(
            seeing=seeing,
            airmass=settings.airmass + 0.02 * (index - 1) if on_sky else 1.0,
            along=float(dither + guiding[0]),
            across=float(guiding[1]),
            parallactic=0.35,
            refraction=settings.has("refraction"),
            losses=settings.has("losses"),
        )
        return pointing, (float(shift[0]), float(shift[1]))

    def _diffuse(self, exposure: Exposure, mask: Mask, rng: np.random.Generator) -> Array:
        """Electrons in each cell, an arcsec along the slit, of what fills a slit of this mask."""
        settings = self.settings
        per_pixel = self.instrument.detector(settings.quadrant).pixel_scale
        if exposure.kind is Kind.FLAT:
            return light.flat(self.grid, FLAT_PEAK / per_pixel)
        if exposure.kind is Kind.ARC:
            lists = tuple(name for lamp in self.instrument.lamps for name in lamp.lines)
            return light.arc(lists, self.grid, 5 * ARC_PEAK / per_pixel)
        if not settings.has("sky"):
            return np.zeros(self.grid.edges.size - 1)
        wavelength, photons = light.night_sky(rng if settings.has("variable-sky") else None)
        assert isinstance(self.instrument.geometry, MaskSlits)  # noqa: S101 - design() refuses others
        width = mask.slits[0].width / self.instrument.geometry.mm_per_arcsec
        return exposure.exptime * width * light.cells(self.grid, wavelength, photons, settings.has("orders"))

    def _electrons(self, source: Any, pointing: Pointing, exptime: float) -> Array:
        photons = light.photons(source.wavelength, source.flux)
        if self.settings.has("extinction"):
            photons = photons * light.air_factor(source.wavelength, pointing.airmass, self.instrument.site.extinction)
        return exptime * light.cells(self.grid, source.wavelength, photons, self.settings.has("orders"))

    def write(self, folder: Path, frames: list[dict[str, Any]]) -> None:
        """What is true of the whole night."""
        masks = [
            {
                "identifier": mask.identifier,
                "slits": [asdict(slit) for slit in mask.slits],
                "sources": [
                    {key: value for key, value in vars(source).items() if not isinstance(value, np.ndarray)}
                    for source in mask.sources
                ],
            }
            for mask in (self.mask, self.standard_mask)
        ]
        optics = {key: value for key, value in vars(self.optics).items() if key != "transform"}
        text = {
            "settings": self.settings.as_json(),
            "optics": optics,
            "mask": masks[0],
            "standard_mask": masks[1],
            "frames": frames,
        }
        star = next(one for one in standards() if one.name == STAR)
        sources = self.mask.sources
        partial = folder / ".sources.part.npz"
        np.savez(
            partial,
            wavelength=sources[0].wavelength if sources else np.empty(0),
            flux=np.array([one.flux for one in sources], "f4"),
            identifier=np.array([one.identifier for one in sources], "i4"),
            star_wavelength=star.wavelength,
            star_flux=star.flux,
        )
        partial.replace(folder / "sources.npz")
        partial = folder / ".truth.part.json"
        partial.write_text(json.dumps(text, indent=1, default=list).replace("NaN", "null"), "utf-8")
        partial.replace(folder / "truth.json")

"""The truth beside the frames: what is written, and how to read it.

``truth/truth.json``
    ``settings``; ``mask`` and ``standard_mask``, each with ``slits`` (identifier, x, y, length, width in mm) and ``sources``
    (identifier, slit, along and across in arcsec from the slit's centre, magnitude, redshift, size); ``frames``: a list with
    ``file``, ``kind``, ``mjd``, ``exptime``, ``flexure`` (x, y pixels from the arc), ``seeing``, ``airmass``, ``dither``
    (arcsec).
``truth/sources.npz``
    ``wavelength`` (n,) vacuum Å, ``flux`` (sources, n) erg/s/cm²/Å above the atmosphere, ``identifier`` (sources,); the standard
    star's ``star_wavelength`` and ``star_flux``.
``truth/<name of the frame>.fits``, one for each arc, standard and science frame; images of the trimmed detector:
    WAVELENGTH (vacuum Å at the pixel's centre, NaN outside the slits), SLIT (identifier, 0 outside), DIFFUSE (electrons of sky or
    lamp expected, before pixel response, fringes included), OBJECTS (of the objects), COSMICS (electrons of cosmic rays), and the
    table SOURCES, a row an object: ID, SLIT, and per detector row TRACE (x), ELECTRONS, OPTIMUM (the error of the best possible
    extraction: read noise and photons, profile known).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from specola_pipeline.errors import FrameError
from specola_pipeline.simulate.render import Scene

__all__ = ["FrameTruth", "Truth", "read_truth", "write_atomically", "write_scene"]


@dataclass(frozen=True)
class FrameTruth:
    """What is true of one frame: images of the trimmed detector and, per object, arrays over detector rows (see the module)."""

    wavelength: npt.NDArray[np.float32]
    slit: npt.NDArray[np.int16]
    diffuse: npt.NDArray[np.float32]
    objects: npt.NDArray[np.float32]
    cosmics: npt.NDArray[np.float32]
    sources: Any
    """FITS table (ID, SLIT, TRACE, ELECTRONS, OPTIMUM)."""


@dataclass(frozen=True)
class Truth:
    """The truth of a simulated night."""

    folder: Path
    settings: dict[str, Any]
    mask: dict[str, Any]
    standard_mask: dict[str, Any]
    frames: tuple[dict[str, Any], ...]

    def frame(self, file: str) -> FrameTruth:
        """The images of one frame, by the name of its raw file.

        Raises:
            FrameError: that frame has none (biases and flats have not).
        """
        path = self.folder / f"{Path(file).name.removesuffix('.fits')}.fits"
        if not path.exists():
            raise FrameError(f"{path} is not there: only arc, standard and science frames have images of the truth.")
        with fits.open(path, memmap=False) as hdus:
            images = {name.lower(): hdus[name].data.astype(hdus[name].data.dtype.newbyteorder("=")) for name in _IMAGES}
            return FrameTruth(**images, sources=hdus["SOURCES"].data)

    def sources(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays of ``sources.npz``."""
        with np.load(self.folder / "sources.npz") as stored:
            return dict(stored)


_IMAGES = ("WAVELENGTH", "SLIT", "DIFFUSE", "OBJECTS", "COSMICS")


def read_truth(folder: Path) -> Truth:
    """The truth of a simulation made into ``folder``.

    Raises:
        FrameError: there is none.
    """
    file = folder / "truth" / "truth.json"
    try:
        text = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise FrameError(f"{file} is not there; is {folder} the folder that was given to specola-reduce simulate?") from error
    return Truth(file.parent, text["settings"], text["mask"], text["standard_mask"], tuple(text["frames"]))


def write_scene(path: Path, scene: Scene, cosmics: npt.NDArray[np.float32]) -> None:
    """Write the truth of one frame."""
    rows = scene.shape[0]
    found = scene.sources
    columns = [
        fits.Column("ID", "J", array=np.array([one.identifier for one in found], dtype="i4")),
        fits.Column("SLIT", "J", array=np.array([one.slit for one in found], dtype="i4")),
        *(
            fits.Column(
                name, f"{rows}E", unit=unit, array=np.array([getattr(one, name.lower()) for one in found], "f4").reshape(-1, rows)
            )
            for name, unit in (("TRACE", "pixel"), ("ELECTRONS", "electron"), ("OPTIMUM", "electron"))
        ),
    ]
    images = (scene.wavelength, scene.slit, scene.diffuse, scene.objects, cosmics)
    units = ("Angstrom", "", "electron", "electron", "electron")
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for name, image, unit in zip(_IMAGES, images, units, strict=True):
        hdu = fits.ImageHDU(image, name=name)
        if unit:
            hdu.header["BUNIT"] = unit
        hdus.append(hdu)
    hdus.append(fits.BinTableHDU.from_columns(columns, name="SOURCES"))
    write_atomically(hdus, path)


def write_atomically(hdus: fits.HDUList, path: Path) -> None:
    """Write under another name, then rename: a file of the final name is whole."""
    partial = path.with_name(f".{path.name}.part")
    hdus.writeto(partial, overwrite=True)
    partial.replace(path)

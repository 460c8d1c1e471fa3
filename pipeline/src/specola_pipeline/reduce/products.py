"""Files of a reduced exposure: one a slit, with its sky-subtracted image, noise, sky, and a table an object."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from specola_pipeline import instruments
from specola_pipeline.reduce import fluxcal
from specola_pipeline.reduce.calibrate import Calibration
from specola_pipeline.reduce.exposure import SlitExposure

if TYPE_CHECKING:
    from specola_pipeline.reduce.run import Exposure

__all__ = ["write_exposure"]


def write_exposure(exposure: Exposure, calibration: Calibration, response: fluxcal.Response | None, folder: Path) -> list[Path]:
    """Write the slits of *exposure* into *folder* as ``<raw file>_slit<number>.fits``, each under another name first.

    HDUs: an empty primary with what the frame was; EXR2D (sky-subtracted electrons), NOISE (standard deviation), SKY, MASK (bits
    of :mod:`.detector`), LAMBDA (vacuum Angstrom, topocentric) as images; OBJECT1 and on, tables: ROW of the detector, WAVE
    (vacuum Angstrom, barycentric), COUNTS and COUNTS_ERR (electrons), SKY, USED, and with a *response* FLUX and ERR (1e-17
    erg/s/cm2/Angstrom).
    """
    folder.mkdir(parents=True, exist_ok=True)
    factor = fluxcal.barycentric_factor(exposure.raw)
    stem = re.sub(r"\.fits?(\.gz)?$", "", exposure.raw.path.name)
    names = {one.slit.number: one.identifier for one in calibration.slits}
    written = []
    for slit in exposure.slits:
        hdus = _hdus(exposure, slit, names[slit.number], response, factor)
        path = folder / f"{stem}_slit{slit.number:03d}.fits"
        partial = path.with_name(f".{path.name}.part")
        try:
            hdus.writeto(partial, overwrite=True)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        written.append(path)
    return written


def _hdus(
    exposure: Exposure, slit: SlitExposure, identifier: str, response: fluxcal.Response | None, factor: float
) -> fits.HDUList:
    frame = exposure.raw.frame
    shift, _, lines = exposure.offsets[slit.number]
    dispersion = np.gradient(slit.wavelength, axis=0)
    primary = fits.PrimaryHDU()
    head = primary.header
    head["OBJECT"] = frame.object
    head["INSTRUME"] = frame.instrument
    head["EXPTIME"] = (frame.exptime, "s")
    head["MJD-OBS"] = (frame.start, "start of the exposure")
    head["SLIT"] = (identifier, "identifier of the slit")
    head["RAWFILE"] = exposure.raw.path.name
    head["RAWHASH"] = exposure.raw.sha256
    head["FLEXURE"] = (shift, "offset of sky lines, taken out [pixel]")
    head["NSKYLINE"] = (lines, "sky lines it rests on")
    head["BARYCORR"] = (factor, "factor on wavelengths of the tables")
    head["SKYCHI"] = (slit.chi_sky if np.isfinite(slit.chi_sky) else "undefined", "width of sky residuals over noise")
    images = {
        "EXR2D": slit.data - slit.sky,
        "NOISE": np.sqrt(slit.variance),
        "SKY": slit.sky,
        "MASK": slit.mask,
        "LAMBDA": slit.wavelength - shift * dispersion,
    }
    hdus = fits.HDUList([primary])
    for name, image in images.items():
        hdus.append(
            fits.ImageHDU(image if name == "MASK" else image.astype(np.float64 if name == "LAMBDA" else np.float32), name=name)
        )
    site = instruments.instrument(frame.instrument).site.extinction
    for number, one in enumerate(slit.spectra, start=1):
        step = np.gradient(one.wavelength)
        wavelength = one.wavelength - shift * step
        error = np.sqrt(one.variance)
        columns = [
            fits.Column("ROW", "J", array=np.arange(slit.window[0].start, slit.window[0].stop)),
            fits.Column("WAVE", "D", unit="Angstrom", array=wavelength * factor),
            fits.Column("COUNTS", "D", unit="electron", array=one.flux),
            fits.Column("COUNTS_ERR", "D", unit="electron", array=error),
            fits.Column("SKY", "D", unit="electron", array=one.sky),
            fits.Column("USED", "E", array=one.used),
        ]
        if response is not None:
            scale = fluxcal.rate(np.ones_like(wavelength), wavelength, frame.exptime, frame.airmass or 1.0, site)
            scale = scale * response(wavelength) * 1e17
            unit = "1e-17 erg s-1 cm-2 Angstrom-1"
            columns += [
                fits.Column("FLUX", "D", unit=unit, array=one.flux * scale),
                fits.Column("ERR", "D", unit=unit, array=error * scale),
            ]
        table = fits.BinTableHDU.from_columns(columns, name=f"OBJECT{number}")
        table.header["PLACE"] = (one.trace.place, "from the slit's left edge [pixel]")
        table.header["SIGNIF"] = (one.trace.significance, "significance of the detection")
        hdus.append(table)
    return hdus

"""Small frames of a made-up Kast night: real keywords, a known truth, sixty pixels along the slit."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from specola_pipeline.instruments import instrument, line_list

ROWS, COLUMNS, GAIN, READ = 60, 2048, 1.2, 3.7
EDGES = (6.0, 53.0)
GRISM = instrument("kast_blue").grism("600/4310")


def shape_of_lines(lines, heights, sigma, tilt):
    """Emission lines on the detector, (rows, columns); lines lean by *tilt* pixels a row."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(float)
    image = np.zeros((ROWS, COLUMNS))
    for at, height in zip(GRISM.reference_pixel + GRISM.offset(lines), heights, strict=True):
        low, high = int(max(at - 40, 0)), int(min(at + 40, COLUMNS))
        if low < high:
            part = np.s_[:, low:high]
            image[part] += height * np.exp(-0.5 * ((x[part] - at - tilt * (y[part] - ROWS / 2)) / sigma) ** 2)
    return image


@dataclass
class Night:
    """Writes frames into a folder; *lit* is what the slit lets through."""

    folder: Path
    seed: int = 5
    lit: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.rng = np.random.default_rng(self.seed)
        y = np.arange(ROWS)
        self.lit = ((y > EDGES[0]) & (y < EDGES[1])).astype(float)[:, None]
        self.pixels = 1 + 0.01 * self.rng.normal(size=(ROWS, COLUMNS))

    def write(self, name, electrons, exptime, lamps=(), *, ra="12:17:36.7", dec="39:00:40.0", minute=0, change=None, header=None):
        seen = self.rng.poisson(np.maximum(electrons * self.pixels, 0)) + self.rng.normal(0, READ, (ROWS, COLUMNS))
        raw = np.full((ROWS, 2112), 950.0)
        raw[:, :COLUMNS] += seen / GAIN
        raw[:, COLUMNS:] += self.rng.normal(0, READ / GAIN, (ROWS, 64))
        raw = np.clip(np.rint(raw), 0, 65535)
        if change is not None:
            raw = change(raw)
        hdu = fits.PrimaryHDU(raw.astype("f4"))
        cards = {
            "VERSION": "kastb",
            "GRISM_N": "600/4310",
            "SLIT_N": "2.0 arcsec",
            "BLFILT_N": "Open",
            "OBJECT": name,
            "EXPTIME": exptime,
            "RA": ra,
            "DEC": dec,
            "AIRMASS": 1.1,
            "DATE-BEG": f"2015-05-20T04:{minute:02d}:00",
        }
        cards |= {f"LAMPSTA{letter}": "on" if letter in lamps else "off" for letter in "1ABCDEFGHIJK"} | (header or {})
        for key, value in cards.items():
            if value is not None:
                hdu.header[key] = value
        path = self.folder / f"{name}.fits"
        hdu.writeto(path)
        return path

    def calibrations(self, *, flat=None, arc=None, arc_lists=("HgI", "CdI", "HeI")):
        for number in range(3):
            self.write(f"bias{number}", np.zeros((ROWS, COLUMNS)), 0, minute=number)
        smooth = 15000 * np.exp(-0.5 * ((np.arange(COLUMNS) - 1100) / 900) ** 2)
        self.write("flat", self.lit * smooth[None, :], 15, lamps="1", minute=5, change=flat)
        found = line_list(*arc_lists)
        inside = (found.wavelength > 3300) & (found.wavelength < 5600)
        heights = 3000 * (found.strength[inside] / found.strength[inside].max()) ** 0.3
        self.write("arc", self.lit * shape_of_lines(found.wavelength[inside], heights, 1.8, 0.02), 30, "FG", minute=6, change=arc)

    def science(self, name="science", objects=((30.0, 2.0, 400.0),), sky=40.0, **changes: object):
        """A science frame; an object is (row, sigma, electrons a pixel along the dispersion). Returns the path."""
        lines = np.linspace(3500, 5450, 40)
        heights = np.geomspace(30, 3000, 40)
        image = self.lit * (sky + (sky > 0) * shape_of_lines(lines, heights, 1.8, 0.02))
        y = np.arange(ROWS)[:, None]
        for row, sigma, flux in objects:
            image = image + self.lit * flux * np.exp(-0.5 * ((y - row) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
        return self.write(name, image, 1200, minute=20, **changes)


@pytest.fixture
def night(tmp_path):
    return Night(tmp_path / "raw")

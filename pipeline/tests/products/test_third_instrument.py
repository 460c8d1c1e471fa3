"""A third instrument is a file: FORS2's long slit, of which no line of code knows, from raw frames to a judged spectrum."""

import numpy as np
import pytest
from astropy.io import fits

from specola_pipeline.instruments import instrument, line_list
from specola_pipeline.quality.rows import judge
from specola_pipeline.reduce.run import run

ROWS, COLUMNS = 64, 2048
LIT = slice(10, 58)
GRISM = instrument("fors2_lss").grism("GRIS_600RI")
DISPERSION = (6786.0, 1.645, -6e-6)
"""The true one, Angstrom at the middle, a pixel, and a pixel squared; the file's guess is 6 Angstrom and one per cent off."""


def wavelength(pixel):
    away = pixel - (COLUMNS - 1) / 2
    return DISPERSION[0] + DISPERSION[1] * away + DISPERSION[2] * away**2


def emission(lines, heights, sigma=2.0):
    """Lines of light along the dispersion, electrons a pixel, shape (COLUMNS,)."""
    pixel = np.arange(COLUMNS, dtype=float)
    at = np.interp(lines, wavelength(pixel), pixel, left=-100, right=-100)
    return (heights[:, None] * np.exp(-0.5 * ((pixel - at[:, None]) / sigma) ** 2)).sum(axis=0)


@pytest.fixture
def night(tmp_path):
    """Three biases, a flat, an arc and a science frame with ESO's keywords, and an object of 600 electrons a pixel in row 30."""
    rng = np.random.default_rng(11)
    folder = tmp_path / "raw"
    folder.mkdir()
    lit = np.zeros((ROWS, 1))
    lit[LIT] = 1.0

    def write(name, electrons, minute, exptime, **dpr: str):
        seen = rng.poisson(np.maximum(electrons, 0)) + rng.normal(0, 2.9, (ROWS, COLUMNS))
        header = fits.Header()
        header.update(
            {
                "INSTRUME": "FORS2",
                "EXTNAME": "CHIP1",
                "EXPTIME": exptime,
                "RA": 53.1,
                "DEC": -27.8,
                "MJD-OBS": 57000.1 + minute / 1440,
            }
        )
        words = {
            "DPR TYPE": "OBJECT",
            "DPR TECH": "SPECTRUM",
            "DPR CATG": "CALIB",
            "INS GRIS1 NAME": "GRIS_600RI",
            "INS FILT1 NAME": "GG435",
            "INS SLIT NAME": "lSIT1_0",
            "INS SLIT WID": 1.0,
            "OBS TARG NAME": "GOODS",
            "DET WIN1 BINX": 2,
            "TEL AIRM START": 1.1,
            "DET OUT1 CONAD": 0.7,
            "DET OUT1 RON": 2.9,
            "OBS ID": 100200,
            "OBS PROG ID": "094.A-0001",
        } | {key.replace("_", " "): value for key, value in dpr.items()}
        for key, value in words.items():
            header[f"HIERARCH ESO {key}"] = value
        fits.PrimaryHDU(np.rint(200 + seen / 0.7).astype("u2"), header).writeto(folder / f"{name}.fits")

    dark = np.zeros((ROWS, COLUMNS))
    for number in range(3):
        write(f"bias{number}", dark, number, 0.0, DPR_TYPE="BIAS", DPR_TECH="IMAGE")
    write("flat", lit * 20000.0 * np.ones(COLUMNS), 5, 10.0, DPR_TYPE="FLAT,LAMP")
    lamps = line_list("HeI", "ArI")
    strong = lamps.strength > 0
    write("arc", lit * emission(lamps.wavelength[strong], 4000 * (lamps.strength[strong] / lamps.strength.max()) ** 0.3), 6, 20.0,
          DPR_TYPE="WAVE,LAMP")  # fmt: skip
    sky = line_list("night_sky")
    sky_light = 60 + emission(sky.wavelength, 3000 * (sky.strength / sky.strength.max()) ** 0.5)
    profile = np.exp(-0.5 * ((np.arange(ROWS)[:, None] - 30) / 1.8) ** 2) / (1.8 * np.sqrt(2 * np.pi))
    write("science", lit * (sky_light + 600 * profile), 20, 1500.0, DPR_CATG="SCIENCE")
    return folder


def test_fors2_long_slit_needs_no_code(night, tmp_path):
    reduction = run(night, tmp_path / "work")
    assert reduction.problems == ()
    (mask,) = reduction.masks
    (row,) = judge(reduction).rows
    assert (row["state"], row["objects"]) != ("rejected", 0), row["flags"]
    assert row["wavelength_rms"] < 0.06
    assert row["sky_lines"] >= 5
    (slit,) = mask.slits()
    (thing,) = slit.objects
    true = 600 / np.gradient(wavelength(np.arange(COLUMNS)))
    inside = (thing.wavelength > 5600) & (thing.wavelength < 8200)
    expected = np.interp(thing.wavelength, wavelength(np.arange(COLUMNS)), true)
    assert np.median(thing.counts[inside] / expected[inside]) == pytest.approx(1.0, abs=0.02)
    assert thing.place == pytest.approx((30 - (LIT.start + LIT.stop - 1) / 2) * 0.25, abs=0.3)

"""Real Shane/Kast frames against an independent reduction of the same frames (PypeIt 1.12)."""

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from specola_pipeline.reduce.run import run

SHARED = Path(os.environ.get("SPECOLA_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
FRAMES = SHARED / "raw" / "kast_pypeit"
REFERENCE = "spec1d_b27_PypeIt_reduction.fits.gz"


@pytest.fixture(scope="module")
def reduced(tmp_path_factory):
    if not os.access(FRAMES / REFERENCE, os.R_OK):
        pytest.skip(f"the real Kast frames are not in {FRAMES} (set SPECOLA_SHARED_DATA)")
    output = tmp_path_factory.mktemp("kast")
    return run(FRAMES, output), output


def test_wavelengths_are_good_to_a_twentieth_of_a_pixel(reduced):
    result, _ = reduced
    assert {row["file"] for row in result.rows} == {"b24.fits.gz", "b27.fits.gz"}
    assert all(row["wavelength_rms"] <= 0.05 for row in result.rows)


def test_counts_of_the_science_object_agree_with_the_independent_reduction(reduced):
    _, output = reduced
    with fits.open(output / "spectra/b27_slit001.fits") as hdus:
        ours = hdus["OBJECT1"].data
    theirs = fits.getdata(FRAMES / REFERENCE, 1)
    theirs = theirs[ours["ROW"]]
    good = theirs["OPT_MASK"] & (theirs["OPT_COUNTS"] > 50) & np.isfinite(ours["COUNTS"])
    assert good.sum() > 1000
    assert abs(np.median(ours["COUNTS"][good] / theirs["OPT_COUNTS"][good]) - 1) < 0.02
    assert abs(np.median(ours["COUNTS_ERR"][good] / theirs["OPT_COUNTS_SIG"][good]) - 1) < 0.1
    assert np.max(np.abs(ours["WAVE"] - theirs["OPT_WAVE"])[good]) < 0.3  # Angstrom: a third of a pixel, flexure included


def test_the_standard_star_calibrates_flux_as_the_independent_reduction_does(reduced):
    result, output = reduced
    assert all(row["response_rms"] < 0.03 for row in result.rows)
    with fits.open(output / "spectra/b27_slit001.fits") as hdus:
        ours = hdus["OBJECT1"].data
    theirs = fits.getdata(FRAMES / REFERENCE, 1)
    good = theirs["OPT_MASK"] & (theirs["OPT_COUNTS"] > 50)
    flux = np.interp(theirs["OPT_WAVE"][good], ours["WAVE"], ours["FLUX"])
    assert abs(np.nanmedian(flux / theirs["OPT_FLAM"][good]) - 1) < 0.10

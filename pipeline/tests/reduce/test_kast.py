"""Real Shane/Kast frames against an independent reduction of the same frames (PypeIt 1.12)."""

import numpy as np
import pytest
from astropy.io import fits

from specola_pipeline.reduce.run import run

REFERENCE = "spec1d_b27_PypeIt_reduction.fits.gz"


@pytest.fixture(scope="module")
def frames(shared_data):
    return shared_data / "raw" / "kast_pypeit"


@pytest.fixture(scope="module")
def masks(frames, tmp_path_factory):
    return {mask.exposures[0].entry.path.name: mask for mask in run(frames, tmp_path_factory.mktemp("kast")).masks}


def test_wavelengths_are_good_to_a_twentieth_of_a_pixel(masks):
    assert set(masks) == {"b24.fits.gz", "b27.fits.gz"}
    assert all(mask.exposures[0].quality[0].wavelength_rms <= 0.05 for mask in masks.values())


def test_counts_of_the_science_object_agree_with_the_independent_reduction(masks, frames):
    images = masks["b27.fits.gz"].images(0, 1)
    ours = images.spectra[0]
    theirs = fits.getdata(frames / REFERENCE, 1)[images.window[0]]
    good = theirs["OPT_MASK"] & (theirs["OPT_COUNTS"] > 50) & np.isfinite(ours.flux)
    assert good.sum() > 1000
    assert abs(np.median(ours.flux[good] / theirs["OPT_COUNTS"][good]) - 1) < 0.02
    assert abs(np.median(np.sqrt(ours.variance[good]) / theirs["OPT_COUNTS_SIG"][good]) - 1) < 0.1
    barycentric = ours.wavelength * masks["b27.fits.gz"].exposures[0].barycentric
    assert np.max(np.abs(barycentric - theirs["OPT_WAVE"])[good]) < 0.3  # Angstrom: a third of a pixel, flexure included


def test_the_combined_spectrum_has_the_flux_of_the_independent_reduction(masks, frames):
    assert all(mask.response is not None and mask.response[1] < 0.03 for mask in masks.values())
    ours = next(masks["b27.fits.gz"].slits()).objects[0]
    theirs = fits.getdata(frames / REFERENCE, 1)
    good = theirs["OPT_MASK"] & (theirs["OPT_COUNTS"] > 50)
    flux = np.interp(theirs["OPT_WAVE"][good], ours.wavelength, ours.flux * 1e17)
    assert abs(np.nanmedian(flux / theirs["OPT_FLAM"][good]) - 1) < 0.10

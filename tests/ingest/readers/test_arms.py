"""Spectra of DESI in arms, joined. All files are made here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import SourceError
from ingest.readers import desi
from ingest.readers.desi import Arm, join
from ingest.readers.sdss import error_of
from specola_bundle.survey import load_survey


def arm(start: int, stop: int, flux: float, ivar: float, mask=()) -> Arm:
    bits = np.zeros(stop - start, "i4")
    bits[[index - start for index in mask]] = 4
    return Arm(3600 + 0.8 * np.arange(start, stop), np.full(stop - start, flux, "f4"), np.full(stop - start, ivar, "f4"), bits)


def test_arms_that_overlap():
    joined = join([arm(0, 10, 1.0, 1.0), arm(8, 20, 4.0, 2.0)])
    assert np.allclose(joined.wave, 3600 + 0.8 * np.arange(20))
    assert joined.flux.tolist() == [1.0] * 8 + [3.0] * 2 + [4.0] * 10
    assert np.allclose(joined.err, [1.0] * 8 + [1 / np.sqrt(3)] * 2 + [1 / np.sqrt(2)] * 10)
    assert joined.qual.tolist() == [0] * 20


def test_masked_pixels_do_not_count():
    joined = join([arm(0, 10, 1.0, 1.0, mask=[5, 8, 9]), arm(8, 20, 4.0, 2.0, mask=[9])])
    assert joined.flux[8:10].tolist() == [4.0, 1.0]
    assert joined.qual.tolist() == [2 if index in {5, 9} else 0 for index in range(20)]
    assert joined.extras[0].data.tolist() == [4 if index in {5, 9} else 0 for index in range(20)]


def test_pixels_without_data():
    joined = join([arm(0, 10, 1.0, 0.0), arm(8, 20, 4.0, 2.0)])
    assert joined.qual.tolist() == [1] * 8 + [0] * 12
    assert np.isnan(joined.err[:8]).all()
    assert joined.flux[8:10].tolist() == [4.0, 4.0]


def test_arms_on_different_grids():
    shifted = arm(8, 20, 4.0, 2.0)
    with pytest.raises(ValueError, match="not on one wavelength grid"):
        join([arm(0, 10, 1.0, 1.0), Arm(shifted.wave + 0.3, shifted.flux, shifted.ivar, shifted.mask)])


@given(st.lists(st.tuples(st.floats(-10, 10, width=32), st.floats(0, 10, width=32)), min_size=20, max_size=20))
def test_a_joined_pixel_is_between_its_arms(pixels):
    flux, ivar = (np.array(values, "f4") for values in zip(*pixels, strict=True))
    blue = Arm(3600 + 0.8 * np.arange(12), flux[:12], ivar[:12], np.zeros(12, "i4"))
    red = Arm(3600 + 0.8 * np.arange(8, 16), flux[12:], ivar[12:], np.zeros(8, "i4"))
    joined = join([blue, red])
    for index in range(4):
        low, high = sorted((flux[8 + index], flux[12 + index]))
        assert low - 1e-5 <= joined.flux[8 + index] <= high + 1e-5
    assert np.array_equal(joined.flux[:8], flux[:8])
    assert np.array_equal(joined.flux[12:], flux[16:])


@given(st.lists(st.floats(-1, 1e10, width=32), min_size=1, max_size=20))
def test_errors_of_inverse_variances(values):
    ivar = np.array(values, "f4")
    err = error_of(ivar)
    assert err.dtype == ivar.dtype
    assert np.array_equal(np.isnan(err), ivar <= 0)


def test_a_coadd_without_arms(tmp_path):
    path = tmp_path / "coadd-x.fits"
    tables = [
        fits.BinTableHDU.from_columns([fits.Column("TARGETID", "K", array=[1])], name=name)
        for name in ("FIBERMAP", "EXP_FIBERMAP")
    ]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    with pytest.raises(SourceError, match=r"coadd-x.fits: found no B_FLUX, R_FLUX or Z_FLUX"):
        desi.read([path], tmp_path / "bundle", load_survey(Path("desi")))

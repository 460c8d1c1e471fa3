"""The bundles of a file of EasyLife and of one of ESO's archive against these files, read a second way."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tests.ingest.real_bundles import rows, same, spectrum


def test_easylife_file(bundles, data, truth):
    (row,) = rows(bundles, "easylife")
    path = data / "formats" / "sc_CDFS006664_P1M2Q4_P2M1Q4_003_1.fits"
    arrays = spectrum(bundles, "easylife", row)
    with fits.open(path) as hdus:
        for column, hdu in (("FLUX", 0), ("ERR", "NOISE"), ("BGFLUX", "SKY"), ("EXR1D", "EXR1D"), ("BLUE_CORR", "BLUE_CORR")):
            assert same(arrays[column], hdus[hdu].data)
        header = hdus[0].header
    assert np.array_equal(arrays["WAVE"], header["CRVAL1"] + np.arange(2154) * header["CDELT1"])
    assert (bundles / "easylife" / row["work_file"]).read_bytes() == path.read_bytes()
    images = {one["kind"]: one for one in rows(bundles, "easylife", "files")}
    with fits.open(path) as hdus:
        for kind, name in (("spectrum2d", "EXR2D"), ("thumbnail", "THUMB")):
            assert images[kind]["spectrum_id"] == row["spectrum_id"]
            with fits.open(bundles / "easylife" / images[kind]["file"]) as image:
                assert same(image[0].data, hdus[name].data)
                assert image[0].header["SPECID"] == row["spectrum_id"]
    with fits.open(bundles / "easylife" / images["spectrum2d"]["file"]) as image:
        # air, in Angstrom: what the axis of the file itself does not say
        assert (image[0].header["CTYPE1"], image[0].header["CUNIT1"]) == ("AWAV", "Angstrom")
        assert WCS(image[0].header).spectral.pixel_to_world(2153).to_value("Angstrom") == pytest.approx(arrays["WAVE"][-1])
    assert (row["ra"], row["dec"], row["exptime"]) == (53.1930509, -27.8480485, 149999.6)
    true = next(one for one in truth if "sc_CDFS006664" in one["path"])
    (redshift,) = rows(bundles, "easylife", "redshifts")
    assert (redshift["z"], redshift["flag_label"]) == (float(true["z"]), true["flag"])
    assert (row["wave_medium"], row["flux_unit"]) == ("air", "erg.s**-1.cm**-2.Angstrom**-1")


def test_easylife_flux_scale_agrees_with_its_magnitude(bundles):
    (row,) = rows(bundles, "easylife")
    (photometry,) = rows(bundles, "easylife", "photometry")
    arrays = spectrum(bundles, "easylife", row)
    band = (arrays["WAVE"] > 7000) & (arrays["WAVE"] < 8500)
    density = arrays["FLUX"][band].mean() * np.mean(arrays["WAVE"][band]) ** 2 / 2.99792458e18
    assert -2.5 * np.log10(density) - 48.6 == pytest.approx(photometry["mag_selection"], abs=0.3)


def test_eso_file(bundles, data):
    (row,) = rows(bundles, "esosdp")
    path = data / "formats" / "VANDELS_CDFS_017433.fits"
    arrays = spectrum(bundles, "esosdp", row)
    with fits.open(path) as hdus:
        for column in ("WAVE", "FLUX", "ERR", "UNCORR_FLUX", "SKY"):
            assert same(arrays["BGFLUX" if column == "SKY" else column], hdus[1].data[column][0])
        header = hdus[0].header
    assert row["snr"] == pytest.approx(header["SNR"], rel=1e-6)
    assert (row["wave_medium"], row["wave_frame"], row["flux_unit"]) == ("air", "TOPOCENT", "erg.s**-1.cm**-2.Angstrom**-1")
    assert (row["ra"], row["t_min"], row["t_max"], row["n_exposures"]) == (53.0483738, 57307.28998, 57339.34709, 63)
    assert row["creator_did"] == "ivo://eso.org/ID?ADP.2018-09-20T08:18:23.070"
    assert row["redshift"] is None

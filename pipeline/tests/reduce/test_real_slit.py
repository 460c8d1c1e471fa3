"""A real slit that VIPGI reduced (the native multi-extension format): its two-dimensional spectrum extracted by this package."""

from __future__ import annotations

import numpy as np
from astropy.io import fits

from specola_pipeline.reduce.profiles import find_objects, gaussian_profile


def test_the_real_2d_spectrum_extracted_again_agrees_with_its_1d_spectrum(shared_data):
    path = next((shared_data / "formats").glob("sc_CDFS006664*.fits"))
    with fits.open(path) as opened:
        slit = opened["EXR2D"].data.astype(float).T  # counts; rows are wavelengths, columns pixels along the slit
        theirs, noise = (opened[name].data.astype(float) for name in ("EXR1D", "NOISE"))
        header = opened["EXR1D"].header
        place = opened[0].header["PND OBJ"]
    wave = header["CRVAL1"] + header["CDELT1"] * np.arange(theirs.size)
    scatter = 1.4826 * np.median(np.abs(slit - np.median(slit, axis=1)[:, None]), axis=1)[:, None]
    weight = np.where((scatter > 0) & (np.abs(slit) < 20 * scatter), 1 / np.maximum(scatter, 1e-30) ** 2, 0.0)
    weight[:, :3] = weight[:, -3:] = 0  # the file's edges are partly outside the slit
    position = np.broadcast_to(np.arange(slit.shape[1], dtype=float), slit.shape).copy()
    objects = find_objects(slit, weight, position, 0, 2.0, 4)
    assert objects[0].significance > 100
    assert place == 1

    profile = gaussian_profile(objects[0], position, np.arange(theirs.size, dtype=float))
    counts = (weight * slit * profile).sum(axis=1) / np.maximum((weight * profile**2).sum(axis=1), 1e-30)
    # theirs is in erg: a smooth response lies between the two, a polynomial of degree 6 fitted to 1,488 pixels
    seen = (theirs != 0) & (wave > 5200) & (wave < 9000)
    x = 2 * (wave[seen] - 7100) / 3800
    terms = np.polynomial.chebyshev.chebvander(x, 6) * counts[seen, None] / noise[seen, None]
    target = theirs[seen] / noise[seen]
    ours = terms @ np.linalg.lstsq(terms, target, rcond=None)[0]
    assert np.corrcoef(ours, target)[0, 1] > 0.98
    # the same photons: what differs is less than their noise, which the file gives half as large as it is
    assert 1.4826 * np.median(np.abs(ours - target)) < 0.5
    bright = np.abs(target) > 5
    assert bright.sum() > 500
    assert abs(np.median(ours[bright] / target[bright]) - 1) < 0.02

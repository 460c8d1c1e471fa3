"""The bundle of DESI's coadds against its files, read a second way."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from specola_bundle.specfile import MASKED
from tests.ingest.real_bundles import rows, same, spectrum


@pytest.fixture(scope="module")
def coadds(data) -> dict[str, fits.HDUList]:
    return {
        path.name.removeprefix("coadd-").removesuffix(".fits.gz"): fits.open(path)
        for path in (data / "desi").glob("coadd-*.fits.gz")
    }


def test_desi_arms_are_joined_without_resampling(bundles, coadds):
    checked = 0
    for row in rows(bundles, "desi"):
        group, targetid = row["spectrum_id"].rsplit("_", 1)
        hdus = coadds[group]
        number = int(np.flatnonzero(hdus["FIBERMAP"].data["TARGETID"] == int(targetid))[0])
        arrays = spectrum(bundles, "desi", row)
        assert arrays["WAVE"].size == 7781
        assert np.allclose(np.diff(arrays["WAVE"]), 0.8, atol=1e-9)
        alone = {"B": slice(0, 2700), "R": slice(2751, 4900), "Z": slice(5026, 7781)}
        for arm, place in alone.items():
            wave, flux, ivar = (np.array(hdus[f"{arm}_{part}"].data) for part in ("WAVELENGTH", "FLUX", "IVAR"))
            first = int(np.argmin(np.abs(wave - arrays["WAVE"][place.start])))
            part = slice(first, first + place.stop - place.start)
            assert same(arrays["FLUX"][place], flux[number, part])
            assert np.allclose(arrays["WAVE"][place], wave[part], rtol=0, atol=1e-8)
            with np.errstate(divide="ignore"):
                err = (1 / np.sqrt(ivar[number, part].astype("f8"))).astype("f4")
            assert np.array_equal(arrays["ERR"][place], np.where(np.isfinite(err), err, np.nan), equal_nan=True)
        for arm, other, first, size in (("B", "R", 2700, 51), ("R", "Z", 4900, 126)):
            f1, f2 = hdus[f"{arm}_FLUX"].data[number, -size:].astype("f8"), hdus[f"{other}_FLUX"].data[number, :size].astype("f8")
            w1, w2 = (
                np.where(np.array(hdus[f"{a}_MASK"].data[number, part]) == 0, hdus[f"{a}_IVAR"].data[number, part], 0).astype(
                    "f8"
                )
                for a, part in ((arm, slice(-size, None)), (other, slice(None, size)))
            )
            both = (w1 > 0) & (w2 > 0)
            mean = (w1 * f1 + w2 * f2)[both] / (w1 + w2)[both]
            assert np.allclose(arrays["FLUX"][first : first + size][both], mean, rtol=3e-7, atol=1e-6)
            assert np.allclose(arrays["ERR"][first : first + size][both], 1 / np.sqrt((w1 + w2)[both]), rtol=1e-6)
            checked += int(both.sum())
    assert checked == 3 * (51 + 126)


def test_desi_masks(bundles):
    valid = {row["object_id"]: row["n_valid"] for row in rows(bundles, "desi")}
    assert valid == {
        "39633345008634465": 7781, "-2713437": 0, "-2713415": 0, "39627866878511337": 7746, "616088619186127404": 0,
        "39627866878514741": 7781,
    }  # fmt: skip
    row = next(row for row in rows(bundles, "desi") if row["object_id"] == "39627866878511337")
    arrays = spectrum(bundles, "desi", row)
    assert np.array_equal(arrays["MASK"] != 0, arrays["QUAL"] & MASKED != 0)
    assert int((arrays["MASK"] != 0).sum()) == 35


def test_desi_fibres(bundles, truth):
    found = {row["object_id"]: row for row in rows(bundles, "desi")}
    assert set(found) == {row["object"] for row in truth if row["path"].startswith("desi")}
    assert found["616088619186127404"]["target_class"] == "SKY"
    assert found["-2713437"]["n_exposures"] is None
    assert found["-2713437"]["snr"] is None
    # Two tiles, but the fibre was all right on one of them only.
    assert found["39627866878514741"]["slit_id"] == "272-2435"
    assert (found["39627866878514741"]["ra"], found["39627866878514741"]["dec"]) == (217.03928418841124, 3.212218727956518)
    (redshift,) = rows(bundles, "desi", "redshifts")
    true = next(row for row in truth if row["object"] == redshift["object_id"])
    assert redshift["z"] == pytest.approx(float(true["z"]), abs=1e-6)
    assert (redshift["class"], redshift["warning"], redshift["method"]) == ("GALAXY", 0, "redrock 0.17.0")


def test_desi_work_files_are_the_arms_byte_by_byte(bundles, coadds):
    for row in rows(bundles, "desi"):
        group, targetid = row["spectrum_id"].rsplit("_", 1)
        source = coadds[group]
        number = int(np.flatnonzero(source["FIBERMAP"].data["TARGETID"] == int(targetid))[0])
        with fits.open(bundles / "desi" / row["work_file"]) as hdus:
            assert [hdu.name for hdu in hdus] == [hdu.name for hdu in source]
            for arm in "BRZ":
                assert same(hdus[f"{arm}_WAVELENGTH"].data, source[f"{arm}_WAVELENGTH"].data)
                for part in ("FLUX", "IVAR", "MASK", "RESOLUTION"):
                    assert same(hdus[f"{arm}_{part}"].data, source[f"{arm}_{part}"].data[number : number + 1])
            assert hdus["FIBERMAP"].data["TARGETID"].tolist() == [int(targetid)]
            wanted = source["EXP_FIBERMAP"].data
            assert hdus["EXP_FIBERMAP"].data["EXPID"].tolist() == wanted["EXPID"][wanted["TARGETID"] == int(targetid)].tolist()

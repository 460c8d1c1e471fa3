"""The bundle of SDSS' and BOSS' spectra against its files, read a second way."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pytest
from astropy.io import fits

from specola_bundle.specfile import MASKED, NO_DATA
from tests.ingest.real_bundles import rows, same, spectrum


def test_sdss_numbers_bit_for_bit(bundles, data):
    for row in rows(bundles, "sdss"):
        content = gzip.decompress((data / "sdss" / f"{row['spectrum_id']}.fits.gz").read_bytes())
        assert (bundles / "sdss" / row["work_file"]).read_bytes() == content
        with fits.open(io.BytesIO(content)) as hdus:
            coadd = {name.upper(): np.array(hdus[1].data[name]) for name in hdus[1].columns.names}
        arrays = spectrum(bundles, "sdss", row)
        assert same(arrays["FLUX"], coadd["FLUX"])
        for name in ("LOGLAM", "AND_MASK", "OR_MASK", "MODEL", "WDISP"):
            assert same(arrays[name], coadd[name])
        assert same(arrays["BGFLUX"], coadd["SKY"])
        assert np.array_equal(arrays["WAVE"], np.power(10.0, coadd["LOGLAM"].astype("f8")))
        known = coadd["IVAR"] > 0
        assert np.array_equal(arrays["ERR"][known], (1 / np.sqrt(coadd["IVAR"][known].astype("f8"))).astype("f4"))
        assert np.isnan(arrays["ERR"][~known]).all()
        assert np.array_equal(arrays["QUAL"] & NO_DATA != 0, ~known)
        masked = (coadd["AND_MASK"] & (1 << 23) != 0) | (coadd["OR_MASK"] & (1 << 28) != 0)
        assert np.array_equal(arrays["QUAL"] & MASKED != 0, masked)
        assert (row["wave_medium"], row["wave_frame"]) == ("vacuum", "HELIOCEN")
        assert row["flux_unit"] == "10**-17 erg.s**-1.cm**-2.Angstrom**-1"


def test_sdss_against_the_truth_table(bundles, truth):
    wanted = {row["object"]: row for row in truth if row["path"].startswith("sdss")}
    found = {row["spectrum_id"]: row for row in rows(bundles, "sdss", "redshifts")}
    assert set(found) == set(wanted)
    for row in found.values():
        true = wanted[row["spectrum_id"]]
        assert row["z"] == pytest.approx(float(true["z"]), abs=1e-6)
        assert (row["class"], row["warning"], row["secure"]) == (true["class"], int(true["flag"]), True)


def test_sdss_positions_names_fibres_plates(bundles):
    row = next(row for row in rows(bundles, "sdss") if row["spectrum_id"] == "spec-3655-55240-0054")
    assert (row["ra"], row["dec"]) == (111.50409000000002, 39.31018)
    assert row["target_name"] == "SDSS J072600.98+391836.6"
    assert row["object_id"] == "1237673703966180026"
    assert (row["t_min"], row["t_max"]) == (55239.7, 55240.7)
    slits = {slit["slit_id"]: slit for slit in rows(bundles, "sdss", "slits")}
    assert (slits["3655-55240-0054"]["width"], slits["0266-51602-0013"]["width"]) == (2.0, 3.0)
    plates = {plate["pointing_id"]: plate for plate in rows(bundles, "sdss", "pointings")}
    for row in rows(bundles, "sdss"):
        plate = plates[row["pointing_id"]]
        centre, target = (np.radians([one["ra"], one["dec"]]) for one in (plate, row))
        distance = np.degrees(
            np.arccos(
                np.sin(centre[1]) * np.sin(target[1]) + np.cos(centre[1]) * np.cos(target[1]) * np.cos(centre[0] - target[0])
            )
        )
        assert distance < 1.49
        corners = np.radians(np.array(plate["footprint"]).reshape(-1, 2))
        radius = np.degrees(
            np.arccos(
                np.sin(centre[1]) * np.sin(corners[:, 1])
                + np.cos(centre[1]) * np.cos(corners[:, 1]) * np.cos(centre[0] - corners[:, 0])
            )
        )
        assert np.allclose(radius, 1.49, atol=1e-9)

"""The bundle of VANDELS' spectra against its texts, read a second way."""

from __future__ import annotations

import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from specola_bundle.specfile import NO_DATA
from tests.ingest.real_bundles import rows, same, spectrum


@pytest.fixture(scope="module")
def vandels_texts(data) -> dict[str, bytes]:
    with tarfile.open(data / "vandels" / "spectra.tar.xz") as archive:
        return {Path(m.name).stem: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}


def test_vandels_numbers_bit_for_bit(bundles, vandels_texts):
    found = rows(bundles, "vandels")
    assert {row["spectrum_id"] for row in found} == set(vandels_texts)
    no_coverage = 0
    for row in found:
        text = vandels_texts[row["spectrum_id"]]
        # Python's own parser, not numpy's.
        source = np.array(
            [[float(word) for word in line.split()] for line in text.decode().splitlines() if not line.startswith("#")]
        )
        arrays = spectrum(bundles, "vandels", row)
        assert same(arrays["WAVE"], source[:, 0].copy())
        assert same(arrays["FLUX"], source[:, 1].copy())
        assert same(arrays["ERR"], source[:, 2].copy())
        assert np.array_equal(arrays["QUAL"] == NO_DATA, source[:, 2] <= 0)
        no_coverage += int((source[:, 2] <= 0).sum())
        good = source[source[:, 2] > 0]
        assert row["n_valid"] == len(good)
        assert (row["wave_min"], row["wave_max"]) == (good[0, 0], good[-1, 0])
        assert row["snr"] == pytest.approx(np.median(good[:, 1] / good[:, 2]), rel=1e-6)
        assert (bundles / "vandels" / row["work_file"]).read_bytes() == text
        assert (row["wave_medium"], row["work_format"]) == ("air", "text/plain")
    assert no_coverage == 8315


def test_vandels_redshifts_and_properties(bundles, data):
    lines = [line.split() for line in (data / "vandels" / "sample.info").read_text().splitlines()[1:]]
    sample = {words[0]: words[1:] for words in lines if words}
    measured = {row["spectrum_id"]: row for row in rows(bundles, "vandels", "redshifts")}
    properties = {row["spectrum_id"]: row for row in rows(bundles, "vandels", "properties")}
    for name, (z, flag, snr, mass, sfr) in sample.items():
        assert measured[name]["z"] == float(z)
        assert (measured[name]["flag_label"], measured[name]["confidence"]) == (flag, int(flag))
        assert [properties[name][key] for key in ("snr_source", "log_mass", "log_sfr")] == [
            np.float32(v) for v in (snr, mass, sfr)
        ]
    assert Counter(row["confidence"] for row in measured.values()) == {4: 234, 3: 204, 9: 41}
    assert all(row["secure"] and row["best"] for row in measured.values())
    assert {row["spectrum_id"]: row["redshift"] for row in rows(bundles, "vandels")} == {
        name: row["z"] for name, row in measured.items()
    }


def test_vandels_ancillary_tables(bundles):
    properties = {row["spectrum_id"]: row for row in rows(bundles, "vandels", "properties")}
    near_infrared = Counter(row["nir_instrument"] for row in properties.values())
    assert (near_infrared["KMOS"], near_infrared["MOSFIRE"]) == (13, 17)
    assert properties["CDFS001280_P2M1Q4_P2M2Q4_025_1"]["z_nir"] == 3.081808
    assert sum(row["ew_lya"] is not None for row in properties.values()) == 59
    limit = properties["CDFS020519_P2M3Q2_P2M4Q2_004_2"]
    assert limit["fesc_lya"] == np.float32(0.03565921390723536)
    assert limit["fesc_lya_err_low"] is limit["fesc_lya_err_high"] is None


def test_vandels_positions_are_null_where_there_is_none(bundles):
    known = {
        row["spectrum_id"]: (row["ra"], row["dec"])
        for row in rows(bundles, "vandels")
        if row["ra"] is not None or row["dec"] is not None
    }
    assert known == {
        "CDFS012448_P4M2Q1_P4M1Q1_001_1": (53.167896751, -27.797952935),
        "CDFS220026_P1M2Q3_P1M4Q3_007_1": (53.013237345, -27.834587365),
    }
    assert all(row["ra"] is None for row in rows(bundles, "vandels", "slits"))


def test_vandels_names_are_taken_apart(bundles):
    row = next(row for row in rows(bundles, "vandels") if row["spectrum_id"].startswith("UDS022130"))
    assert row["object_id"] == "UDS022130"
    assert row["pointing_id"] == "UDS_P2M3Q1_P4M4Q1_P2M2Q1_P4M2Q1_P2M1Q1_P4M3Q1_P2M4Q1"
    assert row["slit_id"] == row["pointing_id"] + "_001"
    shared = [slit for slit in rows(bundles, "vandels", "slits") if slit["object_id"] is None]
    assert [slit["slit_id"] for slit in shared] == ["CDFS_P2M1Q2_P2M2Q2_P2M3Q2_P2M4Q2_003"]

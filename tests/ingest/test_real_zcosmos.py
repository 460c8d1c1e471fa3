"""The bundle of zCOSMOS' catalogue against its table, read a second way."""

from __future__ import annotations

import csv
import gzip
from collections import Counter

import numpy as np

from tests.ingest.real_bundles import rows


def test_zcosmos_rows(bundles, data):
    with gzip.open(data / "catalogues" / "zcosmost_bright20k.csv.gz", "rt") as stream:
        source = list(csv.DictReader(stream))
    redshifts = rows(bundles, "zcosmos", "redshifts")
    photometry = rows(bundles, "zcosmos", "photometry")
    assert len(source) == len(redshifts) == len(photometry) == 17358
    for line, redshift, magnitudes in zip(source, redshifts, photometry, strict=True):
        assert redshift["object_id"] == magnitudes["object_id"] == line["id_zcosmos"]
        assert (redshift["z"], redshift["ra"], redshift["dec"]) == (
            float(line["zpec"]),
            float(line["alpha"]),
            float(line["delta"]),
        )
        assert redshift["flag_label"] == line["cc"]
        for column, name in (
            ("mag_k", "k_photzi25"),
            ("mag_k_err", "ek_photzi25"),
            ("mag_fuv", "fuv_photzi25"),
            ("mag_i", "i_photzi25"),
        ):
            value = line[name]
            expected = None if not value or float(value) in {-99.0, -99.9} else np.float32(value)
            assert magnitudes[column] == expected
    assert sum(row["photometry_id"] is None for row in photometry) == 202


def test_zcosmos_classes(bundles):
    redshifts = rows(bundles, "zcosmos", "redshifts")
    assert Counter(row["flag_label"] for row in redshifts) == {
        "3.5": 6686, "4.5": 4719, "2.5": 3057, "1.5": 1294, "9.5": 876, "4.4": 185, "3.1": 182, "9.3": 117, "4.1": 88, "3.4": 74,
        "18.5": 38, "2.4": 34, "18.3": 8,
    }  # fmt: skip
    assert Counter(row["class"] for row in redshifts) == {"GALAXY": 16604, "STAR": 708, "QSO": 46}
    assert Counter(row["photoz_agreement"] for row in redshifts) == {
        "inside": 16670,
        "none": 293,
        "incompatible": 270,
        "resolved": 125,
    }
    assert {row["secure"] for row in redshifts if row["confidence"] == 1} == {False}

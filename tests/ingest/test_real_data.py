"""What is in the bundles of the real data: that they are good, their numbers, provenance and units."""

from __future__ import annotations

import hashlib
import json

import pytest
from astropy.table import QTable

from ingest.check import check_bundle
from tests.ingest.real_bundles import rows

NAMES = ["vandels", "sdss", "desi", "easylife", "esosdp", "zcosmos"]


@pytest.mark.parametrize("name", NAMES)
def test_the_bundle_is_good(bundles, name):
    assert check_bundle(bundles / name).description["simulated"] is False


def test_counts(bundles):
    counts = {name: json.loads((bundles / name / "bundle.json").read_text())["counts"] for name in NAMES}
    assert counts == {
        "vandels": {"spectra": 479, "redshifts": 479, "slits": 478, "properties": 479},
        "sdss": {"spectra": 13, "redshifts": 13, "slits": 13, "pointings": 2},
        "desi": {"spectra": 6, "redshifts": 1, "slits": 7, "photometry": 6},
        "easylife": {"spectra": 1, "redshifts": 1, "slits": 1, "photometry": 1, "files": 2},
        "esosdp": {"spectra": 1},
        "zcosmos": {"redshifts": 17358, "photometry": 17358},
    }


@pytest.mark.parametrize("name", NAMES)
def test_provenance_has_the_sources_with_their_hashes(bundles, data, name):
    document = json.loads((bundles / name / "provenance.json").read_text())
    sources = {
        one["prov:label"]: one["specola:sha256"] for one in document["entity"].values() if one["prov:type"] == "prov:Entity"
    }
    assert len(document["used"]) == len(sources) == len(document["wasDerivedFrom"])
    for path in data.rglob("*"):
        if path.name in sources:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == sources[path.name]
    assert {"astropy", "numpy", "pyarrow", "python"} <= {one["prov:label"] for one in document["agent"].values()}


def test_units_in_the_files_can_be_read(bundles):
    for bundle in ("vandels", "sdss", "desi", "easylife", "esosdp"):
        row = rows(bundles, bundle)[0]
        table = QTable.read(bundles / bundle / row["file"], hdu=1)
        assert table["WAVE"].unit == "Angstrom"
        assert table["FLUX"].unit.is_equivalent("erg / (s cm2 Angstrom)")
        assert table["ERR"].unit == table["FLUX"].unit

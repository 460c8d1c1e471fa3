"""Bundles to test with: small ones made here, and those of the real data where these are on the machine."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.readers import catalogue, desi, pandora, sdp, sdss, vandels
from specola_bundle.build import derived
from specola_bundle.bundle import BundleWriter, sha256_of
from specola_bundle.specfile import SpectrumData, write_spectrum
from specola_bundle.survey import load_survey


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; tests that need it are skipped where it is not there."""
    default = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SPECOLA_SHARED_DATA", default))
    if not (folder / "truth.csv").exists():
        pytest.skip(f"no real data in {folder}: set SPECOLA_SHARED_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def bundles(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of all the real data, made once."""
    folder = tmp_path_factory.mktemp("bundles")
    vandels.read(data / "vandels", folder / "vandels", load_survey(Path("vandels")))
    sdss.read(sorted((data / "sdss").glob("spec-*.fits.gz")), folder / "sdss", load_survey(Path("sdss")))
    desi.read(sorted((data / "desi").glob("coadd-*.fits.gz")), folder / "desi", load_survey(Path("desi")))
    pandora.read(sorted((data / "formats").glob("sc_*.fits")), folder / "easylife", load_survey(Path("easylife")))
    sdp.read(sorted((data / "formats").glob("VANDELS_*.fits")), folder / "esosdp", load_survey(Path("esosdp")))
    catalogue.read(data / "catalogues" / "zcosmost_bright20k.csv.gz", folder / "zcosmos", load_survey(Path("zcosmos")))
    return folder


@pytest.fixture(scope="session")
def truth(data: Path) -> list[dict[str, str]]:
    """Redshifts and classes that others found for the real spectra."""
    with (data / "truth.csv").open() as stream:
        return list(csv.DictReader(stream))


DESCRIPTION: dict[str, Any] = {
    "survey": "small",
    "release": "r1",
    "kind": "spectra",
    "simulated": True,
    "title": "A small simulated survey",
    "description": "Five simulated spectra for the tests of the check.",
    "creators": ["Nobody, N."],
    "rights": "CC0",
    "software": [{"name": "tests", "version": "1"}],
}

Change = Callable[[list[dict[str, Any]]], None]


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """Makes a bundle of five spectra. ``spectra`` and ``redshifts`` change the rows before they are written, ``data`` the
    arrays of a spectrum before its file is, ``content`` the bytes of its file before it is recorded; ``head`` changes
    bundle.json."""

    def make(
        *,
        spectra: Change | None = None,
        redshifts: Change | None = None,
        data: Callable[[int, SpectrumData], SpectrumData] | None = None,
        content: Callable[[int, bytes], bytes] | None = None,
        **head: Any,
    ) -> Path:
        path = tmp_path / "bundle"
        with BundleWriter(path, overwrite=True, **{**DESCRIPTION, **head}) as writer:
            rows = []
            for number in range(5):
                row = spectrum_row(number)
                arrays = spectrum_data(number)
                row |= derived(arrays)
                if data:
                    arrays = data(number, arrays)
                file = writer.folder / row["file"]
                row["file_size"], row["file_sha256"] = write_spectrum(file, row, arrays)
                if content:
                    changed = content(number, file.read_bytes())
                    file.write_bytes(changed)
                    row["file_size"], row["file_sha256"] = len(changed), hashlib.sha256(changed).hexdigest()
                rows.append(row)
            measured = [redshift_row(row) for row in rows]
            if spectra:
                spectra(rows)
            if redshifts:
                redshifts(measured)
            writer.write_table("spectra", rows)
            writer.write_table("redshifts", measured)
        return path

    return make


def spectrum_row(number: int) -> dict[str, Any]:
    return {
        "spectrum_id": f"S{number}", "object_id": f"O{number}", "target_name": f"Small's {number}",
        "title": f"Spectrum of object {number}",
        "ra": 10.0 + number / 7, "dec": -5.0 + number / 3, "redshift": 0.1 * number, "wave_medium": "vacuum",
        "wave_frame": "BARYCENT",
        "flux_unit": "10**-17 erg.s**-1.cm**-2.Angstrom**-1", "flux_calib": "ABSOLUTE", "simulated": True, "t_min": 60000.0,
        "t_max": 60000.5,
        "file": f"spectra/S{number}.fits",
    }  # fmt: skip


def spectrum_data(number: int) -> SpectrumData:
    wave = np.linspace(5000.0, 9000.0, 300)
    qual = np.zeros(300, dtype=np.int32)
    qual[:3] = 1
    return SpectrumData(wave, np.sin(wave / 100) + number, np.full(300, 0.5), qual)


def redshift_row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "redshift_id": f"{row['spectrum_id']}_t", "object_id": row["object_id"], "spectrum_id": row["spectrum_id"],
        "z": row["redshift"],
        "flag_scheme": "truth", "secure": True, "best": True,
    }  # fmt: skip


@pytest.fixture
def rewrite() -> Callable[..., None]:
    """Writes a bundle's table again, changed, with bundle.json telling its new checksum: wrong in content, right in form."""

    def change(path: Path, name: str, edit: Callable[[pa.Table], pa.Table]) -> None:
        description = json.loads((path / "bundle.json").read_text())
        entry = next(entry for entry in description["tables"] if entry["name"] == name)
        table = edit(pq.read_table(path / entry["path"]))
        pq.write_table(table, path / entry["path"])
        entry["sha256"], entry["rows"] = sha256_of(path / entry["path"]), table.num_rows
        description["counts"][name] = table.num_rows
        (path / "bundle.json").write_text(json.dumps(description))

    return change

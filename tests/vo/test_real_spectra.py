"""Every real spectrum comes back from the archive bit for bit, read here from its source by other means than the readers'."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pyvo
import requests
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from astropy.table import QTable
from specutils.io.parsing_utils import spectrum_from_column_mapping

from ops.house import Archive

Real = dict[str, SimpleNamespace]


def _served(archive: Archive, schema: str) -> dict[str, dict[str, Any]]:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    table = tap.search(f"SELECT * FROM {schema}.spectra", maxrec=10**6).to_table()
    return {str(row["spectrum_id"]): {n: row[n] for n in table.colnames} for row in table}


def _fits(web: requests.Session, row: dict[str, Any]) -> Any:
    answer = web.get(row["accref"])
    assert answer.status_code == 200
    with fits.open(io.BytesIO(answer.content), checksum=True) as hdus:
        hdus.verify("exception")
        return {name: np.array(hdus[1].data[name][0]) for name in hdus[1].columns.names}


def test_vandels(archive: Archive, real: Real, shared_data: Path, web: requests.Session) -> None:
    served = _served(archive, real["vandels"].schema)
    assert len(served) == 479
    seen = 0
    with tarfile.open(shared_data / "vandels" / "spectra.tar.xz") as tar:
        for member in tar:
            if not member.isfile():
                continue
            name = Path(member.name).stem
            text = tar.extractfile(member)
            assert text is not None
            source = np.loadtxt(text)
            found = _fits(web, served[name])
            for column, values in zip(("WAVE", "FLUX", "ERR"), source.T, strict=True):
                assert np.array_equal(found[column], values, equal_nan=True), (name, column)
            assert np.all((found["QUAL"] == 0) == ((source[:, 2] > 0) & np.isfinite(source[:, 1]))), name
            assert served[name]["wave_medium"] == "air"
            seen += 1
    assert seen == 479
    positions = [row for row in served.values() if not np.ma.is_masked(row["ra"]) and np.isfinite(row["ra"])]
    assert 0 < len(positions) < 100


def test_sdss(archive: Archive, real: Real, shared_data: Path, web: requests.Session) -> None:
    served = _served(archive, real["sdss"].schema)
    assert len(served) == 13
    for path in sorted((shared_data / "sdss").glob("*.fits.gz")):
        found = _fits(web, served[path.name.removesuffix(".fits.gz")])
        with fits.open(path) as hdus:
            coadd = hdus[1].data
            good = coadd["ivar"] > 0
            assert np.allclose(found["WAVE"], 10.0 ** coadd["loglam"].astype(float), rtol=1e-7, atol=0)
            assert np.array_equal(found["FLUX"], coadd["flux"])
            assert np.allclose(found["ERR"][good], 1 / np.sqrt(coadd["ivar"][good]), rtol=1e-6, atol=0)
            assert np.all(np.isnan(found["ERR"][~good]))
            assert np.all(found["QUAL"][~good] != 0)


def test_desi(archive: Archive, real: Real, shared_data: Path, web: requests.Session) -> None:
    served = _served(archive, real["desi"].schema)
    by_target = {row["object_id"]: row for row in served.values()}
    seen = 0
    for path in sorted((shared_data / "desi").glob("coadd-*.fits.gz")):
        with fits.open(path) as hdus:
            for fibre, target in enumerate(hdus["FIBERMAP"].data["TARGETID"]):
                row = next(r for key, r in by_target.items() if str(target) == str(key).lstrip("_"))
                found = _fits(web, row)
                seen += 1
                waves = {arm: np.array(hdus[f"{arm}_WAVELENGTH"].data) for arm in "BRZ"}
                for arm, wave in waves.items():
                    # away from the other arms the spectrum is the arm's own
                    others = [w for a, w in waves.items() if a != arm]
                    alone = np.all([(wave < o[0] - 0.4) | (wave > o[-1] + 0.4) for o in others], axis=0)
                    index = np.searchsorted(found["WAVE"], wave[alone] - 0.01)
                    assert np.allclose(found["WAVE"][index], wave[alone], rtol=1e-9)
                    flux, ivar = hdus[f"{arm}_FLUX"].data[fibre][alone], hdus[f"{arm}_IVAR"].data[fibre][alone]
                    mask = hdus[f"{arm}_MASK"].data[fibre][alone]
                    good = (ivar > 0) & (mask == 0)
                    assert np.array_equal(found["FLUX"][index][good].astype(flux.dtype), flux[good])
                    assert np.allclose(found["ERR"][index][good], 1 / np.sqrt(ivar[good]), rtol=1e-6)
                    assert np.all(found["QUAL"][index][~good] != 0)
    assert seen == len(served) == 6


def test_vimos_files(archive: Archive, real: Real, shared_data: Path, web: requests.Session) -> None:
    (sdp,) = _served(archive, real["esosdp"].schema).values()
    with fits.open(shared_data / "formats" / "VANDELS_CDFS_017433.fits") as hdus:
        found = _fits(web, sdp)
        for name in ("WAVE", "FLUX", "ERR", "UNCORR_FLUX", "SKY"):
            assert np.array_equal(found["BGFLUX" if name == "SKY" else name], hdus[1].data[name][0], equal_nan=True), name
    (pandora,) = _served(archive, real["easylife"].schema).values()
    with fits.open(shared_data / "formats" / "sc_CDFS006664_P1M2Q4_P2M1Q4_003_1.fits") as hdus:
        found = _fits(web, pandora)
        header = hdus[0].header
        wave = header["CRVAL1"] + header["CDELT1"] * (np.arange(header["NAXIS1"]) + 1 - header["CRPIX1"])
        assert np.allclose(found["WAVE"], wave, rtol=1e-12)
        assert np.array_equal(found["FLUX"], hdus[0].data)
        assert np.array_equal(found["ERR"], hdus["NOISE"].data)
    work = web.get(str(pandora["work_product"]))
    assert work.content == (shared_data / "formats" / "sc_CDFS006664_P1M2Q4_P2M1Q4_003_1.fits").read_bytes()


@pytest.mark.parametrize("name", ["vandels", "sdss", "desi", "easylife", "esosdp"])
def test_votable_is_the_file(archive: Archive, real: Real, web: requests.Session, name: str) -> None:
    """The VOTable has the file's numbers, and specutils makes a spectrum with units, errors and mask of it."""
    for row in list(_served(archive, real[name].schema).values())[:12]:
        found = _fits(web, row)
        url = str(row["accref"]).removesuffix(".fits") + ".vot"
        answer = web.get(url)
        assert answer.status_code == 200
        table = QTable.read(io.BytesIO(answer.content), format="votable")
        for column in ("wave", "flux", "err", "qual"):
            values = getattr(table[column], "value", table[column])
            assert np.array_equal(
                np.ma.filled(values, np.nan) if column != "qual" else np.asarray(values),
                found[column.upper()],
                equal_nan=column != "qual",
            )
        unit = table["flux"].unit
        assert unit.is_equivalent("erg / (s cm2 Angstrom)") or str(unit) in {"ct", "adu"}
        spectrum = spectrum_from_column_mapping(
            table, {"wave": ("spectral_axis", table["wave"].unit), "flux": ("flux", unit), "err": ("uncertainty", unit)}
        )
        spectrum.mask = np.asarray(table["qual"]) != 0
        assert isinstance(spectrum.uncertainty, StdDevUncertainty)
        assert spectrum.spectral_axis.unit == "Angstrom"
        assert spectrum.mask.sum() == np.count_nonzero(found["QUAL"])


def test_zcosmos(archive: Archive, real: Real) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    schema = real["zcosmos"].schema
    count = tap.search(
        f"SELECT count(*) AS n, sum(CASE WHEN z IS NULL THEN 1 ELSE 0 END) AS empty FROM {schema}.redshifts"
    ).to_table()[0]
    assert count["n"] == 17358
    row = tap.search(
        f"SELECT z, flag_label, confidence, photoz_agreement, ra, dec FROM {schema}.redshifts WHERE object_id='700178'"
    ).to_table()[0]
    assert (row["z"], str(row["flag_label"]), row["confidence"], str(row["photoz_agreement"])) == (0.9063, "9.5", 9, "inside")
    assert (row["ra"], row["dec"]) == (150.305008, 1.876265)
    none = tap.search(f"SELECT count(*) AS n FROM {schema}.photometry WHERE mag_selection < -90")["n"][0]
    assert none == 0

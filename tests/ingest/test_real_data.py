"""What is in the bundles of the real data, against the sources read a second way."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from ingest.check import check_bundle
from specola_bundle.specfile import MASKED, NO_DATA

NAMES = ["vandels", "sdss", "desi", "easylife", "esosdp", "zcosmos"]


def rows(bundles: Path, bundle: str, table: str = "spectra") -> list[dict]:
    name = "manifest.parquet" if table == "spectra" else f"catalogues/{table}.parquet"
    return pq.read_table(bundles / bundle / name).to_pylist()


def spectrum(bundles: Path, bundle: str, row: dict) -> dict[str, np.ndarray]:
    with fits.open(bundles / bundle / row["file"], memmap=False, checksum=True) as hdus:
        table = hdus[1]
        return {name: np.array(table.data[name][0]) for name in table.columns.names}


def same(left: np.ndarray, right: np.ndarray) -> bool:
    """Bit for bit the same numbers, NaNs included; byte order does not matter."""
    native = [np.ascontiguousarray(one, one.dtype.newbyteorder("=")) for one in (left, right)]
    return native[0].dtype == native[1].dtype and native[0].tobytes() == native[1].tobytes()


@pytest.fixture(scope="module")
def truth(data) -> list[dict[str, str]]:
    with (data / "truth.csv").open() as stream:
        return list(csv.DictReader(stream))


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
    import hashlib

    for path in data.rglob("*"):
        if path.name in sources:
            assert hashlib.sha256(path.read_bytes()).hexdigest() == sources[path.name]
    assert {"astropy", "numpy", "pyarrow", "python"} <= {one["prov:label"] for one in document["agent"].values()}


# -- VANDELS ----------------------------------------------------------------------------------------------------------------


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


# -- SDSS -------------------------------------------------------------------------------------------------------------------


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


# -- DESI -------------------------------------------------------------------------------------------------------------------


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


# -- VIMOS files ------------------------------------------------------------------------------------------------------------


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


def test_units_in_the_files_can_be_read(bundles):
    for bundle in ("vandels", "sdss", "desi", "easylife", "esosdp"):
        row = rows(bundles, bundle)[0]
        from astropy.table import QTable

        table = QTable.read(bundles / bundle / row["file"], hdu=1)
        assert table["WAVE"].unit == "Angstrom"
        assert table["FLUX"].unit.is_equivalent("erg / (s cm2 Angstrom)")
        assert table["ERR"].unit == table["FLUX"].unit


# -- zCOSMOS ----------------------------------------------------------------------------------------------------------------


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

"""Source files that are not what they should be, and what readers make of odd ones. All files are made here."""

from __future__ import annotations

import gzip
import lzma
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ingest.check import check_bundle
from ingest.errors import BundleError, SourceError
from ingest.readers import desi, pandora, sdp, sdss, vandels
from ingest.readers.desi import Arm, join
from ingest.readers.footprint import circle
from ingest.readers.sdss import error_of, iau_name
from specola_bundle.fitsio import vounit
from specola_bundle.survey import load_survey

# -- VANDELS text -----------------------------------------------------------------------------------------------------------

NAMES = ("CDFS000001_P1M1Q1_P1M2Q1_003_1", "UDS000002_P2M4Q3_017_2")
SAMPLE = "# spectrum z redshift_flag snr_per_pix lmass lsfr\n" + "".join(f"{name} 3.1 4 2.0 9.5 1.0\n" for name in NAMES)
TEXT = "# wl flam flam_err\n" + "".join(f"{5000 + 5 * i} {i}e-19 1e-19\n" for i in range(20))


@pytest.fixture
def text_survey(tmp_path):
    def make(sample: str = SAMPLE, **texts: str) -> Path:
        folder = tmp_path / "vandels"
        (folder / "spectra").mkdir(parents=True, exist_ok=True)
        (folder / "sample.info").write_text(sample)
        for name in NAMES:
            (folder / "spectra" / f"{name}.dat").write_text(texts.get(name.split("_")[0], TEXT))
        with tarfile.open(folder / "spectra.tar.xz", "w:xz") as archive:
            archive.add(folder / "spectra", "spectra")
        return folder

    return make


def read_vandels(folder: Path, **options: Any) -> Path:
    target = folder.parent / "bundle"
    vandels.read(folder, target, load_survey(Path("vandels")), **options)
    return target


def test_a_good_text_survey(text_survey):
    bundle = check_bundle(read_vandels(text_survey()))
    assert {name: table.rows for name, table in bundle.tables.items()} == {
        "spectra": 2,
        "redshifts": 2,
        "slits": 2,
        "properties": 2,
    }


def test_the_same_source_gives_the_same_tables(text_survey):
    folder = text_survey()
    first = {path.name: path.read_bytes() for path in read_vandels(folder).rglob("*") if path.suffix in {".parquet", ".fits"}}
    second = {
        path.name: path.read_bytes()
        for path in read_vandels(folder, overwrite=True).rglob("*")
        if path.suffix in {".parquet", ".fits"}
    }
    assert first == second


def test_an_existing_bundle_is_not_replaced_unless_asked(text_survey):
    folder = text_survey()
    target = read_vandels(folder)
    with pytest.raises(BundleError, match="expected nothing there"):
        read_vandels(folder)
    assert check_bundle(target)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("5050 10e-19", "5050 x"), "line 12"),
        (TEXT.replace("5050 10e-19 1e-19", "5050 10e-19"), "found 2 numbers in line 12"),
        (TEXT.replace("5050 ", "nan "), "found wavelength nan in pixel 11, expected a finite number"),
        (TEXT.replace("5050 ", "5045 "), "found wavelength 5045.0 after 5045.0 in pixel 11, expected strictly increasing"),
        ("# wl flam flam_err\n", "found no numbers"),
    ],
)
def test_a_broken_text_spectrum(text_survey, text, message):
    folder = text_survey(CDFS000001=text)
    with pytest.raises(SourceError) as caught:
        read_vandels(folder)
    assert str(caught.value).startswith("CDFS000001_P1M1Q1_P1M2Q1_003_1.dat: ")
    assert message in str(caught.value)
    assert not (folder.parent / "bundle").exists()
    report = vandels.read(folder, folder.parent / "bundle", load_survey(Path("vandels")), skip_broken=True)
    assert report.counts["spectra"] == 1
    assert len(report.skipped) == 1 and message in report.skipped[0]  # noqa: PT018


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (SAMPLE.replace("3.1 4", "3.1 5", 1), r"sample.info row CDFS000001_P1M1Q1_P1M2Q1_003_1: found flag '5'"),
        (SAMPLE.replace("3.1 4", "x 4", 1), r"sample.info line 2, column z: found 'x'"),
        (SAMPLE.replace(" 1.0\n", "\n", 1), r"sample.info line 2: found 5 values, expected 6"),
        (SAMPLE + f"{NAMES[0]} 3.1 4 2.0 9.5 1.0\n", r"sample.info line 4: found CDFS000001_P1M1Q1_P1M2Q1_003_1 a second time"),
        (SAMPLE + "CDFS000003_P1M1Q1_001_1 3.1 4 2.0 9.5 1.0\n", r"found no spectrum CDFS000003_P1M1Q1_001_1"),
        (SAMPLE.split("UDS")[0], r"UDS000002_P2M4Q3_017_2.dat: found no row UDS000002_P2M4Q3_017_2 in sample.info"),
        (SAMPLE.removeprefix("#"), r"sample.info line 1: found no column names"),
        (SAMPLE.replace("redshift_flag", "flag"), r"sample.info line 1: found no column redshift_flag"),
    ],
)
def test_a_broken_sample_table(text_survey, sample, message):
    with pytest.raises(SourceError, match=message):
        read_vandels(text_survey(sample))


def test_a_truncated_archive(text_survey):
    folder = text_survey()
    archive = folder / "spectra.tar.xz"
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(SourceError, match=r"spectra.tar.xz: found .*, expected a whole tar archive"):
        read_vandels(folder)


def test_an_archive_can_not_write_outside(text_survey):
    folder = text_survey()
    with lzma.open(folder / "spectra.tar.xz", "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
        for name in NAMES:
            archive.add(folder / "spectra" / f"{name}.dat", f"../../../{name}.dat")
    target = read_vandels(folder)
    assert sorted(path.name for path in target.rglob("*.dat")) == sorted(f"{name}.dat" for name in NAMES)


@pytest.mark.parametrize("name", ["CDFS1", "CDFS000001_003_1", "CDFS000001_P1M1_003_1", "cdfs000001_P1M1Q1_003_1", ""])
def test_what_is_no_name_of_a_spectrum(name):
    with pytest.raises(SourceError, match="expected one such as"):
        vandels.parse_name(name)


# -- SDSS -------------------------------------------------------------------------------------------------------------------


def spec_file(
    path: Path, *, fiber: int = 7, coadd: dict | None = None, catalogue: dict | None = None, cards: dict | None = None
) -> Path:
    size = 50
    columns = {
        "flux": np.arange(size, dtype="f4"), "loglam": (3.6 + 1e-4 * np.arange(size)).astype("f4"),
        "ivar": np.full(size, 4.0, "f4"),
        "and_mask": np.zeros(size, "i4"), "or_mask": np.zeros(size, "i4"),
    } | (coadd or {})  # fmt: skip
    row = {"PLATE": 1, "MJD": 52000, "FIBERID": fiber, "Z": 0.5, "Z_ERR": 1e-4, "ZWARNING": 0, "CLASS": "GALAXY",
           "BESTOBJID": "12345", "PLUG_RA": 10.0, "PLUG_DEC": 20.0} | (catalogue or {})  # fmt: skip
    primary = fits.PrimaryHDU()
    primary.header.update(
        {"BUNIT": "1E-17 erg/cm^2/s/Ang", "VACUUM": True, "RA": 10.1, "DEC": 20.1, "EXPTIME": 900.0, "MJDLIST": "52000 52003"}
    )
    primary.header.update(cards or {})
    formats = {"f": "E", "i": "J"}
    first = [
        fits.Column(name, formats[values.dtype.kind], array=values) for name, values in columns.items() if values is not None
    ]
    kinds = {int: "J", float: "D", str: "20A"}
    second = [fits.Column(name, kinds[type(value)], array=[value]) for name, value in row.items() if value is not None]
    fits.HDUList([primary, fits.BinTableHDU.from_columns(first), fits.BinTableHDU.from_columns(second)]).writeto(path)
    return path


def read_sdss(*paths: Path, **options: Any):
    return sdss.read(paths, paths[0].parent / "bundle", load_survey(Path("sdss")), **options)


def test_masks_and_inverse_variance(tmp_path):
    ivar, and_mask, or_mask = np.full(50, 4.0, "f4"), np.zeros(50, "i4"), np.zeros(50, "i4")
    ivar[:2], ivar[2] = 0.0, -1.0
    and_mask[10], and_mask[11], or_mask[12], or_mask[13] = 1 << 23, 1 << 4, 1 << 28, 1 << 23
    path = spec_file(tmp_path / "spec-a.fits", coadd={"ivar": ivar, "and_mask": and_mask, "or_mask": or_mask})
    read_sdss(path)
    row = pq.read_table(tmp_path / "bundle" / "manifest.parquet").to_pylist()[0]
    with fits.open(tmp_path / "bundle" / row["file"]) as hdus:
        table = hdus[1].data[0]
        assert table["QUAL"][:14].tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 0]
        assert np.isnan(table["ERR"][:3]).all()
        assert (table["ERR"][3:] == 0.5).all()
    assert row["n_valid"] == 45
    assert (row["t_min"], row["t_max"]) == (51999.7, 52003.7)
    check_bundle(tmp_path / "bundle")


def test_an_object_observed_twice_has_one_best_redshift(tmp_path):
    read_sdss(spec_file(tmp_path / "a.fits", fiber=7), spec_file(tmp_path / "b.fits", fiber=8))
    redshifts = pq.read_table(tmp_path / "bundle" / "catalogues" / "redshifts.parquet").to_pylist()
    assert [(row["spectrum_id"], row["best"]) for row in redshifts] == [
        ("spec-0001-52000-0007", True),
        ("spec-0001-52000-0008", False),
    ]
    check_bundle(tmp_path / "bundle")


def test_the_same_spectrum_twice(tmp_path):
    with pytest.raises(SourceError, match=r"b.fits: found spectrum spec-0001-52000-0007 a second time"):
        read_sdss(spec_file(tmp_path / "a.fits"), spec_file(tmp_path / "b.fits"))
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "bundle.part").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coadd": {"ivar": None}}, "found no column ivar, expected one beside FLUX, LOGLAM"),
        ({"coadd": {"loglam": np.full(50, np.nan, "f4")}}, "found wavelength nan in pixel 1"),
        ({"coadd": {"loglam": np.full(50, 3.6, "f4")}}, "in pixel 2, expected strictly increasing"),
        ({"catalogue": {"Z": None}}, "HDU 2: found no column Z, expected the catalogue row"),
        ({"catalogue": {"PLUG_RA": None}}, "found no PLUG_RA and PLUG_DEC"),
        ({"cards": {"VACUUM": False}}, "found VACUUM = F, expected wavelengths in vacuum"),
        ({"cards": {"BUNIT": "furlongs"}}, "BUNIT"),
    ],
)
def test_a_broken_spec_file(tmp_path, changes, message):
    path = spec_file(tmp_path / "spec-x.fits", **changes)
    with pytest.raises(SourceError) as caught:
        read_sdss(path)
    assert str(caught.value).startswith("spec-x.fits")
    assert message in str(caught.value)


@pytest.mark.parametrize("keep", [100, 3000, 9000, 12000])
def test_a_truncated_fits_file(tmp_path, keep):
    path = spec_file(tmp_path / "spec-x.fits")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(SourceError, match=r"^spec-x.fits: found .*, expected"):
        read_sdss(path)


def test_truncated_and_foreign_files(tmp_path):
    whole = gzip.compress(spec_file(tmp_path / "spec-x.fits").read_bytes())
    for name, content in (
        ("spec-y.fits.gz", whole[:-300]),
        ("spec-z.fits", b"<html>not found</html>"),
        ("spec-w.fits.gz", b"no gzip"),
        ("spec-e.fits", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=rf"^{name.removesuffix('.gz')}.*: found .*, expected"):
            read_sdss(tmp_path / name)


def test_broken_files_are_left_out_only_when_asked(tmp_path):
    good, bad = spec_file(tmp_path / "spec-a.fits"), tmp_path / "spec-b.fits"
    bad.write_bytes(b"SIMPLE  = nonsense")
    with pytest.raises(SourceError):
        read_sdss(good, bad)
    report = read_sdss(good, bad, skip_broken=True)
    assert report.counts["spectra"] == 1
    assert report.skipped[0].startswith("spec-b.fits: found")
    bad_only = tmp_path / "only"
    with pytest.raises(SourceError, match="found no spectrum that can be read"):
        sdss.read([bad], bad_only, load_survey(Path("sdss")), skip_broken=True)
    assert not bad_only.exists()


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.0, 0.0, "J000000.00+000000.0"),
        (359.99999999, -0.0001, "J235959.99-000000.3"),
        (180.25, 45.5, "J120100.00+453000.0"),
        (187.70593075, 12.39112325, "J123049.42+122328.0"),
    ],
)
def test_iau_names(ra, dec, name):
    assert iau_name(ra, dec) == name


@given(st.floats(0, 360, exclude_max=True), st.floats(-90, 90))
def test_iau_names_are_cut_off_not_rounded(ra, dec):
    name = iau_name(ra, dec)
    hours, minutes, seconds = int(name[1:3]), int(name[3:5]), float(name[5:10])
    assert 0 <= ra - 15 * (hours + minutes / 60 + seconds / 3600) + 1e-9 < 15 * 0.01 / 3600 + 2e-9
    degrees, arcminutes, arcseconds = int(name[11:13]), int(name[13:15]), float(name[15:])
    assert 0 <= abs(dec) - (degrees + arcminutes / 60 + arcseconds / 3600) + 1e-9 < 0.1 / 3600 + 2e-9
    assert minutes < 60 and seconds < 60 and arcminutes < 60 and arcseconds < 60  # noqa: PT018


@given(st.floats(0, 360, exclude_max=True), st.floats(-89, 89), st.floats(0.01, 5))
def test_corners_of_a_circle_are_on_it(ra, dec, radius):
    corners = np.radians(np.array(circle(ra, dec, radius)).reshape(-1, 2))
    centre = np.radians([ra, dec])
    half = (
        np.sin((corners[:, 1] - centre[1]) / 2) ** 2
        + np.cos(centre[1]) * np.cos(corners[:, 1]) * np.sin((corners[:, 0] - centre[0]) / 2) ** 2
    )
    assert np.allclose(np.degrees(2 * np.arcsin(np.sqrt(half))), radius, atol=1e-7)
    assert (corners[:, 0] >= 0).all()
    assert (corners[:, 0] < 2 * np.pi).all()


# -- DESI -------------------------------------------------------------------------------------------------------------------


def arm(start: int, stop: int, flux: float, ivar: float, mask=()) -> Arm:
    bits = np.zeros(stop - start, "i4")
    bits[[index - start for index in mask]] = 4
    return Arm(3600 + 0.8 * np.arange(start, stop), np.full(stop - start, flux, "f4"), np.full(stop - start, ivar, "f4"), bits)


def test_arms_that_overlap():
    joined = join([arm(0, 10, 1.0, 1.0), arm(8, 20, 4.0, 2.0)])
    assert np.allclose(joined.wave, 3600 + 0.8 * np.arange(20))
    assert joined.flux.tolist() == [1.0] * 8 + [3.0] * 2 + [4.0] * 10
    assert np.allclose(joined.err, [1.0] * 8 + [1 / np.sqrt(3)] * 2 + [1 / np.sqrt(2)] * 10)
    assert joined.qual.tolist() == [0] * 20


def test_masked_pixels_do_not_count():
    joined = join([arm(0, 10, 1.0, 1.0, mask=[5, 8, 9]), arm(8, 20, 4.0, 2.0, mask=[9])])
    assert joined.flux[8:10].tolist() == [4.0, 1.0]
    assert joined.qual.tolist() == [2 if index in {5, 9} else 0 for index in range(20)]
    assert joined.extras[0].data.tolist() == [4 if index in {5, 9} else 0 for index in range(20)]


def test_pixels_without_data():
    joined = join([arm(0, 10, 1.0, 0.0), arm(8, 20, 4.0, 2.0)])
    assert joined.qual.tolist() == [1] * 8 + [0] * 12
    assert np.isnan(joined.err[:8]).all()
    assert joined.flux[8:10].tolist() == [4.0, 4.0]


def test_arms_on_different_grids():
    shifted = arm(8, 20, 4.0, 2.0)
    with pytest.raises(ValueError, match="not on one wavelength grid"):
        join([arm(0, 10, 1.0, 1.0), Arm(shifted.wave + 0.3, shifted.flux, shifted.ivar, shifted.mask)])


@given(st.lists(st.tuples(st.floats(-10, 10, width=32), st.floats(0, 10, width=32)), min_size=20, max_size=20))
def test_a_joined_pixel_is_between_its_arms(pixels):
    flux, ivar = (np.array(values, "f4") for values in zip(*pixels, strict=True))
    blue = Arm(3600 + 0.8 * np.arange(12), flux[:12], ivar[:12], np.zeros(12, "i4"))
    red = Arm(3600 + 0.8 * np.arange(8, 16), flux[12:], ivar[12:], np.zeros(8, "i4"))
    joined = join([blue, red])
    for index in range(4):
        low, high = sorted((flux[8 + index], flux[12 + index]))
        assert low - 1e-5 <= joined.flux[8 + index] <= high + 1e-5
    assert np.array_equal(joined.flux[:8], flux[:8])
    assert np.array_equal(joined.flux[12:], flux[16:])


@given(st.lists(st.floats(-1, 1e10, width=32), min_size=1, max_size=20))
def test_errors_of_inverse_variances(values):
    ivar = np.array(values, "f4")
    err = error_of(ivar)
    assert err.dtype == ivar.dtype
    assert np.array_equal(np.isnan(err), ivar <= 0)


def test_a_coadd_without_arms(tmp_path):
    path = tmp_path / "coadd-x.fits"
    tables = [
        fits.BinTableHDU.from_columns([fits.Column("TARGETID", "K", array=[1])], name=name)
        for name in ("FIBERMAP", "EXP_FIBERMAP")
    ]
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    with pytest.raises(SourceError, match=r"coadd-x.fits: found no B_FLUX, R_FLUX or Z_FLUX"):
        desi.read([path], tmp_path / "bundle", load_survey(Path("desi")))


# -- ESO and EasyLife -------------------------------------------------------------------------------------------------------


def sdp_file(path: Path, *, unit: str = "nm", err_unit: str | None = None, rows: int = 1, **cards: Any) -> Path:
    flux_unit = "10**(-16)erg.cm**(-2).s**(-1).angstrom**(-1)"
    arrays = {"WAVE": (np.linspace(500, 900, 40), unit), "FLUX": (np.arange(40.0), flux_unit),
              "ERR": (np.ones(40), err_unit or flux_unit), "QUAL": (np.arange(40.0) % 4, "")}  # fmt: skip
    columns = [fits.Column(name, "40D", unit=unit or None, array=[values] * rows) for name, (values, unit) in arrays.items()]
    table = fits.BinTableHDU.from_columns(columns)
    table.header["TUCD1"] = "em.wl"
    primary = fits.PrimaryHDU()
    primary.header.update(
        {"PRODCATG": "SCIENCE.SPECTRUM", "OBJECT": "star", "RA": 1.0, "DEC": 2.0, "RADESYS": "ICRS", "SPECSYS": "BARYCENT"}
        | cards
    )
    fits.HDUList([primary, table]).writeto(path)
    return path


def test_an_sdp_spectrum_in_nanometres_and_vacuum(tmp_path):
    sdp.read([sdp_file(tmp_path / "a.fits", FLUXCAL="ABSOLUTE")], tmp_path / "bundle", load_survey(Path("esosdp")))
    row = pq.read_table(tmp_path / "bundle" / "manifest.parquet").to_pylist()[0]
    assert (row["wave_medium"], row["wave_frame"], row["flux_calib"]) == ("vacuum", "BARYCENT", "ABSOLUTE")
    assert row["flux_unit"] == "10**-16 erg.s**-1.cm**-2.Angstrom**-1"
    with fits.open(tmp_path / "bundle" / row["file"]) as hdus:
        table = hdus[1].data[0]
        assert np.array_equal(table["WAVE"], np.linspace(500, 900, 40) * 10.0)
        assert table["QUAL"].tolist() == [0, 2, 2, 2] * 10
        assert table["SRC_QUAL"].tolist() == [0, 1, 2, 3] * 10
    check_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"PRODCATG": "SCIENCE.IMAGE"}, "found PRODCATG = 'SCIENCE.IMAGE'"),
        ({"unit": "furlong"}, "found WAVE in 'furlong'"),
        ({"err_unit": "adu"}, "found ERR in 'adu'"),
        ({"rows": 2}, "expected a table of one row"),
        ({"OBJECT": ""}, "found no OBJECT"),
        ({"RADESYS": "FK4"}, "found positions in FK4"),
        ({"DATE": "yesterday"}, "found DATE = 'yesterday'"),
    ],
)
def test_a_broken_sdp_file(tmp_path, changes, message):
    with pytest.raises(SourceError) as caught:
        sdp.read([sdp_file(tmp_path / "a.fits", **changes)], tmp_path / "bundle", load_survey(Path("esosdp")))
    assert str(caught.value).startswith("a.fits HDU")
    assert message in str(caught.value)


def easylife_file(path: Path, *, noise: int | None = 30, **cards: Any) -> Path:
    axis = {"CRVAL1": 5000.0, "CDELT1": 2.5, "CRPIX1": 1.0}
    about = {
        "OBJID": "A1",
        "POINTING": "P1",
        "SLIT": 3,
        "OBJ": 1,
        "OBJRA": 1.0,
        "OBJDEC": 2.0,
        "EXPTIME": 10.0,
        "Z": "1.5",
        "ZFLAGS": "3",
    } | cards
    primary = fits.PrimaryHDU(np.arange(30.0))
    primary.header.update(axis)
    for key, value in about.items():
        if value is not None:
            primary.header[f"HIERARCH PND {key}"] = value
    hdus = [primary, fits.ImageHDU(np.zeros((5, 30), "f4"), name="EXR2D")]
    if noise is not None:
        hdus.append(fits.ImageHDU(np.ones(noise), name="NOISE"))
    fits.HDUList(hdus).writeto(path)
    return path


def test_an_easylife_file(tmp_path):
    report = pandora.read([easylife_file(tmp_path / "sc_a.fits")], tmp_path / "bundle", load_survey(Path("easylife")))
    assert report.counts == {"spectra": 1, "redshifts": 1, "slits": 1, "photometry": 0, "files": 1}
    check_bundle(tmp_path / "bundle")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": None}, "found HDUs PRIMARY, EXR2D, expected NOISE"),
        ({"noise": 29}, "HDU NOISE: found shape (29,), expected 30 pixels"),
        ({"OBJID": None}, "found no card HIERARCH PND OBJID"),
        ({"OBJRA": "here"}, "HIERARCH PND OBJRA: found 'here', expected a number"),
        ({"ZFLAGS": "7"}, "HIERARCH PND ZFLAGS: found flag '7'"),
    ],
)
def test_a_broken_easylife_file(tmp_path, changes, message):
    with pytest.raises(SourceError) as caught:
        pandora.read([easylife_file(tmp_path / "sc_a.fits", **changes)], tmp_path / "bundle", load_survey(Path("easylife")))
    assert str(caught.value).startswith("sc_a.fits")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("erg cm**(-2) s**(-1) angstrom**(-1)", "erg.s**-1.cm**-2.Angstrom**-1"),
        ("1E-17 erg/cm^2/s/Ang", "10**-17 erg.s**-1.cm**-2.Angstrom**-1"),
        ("10**-17 erg/(s cm2 Angstrom)", "10**-17 erg.s**-1.cm**-2.Angstrom**-1"),
        ("adu", "adu"),
        ("Counts", "ct"),
        ("Jy", "Jy"),
    ],
)
def test_units_as_vounits(found, wanted):
    assert vounit(found) == wanted


def test_units_with_other_scales_are_refused():
    with pytest.raises(ValueError, match="power of ten"):
        vounit("3 Jy")

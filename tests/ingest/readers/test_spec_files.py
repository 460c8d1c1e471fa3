"""Spectra of SDSS that are not what they should be, and what is made of names and circles. All files are made here."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ingest.check import check_bundle
from ingest.errors import SourceError
from ingest.readers import sdss
from ingest.readers.footprint import circle
from ingest.readers.sdss import iau_name
from specola_bundle.survey import load_survey


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

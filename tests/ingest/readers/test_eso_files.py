"""Spectra of ESO and of EasyLife that are not what they should be, and their units. All files are made here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from ingest.check import check_bundle
from ingest.errors import SourceError
from ingest.readers import pandora, sdp
from specola_bundle.fitsio import vounit
from specola_bundle.survey import load_survey


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

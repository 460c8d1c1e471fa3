"""FITS put together by hand is FITS as astropy and the standard know it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from specola_bundle.fitsbytes import hdu_bytes
from specola_bundle.specfile import Extra, SpectrumData, fits_bytes

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
EMPTY = [("SIMPLE", True, "conforms to FITS standard"), ("BITPIX", 8, ""), ("NAXIS", 0, "")]


@settings(max_examples=300, deadline=None)
@given(st.one_of(TEXT, st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False)), TEXT)
@pytest.mark.filterwarnings("ignore:Card is too long")
def test_cards_come_back(value, comment):
    if isinstance(value, str):
        # astropy misreads some cards of its own, as that of "'/"
        assume(fits.Card.fromstring(fits.Card("KEYWORD", value).image).value == value.rstrip())
    content = hdu_bytes([*EMPTY, ("KEYWORD", value, comment)])
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        hdus.verify("exception")
        found = hdus[0].header["KEYWORD"]
    assert found == (value.rstrip() if isinstance(value, str) else value)
    assert type(found) is type(value)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=9000))
@pytest.mark.filterwarnings("error")
def test_checksums_hold_for_any_data(data):
    content = hdu_bytes(
        [
            ("SIMPLE", True, ""),
            ("BITPIX", 8, ""),
            ("NAXIS", 1 if data else 0, ""),
            *([("NAXIS1", len(data), "")] if data else []),
        ],
        data,
    )
    assert len(content) % 2880 == 0
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        assert hdus[0].verify_checksum() == 1
        assert hdus[0].verify_datasum() == 1
    # The sum of all words of an HDU with its checksum is -0 (FITS 4.0, section 4.4.2.7).
    total = int(np.frombuffer(content, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    assert total == 0xFFFFFFFF


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_no_card_can_hold_is_refused(value):
    with pytest.raises(ValueError, match="not allowed"):
        hdu_bytes([*EMPTY, ("KEYWORD", value, "")])


def test_long_and_odd_keywords_are_left_to_astropy():
    content = hdu_bytes([*EMPTY, ("HIERARCH ESO TEL NAME", "x" * 90, ""), ("KEYWORD", np.float32(0.1), "")])
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        assert hdus[0].header["ESO TEL NAME"] == "x" * 90
        assert hdus[0].header["KEYWORD"] == 0.1


@pytest.mark.parametrize("kind", ["f4", "f8", "i2", "i4", "i8"])
def test_numbers_keep_type_and_value(kind):
    values = np.array([0, 1, -3, 7], dtype=kind)
    row = {"flux_unit": "ct", "wave_medium": "vacuum", "title": "t", "target_name": "n", "wave_min": 1.0, "wave_max": 4.0,
           "spectrum_id": "x", "flux_calib": "UNCALIBRATED", "wave_frame": "UNKNOWN", "simulated": False}  # fmt: skip
    data = SpectrumData(
        np.arange(1.0, 5.0), values, np.ones(4, "f4"), np.zeros(4, "i4"), (Extra("MORE", values, "ct", "", "what"),)
    )
    content = fits_bytes(row, data, {"SEEING": (0.8, "[arcsec] seeing")})
    assert content == fits_bytes(row, data, {"SEEING": (0.8, "[arcsec] seeing")})
    with fits.open(io.BytesIO(content), checksum=True) as hdus:
        hdus.verify("exception")
        for name in ("FLUX", "MORE"):
            found = hdus[1].data[name][0]
            assert found.dtype == np.dtype(kind).newbyteorder(">")
            np.testing.assert_array_equal(found, values)
        assert hdus[0].header["SEEING"] == 0.8
        assert hdus[1].header["TUNIT2"] == "ct"


def test_columns_of_another_length_or_kind_are_refused():
    row = {"flux_unit": "ct", "wave_medium": "vacuum", "title": "t", "target_name": "n", "wave_min": 1.0, "wave_max": 4.0}
    good = np.arange(1.0, 5.0)
    with pytest.raises(ValueError, match=r"found .* pixels"):
        fits_bytes(row, SpectrumData(good, good[:3], good, np.zeros(4, "i4")))
    with pytest.raises(ValueError, match="complex"):
        fits_bytes(row, SpectrumData(good, good.astype(complex), good, np.zeros(4, "i4")))

"""Instruments as data: what the shipped files say, and what is said of wrong ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specola_pipeline.errors import FrameError, InstrumentError, PipelineError, TableError
from specola_pipeline.instruments import (
    Kind,
    Section,
    extinction,
    identify,
    instrument,
    instruments,
    line_list,
    load,
    read_frame,
    sky,
    slits,
    standards,
)
from specola_pipeline.instruments.load import FOLDER
from specola_pipeline.spectral import air_to_vacuum, vacuum_to_air

VIMOS = {
    "INSTRUME": "VIMOS",
    "ESO OCS CON QUAD": 2,
    "ESO DPR CATG": "SCIENCE",
    "ESO DPR TYPE": "OBJECT",
    "ESO DPR TECH": "MOS",
    "ESO INS GRIS2 NAME": "MR",
    "ESO INS FILT2 NAME": "GG475",
    "ESO INS MASK2 ID": 1024,
    "RA": 53.1,
    "DEC": -27.8,
    "EXPTIME": 1200.0,
    "MJD-OBS": 57000.1,
    "ESO INS SLIT NO": 2,
} | {
    f"ESO INS SLIT{n} {key}": value
    for n, x in ((1, 0.0), (2, 40.0))
    for key, value in {"ID": n + 10, "X": x, "Y": -20.0, "DIMX": 5.78, "DIMY": 0.578, "OBJ RA": 53.0}.items()
}


@pytest.mark.parametrize("one", instruments(), ids=lambda one: one.name)
def test_shipped_instrument_is_consistent(one) -> None:
    for detector in one.detectors:
        for amplifier in detector.amplifiers:
            for section in (amplifier.data, *amplifier.bias):
                assert section.fits_in((detector.shape[0] or 4096, detector.shape[1] or 4096))
    for grism in one.grisms:
        assert grism.range[0] < grism.reference < grism.range[1]
        found = grism.wavelength(grism.offset(np.linspace(*grism.range, 7)))
        np.testing.assert_allclose(found, np.linspace(*grism.range, 7), atol=1e-6)
    assert line_list(one.sky_lines).wavelength.size > 10
    assert extinction(one.site.extinction)[1].min() >= 0
    for lamp in one.lamps:
        if lamp.lines:
            assert line_list(*lamp.lines).wavelength.size > 3


def test_a_vimos_header_is_read() -> None:
    frame = read_frame(VIMOS, "a.fits")
    assert (frame.instrument, frame.kind, frame.quadrant, frame.grism, frame.mask) == ("vimos", Kind.SCIENCE, 2, "MR", "1024")
    assert frame.night == "2014-12-08"  # 02:24 UT of the 9th, at Paranal


def test_slits_of_a_mask_fall_where_the_plate_scale_puts_them() -> None:
    frame = read_frame(VIMOS, "a.fits")
    first, second = slits(instrument("vimos"), VIMOS, frame, (4096, 2048))
    assert (first.identifier, second.number, first.ra) == ("11", 2, 53.0)
    assert first.length == pytest.approx(10.0)
    assert first.width == pytest.approx(1.0)
    assert first.half_length == pytest.approx(5.0 / 0.205)
    assert second.centre - first.centre == pytest.approx(40 / 0.578 / 0.205, rel=1e-4)
    assert first.reference == pytest.approx(2047.5 - 20 / 0.578 / 0.205, abs=0.02)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"INSTRUME": "MUSE"}, "no known instrument"),
        ({"EXPTIME": None}, "no EXPTIME"),
        ({"EXPTIME": -1.0}, "exposure time"),
        ({"MJD-OBS": "yesterday"}, "expected a date"),
        ({"MJD-OBS": 12.0}, "Julian"),
        ({"ESO OCS CON QUAD": 5}, "no quadrant 5"),
        ({"ESO OCS CON QUAD": 1.5}, "whole number"),
        ({"ESO DPR TYPE": "PARTY", "ESO DPR CATG": "CALIB"}, "no rule"),
        ({"ESO INS GRIS2 NAME": ""}, "names the grism"),
        ({"RA": 400.0}, "400.0 degrees"),
        ({"RA": "1:x:2"}, "ra is wrong"),
    ],
)
def test_a_wrong_header_is_refused_with_a_reason(change, said) -> None:
    header = {key: value for key, value in (VIMOS | change).items() if value is not None}
    with pytest.raises(PipelineError, match=said) as error:
        read_frame(header, "bad.fits")
    assert "bad.fits" in str(error.value) or said == "no quadrant 5"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ESO INS SLIT NO": None}, "ESO INS SLIT NO"),
        ({"ESO INS SLIT NO": 3}, "ESO INS SLIT3 X"),
        ({"ESO INS SLIT NO": 10**9}, "through a mask"),
        ({"ESO INS SLIT1 DIMX": 0.0}, "slit 1 is 0.0 by"),
        ({"ESO INS SLIT2 Y": "left"}, "expected a finite number"),
        ({"ESO INS SLIT2 Y": math.nan}, "expected a finite number"),
        ({"ESO INS SLIT1 X": 2.1e307}, "no mask is that large"),
    ],
)
def test_wrong_slits_are_refused(change, said) -> None:
    header = {key: value for key, value in (VIMOS | change).items() if value is not None}
    with pytest.raises(FrameError, match=said):
        slits(instrument("vimos"), header, read_frame(header, "a.fits"), (4096, 2048))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(sorted(VIMOS)),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text("ABMOS:-,. 019", max_size=20)),
        max_size=6,
    )
)
def test_any_header_is_described_or_refused(change) -> None:
    header = {key: value for key, value in (VIMOS | change).items() if value is not None}
    try:
        frame = read_frame(header, "a.fits")
        found = slits(identify(header, "a.fits"), header, frame, (4096, 2048))
    except PipelineError:
        return  # any other exception fails this test
    assert frame.kind in Kind
    assert all(np.isfinite([slit.centre, slit.reference, slit.length]).all() for slit in found)


@settings(deadline=None)
@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 500), st.integers(0, 500))
def test_sections_are_read_as_fits_writes_them(x, width, y, height) -> None:
    section = Section.parse(f"[{x}:{x + width}, {y}:{y + height}]")
    assert np.zeros((1000, 1000))[section.slices()].shape == (height + 1, width + 1)
    assert section.fits_in((y + height, x + width))
    assert not section.fits_in((y + height - 1, x + width))


@pytest.mark.parametrize("text", ["", "[1:2]", "[0:3,1:2]", "[3:2,1:2]", "[a:b,1:2]", "1:2,1:2"])
def test_other_sections_are_refused(text) -> None:
    with pytest.raises(ValueError, match="section"):
        Section.parse(text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "VLT/VIMOS"', "", "title: is missing"),
        ('title = "VLT/VIMOS"', "title = 3", "title: is 3, expected str"),
        ("latitude = -24.6276", "latitud = -24.6276", "site.latitude: is missing"),
        ("height = 2635.0", "height = 2635.0\nwidth = 1", "site.width: is not known here"),
        ('dispersion_axis = "y"', 'dispersion_axis = "z"', "dispersion_axis: is 'z'"),
        ('data = "[51:2098,1:4096]"', 'data = "51"', "data: '51' is no section"),
        ("dispersion = [7000.0, 2.55]", "dispersion = [7000.0, -2.55]", "grism.3..dispersion"),
        ('kind = "bias"', 'kind = "party"', "expected one of bias"),
        ('kind = "mask"', 'kind = "fibres"', "expected mask or long"),
        ('same = ["quadrant", "binning"]', 'same = ["quadrant", "colour"]', "no field of a frame"),
        ("[flexure]", "[flexur]", "flexure: is missing"),
        ('when = [{ key = "ESO DPR TYPE", equals = "BIAS" }]', 'when = [{ key = "ESO DPR TYPE" }]', "nothing is asked of it"),
        ("title =", "title ==", "can not be read as TOML"),
    ],
)
def test_a_wrong_instrument_file_is_refused_by_file_and_key(tmp_path, old, new, said) -> None:
    text = (FOLDER / "vimos.toml").read_text("utf-8")
    file = tmp_path / "mine.toml"
    file.write_text(text.replace(old, new), "utf-8")
    assert old in text
    with pytest.raises(InstrumentError, match=said) as error:
        load(file)
    assert "mine.toml" in str(error.value)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(InstrumentError, match="vimos"):
        instrument("hst")
    with pytest.raises(FrameError, match="LR_red"):
        instrument("vimos").grism("XX")
    with pytest.raises(TableError, match="HeI"):
        line_list("Unobtainium")
    with pytest.raises(TableError, match="paranal"):
        extinction("moon")
    with pytest.raises(TableError, match="paranal"):
        sky("moon")


def test_air_and_vacuum() -> None:
    assert vacuum_to_air(5578.887) == pytest.approx(5577.338, abs=0.002)  # NIST: [O I]
    waves = np.linspace(3000, 11000, 99)
    np.testing.assert_allclose(vacuum_to_air(air_to_vacuum(waves)), waves, atol=1e-8)


def test_tables_hold_what_the_field_knows() -> None:
    found = sky()
    for line in (5578.887, 6302.046):  # vacuum Å of [O I]: the sky spectrum is in vacuum
        near = abs(found.wavelength - line) < 5
        assert abs(found.wavelength[near][found.flux[near].argmax()] - line) < 0.2
    star = next(one for one in standards() if one.name == "LTT 3218")
    magnitude = -2.5 * np.log10(np.interp(5500, star.wavelength, star.flux) / 3.63e-9)
    assert magnitude == pytest.approx(11.86, abs=0.1)  # V of LTT 3218, Hamuy et al. 1992


def test_kast_frames_are_known_by_their_headers(shared_data: Path) -> None:
    folder = shared_data / "raw" / "kast_pypeit"
    kinds = {}
    for file in sorted(folder.glob("b*.fits.gz")):
        frame = read_frame(fits.getheader(file), "x.fits")
        kinds[file.name.split(".")[0]] = frame.kind
        assert (frame.instrument, frame.grism, frame.night) == ("kast_blue", "600/4310", "2015-05-19")
    assert kinds == {
        "b1": Kind.ARC,
        "b11": Kind.FLAT,
        "b12": Kind.FLAT,
        "b21": Kind.BIAS,
        "b22": Kind.BIAS,
        "b23": Kind.BIAS,
        "b24": Kind.STANDARD,
        "b27": Kind.SCIENCE,
    }

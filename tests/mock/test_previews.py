"""Plots of spectra: of the right size, with everything on them, and of any input."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from ingest import plot
from ingest.previews import make_previews, read_spectrum
from ingest.spectrum_plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, render_preview, render_thumbnail
from specola_bundle.fitsbytes import read_row
from specola_bundle.specfile import SpectrumData

ROW = {"spectrum_id": "W1P001Q1S001-1", "target_name": "DEMO 100100001", "redshift": 0.7, "target_class": "GALAXY", "snr": 8.0,
       "flux_unit": "erg.s**-1.cm**-2.Angstrom**-1", "wave_medium": "air", "simulated": True}  # fmt: skip


def spectrum(n: int = 557, seed: int = 1) -> SpectrumData:
    rng = np.random.default_rng(seed)
    wave = np.linspace(5500.0, 9470.0, n)
    flux = (2e-18 * (1 + 0.3 * np.sin(wave / 400)) + 3e-19 * rng.standard_normal(n)).astype(np.float32)
    return SpectrumData(wave, flux, np.full(n, 3e-19, np.float32), np.zeros(n, np.int32))


def pixels(content: bytes) -> np.ndarray:
    """Colours, (height, width, 3)."""
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        assert image.mode == "P"
        return np.asarray(image.convert("RGB")).astype(int)


def ink(area: np.ndarray) -> float:
    """Share of the pixels that are not paper."""
    return float(np.mean(area.min(axis=2) < 200))


@pytest.mark.parametrize("n", [600, 2000, 8000])
def test_plot_has_size_curve_and_labels(n):
    content = render_preview(spectrum(n), ROW)
    assert len(content) < 45_000
    image = pixels(content)
    assert image.shape == (HEIGHT, WIDTH, 3)
    blue = (image[..., 2] > image[..., 0] + 60)[TOP : HEIGHT - BOTTOM, LEFT : WIDTH - RIGHT]
    assert blue.any(axis=0).mean() > 0.99, "the curve goes through every column"
    assert ink(image[HEIGHT - BOTTOM + 8 : HEIGHT - BOTTOM + 30, LEFT:]) > 0.02, "numbers below the wavelength axis"
    assert ink(image[TOP : HEIGHT - BOTTOM, 30 : LEFT - 10]) > 0.004, "numbers beside the flux axis"
    assert ink(image[TOP : HEIGHT - BOTTOM, :28]) > 0.02, "the name and unit of the flux axis"
    assert ink(image[:TOP, LEFT : LEFT + 300]) > 0.03, "the title"
    warm = (image[..., 0] > image[..., 2] + 80)[:TOP]
    assert warm.any(), "the word simulated, in a colour of its own"
    real = pixels(render_preview(spectrum(n), ROW | {"simulated": False}))
    assert not (real[..., 0] > real[..., 2] + 80)[:TOP].any()


def test_curve_is_at_its_flux():
    """A step: the curve's height in the plot is linear in flux, on both sides."""
    data = spectrum()
    flux = np.where(np.arange(557) < 278, 1.0, 2.0).astype(np.float32)
    image = pixels(render_preview(SpectrumData(data.wave, flux, np.full(557, 0.01, np.float32), data.qual), {}))
    dark = (image[..., 2] - image[..., 0] > 90)[TOP : HEIGHT - BOTTOM, LEFT : WIDTH - RIGHT]
    rows = [float(np.flatnonzero(dark[:, column]).mean()) for column in (200, 900)]
    foot = HEIGHT - BOTTOM - TOP
    assert (foot - rows[1]) / (foot - rows[0]) == pytest.approx(2, abs=0.02)


def test_masked_stretch_is_grey():
    data = spectrum()
    data.qual[200:300] = 2
    image = pixels(render_preview(data, ROW))[TOP + 40 : HEIGHT - BOTTOM, LEFT : WIDTH - RIGHT]
    middle = image[:, int(250 / 557 * image.shape[1])]
    assert (middle.max(axis=1) - middle.min(axis=1)).max() <= 12, "no colour where it is masked"
    assert (middle < 250).all()


def test_wild_pixels_do_not_set_the_scale():
    data, wild = spectrum(), spectrum()
    wild.flux[100] = 1e-15
    wild.flux[400] = -1e-15
    same = np.mean(pixels(render_preview(data, ROW)) == pixels(render_preview(wild, ROW)))
    assert same > 0.97


def test_significant_lines_are_shown_whole():
    data = spectrum()
    data.flux[300:305] += np.array([4, 10, 14, 10, 4], np.float32) * 1e-18
    image = pixels(render_preview(data, ROW))
    dark = (image[..., 2] - image[..., 0] > 90)[TOP : HEIGHT - BOTTOM, LEFT : WIDTH - RIGHT]
    peak = dark[:, int(302.5 / 557 * dark.shape[1])]
    assert np.flatnonzero(dark.any(axis=1)).min() > 5, "below the upper edge"
    assert peak.any()


def test_thumbnail():
    image = pixels(render_thumbnail(spectrum()))
    assert image.shape[1] == 200
    assert ink(image) > 0.02
    assert len(render_thumbnail(spectrum(8000))) < 5000


BAD = {
    "all NaN": SpectrumData(np.linspace(1, 2, 50), np.full(50, np.nan), np.full(50, np.nan), np.zeros(50, np.int32)),
    "empty": SpectrumData(*(np.zeros(0) for _ in range(3)), np.zeros(0, np.int32)),
    "constant": SpectrumData(np.linspace(5e3, 9e3, 50), np.full(50, 3.0), np.ones(50), np.zeros(50, np.int32)),
    "zero": SpectrumData(np.linspace(5e3, 9e3, 50), np.zeros(50), np.zeros(50), np.zeros(50, np.int32)),
    "one pixel": SpectrumData(np.array([5e3]), np.ones(1), np.ones(1), np.zeros(1, np.int32)),
    "infinite": SpectrumData(np.linspace(5e3, 9e3, 50), np.full(50, np.inf), np.ones(50), np.zeros(50, np.int32)),
    "no wavelengths": SpectrumData(np.full(50, np.nan), np.ones(50), np.ones(50), np.zeros(50, np.int32)),
    "all masked": SpectrumData(np.linspace(5e3, 9e3, 50), np.arange(50.0), np.ones(50), np.ones(50, np.int32)),
    "falling": SpectrumData(np.linspace(9e3, 5e3, 50), np.arange(50.0), np.ones(50), np.zeros(50, np.int32)),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("error")
def test_bad_input_is_drawn_or_said(name):
    for row in ({}, ROW, ROW | {"redshift": None, "target_name": "Ωé " * 40, "flux_unit": "?", "snr": float("nan")}):
        image = pixels(render_preview(BAD[name], row))
        assert image.shape == (HEIGHT, WIDTH, 3)
        assert ink(image) > 0.001
    assert pixels(render_thumbnail(BAD[name])).shape[1] == 200


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.integers(0, 200), elements=st.floats(width=32)), st.floats(-0.1, 20))
def test_any_flux_can_be_drawn(flux, z):
    n = flux.size
    data = SpectrumData(np.linspace(3e3, 1e4, n), flux, np.abs(flux), np.zeros(n, np.int32))
    assert pixels(render_preview(data, ROW | {"redshift": z})).shape == (HEIGHT, WIDTH, 3)
    render_thumbnail(data)


@given(st.floats(-1e30, 1e30), st.floats(1e-30, 1e30), st.integers(2, 12))
def test_ticks_are_inside_and_few(low, span, wanted):
    high = low + span
    if not high - low > 1e-9 * abs(low):
        return
    values = plot.ticks(low, high, wanted)
    assert len(values) <= 2 * wanted + 2
    assert ((values >= low - 1e-9 * span - 1e-12 * abs(low)) & (values <= high + 1e-9 * span + 1e-12 * abs(high))).all()


def test_units_are_spelled():
    minus = "\N{MINUS SIGN}"
    assert plot.spelled("erg.s**-1.cm**-2.Angstrom**-1") == f"erg s^{{{minus}1}} cm^{{{minus}2}} Å^{{{minus}1}}"
    assert plot.spelled("1e-17.erg/s") == f"10^{{{minus}17}} erg s^{{{minus}1}}"
    assert plot.spelled("ct") == "counts"
    assert plot.spelled("") == ""


def test_without_the_font_there_is_still_text(monkeypatch):
    for cached in (plot._has_font, plot._font, plot.label):
        cached.cache_clear()
    monkeypatch.setattr(plot, "FONT", Path("/nowhere/font.ttf"))
    image = pixels(render_preview(spectrum(), ROW))
    for cached in (plot._has_font, plot._font, plot.label):
        cached.cache_clear()
    assert ink(image[:TOP, LEFT : LEFT + 300]) > 0.02
    assert ink(image[HEIGHT - BOTTOM + 8 :, LEFT:]) > 0.01


def test_files_are_read_as_astropy_reads_them(bundle):
    for path in sorted((bundle / "spectra").rglob("*.fits"))[::50]:
        data = read_spectrum(path)
        with fits.open(path) as hdus:
            for name, values in (("WAVE", data.wave), ("FLUX", data.flux), ("ERR", data.err), ("QUAL", data.qual)):
                np.testing.assert_array_equal(values, hdus[1].data[name][0])


@pytest.mark.parametrize("content", [b"", b"SIMPLE  =                    T", b"x" * 2880, b"END" + b" " * 2877])
def test_what_is_no_spectrum_is_refused(content):
    with pytest.raises(ValueError, match="found"):
        read_row(content)


def test_bundle_is_drawn_once(bundle, tmp_path):
    ids = pq.read_table(bundle / "manifest.parquet", columns=["spectrum_id"])["spectrum_id"].to_pylist()
    seen: list[tuple[int, int]] = []
    assert make_previews(bundle, tmp_path / "plots", workers=2, progress=lambda done, total: seen.append((done, total))) == 600
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {f"{i}{end}" for i in ids for end in (".png", ".thumb.png")}
    assert seen[-1] == (600, 600)
    (tmp_path / "plots" / f"{ids[7]}.thumb.png").unlink()
    kept = (tmp_path / "plots" / f"{ids[0]}.png").stat().st_mtime_ns
    assert make_previews(bundle, tmp_path / "plots") == 1
    assert (tmp_path / "plots" / f"{ids[0]}.png").stat().st_mtime_ns == kept
    assert (tmp_path / "plots" / f"{ids[7]}.thumb.png").exists()

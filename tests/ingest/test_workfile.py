"""The work format is read and written without loss, and is FITS as astropy and fitsverify know it."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ingest.errors import SourceError
from specola_bundle.workfile import WorkFile, compose

REAL = "formats/sc_CDFS006664_P1M2Q4_P2M1Q4_003_1.fits"
NAMES = st.lists(st.sampled_from(["EXR2D", "SKY", "NOISE", "EXR1D", "THUMB", "BLUE_CORR"]), unique=True, max_size=6)
KEYS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=8)
VALUES = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=25).map(str.rstrip),
    st.booleans(), st.integers(-(10**12), 10**12), st.floats(-1e12, 1e12, allow_nan=False),
)  # fmt: skip
KINDS = st.sampled_from(["f4", "f8", "i2", "i4"])


def test_the_real_file_comes_back_bit_for_bit(data: Path, tmp_path: Path) -> None:
    work = WorkFile.read(data / REAL)
    assert work.to_bytes() == (data / REAL).read_bytes()
    work.write(tmp_path / "again.fits")
    assert (tmp_path / "again.fits").read_bytes() == (data / REAL).read_bytes()
    with fits.open(data / REAL) as hdus:
        header = hdus[0].header
        assert work.pnd == {key.removeprefix("PND "): header[key] for key in header if key.startswith("PND ")}
        assert [hdu.name for hdu in work.hdus[1:]] == [hdu.name for hdu in hdus[1:]]
        for one, two in zip(work.hdus, hdus, strict=True):
            assert one.data.tobytes() == two.data.astype(two.data.dtype.newbyteorder(">")).tobytes()
            assert one.data.shape == two.data.shape
    assert (work.pnd["OBJID"], work.pnd["ZFLAGS"], work.pnd["S/N"]) == ("CDFS006664", "4", 4.548)


def test_a_card_changes_and_nothing_else(data: Path) -> None:
    before = WorkFile.read(data / REAL)
    after = WorkFile.from_bytes("changed", before.with_pnd({"Z": "2.8896", "ZFLAGS": "3"}).to_bytes())
    assert dict(after.pnd) == {**before.pnd, "Z": "2.8896", "ZFLAGS": "3"}
    assert list(after.pnd) == list(before.pnd)
    assert [hdu.to_bytes() for hdu in after.hdus[1:]] == [hdu.to_bytes() for hdu in before.hdus[1:]]
    assert after.flux.tobytes() == before.flux.tobytes()
    cards = [[hdus[0].text[i : i + 80] for i in range(0, len(hdus[0].text), 80)] for hdus in (before.hdus, after.hdus)]
    assert [one.split("=")[0].strip() for one, two in zip(*cards, strict=True) if one != two] == [
        "HIERARCH PND ZFLAGS", "HIERARCH PND Z",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="fits on one card"):
        before.with_pnd({"ZCOMMENT": "x" * 80})


@settings(max_examples=80, deadline=None)
@given(
    st.data(),
    KINDS,
    st.integers(2, 40),
    NAMES,
    st.dictionaries(KEYS, VALUES, max_size=8),
    st.floats(100, 20000),
    st.floats(0.01, 20),
)
def test_what_is_composed_comes_back(draw, kind, pixels, names, pnd, start, step):
    values = arrays.arrays(kind, st.just((pixels,)))
    flux = draw.draw(values)
    planes = arrays.arrays("f4", st.tuples(st.integers(1, 5), st.just(pixels)))
    extensions = {name: draw.draw(planes if name in {"EXR2D", "THUMB"} else values) for name in names}
    work = compose("made.fits", flux, start=start, step=step, extensions=extensions, pnd=pnd)
    content = work.to_bytes()
    again = WorkFile.from_bytes("made.fits", content)
    assert again.to_bytes() == content
    assert again.pnd == pnd
    assert again.flux.tobytes() == flux.tobytes()
    np.testing.assert_array_equal(again.wave, start + np.arange(pixels) * step)
    with fits.open(io.BytesIO(content)) as hdus:
        hdus.verify("exception")
        assert hdus[0].data.astype(kind).tobytes() == flux.tobytes()
        assert {key: hdus[0].header[f"PND {key}"] for key in pnd} == pnd
        for name, array in extensions.items():
            assert hdus[name].data.astype(array.dtype).tobytes() == array.tobytes()
            assert ("CRVAL1" in hdus[name].header) == (array.shape[-1] == pixels)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=150), max_size=5),
    st.dictionaries(KEYS, VALUES, max_size=6),
    st.integers(0, 900),
)
def test_files_of_astropy_come_back(comments, cards, pixels):
    header = fits.Header()
    for comment in comments:
        header["COMMENT"] = comment
        header["HISTORY"] = comment
    for key, value in cards.items():
        header[f"HIERARCH PND {key} LONG KEY"] = value
    buffer = io.BytesIO()
    planes = np.arange(3 * (pixels + 1), dtype=">f4").reshape(3, -1)
    fits.HDUList([fits.PrimaryHDU(np.arange(pixels + 1.0), header), fits.ImageHDU(planes, name="EXR2D")]).writeto(buffer)
    assert WorkFile.from_bytes("x", buffer.getvalue()).to_bytes() == buffer.getvalue()


def test_fitsverify_finds_nothing_in_what_is_composed(tmp_path: Path) -> None:
    if shutil.which("fitsverify") is None:
        pytest.skip("fitsverify is not installed (Debian package fitsverify)")
    flux = np.linspace(0, 1, 100)
    extensions = {"EXR2D": np.zeros((9, 100), "f4"), "NOISE": flux, "THUMB": np.zeros((5, 7), "f4")}
    pnd = {"OBJID": "it's", "Z": 1.5, "FILE ID": "ab"}
    compose("made.fits", flux, start=5000.0, step=2.5, extensions=extensions, pnd=pnd).write(tmp_path / "made.fits")
    done = subprocess.run(["fitsverify", "-q", str(tmp_path / "made.fits")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_would_be_lost_is_refused(data: Path) -> None:
    content = (data / REAL).read_bytes()
    padded = bytearray(content)
    padded[-1] = 7  # in the padding of the last HDU
    with pytest.raises(SourceError, match="beside cards and numbers"):
        WorkFile.from_bytes("x", bytes(padded))
    with pytest.raises(SourceError, match="expected a whole"):
        WorkFile.from_bytes("x", content[:-3000])
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(np.arange(5.0)), fits.BinTableHDU.from_columns([fits.Column("A", "E", array=[1])])]).writeto(
        buffer
    )
    with pytest.raises(SourceError, match="expected an image"):
        WorkFile.from_bytes("x", buffer.getvalue())
    with pytest.raises(ValueError, match="expected one of"):
        compose("x", np.zeros(3, complex), start=1, step=1, extensions={}, pnd={})
    with pytest.raises(SourceError, match="expected NOISE"):
        compose("x", np.zeros(3), start=1, step=1, extensions={}, pnd={}).hdu("NOISE")

"""Files of spectra: units, layouts, and what is said of those that can not be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from pipeline.tests.made_spectra import made
from specola_pipeline.cli import app
from specola_pipeline.errors import SpectrumError
from specola_pipeline.redshift.readers import read_sources, read_spectra

GOOD = made("early", 0.6, snr=5.0)


def table(path: Path, *, rows: bool = False, unit: str | None = None, scale: float = 1.0, leave_out: str = "") -> Path:
    """GOOD as a table of one row, or with a row a pixel; wavelengths times ``scale``."""
    arrays = {"WAVE": GOOD.wave * scale, "FLUX": GOOD.flux, "ERR": GOOD.err}
    columns = [
        fits.Column(
            name, "D" if rows else f"{values.size}D", array=values if rows else [values], unit=unit if name == "WAVE" else ""
        )
        for name, values in arrays.items()
        if name != leave_out
    ]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    return path


def desi(path: Path, **changes: np.ndarray | None) -> Path:
    """Two spectra of one arm; images may be replaced, or left out."""
    images: dict[str, np.ndarray | None] = {
        "B_WAVELENGTH": GOOD.wave, "B_FLUX": np.vstack([GOOD.flux] * 2), "B_IVAR": np.vstack([1 / GOOD.err**2] * 2), **changes
    }  # fmt: skip
    hdus = [fits.ImageHDU(values, name=name) for name, values in images.items() if values is not None]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


@pytest.mark.parametrize(
    ("unit", "scale"), [("Angstrom", 1.0), ("nm", 0.1), ("um", 1e-4), ("micron", 1e-4), ("m", 1e-10), (None, 1.0)]
)
@pytest.mark.parametrize("rows", [False, True])
def test_wavelengths_are_in_the_unit_the_table_says(tmp_path: Path, unit: str | None, scale: float, *, rows: bool) -> None:
    (found,) = read_spectra(table(tmp_path / "s.fits", rows=rows, unit=unit, scale=scale))
    assert found.wave == pytest.approx(GOOD.wave, rel=1e-12)
    assert np.array_equal(found.flux, GOOD.flux)


def test_desi_rows_without_a_fibre_map_are_numbered(tmp_path: Path) -> None:
    assert [one.name for one in read_spectra(desi(tmp_path / "coadd.fits"))] == ["coadd-0", "coadd-1"]


def text(path: Path, content: str) -> Path:
    path.write_text(content, "utf-8")
    return path


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


def squeezed(path: Path, size: int | None = None) -> Path:
    zipped = path.with_name(path.name + ".gz")
    zipped.write_bytes(gzip.compress(path.read_bytes(), mtime=0)[:size])
    return zipped


BROKEN = {
    "empty": (lambda folder: text(folder / "s.dat", ""), "nothing in it"),
    "only comments": (lambda folder: text(folder / "s.dat", "# wave flux err\n"), "no line of numbers"),
    "two columns": (lambda folder: text(folder / "s.dat", "5000 1\n5001 1\n"), "2 numbers a line .a text has three"),
    "a page": (lambda folder: text(folder / "s.dat", "<html>"), "expected a spectrum as text or FITS"),
    "cut table": (lambda folder: cut(table(folder / "s.fits"), 20000), r"end is missing .20000 bytes, \d+ at the least"),
    "cut header": (lambda folder: cut(table(folder / "s.fits"), 1000), "s.fits: found"),
    "cut after an HDU": (lambda folder: cut(desi(folder / "s.fits"), 20000), "end is missing"),
    "cut gzip": (lambda folder: squeezed(desi(folder / "s.fits"), 9000), "ended before"),
    "no error": (lambda folder: table(folder / "s.fits", leave_out="ERR"), "HDU 1 with a table of WAVE, FLUX; a table wants"),
    "no inverse variance": (lambda folder: desi(folder / "s.fits", B_IVAR=None), "no HDU B_IVAR beside B_FLUX"),
    "another shape": (lambda folder: desi(folder / "s.fits", B_IVAR=np.ones((2, 5))), r"B_IVAR \(2, 5\)"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_can_not_be_read_is_named_with_what_is_wrong(tmp_path: Path, kind: str) -> None:
    make, message = BROKEN[kind]
    path = make(tmp_path)
    with pytest.raises(SpectrumError, match=message) as caught:
        list(read_spectra(path))
    assert str(caught.value).startswith(f"{path}: found ")
    (found,) = read_sources([path])
    assert (found.fault, found.wave.size) == (str(caught.value), 0)


def test_one_bad_file_stops_none_of_the_others(tmp_path: Path) -> None:
    good = table(tmp_path / "good.fits")
    bad = cut(table(tmp_path / "bad.fits"), 20000)
    output = tmp_path / "z.jsonl"
    arguments = ["redshift", str(bad), str(good), "--workers", "1", "--class", "GALAXY"]
    result = CliRunner().invoke(app, [*arguments, "--output", str(output)])
    assert result.exit_code == 2
    assert f"{bad}: found a FITS file whose end is missing" in result.output
    rows = {row["spectrum"]: row for row in map(json.loads, output.read_text("utf-8").splitlines())}
    assert rows["good"]["z"] == pytest.approx(0.6, abs=0.003)
    assert rows["bad"]["z"] is None
    assert "end is missing" in rows["bad"]["reason"]
    # a name that is not there is a slip: it is told before anything is measured
    slip = CliRunner().invoke(app, [*arguments, str(tmp_path / "none.fits"), "--output", str(tmp_path / "other.jsonl")])
    assert slip.exit_code == 1
    assert "none.fits: found no such file" in slip.output
    assert not (tmp_path / "other.jsonl").exists()


def test_a_damaged_bundle_and_a_place_that_is_not_there_are_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.parquet").write_bytes(b"PAR1 no more")
    for command, *rest in (["redshift"], ["lines"], ["stack", str(tmp_path / "stacks.fits"), "--window", "4000", "4100"]):
        result = CliRunner().invoke(app, [command, str(tmp_path / "bundle"), *rest])
        assert (result.exit_code, type(result.exception)) == (1, SystemExit), command
        assert "manifest.parquet: found" in result.output
    nowhere = CliRunner().invoke(app, ["redshift", str(table(tmp_path / "s.fits")), "-o", str(tmp_path / "none" / "z.jsonl")])
    assert (nowhere.exit_code, type(nowhere.exception)) == (1, SystemExit)
    assert "expected a place that can be written to" in nowhere.output


def test_nothing_is_left_of_a_run_that_measured_nothing(tmp_path: Path) -> None:
    """An empty bundle, and a folder that is none: told, and no file beside the output that could be taken for a begun one."""
    columns = ("spectrum_id", "file", "wave_medium", "flux_unit")
    empty, none = tmp_path / "empty", tmp_path / "none"
    empty.mkdir()
    none.mkdir()
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in columns}), empty / "manifest.parquet")
    for source, message in ((empty, "found no spectra"), (none, "found a folder without manifest.parquet")):
        result = CliRunner().invoke(app, ["redshift", str(source), "--workers", "1", "--output", str(tmp_path / "z.jsonl")])
        assert (result.exit_code, type(result.exception)) == (1, SystemExit)
        assert message in result.output
        assert sorted(tmp_path.iterdir()) == [empty, none]


def test_the_table_has_whole_names_and_brackets(tmp_path: Path) -> None:
    name = "a_spectrum_with_a_name_of_more_than_forty_letters_[b]"
    table(tmp_path / f"{name}.fits")
    result = CliRunner().invoke(app, ["redshift", str(tmp_path / f"{name}.fits"), "--workers", "1", "--class", "GALAXY"])
    assert result.exit_code == 0
    assert name in result.stdout

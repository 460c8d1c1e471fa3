"""Text spectra of VANDELS that are not what they should be. All files are made here."""

from __future__ import annotations

import lzma
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ingest.check import check_bundle
from ingest.errors import BundleError, SourceError
from ingest.readers import vandels
from specola_bundle.survey import load_survey

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

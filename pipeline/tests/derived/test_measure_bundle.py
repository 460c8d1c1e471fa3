"""A bundle measured: what is in the new one, row by row, file by file, and what happens when it goes wrong."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from specola_bundle.bundle import Bundle
from specola_bundle.errors import BundleError
from specola_bundle.registry import standard_tables
from specola_pipeline.cli import app
from specola_pipeline.derived.write import METHOD, Options, measure_bundle
from specola_pipeline.errors import SpectrumError
from specola_pipeline.redshift.lines import line_list

FEW = Options(classes=("GALAXY", "QSO"))
TABLES = ("spectra", "redshifts", "candidates", "lines", "indices", "files")


def rows_of(bundle: Path, name: str) -> list[dict]:
    path = "manifest.parquet" if name == "spectra" else f"catalogues/{name}.parquet"
    return pq.read_table(bundle / path).to_pylist()


@pytest.fixture(scope="module")
def done(make_bundle, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("measured")
    source = make_bundle(folder / "one")
    seen: list[tuple[str, int, int]] = []
    counts = measure_bundle(source, folder / "two", FEW, progress=lambda *said: seen.append(said))
    tables = {name: rows_of(folder / "two", name) for name in TABLES}
    return SimpleNamespace(source=source, path=folder / "two", counts=counts, seen=seen, **tables)


def auto(done: SimpleNamespace) -> dict[str, dict]:
    return {row["spectrum_id"]: row for row in done.redshifts if row["method"].startswith(METHOD)}


def test_redshifts_and_flags(done: SimpleNamespace) -> None:
    rows = auto(done)
    assert set(rows) == {"GAL", "GAL2", "SEC", "QSO", "BAD", "CNT"}
    for name, z in (("GAL", 0.62), ("GAL2", 0.62), ("SEC", 0.55), ("QSO", 1.9), ("CNT", 0.62)):
        assert abs(rows[name]["z"] - z) < 0.003 * (1 + z), name
        assert 0 < rows[name]["z_err"] < 0.01
    assert rows["GAL"]["flag_label"] == "4.5"
    assert (rows["SEC"]["secondary"], rows["SEC"]["photoz_agreement"]) == (True, "incompatible")
    assert rows["SEC"]["flag_label"].startswith("2")
    assert rows["QSO"]["flag_label"] in {"13.1", "14.1"}
    assert (rows["CNT"]["photoz_agreement"], rows["CNT"]["secondary"]) == ("none", False)
    assert (rows["BAD"]["z"], rows["BAD"]["flag_label"], rows["BAD"]["secure"]) == (None, "0", False)


def test_what_people_found_stays_recommended(done: SimpleNamespace) -> None:
    rows = auto(done)
    (people,) = [row for row in done.redshifts if row["method"] == "visual"]
    assert people["best"]
    assert not rows["QSO"]["best"]
    # of two spectra of one object the better one
    assert (rows["GAL"]["best"], rows["GAL2"]["best"]) == (True, False)
    by_name = {row["spectrum_id"]: row for row in done.spectra}
    assert by_name["QSO"]["redshift"] == people["z"]
    assert by_name["GAL2"]["redshift"] == by_name["GAL"]["redshift"] == rows["GAL"]["z"]
    assert (by_name["GAL"]["target_class"], by_name["SKY"]["target_class"]) == ("GALAXY", "SKY")
    assert by_name["SKY"]["redshift"] is None
    assert by_name["BAD"]["redshift"] is None
    # the bundle says nothing of how far its redshifts have come, so neither do we
    assert all(row.get("z_state") is None for row in done.redshifts)


def test_without_peoples_redshifts_they_are_automatic_and_wait_for_people(make_bundle, tmp_path: Path) -> None:
    source = make_bundle(tmp_path / "one", measured=False)
    measure_bundle(source, tmp_path / "two", FEW)
    rows = rows_of(tmp_path / "two", "redshifts")
    assert {row["z_state"] for row in rows} == {"automatic"}
    assert {row["spectrum_id"] for row in rows if row["best"]} == {"GAL", "SEC", "QSO", "BAD", "CNT"}


def test_candidates(done: SimpleNamespace) -> None:
    for name, row in auto(done).items():
        mine = [one for one in done.candidates if one["spectrum_id"] == name]
        assert [one["rank"] for one in mine] == list(range(1, len(mine) + 1))
        if row["z"] is None:
            assert mine == []
            continue
        assert (mine[0]["z"], mine[0]["delta_chi2"]) == (row["z"], 0.0)
        assert mine[0]["probability"] > 0.5
        assert all(one["probability"] is None for one in mine[1:])
        assert all(900 < one["dof"] < 1000 for one in mine)
        # the model error takes some of it, so it is below one a degree of freedom
        assert 0.3 < mine[0]["chi2"] / mine[0]["dof"] < 1.3


def test_lines_are_in_physical_units_at_the_objects_redshift(done: SimpleNamespace) -> None:
    lines = {(row["spectrum_id"], row["line_name"]): row for row in done.lines}
    oii = lines["SEC", "[O III] 5008"]
    assert oii["detected"]
    assert 1e-18 < oii["flux"] < 1e-13
    assert abs(oii["snr"] - oii["flux"] / oii["flux_err"]) < 1e-3 * oii["snr"]
    # a continuum of about 2 in the file's unit
    assert 0.3e-17 < oii["continuum"] < 6e-17
    assert 0 < oii["continuum_err"] < oii["continuum"]
    assert {row["z"] for row in done.lines if row["spectrum_id"] == "QSO"} == {1.9 + 0.001}
    counts = [row for row in done.lines if row["spectrum_id"] == "CNT"]
    assert counts
    assert all(row["flux"] is None and row["continuum"] is None and row["snr"] is not None for row in counts)
    assert any(row["ew_rest"] is not None for row in counts)
    assert not [row for row in done.lines if row["spectrum_id"] in {"BAD", "SKY"}]
    assert {row["index_name"] for row in done.indices if row["spectrum_id"] == "GAL"} >= {"D4000", "Hdelta_A"}


def test_all_values_are_within_the_registrys_limits(done: SimpleNamespace) -> None:
    for name in TABLES:
        for column in standard_tables()[name].columns:
            for row in getattr(done, name):
                value = row.get(column.name)
                assert value is not None or not column.required, (name, column.name)
                if isinstance(value, float):
                    assert np.isfinite(value)
                    assert column.min is None or value >= column.min
                    assert column.max is None or value <= column.max
        keys = [row[standard_tables()[name].primary] for row in getattr(done, name)]
        assert len(set(keys)) == len(keys)


def test_the_model_lies_over_the_spectrum(done: SimpleNamespace) -> None:
    files = {row["spectrum_id"]: row for row in done.files}
    assert set(files) == {"GAL", "GAL2", "SEC", "QSO", "CNT"}
    assert {row["kind"] for row in done.files} == {"model"}
    for name, row in files.items():
        with fits.open(done.path / row["file"], checksum=True) as hdus, fits.open(done.path / f"spectra/{name}.fits") as spectrum:
            table, header = hdus[1].data, hdus[1].header
            assert np.allclose(table["WAVE"], spectrum[1].data["WAVE"][0], rtol=1e-12, atol=0)
            assert np.allclose(table["FLUX"], spectrum[1].data["FLUX"][0], rtol=1e-6)
            assert header["WAVEMED"] == ("air" if name == "GAL2" else "vacuum")
            assert header["Z"] == auto(done)[name]["z"]
            assert header.get("TUNIT2") == spectrum[1].header.get("TUNIT2")
            evidence = [header[f"EVID{number}"] for number in range(1, 1 + len(header["FEAT*"]))]
            assert evidence == sorted(evidence, reverse=True)
            assert evidence[0] > (4 if name == "GAL2" else 9)  # the same galaxy, with three times the noise
            assert header["FEAT1"] in {line.name for line in line_list()}
            used = np.isfinite(table["MODEL"])
            assert used.sum() > 950
            pulls = (table["FLUX"] - table["MODEL"])[used] / table["ERR"][used]
            assert 0.9 < 1.4826 * np.median(np.abs(pulls)) < 1.1


def test_the_rest_of_the_bundle_stays(done: SimpleNamespace) -> None:
    old, new = (Bundle(path, json.loads((path / "bundle.json").read_text())) for path in (done.source, done.path))
    for name in ("slits", "photometry"):
        assert pq.read_table(new.tables[name].path).equals(pq.read_table(old.tables[name].path))
    before = {row["spectrum_id"]: row for row in rows_of(done.source, "spectra")}
    for row in done.spectra:
        changed = {key for key, value in row.items() if before[row["spectrum_id"]].get(key) != value}
        assert changed <= {"redshift", "target_class"}
        # one file, not two copies of it
        assert (done.source / row["file"]).samefile(done.path / row["file"])
    assert {"spectra": 7, "redshifts": 7, "files": 5}.items() <= done.counts.items()
    assert done.counts == {name: table.rows for name, table in new.tables.items()}
    assert any("automatic" in note for note in new.description["notes"])
    provenance = json.loads((done.path / "provenance.json").read_text())
    (kept,) = provenance["bundle"].values()
    assert kept["entity"] == {"specola:x": {"prov:label": "x"}}
    assert sum(used.get("prov:role") == "templates" for used in provenance["used"].values()) == 2
    assert not done.path.with_name("two.measured").exists()
    assert ("redshifts", 6, 6) in done.seen
    assert ("rows", 6, 6) in done.seen


def test_measured_again_it_is_the_same(done: SimpleNamespace, tmp_path: Path) -> None:
    counts = measure_bundle(done.path, tmp_path / "three", FEW)
    assert counts == done.counts
    for name in TABLES:
        assert sorted(map(repr, rows_of(tmp_path / "three", name))) == sorted(map(repr, getattr(done, name))), name


def test_a_run_that_was_stopped_goes_on(
    make_bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: SimpleNamespace
) -> None:
    source = make_bundle(tmp_path / "one")
    whole, part = tmp_path / "two", tmp_path / "two.measured"

    def stop(_what: str, number: int, _total: int) -> None:
        if number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_bundle(source, whole, FEW, progress=stop)
    assert not whole.exists()
    journal = part / "records.jsonl"
    with journal.open("a") as stream:
        stream.write('{"spectrum": "QSO", "z": 1.')  # a kill in the middle of a line
    first: list[int] = []
    measure_bundle(source, whole, FEW, progress=lambda what, number, _: first.append(number) if what == "redshifts" else None)
    assert first[0] == 3
    for name in TABLES:
        assert rows_of(whole, name) == getattr(done, name), name
    # what was measured with other options is not taken for the same
    journal.parent.mkdir()
    journal.write_text('{"about": {"method": "another"}}\n{"spectrum": "GAL"}\n')
    first.clear()
    measure_bundle(source, tmp_path / "two", FEW, overwrite=True, progress=lambda _what, number, _total: first.append(number))
    assert first[0] == 0


def test_what_is_refused(make_bundle, tmp_path: Path) -> None:
    source = make_bundle(tmp_path / "one")
    with pytest.raises(SpectrumError, match="the bundle itself"):
        measure_bundle(source, source, FEW)
    with pytest.raises(SpectrumError, match="nothere"):
        measure_bundle(tmp_path / "nothere", tmp_path / "two", FEW)
    with pytest.raises(SpectrumError, match="scheme marz"):
        measure_bundle(source, tmp_path / "two", Options(scheme="marz"))
    (tmp_path / "taken").mkdir()
    with pytest.raises(BundleError, match="existing"):
        measure_bundle(source, tmp_path / "taken", FEW)
    (source / "spectra" / "SEC.fits").unlink()
    with pytest.raises(SpectrumError, match=r"SEC\.fits"):
        measure_bundle(source, tmp_path / "two", FEW)
    assert not (tmp_path / "two").exists()


def test_the_command(make_bundle, tmp_path: Path) -> None:
    source = make_bundle(tmp_path / "one")
    arguments = ["redshift", str(source), "--bundle", str(tmp_path / "two"), "--workers", "1", "--class", "STAR"]
    said = CliRunner().invoke(app, [*arguments, "--release", "auto", "--scheme", "zcosmos"])
    assert said.exit_code == 0, said.output
    assert "7 spectra" in said.output.replace("\n", " ")
    description = json.loads((tmp_path / "two" / "bundle.json").read_text())
    assert description["release"] == "auto"
    schemes = {row["flag_scheme"] for row in rows_of(tmp_path / "two", "redshifts") if row["method"].startswith(METHOD)}
    assert schemes == {"zcosmos"}
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "existing" in again.output
    assert CliRunner().invoke(app, [*arguments, "--output", "z.jsonl"]).exit_code == 2
    assert CliRunner().invoke(app, ["redshift", str(source), "--scheme", "vipers"]).exit_code == 2

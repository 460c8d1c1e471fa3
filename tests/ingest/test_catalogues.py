"""Catalogues in all formats through column mappings."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io.votable.tree import VOTableFile
from astropy.table import MaskedColumn, Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.check import check_bundle
from ingest.errors import SourceError
from ingest.readers import catalogue
from specola_bundle.survey import load_survey

SURVEY = """
[bundle]
survey = "test"
release = "r1"
title = "A test catalogue"
description = "Made for the tests of the mappings."
creators = ["Nobody, N."]
rights = "CC0"

[[table]]
name = "redshifts"

[[table.column]]
name = "redshift_id"
from = "num"
format = "T{}"

[[table.column]]
name = "object_id"
from = "num"
format = "{}"

[[table.column]]
name = "z"
from = "zspec"
null = [-99.0, -99.9]

[[table.column]]
from = "flag"
flags = "vipers"
null = [-1.0]

[[table.column]]
name = "class"
values = [{ from = "flag", map = { "14" = "QSO" } }, { from = "zspec", map = { "0.0" = "STAR" } }]
constant = "GALAXY"

[[table.column]]
name = "best"
constant = true

[[table]]
name = "photometry"

[[table.column]]
name = "object_id"
from = "num"
format = "{}"

[[table.column]]
name = "size"
from = "size"
unit_from = "arcmin"
null = [99.0]
type = "double"
unit = "arcsec"
ucd = "phys.angSize"
description = "Size of the object."
"""

COLUMNS = ("num", "zspec", "flag", "size")


def survey(tmp_path: Path, text: str = SURVEY):
    path = tmp_path / "survey.toml"
    path.write_text(text)
    return load_survey(path)


def write(folder: Path, kind: str, rows: dict[str, list]) -> Path:
    """The same rows in one of the formats; None is the format's own way to say that there is no value."""
    path = folder / f"catalogue.{kind}"
    arrow = pa.table(
        {"num": pa.array(rows["num"], pa.int64()), **{name: pa.array(rows[name], pa.float64()) for name in COLUMNS[1:]}}
    )
    if kind == "csv":
        pacsv.write_csv(arrow, path)
    elif kind == "csv.gz":
        pacsv.write_csv(arrow, folder / "plain")
        path.write_bytes(gzip.compress((folder / "plain").read_bytes()))
    elif kind == "parquet":
        pq.write_table(arrow, path, row_group_size=3)
    else:
        values = {name: [0 if value is None else value for value in rows[name]] for name in COLUMNS}
        masks = {name: [value is None for value in rows[name]] for name in COLUMNS}
        table = Table(
            {name: MaskedColumn(values[name], mask=masks[name], dtype="i8" if name == "num" else "f8") for name in COLUMNS}
        )
        if kind == "fits":
            for name in COLUMNS[1:]:
                table[name] = np.ma.filled(table[name], np.nan)
            table.write(path, overwrite=True)
        else:
            VOTableFile.from_table(table).to_xml(str(path))
    return path


def expected_z(value: float | None) -> float | None:
    return None if value is None or value in {-99.0, -99.9} else value


numbers = st.floats(-0.1, 20.0).map(lambda value: round(value, 5) + 0.0)
row = st.tuples(
    st.one_of(st.none(), st.sampled_from([-99.0, -99.9, 0.0]), numbers),
    st.sampled_from([4.0, 3.5, 14.0, 9.1, 2.4, 0.0, -1.0, -10.0, 214.2, None]),
    st.one_of(st.none(), st.just(99.0), st.floats(0.0, 50.0)),
)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "fits", "vot"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(row, min_size=1, max_size=12))
def test_values_go_through_any_format(tmp_path, kind, rows):
    source = {
        "num": list(range(10**15, 10**15 + len(rows))),
        "zspec": [r[0] for r in rows],
        "flag": [r[1] for r in rows],
        "size": [r[2] for r in rows],
    }
    path = write(tmp_path, kind, source)
    report = catalogue.read(path, tmp_path / "bundle", survey(tmp_path), overwrite=True)
    assert report.counts == {"redshifts": len(rows), "photometry": len(rows)}
    redshifts = pq.read_table(tmp_path / "bundle" / "catalogues" / "redshifts.parquet").to_pylist()
    photometry = pq.read_table(tmp_path / "bundle" / "catalogues" / "photometry.parquet").to_pylist()
    for number, (z, flag, size) in enumerate(rows):
        found = redshifts[number]
        assert found["redshift_id"] == f"T{10**15 + number}"
        assert found["z"] == expected_z(z)
        label = None if flag is None or flag == -1.0 else f"{flag:g}"
        assert found["flag_label"] == label
        assert found["flag_scheme"] == "vipers"
        assert found["secure"] == (label is not None and flag not in {0.0, -10.0})
        assert found["class"] == ("QSO" if flag == 14.0 else "STAR" if z == 0.0 else "GALAXY")
        wanted = None if size is None or size == 99.0 else size * units.arcmin.to(units.arcsec)
        if wanted is None:
            assert photometry[number]["size"] is None
        else:
            assert math.isclose(photometry[number]["size"], wanted, rel_tol=1e-15, abs_tol=0.0)
    check_bundle(tmp_path / "bundle")


ROWS = {"num": [1, 2, 3, 4], "zspec": [0.1, 0.2, 0.3, 0.4], "flag": [4.0, 3.0, 2.0, 9.0], "size": [1.0, 2.0, 3.0, 4.0]}


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "vot"])
def test_what_is_wrong_is_told_with_file_and_row(tmp_path, kind):
    def refused(**change: list) -> str:
        path = write(tmp_path, kind, {**ROWS, **change})
        with pytest.raises(SourceError) as caught:
            catalogue.read(path, tmp_path / "bundle", survey(tmp_path), overwrite=True)
        assert not (tmp_path / "bundle").exists()
        return str(caught.value)

    assert refused(num=[1, 2, 3, 2]).startswith(f"catalogue.{kind} row 4: found redshift_id 'T2', which row 2 has too")
    assert refused(flag=[4.0, 3.0, 7.5, 9.0]).startswith(f"catalogue.{kind} row 3, column flag: found flag '7.5'")


@pytest.mark.parametrize("kind", ["csv", "parquet", "fits", "vot"])
def test_a_column_is_missing(tmp_path, kind):
    path = write(tmp_path, kind, ROWS)
    text = SURVEY.replace('from = "zspec"\nnull', 'from = "redshift"\nnull')
    with pytest.raises(SourceError, match=rf"catalogue.{kind}: found no column redshift, expected one beside .*flag"):
        catalogue.read(path, tmp_path / "bundle", survey(tmp_path, text))


@pytest.mark.parametrize("kind", ["csv.gz", "parquet", "fits", "vot"])
def test_a_truncated_catalogue(tmp_path, kind):
    path = write(tmp_path, kind, ROWS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(SourceError, match=rf"catalogue.{kind.split('.')[0]}.*: found .*, expected"):
        catalogue.read(path, tmp_path / "bundle", survey(tmp_path))


def test_a_text_where_a_number_should_be(tmp_path):
    path = tmp_path / "catalogue.csv"
    path.write_text("num,zspec,flag,size\n1,0.1,4.0,1.0\n2,many,3.0,2.0\n")
    with pytest.raises(SourceError, match=r"catalogue.csv row 2, column zspec: found 'many', expected a value of type double"):
        catalogue.read(path, tmp_path / "bundle", survey(tmp_path))


def test_large_catalogues_are_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "BATCH", 7)
    rows = {"num": list(range(50)), "zspec": [0.1] * 50, "flag": [4.0] * 50, "size": [1.0] * 50}
    for kind in ("csv", "parquet", "fits", "vot"):
        pieces = [piece.num_rows for piece in catalogue.batches(write(tmp_path, kind, rows), COLUMNS, {})]
        assert sum(pieces) == 50
        assert max(pieces) <= 7
    report = catalogue.read(write(tmp_path, "csv", rows), tmp_path / "bundle", survey(tmp_path))
    assert report.counts["redshifts"] == 50


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "z"', 'name = "zz"', "found column redshifts.zz without documentation"),
        ('name = "z"', 'name = "z"\nunit = "km/s"', "found documentation for redshifts.z, expected none"),
        ("null = [-1.0]", "nulls = [-1.0]", "expected a name .* and no nulls"),
        ('rights = "CC0"', "", "found no rights in .bundle., expected one"),
        ('rights = "CC0"', 'rights = "CC0"\ncolour = "red"', "found .bundle. colour, expected only"),
        ("[bundle]", "[bundles]", "found bundles, expected only"),
        ("[bundle]", "[bundle", "expected TOML"),
        ('flags = "vipers"', 'flags = "viper"', "found flag scheme 'viper'"),
    ],
)
def test_a_wrong_survey_file(tmp_path, old, new, message):
    path = write(tmp_path, "csv", ROWS)
    with pytest.raises(SourceError, match=message):
        catalogue.read(path, tmp_path / "bundle", survey(tmp_path, SURVEY.replace(old, new, 1)))


def test_a_survey_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match=r"one of these names: .*zcosmos"):
        load_survey(tmp_path / "nothing.toml")


def test_a_name_no_format_has(tmp_path):
    (tmp_path / "catalogue.doc").write_text("x")
    with pytest.raises(SourceError, match=r"catalogue.doc: found this name, expected one that ends in .csv"):
        catalogue.read(tmp_path / "catalogue.doc", tmp_path / "bundle", survey(tmp_path))

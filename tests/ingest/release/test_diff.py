"""What is said to have changed between two bundles is what was changed, and all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ingest.diff
from ingest.check import check_bundle
from ingest.diff import CHANGES, compare, differs
from specola_bundle.bundle import Bundle, BundleWriter
from specola_bundle.registry import Column
from tests.ingest.load.releases import description, write_release

EXTRA = Column("note", "text", "A note.")


def _bundle(path: Path) -> Bundle:
    return check_bundle(path, read_files=False)


def _compared(before: Bundle, after: Bundle) -> tuple[Any, list[dict[str, Any]]]:
    pieces: list[pa.Table] = []
    summary = compare(before, after, pieces.append)
    return summary, pa.concat_tables([CHANGES.empty_table(), *pieces]).to_pylist()


def test_the_same_bundle_has_no_changes(tmp_path: Path) -> None:
    path = write_release(tmp_path / "a", "one", 20)
    summary, rows = _compared(_bundle(path), _bundle(path))
    assert summary.same
    assert rows == []


def test_spectra_redshifts_and_columns_that_came_went_and_changed(tmp_path: Path) -> None:
    before = write_release(tmp_path / "a", "one", 12)
    after = write_release(
        tmp_path / "b", "two", 14, changes={3: {"redshift": 4.0}, 5: {"wave_max": 8000.0, "note": "shorter"}, 7: {"snr": None}},
        extensions=[EXTRA],
    )  # fmt: skip
    summary, rows = _compared(_bundle(before), _bundle(after))
    spectra, redshifts = summary.tables["spectra"], summary.tables["redshifts"]
    assert (spectra.rows_before, spectra.rows_after, spectra.came, spectra.went, spectra.changed) == (12, 14, 2, 0, 3)
    assert spectra.columns == {"note": "came"}
    # Spectra 3 and 5 have other headers or arrays, so their files differ, too.
    assert spectra.values["redshift"] == 1
    assert spectra.values["wave_max"] == 1
    assert spectra.values["snr"] == 1
    assert spectra.values["file_sha256"] >= 1
    assert (redshifts.came, redshifts.changed, redshifts.values) == (2, 1, {"z": 1})
    assert {"table": "redshifts", "item": "value", "change": "changed", "key": "L000003", "column": "z", "before": "0.13",
            "after": "4"} in rows  # fmt: skip
    assert {row["key"] for row in rows if row["table"] == "spectra" and row["change"] == "came" and row["item"] == "row"} == {
        "L000012", "L000013",
    }  # fmt: skip
    back, _ = _compared(_bundle(after), _bundle(before))
    assert (back.tables["spectra"].came, back.tables["spectra"].went, back.tables["spectra"].columns) == (0, 2, {"note": "went"})


def test_tables_that_came_and_definitions_that_changed(tmp_path: Path) -> None:
    columns = [
        Column("thing_id", "integer", "Identifier.", required=True, unique=True),
        Column("size", "real", "Size.", unit="arcsec"),
    ]
    head = {"title": "Things", "description": "Things a bundle documents itself.", "primary": "thing_id"}
    other = [columns[0], Column("size", "double", "Size.", unit="deg")]
    rows = [{"thing_id": 1, "size": 0.5}, {"thing_id": 2, "size": None}]
    plain = write_release(tmp_path / "a", "one", 2)
    with_things = write_release(tmp_path / "b", "two", 2, tables={"things": (rows, {"extensions": columns, **head})})
    others = write_release(tmp_path / "c", "three", 2, tables={"things": (rows, {"extensions": other, **head})})
    summary, found = _compared(_bundle(plain), _bundle(with_things))
    assert summary.tables["things"].came == 2
    assert {
        "table": "things",
        "item": "table",
        "change": "came",
        "key": None,
        "column": None,
        "before": None,
        "after": None,
    } in found
    summary, found = _compared(_bundle(with_things), _bundle(others))
    assert summary.tables["things"].columns == {"size": "changed"}
    assert summary.tables["things"].changed == 0
    (row,) = [row for row in found if row["table"] == "things"]
    assert (row["before"], row["after"]) == ("real; unit arcsec; Size.", "double; unit deg; Size.")


def _redshifts(path: Path, values: dict[str, float | None]) -> Bundle:
    with BundleWriter(path, overwrite=True, **description("cat", kind="catalogue")) as writer:
        rows = [
            {"redshift_id": key, "object_id": key, "z": z, "flag_scheme": "truth", "secure": True, "best": True}
            for key, z in values.items()
        ]  # fmt: skip
        with writer.open_table("redshifts", ["redshift_id", "object_id", "z", "flag_scheme", "secure", "best"]) as table:
            table.append(rows)
    return _bundle(path)


KEYS = st.text("abcXYZ0123456789_.-", min_size=1, max_size=90).map(lambda text: "k" + text)
VALUES = st.dictionaries(KEYS, st.none() | st.floats(0, 20), max_size=30)


@settings(max_examples=60, deadline=None)
@given(before=VALUES, after=VALUES, kept=st.floats(0, 1), bucket=st.sampled_from([1, 5, 250_000]))
def test_against_sets_and_dictionaries(tmp_path_factory: pytest.TempPathFactory, before, after, kept, bucket) -> None:
    """Whatever the size of the buckets, the answer is that of Python's own dictionaries."""
    for key in list(before)[: int(kept * len(before))]:
        after[key] = before[key]
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest.diff, "BUCKET", bucket)
        summary, rows = _compared(_redshifts(folder / "a", before), _redshifts(folder / "b", after))
    found = {(row["item"], row["change"], row["key"], row["column"]) for row in rows}
    expected = {("row", "came", key, None) for key in after.keys() - before.keys()}
    expected |= {("row", "went", key, None) for key in before.keys() - after.keys()}
    changed = {key for key in before.keys() & after.keys() if before[key] != after[key]}
    expected |= {("value", "changed", key, "z") for key in changed} | {("row", "changed", key, None) for key in changed}
    assert found == expected
    assert len(rows) == len(expected)
    table = summary.tables["redshifts"]
    assert (table.came, table.went, table.changed) == (
        len(after.keys() - before.keys()),
        len(before.keys() - after.keys()),
        len(changed),
    )
    assert summary.same == (not expected)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (pa.array([1.0, np.nan, None, 2.0, None]), pa.array([1.0, np.nan, None, np.nan, 0.0]), [False, False, False, True, True]),
        (pa.array([1, 2], pa.int16()), pa.array([1.0, 2.5], pa.float64()), [False, True]),
        (pa.array(["1", "x"]), pa.array([1, 2], pa.int32()), [False, True]),
        (pa.array([[1.0, 2.0], None, [1.0]]), pa.array([[1.0, 2.0], [1.0], [2.0]]), [False, True, True]),
        (pa.array([True, None]), pa.array([False, None]), [True, False]),
    ],
)
def test_null_equals_null_and_nan_equals_nan(left: pa.Array, right: pa.Array, expected: list[bool]) -> None:
    assert differs(left, right).to_pylist() == expected


def test_large_tables_are_compared_in_buckets_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _redshifts(tmp_path / "a", {f"key{n}": n % 19 + 0.5 for n in range(20_000)})
    after = _redshifts(tmp_path / "b", {f"key{n}": n % 19 + (0.25 if n % 1000 == 0 else 0.5) for n in range(100, 20_100)})
    sizes: list[int] = []
    rows = ingest.diff._compare_rows
    monkeypatch.setattr(ingest.diff, "BUCKET", 4000)
    monkeypatch.setattr(ingest.diff, "_compare_rows", lambda *a: (sizes.append(len(a[2]) + len(a[3])), rows(*a)))
    summary, _ = _compared(before, after)
    table = summary.tables["redshifts"]
    assert (table.came, table.went, table.changed) == (100, 100, 19)
    assert len(sizes) == 10
    assert sum(sizes) == 40_000
    assert max(sizes) < 6000

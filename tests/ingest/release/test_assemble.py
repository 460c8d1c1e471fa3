"""One bundle of several is a good bundle, with what its sources have, once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ingest.assemble import Source, assemble
from ingest.check import check_bundle
from ingest.errors import BundleError
from specola_bundle.bundle import Bundle, sha256_of
from specola_bundle.registry import Column
from tests.ingest.load.releases import description, write_release


def _source(path: Path, spectra: list[str] | None = None) -> Source:
    return Source(path, sha256_of(path / "bundle.json"), None if spectra is None else frozenset(spectra))


def _numbers(path: Path, release: str, first: int, last: int, **words: Any) -> Path:
    """A bundle with the spectra of some numbers only."""
    whole = write_release(path.with_name(f"{path.name}-whole"), release, last, **words)
    names = [f"L{number:06d}" for number in range(first, last)]
    assemble(path, description(release), [_source(whole, names)])
    return path


def _made(path: Path, *sources: Source) -> Bundle:
    assemble(path, description("sum"), list(sources))
    return check_bundle(path)


def _column(bundle: Bundle, table: str, name: str) -> list[Any]:
    return pq.read_table(bundle.tables[table].path)[name].to_pylist()


def test_a_whole_bundle_comes_out_with_the_same_rows_and_files(tmp_path: Path) -> None:
    path = write_release(tmp_path / "a", "one", 30)
    made = _made(tmp_path / "sum", _source(path))
    old = Bundle(path, json.loads((path / "bundle.json").read_text()))
    for name in ("spectra", "redshifts"):
        columns = [column for column in pq.read_schema(old.tables[name].path).names if column != "file"]
        assert pq.read_table(made.tables[name].path, columns=columns).equals(
            pq.read_table(old.tables[name].path, columns=columns)
        )
    for identifier, one, other in zip(_column(made, "spectra", "spectrum_id"), _column(old, "spectra", "file"),
                                      _column(made, "spectra", "file"), strict=True):  # fmt: skip
        assert (path / one).read_bytes() == (made.path / other).read_bytes(), identifier
        assert not (path / one).samefile(made.path / other)


def test_two_bundles_and_a_choice_of_spectra(tmp_path: Path) -> None:
    first = write_release(tmp_path / "a", "one", 10)
    second = _numbers(tmp_path / "b", "two", 10, 20)
    made = _made(tmp_path / "sum", _source(first, ["L000002", "L000004"]), _source(second))
    wanted = ["L000002", "L000004", *(f"L{number:06d}" for number in range(10, 20))]
    assert _column(made, "spectra", "spectrum_id") == wanted
    assert _column(made, "redshifts", "spectrum_id") == wanted
    provenance = json.loads((made.path / "provenance.json").read_text())
    used = {entry["prov:usedEntity"] for entry in provenance["wasDerivedFrom"].values()}
    assert used == {f"specola:source/{sha256_of(path / 'bundle.json')}" for path in (first, second)}
    assert provenance["entity"][f"specola:source/{sha256_of(first / 'bundle.json')}"]["specola:spectra_taken"] == 2
    assert list(provenance["bundle"]) == [f"specola:source/{sha256_of(second / 'bundle.json')}"]


def test_columns_that_one_source_lacks_are_null(tmp_path: Path) -> None:
    extra = Column("note", "text", "A note.")
    first = write_release(tmp_path / "a", "one", 2, changes={0: {"note": "x"}, 1: {"note": "y"}}, extensions=[extra])
    second = _numbers(tmp_path / "b", "two", 2, 4)
    assert _column(_made(tmp_path / "sum", _source(first), _source(second)), "spectra", "note") == ["x", "y", None, None]
    assert _column(_made(tmp_path / "mus", _source(second), _source(first)), "spectra", "note") == [None, None, "x", "y"]


HEAD = {"title": "Things", "description": "Things a bundle documents itself.", "primary": "thing_id"}
THING = [Column("thing_id", "integer", "Identifier.", required=True, unique=True), Column("size", "real", "Size.", unit="arcsec")]


def _things(*rows: tuple[int, float | None], columns: list[Column] = THING, **head: str) -> dict[str, Any]:
    return {"things": ([{"thing_id": key, "size": size} for key, size in rows], {"extensions": columns, **HEAD, **head})}


def test_rows_that_both_have_are_taken_once(tmp_path: Path) -> None:
    first = write_release(tmp_path / "a", "one", 1, tables=_things((1, 0.5), (2, None)))
    second = _numbers(tmp_path / "b", "two", 1, 2, tables=_things((2, None), (3, 1.5)))
    made = _made(tmp_path / "sum", _source(first), _source(second))
    assert _column(made, "things", "thing_id") == [1, 2, 3]


WIDTH = Column("size", "real", "Width.", unit="deg")

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another value": (_things((2, 9.0)), r"\(2\), column size: found 9.0, expected None as in"),
    "another meaning": (_things((3, 1.0), columns=[THING[0], WIDTH]), "column size: found another meaning"),
    "another title": (_things((3, 1.0), title="Other things"), "table things: found another title"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_sources_that_contradict_each_other_are_refused(tmp_path: Path, case: str) -> None:
    tables, said = BAD[case]
    first = write_release(tmp_path / "a", "one", 1, tables=_things((1, 0.5), (2, None)))
    second = _numbers(tmp_path / "b", "two", 1, 2, tables=tables)
    with pytest.raises(BundleError, match=said):
        _made(tmp_path / "sum", _source(first), _source(second))
    assert not (tmp_path / "sum").exists()
    assert not (tmp_path / "sum.part").exists()


def test_a_spectrum_comes_from_one_source(tmp_path: Path) -> None:
    first, second = write_release(tmp_path / "a", "one", 3), write_release(tmp_path / "b", "two", 5)
    with pytest.raises(BundleError, match=r"b/manifest.parquet \(L000000\): found 3 spectra that .*a/manifest.parquet has too"):
        _made(tmp_path / "sum", _source(first), _source(second))
    _made(tmp_path / "sum", _source(first), _source(second, ["L000003", "L000004"]))


def test_a_source_that_was_changed_or_has_not_the_spectra_is_refused(tmp_path: Path) -> None:
    path = write_release(tmp_path / "a", "one", 3)
    with pytest.raises(BundleError, match="found no spectra X, Y, expected them"):
        _made(tmp_path / "sum", _source(path, ["L000001", "Y", "X"]))
    source = _source(path)
    write_release(path, "one", 4)
    with pytest.raises(BundleError, match=r"bundle\.json: found another content, expected SHA-256 .* as when it was added"):
        _made(tmp_path / "sum", source)


def test_a_file_that_is_missing_or_outside_is_named(tmp_path: Path) -> None:
    path = write_release(tmp_path / "a", "one", 3)
    file = path / "spectra" / "01" / "L000001.fits"
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(BundleError, match=r"L000001\.fits: found no such file inside the bundle"):
        _made(tmp_path / "sum", _source(path))
    (tmp_path / "elsewhere").write_bytes(content)
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"L000001\.fits: found no such file inside the bundle"):
        _made(tmp_path / "sum", _source(path))


def _with_files(path: Path, release: str) -> Path:
    contents = {f"files/{number}.txt": f"report {number}".encode() for number in range(3)}
    rows = [
        {
            "file_id": f"{release}-{number}", "spectrum_id": f"L{number:06d}", "kind": "report", "title": "A report",
            "file": name,
            "file_format": "text/plain", "file_size": len(content), "file_sha256": hashlib.sha256(content).hexdigest(),
        }
        for number, (name, content) in enumerate(contents.items())
    ]  # fmt: skip
    return write_release(path, release, 3, tables={"files": (rows, {})}, files=contents)


def test_further_files_come_with_their_spectra(tmp_path: Path) -> None:
    path = _with_files(tmp_path / "a", "one")
    made = _made(tmp_path / "sum", _source(path, ["L000002"]))
    assert _column(made, "files", "file_id") == ["one-2"]
    (file,) = _column(made, "files", "file")
    assert (made.path / file).read_bytes() == b"report 2"
    assert sorted(one.name for one in (made.path / "files").rglob("*.txt")) == ["one-2.txt"]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda file: file.write_bytes(b"report X"), "another content"),
        (lambda file: file.write_bytes(b"rep"), "truncated"),
        (lambda file: file.unlink(), "no such file inside the bundle"),
    ],
)
def test_a_further_file_that_is_not_what_it_was(tmp_path: Path, harm: Any, message: str) -> None:
    path = _with_files(tmp_path / "a", "one")
    harm(path / "files" / "1.txt")
    with pytest.raises(BundleError) as caught:
        check_bundle(path)
    (finding,) = [str(finding) for finding in caught.value.findings]
    assert finding.startswith("catalogues/files.parquet row 2 (one-1), file files/1.txt")
    assert message in finding

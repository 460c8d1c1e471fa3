"""What goes wrong while a release is loaded is told in one sentence, and the archive is as before."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ingest.load
from ingest.errors import BundleError, IngestError, ReleaseError
from ingest.load import ingest_bundle
from ingest.present import loaded_releases
from ingest.removal import remove_release
from ops.house import Archive, House
from specola_bundle.bundle import CONTRACT, Bundle, sha256_of
from tests.ingest.load.releases import footprint, snapshot, write_release


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the manifest and have bundle.json tell its checksum."""
    file = path / "manifest.parquet"
    pq.write_table(change(pq.read_table(file)), file)
    _describe(path, lambda description: description["tables"][0].update(sha256=sha256_of(file)))


def _describe(path: Path, change: Callable[[dict], object]) -> None:
    description = json.loads((path / "bundle.json").read_text())
    change(description)
    (path / "bundle.json").write_text(json.dumps(description))


def _set(name: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table[name].to_pylist()
        values[row] = value
        number = table.column_names.index(name)
        return table.set_column(number, table.schema.field(name), pa.array(values, table.schema.field(name).type))

    return change


def _unit(table: pa.Table) -> pa.Table:
    number = table.column_names.index("wave_min")
    return table.set_column(number, table.schema.field("wave_min").with_metadata({"unit": "nm"}), table["wave_min"])


def _first_file(path: Path) -> Path:
    return path / "spectra" / "00" / "L000000.fits"


def _other_content(path: Path) -> None:
    _first_file(path).write_bytes(b" " * _first_file(path).stat().st_size)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated file": (lambda path: os.truncate(_first_file(path), 5000), "row 1 .L000000.*5000 bytes"),
    "changed file": (
        lambda path: _first_file(path).write_bytes(b" " * _first_file(path).stat().st_size),
        "row 1 .L000000.*SHA-256",
    ),
    "missing file": (lambda path: _first_file(path).unlink(), "row 1 .L000000.*no such file"),
    "duplicate identifier": (lambda path: _rewrite(path, _set("spectrum_id", 4, "L000002")), "row 5 .L000002.*every value once"),
    "out of range": (lambda path: _rewrite(path, _set("dec", 3, -91.0)), "row 4 .L000003.*dec: found -91.0"),
    "wrong unit": (lambda path: _rewrite(path, _unit), "wave_min: found unit 'nm'"),
    "missing column": (
        lambda path: _rewrite(path, lambda table: table.drop_columns("flux_unit")),
        "column flux_unit: found no such",
    ),
    "newer contract": (
        lambda path: _describe(path, lambda d: d.update(contract=f"{CONTRACT[0]}.{CONTRACT[1] + 1}")),
        "newer than this Specola",
    ),
    "no description": (lambda path: (path / "bundle.json").unlink(), "bundle.json: found No such file"),
    "changed table": (lambda path: (path / "manifest.parquet").write_bytes(b"PAR1"), "manifest.parquet: found another content"),
}


def test_a_bad_bundle_of_any_kind_is_refused_before_anything_happens(archive: Archive, release: str, tmp_path: Path) -> None:
    before = snapshot(archive)
    for kind, (spoil, message) in BAD.items():
        path = write_release(tmp_path / kind.replace(" ", "_"), release)
        spoil(path)
        with pytest.raises(BundleError, match=message):
            ingest_bundle(path, archive, previews=False)
        assert snapshot(archive) == before, kind
    assert footprint(archive, f"loadtest_{release}")["hidden files"] == 0


@contextmanager
def _refused(archive: Archive, schema: str, message: str) -> Iterator[None]:
    before = snapshot(archive)
    with pytest.raises(IngestError, match=message):
        yield
    assert snapshot(archive) == before
    assert not any(footprint(archive, schema).values())


def test_the_database_refuses_at_the_end(archive: Archive, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of one primary key, which the check would have found, are seen only when the index is made."""
    path = write_release(tmp_path / "bundle", release)
    _rewrite(path, lambda table: pa.concat_tables([table, table.slice(0, 1)]))
    monkeypatch.setattr(ingest.load, "check_bundle", _unchecked)
    monkeypatch.setattr(ingest.load, "stage_products", _without_files)
    with _refused(archive, f"loadtest_{release}", "the database refused, and is as before: .*L000000.*is duplicated"):
        ingest_bundle(path, archive, previews=False)


def _unchecked(path: Path, **_: object) -> Bundle:
    return Bundle(path, json.loads((path / "bundle.json").read_text()))


def _without_files(bundle: Bundle, products: Path, **_: object) -> Path:
    part = products / f".{bundle.schema}.x.part"
    part.mkdir()
    return part


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (b'"only one column"\n', "missing data for column"),
        (b"\xff\xfe\n", "invalid byte sequence|missing data"),
        (b'"an open quote\n', "unterminated CSV quoted field|missing data"),
    ],
)
def test_the_database_refuses_in_the_middle_of_a_table(
    archive: Archive, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: bytes, message: str
) -> None:
    path = write_release(tmp_path / "bundle", release)
    # A long table follows: the loader has to get out of it without either side waiting for the other.
    monkeypatch.setattr(ingest.load, "copy_stream", lambda *_, **__: [rows, *[b'"x"\n' * 100_000] * 50])
    with _refused(archive, f"loadtest_{release}", message):
        ingest_bundle(path, archive, previews=False)


def test_the_source_of_the_rows_fails_in_the_middle(
    archive: Archive, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> Iterator[bytes]:
        yield b""
        raise OSError(5, "Input/output error", "manifest.parquet")

    path = write_release(tmp_path / "bundle", release)
    monkeypatch.setattr(ingest.load, "copy_stream", failing)
    with _refused(archive, f"loadtest_{release}", "the disk refused, and the archive is as before: .*Input/output error"):
        ingest_bundle(path, archive, previews=False)


def _driver(house: House, *arguments: str, limit: int | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "SPECOLA_VAR": str(house.var), "SPECOLA_PORT": str(house.base_port)}
    environment["PYTHONPATH"] = str(house.repository)

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command: Sequence[str] = [sys.executable, str(Path(__file__).with_name("driver.py")), "public", *arguments]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limited,  # noqa: PLW1509
    )


def test_no_room_for_a_file(house: House, archive: Archive, release: str, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the RD does not fit."""
    path = write_release(tmp_path / "bundle", release)
    before = snapshot(archive)
    process = _driver(house, str(path), limit=2000)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1, output
    assert "the disk refused, and the archive is as before" in output
    assert "File too large" in output
    assert snapshot(archive) == before
    assert not any(footprint(archive, f"loadtest_{release}").values())


def test_no_database(archive: Archive, release: str, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", release)
    away = replace(archive, admin_dsn=f"host={tmp_path} port=5432 dbname=archive")
    with pytest.raises(IngestError, match="specola status"):
        ingest_bundle(path, away, previews=False)


def test_two_at_once(house: House, archive: Archive, release: str, tmp_path: Path) -> None:
    """Of two ingests one is refused cleanly, or comes after the other; each release is in once."""
    releases = {name: write_release(tmp_path / name, f"{release}{name}", 200) for name in ("a", "b")}
    processes = {name: _driver(house, str(path)) for name, path in releases.items()}
    outputs = {name: process.communicate(timeout=180)[0] for name, process in processes.items()}
    try:
        done = [name for name, process in processes.items() if process.returncode == 0]
        assert done, outputs
        for name, path in releases.items():
            if name not in done:
                assert "found another ingest into the public archive at work; wait for its end" in outputs[name]
                ingest_bundle(path, archive, previews=False)
        counts = [footprint(archive, f"loadtest_{release}{name}") for name in releases]
        assert counts[0] == counts[1]
        assert counts[0]["obscore"] == 200
    finally:
        for name in releases:
            if f"loadtest_{release}{name}" in loaded_releases(archive):
                remove_release(f"loadtest_{release}{name}", archive)


def test_two_machines_at_once(archive: Archive, release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another machine has loaded since we looked is found when the loader has the database's lock."""
    path = write_release(tmp_path / "bundle", release)
    other = write_release(tmp_path / "other", release, changes={3: {"redshift": 4.0}})
    ingest_bundle(path, archive, previews=False)
    before = snapshot(archive)
    known = loaded_releases(archive)
    looks = iter([{}])
    monkeypatch.setattr(ingest.load, "loaded_releases", lambda *_, **__: next(looks, known))
    assert ingest_bundle(path, archive, previews=False).rows == {"spectra": 12, "redshifts": 12}
    looks = iter([{}])
    with pytest.raises(ReleaseError, match="another content"):
        ingest_bundle(other, archive, previews=False)
    monkeypatch.undo()
    assert snapshot(archive) == before
    assert footprint(archive, f"loadtest_{release}")["hidden files"] == 0

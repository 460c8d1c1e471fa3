"""Loading a release into a real archive: everything arrives as it was, once, and can be taken out without a trace."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.check import check_bundle
from ingest.errors import ReleaseError
from ingest.load import ingest_bundle
from ingest.present import loaded_releases
from ingest.removal import remove_release
from ingest.rows import copy_stream
from ops.house import Archive
from specola_bundle.bundle import Bundle, BundleWriter
from specola_bundle.registry import Column
from tests.ingest.load.releases import PIXELS, description, footprint, query, redshift_row, snapshot, spectrum_row, write_release

TEXTS = [
    "plain", "", None, "it's", 'a "quoted" word', "comma, semicolon; tab\t", "two\nlines", "carriage\r\nreturn", "back\\slash",
    "\\N", "\\.", "NULL", "null", " blanks ", "é ü ☃ 🜚 \u00a0", "{1,2}", "%s %(x)s", "a" * 3000,
]  # fmt: skip

EXTENSIONS = (
    Column("note", "text", "A note with everything in it."),
    Column("flag", "boolean", "True, false or unknown."),
    Column("small", "smallint", "A small number."),
    Column("number", "integer", "A number."),
    Column("big", "bigint", "A big number."),
    Column("single", "real", "A number in single precision."),
    Column("twice", "double", "A number in double precision."),
    Column("moment", "timestamp", "A moment (UTC)."),
    Column("outline", "spoly", "An outline (ICRS).", unit="deg"),
    Column("kept_back", "text", "Not for the public.", internal=True),
)

VALUES: dict[str, list[Any]] = {
    "flag": [True, False, None],
    "small": [-32767, 32767, None, 0],
    "number": [-2147483647, 2147483647, None, 0],
    "big": [-(2**63) + 1, 2**63 - 1, None, 2**53 + 1],
    "single": [float(np.float32(1) / 3), 1.1754944e-38, 3.4028235e38, None, -0.0, 0.0],
    "twice": [1 / 3, 5e-324, 1.7976931348623157e308, None, 0.1 + 0.2, 123456789.123456789],
    "moment": [datetime(1970, 1, 1), datetime(2026, 2, 28, 23, 59, 59, 999999), None],  # noqa: DTZ001 - UTC without a zone
    "outline": [[10.0, -1.0, 11.0, -1.0, 10.5, 1 / 3], None],
}


def _varied(count: int) -> dict[int, dict[str, Any]]:
    return {
        number: {"note": TEXTS[number % len(TEXTS)], "kept_back": "secret"}
        | {name: values[number % len(values)] for name, values in VALUES.items()}
        for number in range(count)
    }


def test_values_of_every_type_come_out_as_they_went_in(archive: Archive, release: str, tmp_path: Path) -> None:
    changes = _varied(len(TEXTS))
    things = [{"thing_id": -(2**60) - number, "label": text, "size": None} for number, text in enumerate(TEXTS)]
    thing_columns = [
        Column("thing_id", "bigint", "Identifier.", required=True, unique=True, ucd="meta.id;meta.main"),
        Column("label", "text", "A label."),
        Column("size", "double", "Its size, which nobody knows.", unit="arcsec", ucd="phys.angSize"),
    ]
    head = {"title": "Things", "description": "Things a bundle documents itself.", "primary": "thing_id", "indexes": ["size"]}
    path = write_release(
        tmp_path / "bundle",
        release,
        len(TEXTS),
        changes=changes,
        extensions=EXTENSIONS,
        tables={"things": (things, {"extensions": thing_columns, **head})},
    )
    done = ingest_bundle(path, archive, previews=False)
    assert done.rows == {"spectra": len(TEXTS), "redshifts": len(TEXTS), "things": len(TEXTS)}
    names = ["note", *(name for name in VALUES if name not in {"outline", "single"})]
    found = query(archive, f"SELECT {', '.join(names)} FROM {done.schema}.spectra ORDER BY spectrum_id")
    assert found == [tuple(changes[number][name] for name in names) for number in range(len(TEXTS))]
    singles = query(archive, f"SELECT single FROM {done.schema}.spectra ORDER BY spectrum_id")
    assert [None if v is None else np.float32(v) for (v,) in singles] == [
        None if changes[n]["single"] is None else np.float32(changes[n]["single"]) for n in range(len(TEXTS))
    ]
    (outline,) = query(archive, f"SELECT DISTINCT outline::text FROM {done.schema}.spectra WHERE outline IS NOT NULL")
    corners = np.degrees(np.array(outline[0].strip("{()}").replace("),(", ",").split(","), float))
    np.testing.assert_allclose(corners, VALUES["outline"][0], rtol=0, atol=1e-12)
    assert query(archive, f"SELECT thing_id, label, size FROM {done.schema}.things ORDER BY thing_id DESC") == [
        (thing["thing_id"], thing["label"], None) for thing in things
    ]
    columns = query(archive, "SELECT column_name FROM information_schema.columns WHERE table_schema=%s", [done.schema])
    assert not {"kept_back", "file"} & {name for (name,) in columns}


def test_columns_that_are_not_given_or_null_are_null(archive: Archive, release: str, tmp_path: Path) -> None:
    nothing = dict.fromkeys(["ra", "dec", "redshift", "snr", "aperture", "exptime", "t_min", "t_max", "facility", "n_valid"])
    path = write_release(tmp_path / "bundle", release, 4, changes={1: nothing})
    schema = ingest_bundle(path, archive, previews=False).schema
    names = [*nothing, "coverage", "creator_did", "work_product", "preview", "owner", "embargo"]
    (row,) = query(archive, f"SELECT {', '.join(names)} FROM {schema}.spectra WHERE spectrum_id='L000001'")
    assert row == (None,) * len(names)
    assert query(archive, f"SELECT count(*) FROM {schema}.spectra WHERE coverage IS NULL OR ra IS NULL") == [(1,)]


def test_nan_becomes_null_on_the_way_to_the_database(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle", **description("nan")) as writer:
        writer.write_table("redshifts", [redshift_row(spectrum_row(0)) | {"z": np.nan, "z_err": 0.5}])
    bundle = Bundle(tmp_path / "bundle", {**description("nan"), "tables": _tables(tmp_path / "bundle")})
    (line,) = b"".join(copy_stream(bundle, bundle.tables["redshifts"], "org.example", previews=False)).decode().splitlines()
    assert line == '"L000000","O0","L000000",10,-5,,0.5,"truth",true,true'


def _tables(path: Path) -> list[dict[str, Any]]:
    rows = pq.ParquetFile(path / "catalogues" / "redshifts.parquet").metadata.num_rows
    return [{"name": "redshifts", "path": "catalogues/redshifts.parquet", "sha256": "", "rows": rows}]


def test_every_place_that_knows_of_a_release_knows_all_of_it(archive: Archive, release: str, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", release, 12)
    done = ingest_bundle(path, archive, previews=False)
    assert not done.already
    found = footprint(archive, done.schema)
    assert {
        "schema": 1, "releases": 1, "obscore": 12, "obscore sources": 1, "products": 24, "files": 12, "rd": 1, "hidden files": 0,
        "tap tables": 2, "tap schemas": 1,
    }.items() <= found.items()  # fmt: skip
    none = {"hidden files", "download", "listed for download"}  # the last two come with a promotion
    assert all((value == 0) == (name in none) for name, value in found.items()), found
    assert loaded_releases(archive)[done.schema] == check_bundle(path).identity
    (size,) = {len(file.read_bytes()) for file in (archive.products / done.schema / "spectra").iterdir()}
    assert query(archive, f"SELECT DISTINCT accsize, n_pixels FROM {done.schema}.spectra") == [(size, PIXELS)]


def test_the_same_bundle_again_changes_nothing(archive: Archive, release: str, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", release)
    ingest_bundle(path, archive, previews=False)
    before = snapshot(archive)
    again = ingest_bundle(path, archive, previews=False)
    assert again.already
    assert again.rows == {"spectra": 12, "redshifts": 12}
    assert snapshot(archive) == before


def test_another_content_under_the_same_name_is_refused(archive: Archive, release: str, tmp_path: Path) -> None:
    ingest_bundle(write_release(tmp_path / "bundle", release), archive, previews=False)
    before = snapshot(archive)
    other = write_release(tmp_path / "other", release, changes={3: {"redshift": 4.0}})
    with pytest.raises(ReleaseError, match=f"found release loadtest_{release}, expected one the archive does not have"):
        ingest_bundle(other, archive, previews=False)
    assert snapshot(archive) == before


def test_a_removed_release_leaves_nothing_but_the_registrys_memory(archive: Archive, release: str, tmp_path: Path) -> None:
    before = snapshot(archive)
    schema = ingest_bundle(write_release(tmp_path / "bundle", release), archive, previews=False).schema
    remove_release(schema, archive)
    assert not any(footprint(archive, schema).values())
    after = snapshot(archive)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    # OAI-PMH wants to know that the services once were; the list of services has a new date.
    assert changed <= {
        "dc.resources",
        "dc.resources_join",
        "dc.interfaces",
        "dc.sets",
        "dc.res_dependencies",
        "dc.rdmeta",
        "dc.subjects",
    }
    deleted = query(archive, "SELECT count(*) FROM dc.resources WHERE sourcerd=%s AND deleted", [f"{schema}/q"])
    assert deleted[0][0] > 0
    with pytest.raises(ReleaseError, match="found no release"):
        remove_release(schema, archive)

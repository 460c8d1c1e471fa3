"""TAP as pyvo, and nothing of us, sees it."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import pyvo
import requests
from astropy import units
from astropy.io import votable
from astropy.table import Table
from lxml import etree

from ops.house import Archive
from specola_bundle.registry import standard_tables


@pytest.fixture(scope="module")
def tap(archive: Archive) -> pyvo.dal.TAPService:
    return pyvo.dal.TAPService(f"{archive.url}/tap")


def test_every_table_has_the_rows_of_the_bundle(tap: pyvo.dal.TAPService, demo: SimpleNamespace) -> None:
    for name, path in (
        ("spectra", "manifest.parquet"),
        *((n, f"catalogues/{n}.parquet") for n in ("redshifts", "photometry", "pointings", "slits", "truth")),
    ):
        found = tap.search(f"SELECT count(*) AS n FROM {demo.schema}.{name}")["n"][0]
        assert found == pq.ParquetFile(demo.bundle / path).metadata.num_rows > 0, name


def test_values_are_the_bundles(tap: pyvo.dal.TAPService, demo: SimpleNamespace) -> None:
    columns = [
        "redshift_id",
        "object_id",
        "spectrum_id",
        "z",
        "z_err",
        "flag_label",
        "confidence",
        "broad_line",
        "secure",
        "class",
    ]
    served = tap.search(f"SELECT {', '.join(columns)} FROM {demo.schema}.redshifts ORDER BY redshift_id", maxrec=10**6).to_table()
    rows = sorted(
        pq.read_table(demo.bundle / "catalogues/redshifts.parquet", columns=columns).to_pylist(), key=lambda r: r["redshift_id"]
    )
    assert len(served) == len(rows)
    for name in columns:
        for row, value in zip(rows, served[name], strict=True):
            missing = np.ma.is_masked(value) or value == "" or (isinstance(value, (float, np.floating)) and np.isnan(value))
            assert (missing and row[name] is None) or value == row[name], (row["redshift_id"], name, value, row[name])


def test_sync_and_async_agree(tap: pyvo.dal.TAPService, demo: SimpleNamespace) -> None:
    query = f"SELECT spectrum_id, snr FROM {demo.schema}.spectra WHERE snr > 2 ORDER BY spectrum_id"
    direct, job = tap.run_sync(query).to_table(), tap.run_async(query).to_table()
    assert len(direct) > 0
    assert (direct["spectrum_id"] == job["spectrum_id"]).all()
    assert (direct["snr"] == job["snr"]).all()


@pytest.mark.parametrize("phase", ["PHASE", "phase"])
def test_a_job_made_with_phase_run_begins_at_once(archive: Archive, web: requests.Session, phase: str) -> None:
    """UWS 1.1, section 2.2.3.1; one made without waits."""
    question = {"LANG": "ADQL", "QUERY": "SELECT count(*) AS n FROM ivoa.obscore"}
    begun, waiting = (
        web.post(f"{archive.url}/tap/async", data=question | extra, allow_redirects=False).headers["Location"]
        for extra in ({phase: "RUN"}, {})
    )
    found = ""
    for _ in range(20):
        # the answer comes when the phase has changed (UWS 1.1, section 2.2.1.1)
        found = web.get(f"{begun}/phase", params={"WAIT": "5"}).text
        if found not in {"QUEUED", "EXECUTING"}:
            break
        web.get(begun, params={"WAIT": "5"})
    assert found == "COMPLETED"
    assert web.get(f"{waiting}/phase").text == "PENDING"
    for job in (begun, waiting):
        assert web.delete(job, allow_redirects=False).status_code == 303


def test_a_join_across_all_tables(tap: pyvo.dal.TAPService, demo: SimpleNamespace) -> None:
    schema = demo.schema
    found = tap.search(
        f"SELECT s.spectrum_id, r.z, p.mag_selection, f.seeing, l.length FROM {schema}.spectra AS s"
        f" JOIN {schema}.redshifts AS r ON r.spectrum_id = s.spectrum_id"
        f" JOIN {schema}.photometry AS p ON p.object_id = s.object_id"
        f" JOIN {schema}.pointings AS f ON f.pointing_id = s.pointing_id"
        f" JOIN {schema}.slits AS l ON l.slit_id = s.slit_id WHERE r.secure = 'True'"
    ).to_table()
    assert len(found) > 50
    assert np.all(found["length"] > 0)


def test_cone_and_footprint(tap: pyvo.dal.TAPService, demo: SimpleNamespace) -> None:
    row = tap.search(
        f"SELECT TOP 1 spectrum_id, ra, dec, pointing_id FROM {demo.schema}.spectra WHERE pointing_id IS NOT NULL"
    ).to_table()[0]
    near = tap.search(
        f"SELECT spectrum_id FROM {demo.schema}.spectra"
        f" WHERE 1=CONTAINS(POINT(ra, dec), CIRCLE({row['ra']}, {row['dec']}, 0.0003))"
    ).to_table()
    assert row["spectrum_id"] in list(near["spectrum_id"])
    inside = tap.search(
        f"SELECT pointing_id FROM {demo.schema}.pointings WHERE 1=CONTAINS(POINT({row['ra']}, {row['dec']}), footprint)"
    ).to_table()
    assert row["pointing_id"] in list(inside["pointing_id"])


def test_upload_join(tap: pyvo.dal.TAPService, demo: SimpleNamespace) -> None:
    some = tap.search(f"SELECT TOP 5 object_id FROM {demo.schema}.spectra ORDER BY object_id").to_table()
    mine = Table({"object_id": [str(v) for v in some["object_id"]], "weight": np.arange(len(some), dtype=float)})
    found = tap.run_sync(
        f"SELECT u.weight, s.object_id FROM TAP_UPLOAD.mine AS u JOIN {demo.schema}.spectra AS s ON s.object_id = u.object_id",
        uploads={"mine": mine},
    ).to_table()
    assert set(found["object_id"]) == set(mine["object_id"])


def test_tap_schema_says_what_the_registry_says(tap: pyvo.dal.TAPService, demo: SimpleNamespace) -> None:
    for table in ("spectra", "redshifts", "photometry", "pointings", "slits"):
        rows = tap.search(
            f"SELECT column_name, unit, ucd, description FROM tap_schema.columns WHERE table_name='{demo.schema}.{table}'"
        ).to_table()
        served = {str(row["column_name"]).strip('"'): row for row in rows}
        for column in standard_tables()[table].published:
            row = served[column.name]
            assert str(row["unit"] or "") == column.unit, column.name
            assert str(row["ucd"] or "") == column.ucd, column.name
            assert " ".join(str(row["description"]).split()) == column.description, column.name
        assert all(str(row["description"]).strip() for row in rows), table
        for row in rows:
            units.Unit(str(row["unit"] or ""), format="vounit", parse_strict="raise")


def test_simulated_is_said(tap: pyvo.dal.TAPService, demo: SimpleNamespace) -> None:
    tables = tap.search(f"SELECT table_name, description FROM tap_schema.tables WHERE schema_name='{demo.schema}'").to_table()
    assert len(tables) == 6
    for row in tables:
        assert str(row["description"]).startswith("SIMULATED"), row["table_name"]
    release = tap.search(f"SELECT title, simulated FROM specola.releases WHERE schema_name='{demo.schema}'").to_table()[0]
    assert release["title"].startswith("SIMULATED")
    assert release["simulated"]


def test_wrong_adql_is_an_error_that_says_where(tap: pyvo.dal.TAPService) -> None:
    with pytest.raises(pyvo.dal.DALQueryError, match="nosuchtable"):
        tap.search("SELECT * FROM nosuchtable")


def test_every_example_runs_and_finds_something(tap: pyvo.dal.TAPService, demo: SimpleNamespace, web: requests.Session) -> None:
    page = etree.fromstring(web.get(f"{tap.baseurl}/examples").content)
    queries = ["".join(item.itertext()) for item in page.iter() if item.get("property") == "query"]
    assert len(queries) >= 6
    for query in queries:
        # a position that is in the demonstration survey stands in the page for whatever a user looks for
        assert len(tap.search(query, maxrec=10)) > 0, query
    assert len(tap.examples) == len(queries)


def test_limits_of_columns(tap: pyvo.dal.TAPService, demo: SimpleNamespace, web: requests.Session) -> None:
    """Also of the newest release under the survey's name; what is computed of a column does not have its limits."""
    rows = pq.read_table(demo.bundle / "manifest.parquet", columns=["snr", "redshift", "n_pixels"])
    for schema in (demo.schema, "demo"):
        query = f"SELECT snr, redshift, n_pixels, COUNT(*) AS n FROM {schema}.spectra GROUP BY snr, redshift, n_pixels"
        answer = web.get(f"{tap.baseurl}/sync", params={"LANG": "ADQL", "MAXREC": "1", "QUERY": query})
        fields = {field.name: field for field in votable.parse(io.BytesIO(answer.content)).get_first_table().fields}
        for name in rows.column_names:
            known = rows[name].drop_null().to_numpy()
            assert np.float32(fields[name].values.min) == np.float32(known.min()), (schema, name)
            assert np.float32(fields[name].values.max) == np.float32(known.max()), (schema, name)
        assert fields["n"].values.max is None

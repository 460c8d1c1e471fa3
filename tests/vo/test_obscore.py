"""ivoa.obscore column by column against the bundle (ObsCore 1.1, table 6)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import pyvo
import requests

from ops.house import Archive


def _rows(archive: Archive, demo: SimpleNamespace) -> dict[str, dict[str, object]]:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    table = tap.search(f"SELECT * FROM ivoa.obscore WHERE source_table='{demo.schema}.spectra'", maxrec=10**6).to_table()
    return {str(row["obs_id"]): {name: row[name] for name in table.colnames} for row in table}


def _same(found: object, expected: object) -> bool:
    if expected is None:
        return bool(np.ma.is_masked(found) or found in ("", None) or (isinstance(found, float | np.floating) and np.isnan(found)))
    if isinstance(expected, float):
        return float(found) == pytest.approx(expected, rel=1e-6)  # type: ignore[arg-type]
    return found == expected


def test_every_column(archive: Archive, demo: SimpleNamespace) -> None:
    served = _rows(archive, demo)
    manifest = pq.read_table(demo.bundle / "manifest.parquet").to_pylist()
    assert len(served) == len(manifest)
    for row in manifest:
        expected = {
            "dataproduct_type": "spectrum",
            "calib_level": 2,
            "obs_collection": "DEMO",
            "obs_title": row["title"],
            "obs_publisher_did": f"ivo://{archive.authority}/{demo.schema}/q/ssap?{row['spectrum_id']}",
            "access_url": f"{archive.url}/getproduct/{demo.schema}/spectra/{row['spectrum_id']}.fits",
            "access_format": "application/fits",
            "access_estsize": -(-row["file_size"] // 1024),
            "target_name": row["target_name"],
            "target_class": row["target_class"],
            "s_ra": row["ra"],
            "s_dec": row["dec"],
            "s_fov": row["aperture"],
            "t_min": row["t_min"],
            "t_max": row["t_max"],
            "t_exptime": row["exptime"],
            "t_resolution": row["exptime"],
            "em_min": row["wave_min"] * 1e-10,
            "em_max": row["wave_max"] * 1e-10,
            "em_res_power": row["res_power"],
            "em_xel": row["n_pixels"],
            "o_ucd": "phot.flux.density;em.wl",
            "em_ucd": "em.wl;obs.atmos" if row["wave_medium"] == "air" else "em.wl",
            "facility_name": row["facility"],
            "instrument_name": row["instrument"],
            "preview": f"{archive.url}/getproduct/{demo.schema}/previews/{row['spectrum_id']}.png",
            "source_table": f"{demo.schema}.spectra",
        }
        found = served[row["spectrum_id"]]
        for name, value in expected.items():
            assert _same(found[name], value), (row["spectrum_id"], name, found[name], value)
        assert found["t_max"] - found["t_min"] >= row["exptime"] / 86400 * 0.999  # type: ignore[operator]


def test_s_region_holds_the_position(archive: Archive, demo: SimpleNamespace) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    found = tap.search(
        "SELECT count(*) AS n FROM ivoa.obscore WHERE source_table='"
        f"{demo.schema}.spectra' AND s_ra IS NOT NULL AND s_fov IS NOT NULL AND 1=CONTAINS(POINT(s_ra, s_dec), s_region)"
    )
    assert found["n"][0] == len(_rows(archive, demo))


def test_urls_deliver(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    for row in list(_rows(archive, demo).values())[:10]:
        answer = web.get(str(row["access_url"]))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/fits"
        assert abs(len(answer.content) / 1024 - int(row["access_estsize"])) <= 1  # type: ignore[call-overload]
        picture = web.get(str(row["preview"]))
        assert picture.status_code == 200
        assert picture.headers["Content-Type"] == "image/png"
        assert picture.content.startswith(b"\x89PNG")


def test_cone_uses_the_index(archive: Archive, demo: SimpleNamespace) -> None:
    import psycopg2

    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN SELECT * FROM {demo.schema}.spectra WHERE q3c_join(34.0, -5.0, ra, dec, 0.01)")
        assert "spectra_q3c" in str(cursor.fetchall())
        cursor.execute(f"EXPLAIN SELECT * FROM {demo.schema}.ssa WHERE ssa_location <@ scircle(spoint(0.6, -0.09), 0.001)")
        assert "location" in str(cursor.fetchall())

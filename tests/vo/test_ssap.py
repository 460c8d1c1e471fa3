"""SSAP 1.1 parameter by parameter, each against the same condition worked out from the bundle."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests
from astropy.io import votable
from astropy.time import Time

from ops.house import Archive

MANDATORY = {
    # SSAP 1.1, section 4.2.5: what every response has
    "ssa:Dataset.DataModel": "char",
    "ssa:Dataset.Length": "int",
    "ssa:DataID.Title": "char",
    "ssa:Curation.Publisher": "char",
    "ssa:Access.Reference": "char",
    "ssa:Access.Format": "char",
    "ssa:Char.SpatialAxis.Coverage.Location.Value": "double",
    "ssa:Char.SpatialAxis.Coverage.Bounds.Extent": "float",
    "ssa:Char.SpectralAxis.Coverage.Location.Value": "float",
    "ssa:Char.SpectralAxis.Coverage.Bounds.Extent": "float",
    "ssa:Char.TimeAxis.Coverage.Location.Value": "double",
    "ssa:Char.TimeAxis.Coverage.Bounds.Extent": "float",
}

Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows(demo: SimpleNamespace) -> list[Row]:
    found: list[Row] = pq.read_table(demo.bundle / "manifest.parquet").to_pylist()
    return found


@pytest.fixture(scope="module")
def ask(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> Callable[..., votable.tree.VOTableFile]:
    def query(schema: str = demo.schema, **parameters: str) -> votable.tree.VOTableFile:
        answer = web.get(f"{archive.url}/{schema}/q/ssap/ssap.xml", params={"REQUEST": "queryData", **parameters})
        assert answer.status_code == 200, answer.text
        return votable.parse(io.BytesIO(answer.content))

    return query


def names(document: votable.tree.VOTableFile) -> set[str]:
    info = {item.name: item for item in document.resources[0].infos}
    assert info["QUERY_STATUS"].value in {"OK", "OVERFLOW"}, info["QUERY_STATUS"].content
    return {str(did).rpartition("?")[2] for did in document.get_first_table().array["ssa_pubDID"]}


def mjd(text: str) -> float:
    return float(Time(text, scale="utc").mjd)


CASES: list[tuple[Row, Callable[[Row], bool]]] = [
    ({"BAND": "7e-7/8e-7"}, lambda r: r["wave_max"] >= 7000 and r["wave_min"] <= 8000),
    ({"BAND": "/5.6e-7"}, lambda r: r["wave_min"] <= 5600),
    ({"BAND": "1e-10/2e-10,9.3e-7/"}, lambda r: r["wave_max"] >= 9300),
    ({"BAND": "optical"}, lambda _: True),
    ({"BAND": "radio"}, lambda _: False),
    ({"TIME": "2012"}, lambda r: mjd("2012-01-01") <= r["t_max"] and r["t_min"] <= mjd("2013-01-01")),
    ({"TIME": "2012-10/2012-11"}, lambda r: mjd("2012-10-01") <= r["t_max"] and r["t_min"] <= mjd("2012-12-01")),
    ({"TIME": "/2010-06-01T00:00:00Z"}, lambda r: r["t_min"] <= mjd("2010-06-01")),
    ({"REDSHIFT": "0.5/0.7,0.9/"}, lambda r: r["redshift"] is not None and (0.5 <= r["redshift"] <= 0.7 or r["redshift"] >= 0.9)),
    ({"SNR": "10"}, lambda r: r["snr"] is not None and r["snr"] >= 10),
    ({"SNR": "2/5"}, lambda r: r["snr"] is not None and 2 <= r["snr"] <= 5),
    ({"SPECRP": "100"}, lambda r: r["res_power"] is not None and r["res_power"] >= 100),
    ({"SPECRP": "5000"}, lambda r: r["res_power"] is not None and r["res_power"] >= 5000),
    ({"APERTURE": "0/1e-5"}, lambda r: r["aperture"] is not None and r["aperture"] <= 1e-5),
    ({"COLLECTION": "demo"}, lambda _: True),
    ({"COLLECTION": "other"}, lambda _: False),
    ({"TARGETCLASS": "star,qso"}, lambda r: (r["target_class"] or "").lower() in {"star", "qso"}),
    ({"FLUXCALIB": "ANY"}, lambda _: True),
    ({"WILDTARGET": "DEMO 1001*"}, lambda r: r["target_name"].startswith("DEMO 1001")),
    ({"VARAMPL": "0.3", "TIMERES": "5", "NOSUCH": "x"}, lambda _: True),
    ({"COMPRESS": "true", "RUNID": "x", "VERSION": "1.1"}, lambda _: True),
    ({"MTIME": "/1999"}, lambda _: False),
]


@pytest.mark.parametrize(("parameters", "holds"), CASES, ids=lambda value: str(value)[:40] if isinstance(value, dict) else "")
def test_each_parameter(ask: Any, rows: list[Row], parameters: dict[str, str], holds: Callable[[Row], bool]) -> None:
    expected = {row["spectrum_id"] for row in rows if holds(row)}
    found = names(ask(**parameters))
    # redshift, S/N and R are served as 32-bit floats: what is on the edge may fall to either side
    assert len(found ^ expected) <= 2, (len(found), len(expected))


def test_position(ask: Any, rows: list[Row]) -> None:
    lon, lat = np.radians([[row["ra"], row["dec"]] for row in rows]).T
    ra, dec = rows[0]["ra"], rows[0]["dec"]
    cosine = np.sin(np.radians(dec)) * np.sin(lat) + np.cos(np.radians(dec)) * np.cos(lat) * np.cos(lon - np.radians(ra))
    distance = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    for size in (0.01, 0.3, 1.0, 100.0, 180.0, 270.0, 360.0):
        expected = {row["spectrum_id"] for row, apart in zip(rows, distance, strict=True) if apart <= size / 2}
        assert names(ask(POS=f"{ra},{dec}", SIZE=str(size))) == expected, size
    everything = {row["spectrum_id"] for row in rows}
    assert names(ask(POS=f"{ra + 180},{-dec}", SIZE="170")) == set()
    assert names(ask(POS=f"{ra + 180},{-dec}", SIZE="360")) == everything
    assert names(ask(SIZE="0.1")) == everything
    assert rows[0]["spectrum_id"] in names(ask(POS=f"{ra}%2C{dec};ICRS"))


def test_by_name_and_identifier(ask: Any, archive: Archive, demo: SimpleNamespace, rows: list[Row]) -> None:
    one, two = rows[0], rows[1]
    assert names(ask(TARGETNAME=one["target_name"].lower())) == {one["spectrum_id"]}
    assert names(ask(TARGETNAME=f"{one['target_name']},{two['target_name']}")) == {one["spectrum_id"], two["spectrum_id"]}
    assert names(ask(TARGETNAME="DEMO")) == set()
    assert names(ask(PUBDID=f"ivo://{archive.authority}/{demo.schema}/q/ssap?{two['spectrum_id']}")) == {two["spectrum_id"]}


def test_limits(ask: Any, rows: list[Row]) -> None:
    assert len(names(ask(MAXREC="7"))) == 7
    assert len(names(ask(TOP="3"))) == 3
    assert len(names(ask(TOP="9", MAXREC="4"))) == 4
    status = {item.name: item.value for item in ask(MAXREC="7").resources[0].infos}
    assert status["QUERY_STATUS"] == "OVERFLOW"
    nothing = ask(MAXREC="0")
    assert len(nothing.get_first_table().array) == 0
    assert {field.utype for field in nothing.get_first_table().fields} >= set(MANDATORY)
    assert len(names(ask(MAXREC=str(len(rows))))) == len(rows)


def test_fields(ask: Any) -> None:
    table = ask(MAXREC="1").get_first_table()
    served = {field.utype: field for field in table.fields}
    for utype, datatype in MANDATORY.items():
        assert served[utype].datatype == datatype, utype
    assert served["ssa:Char.SpectralAxis.Coverage.Location.Value"].unit == "m"
    assert served["ssa:Char.SpatialAxis.Coverage.Bounds.Extent"].ucd == "phys.angSize;instr.fov"  # SSAP 1.1, erratum 2
    assert served["ssa:Char.SpatialAxis.Coverage.Location.Value.C1"].datatype == "double"
    row = table.array[0]
    assert str(row["preview"]).startswith("http")
    assert row["t_min"] < row["ssa_dateObs"] < row["t_max"]


def test_metadata_lists_every_parameter(ask: Any) -> None:
    listed = {param.name for param in ask(FORMAT="metadata").resources[0].params}
    standard = {
        "POS",
        "SIZE",
        "BAND",
        "TIME",
        "FORMAT",
        "APERTURE",
        "SPECRP",
        "SNR",
        "REDSHIFT",
        "TARGETNAME",
        "TARGETCLASS",
        "FLUXCALIB",
    }
    standard |= {"WAVECALIB", "PUBDID", "CREATORDID", "COLLECTION", "TOP", "MTIME", "COMPRESS", "RUNID", "REQUEST"}
    assert {f"INPUT:{name}" for name in standard} <= listed
    assert "INPUT:maxrec" in {name.replace("MAXREC", "maxrec") for name in listed}


def test_spectra_without_position(
    ask: Any, archive: Archive, real: dict[str, SimpleNamespace], web: requests.Session, tmp_path: Path
) -> None:
    schema = real["vandels"].schema
    bundle: list[Row] = pq.read_table(real["vandels"].bundle / "manifest.parquet").to_pylist()
    nowhere = [row for row in bundle if row["ra"] is None]
    assert nowhere
    document = ask(schema=schema, TARGETNAME=nowhere[0]["target_name"])
    assert nowhere[0]["spectrum_id"] in names(document)
    assert np.all(np.isnan(np.ma.filled(document.get_first_table().array["ssa_location"], np.nan)))
    assert names(ask(schema=schema, POS="0,0", SIZE="360")) == {row["spectrum_id"] for row in bundle if row["ra"] is not None}
    if shutil.which("stilts"):
        path = tmp_path / "all.vot"
        path.write_bytes(web.get(f"{archive.url}/{schema}/q/ssap/ssap.xml", params={"REQUEST": "queryData"}).content)
        report = subprocess.run(["stilts", "votlint", str(path)], capture_output=True, text=True, timeout=120, check=False).stdout
        assert not re.findall(r"^ERROR.*$", report, re.MULTILINE), report[:2000]


WRONG = [
    {"POS": "abc"}, {"POS": "1"}, {"POS": "1,2,3"}, {"POS": "1/2,3"}, {"POS": "nan,0"}, {"POS": "10,95"}, {"POS": "1e400,0"},
    {"POS": "10,5;GALACTIC"}, {"POS": "10,5", "SIZE": "-1"}, {"POS": "10,5", "SIZE": "361"}, {"POS": "10,5", "SIZE": "nan"},
    {"SIZE": "x"}, {"BAND": "5e-7/6e-7/7e-7"}, {"BAND": "/"}, {"BAND": "nan"}, {"BAND": "1,x"}, {"TIME": "yesterday"},
    {"TIME": "2012-13"}, {"TIME": "2012-02-30"}, {"TIME": "99999"}, {"REDSHIFT": "high"}, {"SNR": "1e999"}, {"SPECRP": "R"},
    {"TOP": "0"}, {"TOP": "-3"}, {"TOP": "x"}, {"REQUEST": "nosuch"}, {"RESPONSEFORMAT": "nosuch"}, {"RESPONSEFORMAT": "geojson"},
    {"SNR": ",".join(["1"] * 101)},
]  # fmt: skip


@pytest.mark.parametrize("parameters", WRONG, ids=str)
def test_wrong_values_are_errors_that_name_the_parameter(
    archive: Archive, demo: SimpleNamespace, web: requests.Session, parameters: dict[str, str]
) -> None:
    """SSAP's own errors come with status 200 (docs/limits.md), in a VOTable with QUERY_STATUS ERROR."""
    answer = web.get(f"{archive.url}/{demo.schema}/q/ssap/ssap.xml", params={"REQUEST": "queryData", **parameters})
    assert answer.status_code == 200
    info = {item.name: item for item in votable.parse(io.BytesIO(answer.content)).resources[0].infos}
    assert info["QUERY_STATUS"].value == "ERROR"
    assert list(parameters)[-1].lower() in str(info["QUERY_STATUS"].content).lower()


def test_a_format_without_a_name_is_none(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    asked = {"REQUEST": "queryData", "MAXREC": "2", "RESPONSEFORMAT": ""}
    answer = web.get(f"{archive.url}/{demo.schema}/q/ssap/ssap.xml", params=asked)
    assert len(votable.parse(io.BytesIO(answer.content)).get_first_table().array) == 2


def test_the_name_index_is_used(archive: Archive, demo: SimpleNamespace) -> None:
    import psycopg2

    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN SELECT * FROM {demo.schema}.ssa WHERE lower(ssa_targname) IN ('demo 100100001')")
        assert "target" in str(cursor.fetchall())

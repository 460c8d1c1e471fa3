"""SSAP, Datalink, SODA and cone search as pyvo and plain HTTP see them."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq
import pytest
import pyvo
import requests
from astropy.io import fits, votable
from astropy.table import Table

from ops.house import Archive
from specola_bundle.sdp.validate import validate


@pytest.fixture(scope="module")
def ssa(archive: Archive, demo: SimpleNamespace) -> pyvo.dal.SSAService:
    return pyvo.dal.SSAService(f"{archive.url}/{demo.schema}/q/ssap/ssap.xml")


@pytest.fixture(scope="module")
def manifest(demo: SimpleNamespace) -> list[dict[str, object]]:
    return pq.read_table(demo.bundle / "manifest.parquet").to_pylist()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def first(manifest: list[dict[str, object]]) -> dict[str, object]:
    return manifest[0]


def test_search_by_position(ssa: pyvo.dal.SSAService, first: dict[str, object], manifest: list[dict[str, object]]) -> None:
    found = ssa.search(pos=(first["ra"], first["dec"]), diameter=0.1)
    ra, dec = (np.radians([float(row[name]) for row in manifest]) for name in ("ra", "dec"))  # type: ignore[arg-type]
    centre = np.radians([float(first["ra"]), float(first["dec"])])  # type: ignore[arg-type]
    distance = np.arccos(
        np.clip(np.sin(dec) * np.sin(centre[1]) + np.cos(dec) * np.cos(centre[1]) * np.cos(ra - centre[0]), -1, 1)
    )
    assert len(found) == np.count_nonzero(distance < np.radians(0.05)) > 1


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (None, {"application/x-votable+xml"}),
        ("votable", {"application/x-votable+xml"}),
        ("compliant", {"application/x-votable+xml"}),
        ("fits", {"application/fits"}),
        ("native", {"application/fits"}),
        ("application/fits", {"application/fits"}),
        ("all", {"application/fits", "application/x-votable+xml"}),
        ("fits,votable", {"application/fits", "application/x-votable+xml"}),
        ("graphic", set()),
        ("nonsense/type", set()),
    ],
)
def test_format(ssa: pyvo.dal.SSAService, manifest: list[dict[str, object]], wanted: str | None, kinds: set[str]) -> None:
    found = ssa.search(**({"format": wanted} if wanted else {}))
    assert {record.format for record in found} == kinds
    assert len(found) == len(manifest) * len(kinds)


def test_search_by_name_band_time_redshift(
    ssa: pyvo.dal.SSAService, first: dict[str, object], manifest: list[dict[str, object]]
) -> None:
    assert [r["ssa_targname"] for r in ssa.search(TARGETNAME=first["target_name"])] == [first["target_name"]]
    assert len(ssa.search(BAND="7e-7/8e-7")) == len(manifest)
    assert len(ssa.search(BAND="1e-10/2e-10")) == 0
    high = [row for row in manifest if row["redshift"] is not None and float(row["redshift"]) > 0.9]  # type: ignore[arg-type]
    assert len(ssa.search(REDSHIFT="0.9/")) == len(high) > 0


def test_metadata(ssa: pyvo.dal.SSAService, web: requests.Session) -> None:
    document = web.get(ssa.baseurl, params={"REQUEST": "queryData", "FORMAT": "METADATA"})
    assert document.status_code == 200
    resource = votable.parse(io.BytesIO(document.content)).resources[0]
    names = {param.name for param in resource.params}
    assert {"INPUT:POS", "INPUT:SIZE", "INPUT:BAND", "INPUT:TIME", "INPUT:FORMAT", "INPUT:TARGETNAME"} <= names


def test_a_soda_block_saves_the_round_trip(ssa: pyvo.dal.SSAService, web: requests.Session) -> None:
    document = votable.parse(io.BytesIO(web.get(ssa.baseurl, params={"REQUEST": "queryData", "MAXREC": "1"}).content))
    standards = {p.value for r in document.resources if r.type == "meta" for p in r.params if p.name == "standardID"}
    assert {"ivo://ivoa.net/std/SODA#sync-1.0", "ivo://ivoa.net/std/DataLink#links-1.0"} <= standards


def test_links_deliver_what_they_say(ssa: pyvo.dal.SSAService, first: dict[str, object], web: requests.Session) -> None:
    links = next(ssa.search(TARGETNAME=first["target_name"]).iter_datalinks())
    found = [(link.semantics, link.content_type) for link in links]
    assert ("#this", "application/fits") in found
    assert ("#this", "application/x-votable+xml") in found
    assert ("#preview-plot", "image/png") in found
    assert ("#thumbnail", "image/png") in found
    for link in links:
        if not link.access_url or link.semantics == "#proc":
            continue
        answer = web.get(link.access_url)
        assert answer.status_code == 200, link.access_url
        assert answer.headers["Content-Type"].split(";")[0] == link.content_type
        length = link.content_length
        if length is not None and not np.ma.is_masked(length) and length > 0:
            assert len(answer.content) == length


def test_many_ids_and_unknown_ones(
    archive: Archive, demo: SimpleNamespace, manifest: list[dict[str, object]], web: requests.Session
) -> None:
    ids = [f"ivo://{archive.authority}/{demo.schema}/q/ssap?{row['spectrum_id']}" for row in manifest[:50]]
    answer = web.post(f"{archive.url}/{demo.schema}/q/dl/dlmeta", data={"ID": [*ids, "ivo://elsewhere/x?y", "'; DROP TABLE x"]})
    assert answer.status_code == 200
    rows = Table.read(io.BytesIO(answer.content), format="votable", table_id=0)
    assert set(ids) <= set(rows["ID"])
    faults = [row for row in rows if row["error_message"]]
    assert len(faults) == 2
    assert all(str(row["error_message"]).startswith("NotFoundFault") for row in faults)


@pytest.mark.parametrize("kind", ["application/x-votable+xml", "application/fits", "text/csv"])
def test_cut_out(
    archive: Archive, demo: SimpleNamespace, first: dict[str, object], web: requests.Session, kind: str, tmp_path: Path
) -> None:
    with fits.open(demo.bundle / str(first["file"])) as hdus:
        wave = hdus[1].data["WAVE"][0].astype(float)
        flux = hdus[1].data["FLUX"][0]
    low, high = float(wave[100]), float(wave[200])
    answer = web.get(
        f"{archive.url}/{demo.schema}/q/dl/dlget",
        params={"ID": first["spectrum_id"], "BAND": f"{low * 1e-10!r} {high * 1e-10!r}", "RESPONSEFORMAT": kind},
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith(kind)
    if kind == "application/fits":
        with fits.open(io.BytesIO(answer.content), checksum=True) as hdus:
            got = hdus[1].data["WAVE"][0].astype(float), hdus[1].data["FLUX"][0]
            assert hdus[1].header["NELEM"] == len(got[0])
            assert hdus[0].header["WAVELMIN"] == pytest.approx(got[0][0] / 10)
        (tmp_path / "cut.fits").write_bytes(answer.content)
        assert validate(tmp_path / "cut.fits") == []
    else:
        table = Table.read(io.BytesIO(answer.content), format="votable" if "votable" in kind else "ascii.csv")
        got = np.asarray(table["wave"], float), np.asarray(table["flux"])
    inside = (wave * 1e-10 >= low * 1e-10 - 1e-16) & (wave * 1e-10 <= high * 1e-10 + 1e-16)
    assert np.all(np.isin(got[0], wave[inside]))
    assert len(got[0]) >= np.count_nonzero(inside) - 2
    index = np.searchsorted(wave, got[0])
    assert np.array_equal(got[1].astype(flux.dtype), flux[index], equal_nan=True)


@pytest.mark.parametrize("band", ["9e-6 1e-5", "7e-7 6e-7", "abc", "1 2 3", "NaN NaN"])
def test_wrong_band_is_a_clear_error(
    archive: Archive, demo: SimpleNamespace, first: dict[str, object], web: requests.Session, band: str
) -> None:
    answer = web.get(f"{archive.url}/{demo.schema}/q/dl/dlget", params={"ID": first["spectrum_id"], "BAND": band})
    assert 400 <= answer.status_code < 500, answer.text
    assert "BAND" in answer.text


def test_files_come_from_nginx_with_ranges(
    archive: Archive, demo: SimpleNamespace, first: dict[str, object], web: requests.Session
) -> None:
    url = f"{archive.url}/getproduct/{demo.schema}/spectra/{quote(str(first['spectrum_id']))}.fits"
    whole = web.get(url)
    part = web.get(url, headers={"Range": "bytes=0-2879"})
    assert part.status_code == 206
    assert part.content == whole.content[:2880]
    assert web.get(url, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    assert whole.content == (demo.bundle / str(first["file"])).read_bytes()


def test_cone_search(archive: Archive, demo: SimpleNamespace, first: dict[str, object]) -> None:
    service = pyvo.dal.SCSService(f"{archive.url}/{demo.schema}/q/cone/scs.xml")
    found = service.search(pos=(first["ra"], first["dec"]), radius=0.001)
    assert first["object_id"] in [str(record["object_id"]) for record in found]

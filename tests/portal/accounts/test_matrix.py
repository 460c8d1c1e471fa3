"""Every address the staging server has, as everybody there is: nobody sees what is not theirs.

The addresses are walked: DaCHS' own list of pages and services (tests/support/dachs_pages.py), VOSI, TAP_SCHEMA, SSA rows,
Datalink answers, OAI, the files below ``getproduct``, and whatever nginx was asked so far (its log, of both archives).
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import pyvo
import requests

from ingest.surveys import RESERVED
from ops.archive import DEBIAN_PYTHON
from ops.house import House
from tests.support.portal import session

ADQL = "REQUEST=doQuery&LANG=ADQL&FORMAT=csv&QUERY="
OAI = (
    "Identify",
    "ListRecords&metadataPrefix=ivo_vor",
    "ListIdentifiers&metadataPrefix=oai_dc",
    "ListSets",
    "ListMetadataFormats",
)
BY_HAND = (
    "/", "/favicon.ico", "/robots.txt", "/gate", "/index.html", "/nothing/of/this/name", "/getproduct/", "/tap/async",
    "/tap/async/nosuch/results/result", "/tap/sync?" + ADQL + "SELECT+1+FROM+ivoa.obscore", "/tap/examples", "/tap/tables",
    "/tap/tables/ivoa.obscore", "/bulk", "/bulk/", "/bulk/gatea_r1", "/bulk/gateb_r1/", "/bulk/gateb_r1/README.md",
    "/__system__/services/overview/admin/gatea_r1/q", "/__system__/run/genrd/fixed", "/static/css/gavo_dc.css", "/login",
)  # fmt: skip


def _log_paths(house: House) -> set[str]:
    """What nginx was asked on the archives' ports, but for what other tests made up."""
    ports = {str(house.base_port + 1), str(house.base_port + 2)}
    found = set()
    for line in (house.logs / "nginx.log").read_text("utf-8", "replace").splitlines():
        parts = re.match(r'\S+ (\d+) (\d+) \S+ \S+ "GET (/[!-~]*) HTTP', line)
        if parts and parts[1] in ports and parts[2] in {"200", "303"} and len(parts[3]) < 300:
            found.add(re.sub(r"async/[^/]+", "async/job", parts[3]))
    # one of each kind is enough: numbers, and identifiers of spectra, are alike
    kinds = {re.sub(r"\d+", "0", urllib.parse.unquote(path)): path for path in sorted(found)}
    return set(kinds.values())


@pytest.fixture(scope="module")
def addresses(house: House, staged: SimpleNamespace) -> list[str]:
    archive, member = staged.archive, staged.people["member"]
    schemas = list(staged.schemas.values())
    listed = subprocess.run(
        [DEBIAN_PYTHON, "-m", "tests.support.dachs_pages", *(f"{schema}/q" for schema in (*schemas, *staged.schemas))],
        env=archive.environment, cwd=house.repository, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {*BY_HAND, *json.loads(listed.stdout.splitlines()[-1]), *_log_paths(house)}
    with session() as web:
        web.auth = member.auth

        def get(path: str) -> requests.Response:
            return web.get(staged.url + path)

        found |= {_path(one) for one in re.findall(r"<accessURL[^>]*>([^<]+)<", get("/tap/capabilities").text)}
        tables = get("/tap/sync?" + ADQL + "SELECT+table_name+FROM+tap_schema.tables").text.split()[1:]
        assert {f"{schema}.spectra" for schema in schemas} <= set(tables)
        found |= {f"/{kind}/{table}" for kind in ("tableinfo", "tablenote") for table in tables}
        found |= {f"/oai.xml?verb={verb}" for verb in OAI}
        found |= {_path(one) for one in re.findall(r"<accessURL[^>]*>([^<]+)<", get(f"/oai.xml?verb={OAI[1]}").text)}
        for schema in (*schemas, *staged.schemas):
            found |= {
                f"/{schema}",
                f"/{schema}/q",
                f"/{schema}/q/ssap/ssap.xml?REQUEST=queryData",
                f"/{schema}/q/cone/scs.xml?RA=10&DEC=-5&SR=1",
            }
            rows = pyvo.dal.SSAService(f"{staged.url}/{schema}/q/ssap/ssap.xml?", session=web).search().to_table()
            assert len(rows)
            column = next(name for name in rows.colnames if "accref" in name.lower())
            product = _path(str(rows[column][0]))
            found |= {product, product + "?preview=True", product + "?dm=sed", product + "?key=x"}
            did = next(name for name in rows.colnames if "pubdid" in name.lower())
            ident = urllib.parse.quote(str(rows[did][0]), safe="")
            found |= {
                f"/{schema}/q/dl/dlmeta?ID={ident}",
                f"/{schema}/q/dl/dlget?ID={ident}",
                f"/{schema}/q/dl/dlasync?ID={ident}",
            }
            links = pyvo.dal.adhoc.DatalinkResults.from_result_url(f"{staged.url}/{schema}/q/dl/dlmeta?ID={ident}", session=web)
            found |= {_path(str(link.access_url)) for link in links if link.access_url}
            found |= {
                f"/getproduct/{path.relative_to(archive.products)}"
                for path in (archive.products / schema).rglob("*")
                if path.is_file()
            }
    # with a command in it, and pages that only wait
    return sorted(path for path in found if "cacheclear" not in path and "tests/" not in path)


def _path(address: str) -> str:
    parts = urllib.parse.urlsplit(address)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _each(addresses: list[str], ask) -> dict[str, requests.Response]:
    with session() as web, ThreadPoolExecutor(4) as pool:
        return dict(zip(addresses, pool.map(lambda path: ask(web, path), addresses), strict=True))


def test_no_survey_is_called_as_an_address_of_the_archives_own(addresses: list[str], staged: SimpleNamespace) -> None:
    """Its members would be let in there: what the first part of an address says decides."""
    first = {path.partition("?")[0].split("/")[1] for path in addresses}
    could_be = {name for name in first if re.fullmatch("[a-z][a-z0-9]{0,23}", name)}
    assert {"tap", "seffe", "bulk", "odoc"} <= could_be
    # what nginx's log knows of surveys that other tests had: theirs are the only addresses that go on with q
    surveys = {name for name in could_be if any(re.match(f"/{name}/q(/|$)", path) for path in addresses)}
    assert surveys & RESERVED == set()
    assert could_be - RESERVED - surveys - {"nothing"} == set()


def test_the_walk_found_what_there_is(addresses: list[str], staged: SimpleNamespace) -> None:
    assert len(addresses) > 150
    text = "\n".join(addresses)
    for piece in (
        "/adql",
        "/seffe",
        "/oai.xml",
        "/__system__/services/overview/admin",
        "/getproduct/gatea_r1/spectra/",
        "dlget",
        ".png",
    ):
        assert piece in text, piece


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"])
def test_anonymous_is_asked_who_he_is(method: str, addresses: list[str], staged: SimpleNamespace) -> None:
    found = _each(addresses, lambda web, path: web.request(method, staged.url + path, allow_redirects=False))
    assert {path: one.status_code for path, one in found.items() if one.status_code != 401} == {}
    for one in found.values():
        assert one.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert "gatea" not in one.text.split("next=")[0]
        assert "DaCHS" not in one.text + one.headers["Server"]


@pytest.mark.parametrize("who", ["outsider", "nobody"])
def test_who_is_of_another_survey_sees_nothing(who: str, addresses: list[str], staged: SimpleNamespace) -> None:
    auth = staged.people[who].auth
    found = _each(addresses, lambda web, path: web.get(staged.url + path, auth=auth, allow_redirects=False))
    assert {path: one.status_code for path, one in found.items() if one.status_code != 403} == {}
    assert {one.headers["Content-Type"] for one in found.values()} == {"text/plain"}


def test_who_may_see_one_survey_sees_its_pages_and_no_other(addresses: list[str], staged: SimpleNamespace) -> None:
    auth = staged.people["partial"].auth
    own = re.compile(r"/(browse|bulk|getproduct)/gatea(_r1)?(/[\w./-]*)?|/gatea(_r1)?/[\w./-]+|/tableinfo/gatea(_r1)?[.]\w+")
    found = _each(addresses, lambda web, path: web.get(staged.url + path, auth=auth, allow_redirects=False))
    # DaCHS itself refuses some pages, with one of its own
    let_in = {path for path, one in found.items() if (one.status_code, one.headers["Content-Type"]) != (403, "text/plain")}
    assert let_in == {path for path in addresses if own.fullmatch(path.partition("?")[0])}
    assert len(let_in) > 40
    # under the survey's plain name, too
    assert {"/gatea/q/ssap/ssap.xml?REQUEST=queryData", "/browse/gatea/q", "/tableinfo/gatea.all_spectra"} <= let_in
    for path in let_in:
        assert "gateb" in path or b"gateb" not in found[path].content, path  # an error repeats what was asked


@pytest.mark.parametrize("who", ["member", "manager", "operator"])
def test_who_may_see_all_gets_what_dachs_says(who: str, addresses: list[str], staged: SimpleNamespace) -> None:
    """The same status as the server behind gives to who comes with nginx's secret."""
    token = staged.people[who].token
    straight = f"http://127.0.0.1:{staged.archive.servers[0].port}"
    asked = [path for path in addresses if not path.startswith(("/getproduct", "/gate", "/bulk"))]
    wanted = _each(asked, lambda web, path: web.get(straight + path, headers=staged.archive.headers, allow_redirects=False))
    found = _each(asked, lambda web, path: web.get(staged.url + path, auth=("token", token), allow_redirects=False))
    assert {path: one.status_code for path, one in found.items()} == {path: one.status_code for path, one in wanted.items()}
    assert sum(one.status_code == 200 for one in found.values()) > 60


def test_products_are_served_to_members(addresses: list[str], staged: SimpleNamespace) -> None:
    files = [path for path in addresses if path.startswith("/getproduct/gat") and path.endswith((".fits", ".png"))]
    assert len(files) > 8
    token = staged.people["member"].token
    found = _each(files, lambda web, path: web.get(staged.url + path, headers={"Authorization": f"Bearer {token}"}))
    for path, one in found.items():
        assert one.content == (staged.archive.products / Path(path).relative_to("/getproduct")).read_bytes()


@pytest.fixture(autouse=True, scope="module")
def _still_well(house: House) -> Iterator[None]:
    """Nothing of this made the server lose its mind."""
    yield
    from ops import probes

    assert probes.answers(probes.entrance(house, house.archive("staging")), 30)

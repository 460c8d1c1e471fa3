"""Hostile input: whatever is sent, the answer is an error of the caller's with a 4xx or the protocol's own error document,
never a 500 and never silence, and the archive goes on answering. docs/limits.md has the limits.

The random part sends SPECOLA_HOSTILE requests (200 unless set; 10000 take three minutes on two busy cores).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.house import Archive

CASES = int(os.environ.get("SPECOLA_HOSTILE") or 200)
LIMIT = 30
"""Seconds an answer may take."""

TAP = "LANG=ADQL&QUERY="
VOTABLE = '<VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>{}</TABLE></RESOURCE></VOTABLE>'

# path ({s} is a schema, {id} a spectrum), status; all of them GET
TABLE: list[tuple[str, int | tuple[int, ...]]] = [
    ("tap/sync?" + TAP + "SELEC", 400),
    ("tap/sync?" + TAP, 400),
    ("tap/sync?QUERY=SELECT+1", 400),
    ("tap/sync?LANG=PQL&QUERY=x", 400),
    ("tap/sync?" + TAP + "SELECT+*+FROM+nosuch", 400),
    ("tap/sync?" + TAP + "SELECT+%00+FROM+tap_schema.tables", 400),
    ("tap/sync?" + TAP + "%ff%fe", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&MAXREC=-5", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&MAXREC=abc", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&RESPONSEFORMAT=../../x", 400),
    ("tap/sync?" + TAP + "SELECT+MOD(1,0)+FROM+tap_schema.tables", 400),
    ("tap/sync?" + TAP + "SELECT+POWER(10,1000000)+FROM+tap_schema.tables", 400),
    ("tap/sync?" + TAP + "SELECT+'a'%3Breset+session+authorization", 400),
    ("tap/sync?" + TAP + "SELECT+*+FROM+dc.users", 400),
    ("tap/sync?" + TAP + "SELECT+*+FROM+pg_catalog.pg_authid", 400),
    ("tap/sync?" + TAP + "DROP+TABLE+ivoa.obscore", 400),
    ("tap/sync?" + TAP + "SELECT+pg_sleep(100)+FROM+tap_schema.tables", 400),
    ("tap/sync?" + TAP + "SELECT+pg_read_file('/etc/passwd')+FROM+tap_schema.tables", 400),
    ("tap/sync?" + TAP + "SELECT+TOP+-1+*+FROM+tap_schema.tables", 400),
    ("tap/sync?" + TAP + "SELECT+" + "(" * 21 + "1" + ")" * 21 + "+FROM+tap_schema.tables", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&UPLOAD=x,http://127.0.0.1:22/", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&UPLOAD=x,http://[::1]:5432/", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&UPLOAD=x,http://169.254.169.254/latest", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&UPLOAD=x,file:///etc/passwd", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&UPLOAD=x", 400),
    ("tap/sync?" + TAP + "SELECT+1+FROM+tap_schema.tables&UPLOAD=x,param:y", 400),
    ("tap/sync?REQUEST=nonsense", 400),
    ("tap/async/nosuch", 404),
    ("tap/async/nosuch/phase", 404),
    ("tap/async?LAST=abc", 400),
    ("tap/nosuch", 404),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&MAXREC=-1", 400),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&TARGETNAME=%00", 400),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&TARGETNAME=%ff", 400),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&FORMAT=%ff", 400),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&_DBOPTIONS_DIR=x", 400),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&_DBOPTIONS_ORDER=x;DROP+TABLE+y", (200, 400)),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&_DBOPTIONS_ORDER=1,(SELECT+1)", 400),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&UPLOAD=a,http://127.0.0.1:22/", 200),
    ("{s}/q/ssap/ssap.xml?REQUEST=queryData&TARGETNAME='%20OR%20'1'='1", 200),
    ("{s}/q/cone/scs.xml?RA=34&DEC=-95&SR=1", 200),
    ("{s}/q/cone/scs.xml?RA=nan&DEC=-5&SR=1", 200),
    ("{s}/q/cone/scs.xml?RA=34&DEC=-5&SR=-1", 200),
    ("{s}/q/cone/scs.xml?RA=34&DEC=-5&SR=inf", 200),
    ("{s}/q/cone/scs.xml?RA=34&DEC=-5&SR=1e9", 200),
    ("{s}/q/cone/scs.xml?RA=34&DEC=-5", 200),
    ("{s}/q/cone/scs.xml?RA=34&DEC=-5&SR=1&VERB=9", 200),
    ("{s}/q/cone/scs.xml?RA=%ff&DEC=1&SR=1", 400),
    ("{s}/q/dl/dlget", 422),
    ("{s}/q/dl/dlget?ID=%00", 400),
    ("{s}/q/dl/dlget?ID=%ff", 400),
    ("{s}/q/dl/dlget?ID=../../etc/passwd", 404),
    ("{s}/q/dl/dlget?ID={id}'--", 404),
    ("{s}/q/dl/dlget?ID={id}&BAND=%ff", 400),
    ("{s}/q/dl/dlget?ID={id}&BAND=1", 422),
    ("{s}/q/dl/dlget?ID={id}&BAND=nan+nan", 422),
    ("{s}/q/dl/dlget?ID={id}&BAND=1e400+2", 422),
    ("{s}/q/dl/dlget?ID={id}&RESPONSEFORMAT=x", 422),
    ("{s}/q/dl/dlget?ID={id}&POS=CIRCLE+1+2+3", 422),
    ("{s}/q/dl/dlmeta?ID=%ff", 400),
    ("{s}/q/dl/dlmeta?ID={id}&RESPONSEFORMAT=x", 422),
    ("oai.xml?verb=%00", 400),
    ("oai.xml?verb=Nope", 200),
    ("oai.xml?verb=ListRecords&resumptionToken=AAAA", 200),
    ("oai.xml?verb=GetRecord&metadataPrefix=oai_dc&identifier=';DROP", 200),
    ("getproduct/", 400),
    ("getproduct/x?scale=x", 400),
    ("getproduct/../../etc/passwd", 400),
    ("getproduct/%2e%2e/%2e%2e/etc/passwd", 400),
    ("getproduct/..%2f..%2f..%2fetc%2fpasswd", (400, 404)),
    ("getproduct/{s}/spectra/..%2f..%2fx.vot", 404),
    ("getproduct/%00", 400),
    ("getproduct/%ff", 404),
    ("static/../../../etc/passwd", 400),
    ("static/..%2f..%2f..%2fetc%2fpasswd", (400, 404)),
    ("__system__/products/p/get", 400),
    ("{s}/q/nosuch/x", 404),
    ("%ff%fe/x", 404),
]


@pytest.fixture(scope="module")
def first(demo: SimpleNamespace) -> str:
    return str(next((demo.bundle / "spectra").rglob("*.fits")).stem)


@pytest.fixture(autouse=True, scope="module")
def still_there(archive: Archive) -> Iterator[None]:
    """After all of it the archive answers, and its tables are there."""
    query = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": "SELECT count(*) AS n FROM ivoa.obscore"}
    before = requests.get(f"{archive.url}/tap/sync", params=query, timeout=LIMIT).text
    yield
    assert requests.get(f"{archive.url}/tap/sync", params={**query, "MAXREC": "11"}, timeout=LIMIT).text == before


def get(archive: Archive, path: str) -> requests.Response:
    """GET without requests' own cleaning of the path."""
    with requests.Session() as session:
        prepared = session.prepare_request(requests.Request("GET", archive.url))
        prepared.url = f"{archive.url}/{path}"
        return session.send(prepared, timeout=LIMIT, allow_redirects=False)


@pytest.mark.parametrize(("path", "status"), TABLE, ids=[case[0][:60] for case in TABLE])
def test_table(archive: Archive, demo: SimpleNamespace, first: str, path: str, status: int | tuple[int, ...]) -> None:
    answer = get(archive, path.replace("{s}", demo.schema).replace("{id}", first))
    assert answer.status_code in (status if isinstance(status, tuple) else (status,)), answer.text[-500:]
    assert "root:" not in answer.text
    if path.startswith("tap/sync"):
        assert 'name="QUERY_STATUS" value="ERROR"' in answer.text
    elif "scs.xml" in path and answer.status_code == 200:
        assert 'name="Error"' in answer.text
    elif path.startswith("oai") and answer.status_code == 200:
        assert "<oai:error code=" in answer.text


def upload(archive: Archive, content: str | bytes) -> requests.Response:
    return requests.post(
        f"{archive.url}/tap/sync",
        data={"LANG": "ADQL", "QUERY": "SELECT * FROM tap_upload.x", "UPLOAD": "x,param:f"},
        files={"f": ("f", content)},
        timeout=LIMIT,
    )


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{("&" + chr(97 + n) + ";") * 10}">' for n in range(9))
    + "]><VOTABLE><DESCRIPTION>&j;</DESCRIPTION></VOTABLE>"
)
FIELD = '<FIELD name="a" datatype="{}"/>'
ROW = "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>"
STREAM = '<BINARY><STREAM encoding="base64">{}</STREAM></BINARY>'


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (LAUGHS, 400),
        (b"", 400),
        (b"\0\xff" * 100, 400),
        (b"x" * 600_000, 413),
        (b"x" * 30_000_000, 413),
        (VOTABLE.format(FIELD.format("zork") + f"<DATA>{ROW}</DATA>"), 400),
        (VOTABLE.format(FIELD.format('int" arraysize="999999999') + f"<DATA>{ROW}</DATA>"), 400),
        (VOTABLE.format(FIELD.format("int") + '<DATA><BINARY><STREAM href="file:///etc/passwd"/></BINARY></DATA>'), 400),
        (VOTABLE.format(FIELD.format("int") + f"<DATA>{STREAM.format('AAA=')}</DATA>"), 400),
        (VOTABLE.format(FIELD.format('char" arraysize="*') + f"<DATA>{STREAM.format('f////0FB')}</DATA>"), 400),
        (VOTABLE.format(FIELD.format("int") * 2 + "<DATA><TABLEDATA/></DATA>"), 400),
        (VOTABLE.format("<DATA><TABLEDATA><TR></TR></TABLEDATA></DATA>"), 400),
    ],
    ids=["laughs", "empty", "junk", "600 kB", "30 MB", "type", "array", "href", "short", "length", "twice", "no field"],
)  # fmt: skip
def test_uploads(archive: Archive, demo: SimpleNamespace, content: str | bytes, status: int) -> None:
    answer = upload(archive, content)
    assert answer.status_code == status, answer.text[-500:]


def test_an_entity_of_a_file_is_not_read(archive: Archive, demo: SimpleNamespace) -> None:
    cell = '<FIELD name="a" datatype="char" arraysize="*"/><DATA><TABLEDATA><TR><TD>&a;</TD></TR></TABLEDATA></DATA>'
    answer = upload(archive, '<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + VOTABLE.format(cell))
    assert answer.status_code in (200, 400)
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("SELECT '" + "x" * 10_000_000 + "' FROM tap_schema.tables", 413),
        ("SELECT 1 FROM tap_schema.tables WHERE table_name IN (" + ",".join(["'a'"] * 20000) + ")", 400),
        ("SELECT 1 FROM tap_schema.tables WHERE " + " AND ".join(["1=1"] * 3000), 400),
        ("SELECT " + "(" * 2000 + "1" + ")" * 2000 + " FROM tap_schema.tables", 400),
        ("SELECT * FROM " + "(SELECT * FROM " * 60 + "tap_schema.tables" + ") AS x" * 60, 400),
    ],
    ids=["10 MB", "list", "conditions", "parentheses", "subqueries"],
)
def test_huge_queries(archive: Archive, demo: SimpleNamespace, query: str, status: int) -> None:
    for kind in ("sync", "async"):
        answer = requests.post(
            f"{archive.url}/tap/{kind}", data={"LANG": "ADQL", "QUERY": query}, timeout=LIMIT, allow_redirects=False
        )
        # an async job is parsed when it runs
        assert answer.status_code in ((status, 303) if kind == "async" else (status,)), answer.text[-500:]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="QUERY"\r\n\r\nabc'),
        ("multipart/form-data", b"abc"),
        ("application/json", b"{}"),
        ("text/\x01", b"QUERY=x"),
    ],
)
def test_wrong_bodies(archive: Archive, demo: SimpleNamespace, kind: str, body: bytes) -> None:
    answer = requests.post(f"{archive.url}/tap/sync", data=body, headers={"Content-Type": kind}, timeout=LIMIT)
    assert answer.status_code == 400


def test_async_jobs_refuse_nonsense(archive: Archive, demo: SimpleNamespace) -> None:
    made = requests.post(
        f"{archive.url}/tap/async",
        data={"LANG": "ADQL", "QUERY": "SELECT 1 FROM tap_schema.tables"},
        timeout=LIMIT,
        allow_redirects=False,
    )
    job = made.headers["Location"]
    for name, value in (
        ("phase", "JUMP"),
        ("executionduration", "abc"),
        ("destruction", "yesterday"),
        ("nosuch", "x"),
        ("owner", "x"),
    ):
        answer = requests.post(f"{job}/{name}", data={name.upper(): value}, timeout=LIMIT, allow_redirects=False)
        assert 400 <= answer.status_code < 500, (name, answer.status_code)
    assert requests.delete(job, timeout=LIMIT, allow_redirects=False).status_code == 303
    assert requests.get(job, timeout=LIMIT).status_code == 404


PLACES = {
    "{s}/q/ssap/ssap.xml": "REQUEST POS SIZE BAND TIME FORMAT SNR SPECRP REDSHIFT APERTURE TARGETNAME WILDTARGET MTIME TOP"
    " MAXREC VERB COLLECTION PUBDID RESPONSEFORMAT",
    "{s}/q/cone/scs.xml": "RA DEC SR VERB MAXREC RESPONSEFORMAT hscs_pos hscs_sr",
    "{s}/q/dl/dlmeta": "ID RESPONSEFORMAT REQUEST MAXREC",
    "{s}/q/dl/dlget": "ID BAND RESPONSEFORMAT",
    "tap/sync": "LANG QUERY REQUEST MAXREC RESPONSEFORMAT FORMAT UPLOAD VERSION RUNID",
    "oai.xml": "verb metadataPrefix identifier from until set resumptionToken",
    "getproduct/{s}/spectra/x.fits": "preview scale ra dec sra sdec dm key",
}
VALUES = st.one_of(
    st.text(max_size=40),
    st.floats().map(repr),
    st.integers().map(str),
    st.sampled_from(["queryData", "ADQL", "doQuery", "ListRecords", "GetRecord", "ivo_vor", "{id}", "votable", "geojson"]),
    st.just("SELECT 1 FROM tap_schema.tables"),
    st.tuples(st.floats(), st.floats()).map(lambda pair: f"{pair[0]!r},{pair[1]!r}"),
    st.tuples(st.floats(), st.floats()).map(lambda pair: f"{pair[0]!r} {pair[1]!r}"),
    st.text("0123456789/,;.-+eE:TZ naifNAINF", max_size=20),
    st.text("SELECT FROMWHERE*()'\"=<>;-1,.", max_size=60).map(lambda text: "SELECT " + text),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_random(archive: Archive, demo: SimpleNamespace, first: str, web: requests.Session, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(PLACES)))
    names = data.draw(st.lists(st.sampled_from(PLACES[path].split()), min_size=1, max_size=5))
    parameters = [(name, data.draw(VALUES).replace("{id}", first).encode("utf-8", "surrogatepass")) for name in names]
    if "ssap" in path and "REQUEST" not in names:
        parameters.append(("REQUEST", b"queryData"))
    method = data.draw(st.sampled_from(["GET", "POST"]))
    body = {"params": parameters} if method == "GET" else {"data": parameters}
    answer = web.request(method, f"{archive.url}/{path.replace('{s}', demo.schema)}", timeout=LIMIT, **body)  # type: ignore[arg-type]
    assert answer.status_code < 500, (method, path, parameters, answer.text[-500:])
    assert b"Internal error in DaCHS" not in answer.content, (method, path, parameters, answer.text[-500:])

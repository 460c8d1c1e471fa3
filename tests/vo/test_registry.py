"""The registry: OAI-PMH verb by verb against its schemas, the records of every service, coverage, dachs val."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import psycopg2
import pyarrow.parquet as pq
import pytest
import requests
from lxml import etree

from ingest.load import ingest_bundle
from ingest.removal import remove_release
from ops.house import Archive
from specola.vocheck.schemas import xsd_errors

OAI = "{http://www.openarchives.org/OAI/2.0/}"


def valid(documents: dict[str, bytes]) -> dict[str, list[str]]:
    """What is not valid in any of the documents."""
    return {name: errors for name, content in documents.items() if (errors := xsd_errors(content))}


def oai(archive: Archive, web: requests.Session, query: str) -> bytes:
    answer = web.get(f"{archive.url}/oai.xml?{query}", timeout=60)
    assert answer.status_code == 200
    return answer.content


@pytest.fixture(scope="module", autouse=True)
def covered(archive: Archive, demo: SimpleNamespace) -> None:
    """A kept installation may have the release as an earlier streams.rd made it."""
    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT spatial FROM dc.rdmeta WHERE sourcerd=%s", (f"{demo.schema}/q",))
        (spatial,) = cursor.fetchone() or (None,)
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema=%s AND table_name='ssa_source'"
            " ORDER BY ordinal_position DESC LIMIT 7",
            (demo.schema,),
        )
        last = cursor.fetchall()[-1]
    if spatial is None or last != ("preview",):
        remove_release(demo.schema, archive)
        ingest_bundle(demo.bundle, archive)


def test_every_verb(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    record = quote(f"ivo://{archive.authority}/{demo.schema}/q/ssap")
    queries = [
        "verb=Identify",
        "verb=ListMetadataFormats",
        f"verb=ListMetadataFormats&identifier={record}",
        "verb=ListSets",
        *(f"verb={verb}&metadataPrefix={kind}" for verb in ("ListIdentifiers", "ListRecords") for kind in ("ivo_vor", "oai_dc")),
        "verb=ListRecords&metadataPrefix=ivo_vor&set=ivo_managed",
        "verb=ListIdentifiers&metadataPrefix=oai_dc&from=2020-01-01",
        *(f"verb=GetRecord&metadataPrefix={kind}&identifier={record}" for kind in ("ivo_vor", "oai_dc")),
    ]
    documents = {query: oai(archive, web, query) for query in queries}
    assert not valid(documents)
    for query, content in documents.items():
        root = etree.fromstring(content)
        assert root.find(f"{OAI}error") is None, query
    listed = etree.fromstring(documents["verb=ListIdentifiers&metadataPrefix=ivo_vor"])
    names = {item.text for item in listed.iter(f"{OAI}identifier")}
    for service in ("ssap", "cone", "tables"):
        assert f"ivo://{archive.authority}/{demo.schema}/q/{service}" in names
    assert f"ivo://{archive.authority}/tap" in {name.replace("/__system__/tap/run", "/tap") for name in names if name}


def test_a_release_has_a_record_of_its_own(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    """All tables with their columns, who made them, on what terms, and that TAP has them: a search by UCD finds the release."""
    record = quote(f"ivo://{archive.authority}/{demo.schema}/q/tables")
    root = etree.fromstring(oai(archive, web, f"verb=GetRecord&metadataPrefix=ivo_vor&identifier={record}"))
    description = json.loads((demo.bundle / "bundle.json").read_text())
    tables = {name.text: name.getparent() for name in root.iterfind(".//table/name")}
    assert {f"{demo.schema}.{name}" for name in description["counts"]} == set(tables) - {"ivoa.obscore"}
    (z,) = tables[f"{demo.schema}.redshifts"].xpath("column[name='z']")
    assert z.findtext("ucd") == "src.redshift;meta.main"
    assert root.findtext(".//curation/version") == demo.schema.partition("_")[2]
    assert str(root.findtext(".//rights")).split() == description["rights"].split()
    assert [creator.findtext("name") for creator in root.iterfind(".//creator")] == description["creators"]
    related = {item.get("ivo-id") for item in root.iterfind(".//relationship[relationshipType='IsServedBy']/relatedResource")}
    assert any(str(name).endswith("/tap") or str(name).endswith("tap/run") for name in related), related


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "badArgument"),
        ("verb=Nope", "badVerb"),
        ("verb=Identify&x=y", "badArgument"),
        ("verb=ListRecords", "badArgument"),
        ("verb=ListRecords&metadataPrefix=nope", "cannotDisseminateFormat"),
        ("verb=ListRecords&metadataPrefix=ivo_vor&from=yesterday", "badArgument"),
        ("verb=ListRecords&metadataPrefix=ivo_vor&until=1999-01-01", "noRecordsMatch"),
        ("verb=ListRecords&metadataPrefix=ivo_vor&set=nope", "noRecordsMatch"),
        ("verb=ListRecords&resumptionToken=zzz", "badResumptionToken"),
        ("verb=GetRecord&metadataPrefix=ivo_vor&identifier=ivo://x/y", "idDoesNotExist"),
    ],
)
def test_errors(archive: Archive, web: requests.Session, query: str, code: str) -> None:
    content = oai(archive, web, query)
    error = etree.fromstring(content).find(f"{OAI}error")
    assert error is not None
    assert error.get("code") == code
    assert not valid({query: content})


def test_vosi(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    services = [f"{demo.schema}/q/{name}/{page}" for name in ("ssap", "cone", "dl") for page in ("capabilities", "availability")]
    pages = ["tap/capabilities", "tap/availability", "tap/tables", f"{demo.schema}/q/ssap/tableMetadata", *services]
    documents = {}
    for page in pages:
        answer = web.get(f"{archive.url}/{page}", timeout=60)
        assert answer.status_code == 200, page
        documents[page] = answer.content
    assert not valid(documents)


def test_record_says_what_a_user_needs(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    record = f"ivo://{archive.authority}/{demo.schema}/q/ssap"
    text = oai(archive, web, f"verb=GetRecord&metadataPrefix=ivo_vor&identifier={quote(record)}").decode()
    description = json.loads((demo.bundle / "bundle.json").read_text())
    root = etree.fromstring(text.encode())

    def values(name: str) -> list[str]:
        return [str(item.text) for item in root.iter() if isinstance(item.tag, str) and etree.QName(item).localname == name]

    assert values("title")[0].startswith("SIMULATED")
    assert all(len(name) <= 16 for name in values("shortName"))
    assert [etree.tostring(item, method="text", encoding="unicode").strip() for item in root.iter("creator")] == description[
        "creators"
    ]
    assert description["rights"].split()[0] in values("rights")[0]
    assert values("email") == ["archive@specola.example.org"]
    assert values("waveband") == ["Optical"]
    manifest = pq.read_table(
        demo.bundle / "manifest.parquet", columns=["ra", "dec", "t_min", "t_max", "wave_min", "wave_max"]
    ).to_pydict()
    start, stop = map(float, values("temporal")[0].split())
    assert start == pytest.approx(min(manifest["t_min"]))
    assert stop == pytest.approx(max(manifest["t_max"]))
    lower, upper = map(float, values("spectral")[0].split())
    joule = 6.62607015e-34 * 299792458 / 1e-10
    assert lower == pytest.approx(joule / max(manifest["wave_max"]), rel=1e-6)
    assert upper == pytest.approx(joule / min(manifest["wave_min"]), rel=1e-6)
    _covers(values("spatial")[0], np.array(manifest["ra"]), np.array(manifest["dec"]))


def _covers(text: str, ra: np.ndarray, dec: np.ndarray) -> None:
    """All positions are in the MOC, and it is no larger than they need at order 8."""
    cells: dict[int, set[int]] = {}
    order = 0
    for word in text.split():
        head, slash, rest = word.rpartition("/")
        order = int(head) if slash else order
        if rest:
            first, _, last = rest.partition("-")
            cells.setdefault(order, set()).update(range(int(first), int(last or first) + 1))
    assert max(cells) <= 8
    inside = np.zeros(len(ra), bool)
    used: dict[int, set[int]] = {}
    for level, members in cells.items():
        pixels = nested(level, np.radians(ra), np.radians(dec))
        found = np.isin(pixels, list(members))
        inside |= found
        used[level] = set(pixels[found].tolist())
    assert inside.all()
    assert used == cells


def nested(order: int, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """HEALPix cells in nested numbering (Gorski et al. 2005, ApJ 622, 759, section 4.1)."""
    side = 1 << order
    z, quarter = np.sin(lat), (lon / (np.pi / 2)) % 4
    belt = np.abs(z) <= 2 / 3
    # equatorial belt
    ascending, descending = side * (0.5 + quarter) - side * z * 0.75, side * (0.5 + quarter) + side * z * 0.75
    up, down = ascending.astype(int), descending.astype(int)
    high, low = up // side, down // side
    face_belt = np.where(high == low, (high & 3) + 4, np.where(high < low, high & 3, (low & 3) + 8))
    x_belt, y_belt = down & (side - 1), side - (up & (side - 1)) - 1
    # polar caps
    sector = np.minimum(quarter.astype(int), 3)
    inner, width = quarter - sector, side * np.sqrt(3 * (1 - np.abs(z)))
    one = np.minimum((inner * width).astype(int), side - 1)
    two = np.minimum(((1 - inner) * width).astype(int), side - 1)
    north = z >= 0
    face_cap = np.where(north, sector, sector + 8)
    x_cap, y_cap = np.where(north, side - two - 1, one), np.where(north, side - one - 1, two)
    face, x, y = (np.where(belt, a, b) for a, b in ((face_belt, face_cap), (x_belt, x_cap), (y_belt, y_cap)))
    cell = face * side * side
    for bit in range(order):
        cell = cell + (((x >> bit) & 1) << (2 * bit)) + (((y >> bit) & 1) << (2 * bit + 1))
    return np.asarray(cell)


@pytest.fixture
def thesaurus(archive: Archive, demo: SimpleNamespace) -> Iterator[None]:
    """The vocabulary of subjects, which DaCHS fetches from the network: where it could not, one of the release's own subjects."""
    cached = archive.root / "cache" / "http:=2F=2Fwww.ivoa.net=2Frdf=2Fuat"
    if cached.exists():
        yield
        return
    subjects = re.findall(r'<meta name="subject">([^<]*)<', (archive.inputs / demo.schema / "q.rd").read_text())
    terms = {subject: {"label": subject, "description": ""} for subject in subjects}
    cached.parent.mkdir(exist_ok=True)
    cached.write_text(json.dumps({"terms": terms}))
    yield
    cached.unlink()


def test_dachs_test(archive: Archive, demo: SimpleNamespace) -> None:
    """The regression tests of the RDs (resdir/streams.rd)."""
    done = archive.dachs("test", "-u", f"{archive.url}/", f"{demo.schema}/q", timeout=120)
    assert "0 of 5 bad" in done.stdout, done.stdout


@pytest.mark.usefixtures("thesaurus")
def test_dachs_val(archive: Archive, demo: SimpleNamespace) -> None:
    for rd in (f"{demo.schema}/q", "specola/releases", "specola/streams"):
        done = archive.dachs("val", "-c", "-t", rd, timeout=120)
        assert not [line for line in done.stdout.splitlines() if "[ERROR]" in line or "Error:" in line], done.stdout

"""A product with an owner and an embargo, should one ever come into an archive: nothing of ours gives it away."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
import requests
from astropy.table import Table

from ops.house import Archive


@pytest.fixture
def held(archive: Archive, demo: SimpleNamespace) -> Iterator[str]:
    """A spectrum under embargo until 2099, with the markers that docs/limits.md asks for."""
    name = sorted((demo.bundle / "spectra").rglob("*.fits"))[5].stem
    accref = f"{demo.schema}/spectra/{name}.fits"
    files = [archive.products / accref, *(archive.products / demo.schema / "previews").glob(f"{name}.*png")]
    markers = [Path(f"{path}.embargo") for path in files]

    def hold(owner: str | None, until: str | None) -> None:
        with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
            cursor.execute("UPDATE dc.products SET owner=%s, embargo=%s WHERE accref=%s", (owner, until, accref))
            assert cursor.rowcount == 1

    hold("team", "2099-01-01")
    for marker in markers:
        marker.touch()
    yield name
    for marker in markers:
        marker.unlink()
    hold(None, None)


def test_everything_is_refused(archive: Archive, demo: SimpleNamespace, held: str, web: requests.Session) -> None:
    base = f"{archive.url}/getproduct/{demo.schema}"
    for address in (
        f"{base}/spectra/{held}.fits",
        f"{base}/spectra/{held}.fits?preview=True",
        f"{base}/spectra/{held}.vot",
        f"{base}/previews/{held}.png",
        f"{base}/previews/{held}.thumb.png",
        f"{archive.url}/{demo.schema}/q/dl/dlget?ID={held}",
        f"{archive.url}/{demo.schema}/q/dl/dlget?ID={held}&RESPONSEFORMAT=fits",
        f"{archive.url}/{demo.schema}/q/dl/dlget?ID=ivo://{archive.authority}/{demo.schema}/q/ssap?{held}",
        # the survey's plain name is another door to the same house
        f"{archive.url}/demo/q/dl/dlget?ID={held}",
        f"{archive.url}/demo/q/dl/dlget?ID=ivo://{archive.authority}/{demo.schema}/q/ssap?{held}&RESPONSEFORMAT=fits",
    ):
        for headers in ({}, {"Authorization": "Basic dGVhbTp0ZWFt"}):
            answer = web.get(address, headers=headers)
            assert answer.status_code in {401, 403, 404}, (address, answer.status_code)
            assert b"SIMPLE" not in answer.content
            assert b"PNG" not in answer.content[:10]


def test_links_say_why(archive: Archive, demo: SimpleNamespace, held: str, web: requests.Session) -> None:
    answer = web.get(f"{archive.url}/{demo.schema}/q/dl/dlmeta", params={"ID": held, "RESPONSEFORMAT": "votable"})
    rows = Table.read(io.BytesIO(answer.content), format="votable", table_id=0)
    assert len(rows) == 1
    assert str(rows["error_message"][0]).startswith("AuthorizationFault")
    assert not str(rows["access_url"][0] or "").startswith("http")


def test_after_the_embargo_it_is_public(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    name = sorted((demo.bundle / "spectra").rglob("*.fits"))[5].stem
    assert web.get(f"{archive.url}/getproduct/{demo.schema}/spectra/{name}.fits").status_code == 200

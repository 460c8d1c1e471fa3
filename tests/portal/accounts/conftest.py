"""Two surveys with a release each in the staging archive, and people who may see both, one, or neither."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace

import psycopg2
import pytest
import requests

from ingest.load import ingest_bundle
from ingest.removal import remove_releases
from ops.house import House
from tests.ingest.load.releases import write_release
from tests.support.portal import make_people, session

SURVEYS = ("gatea", "gateb")


@pytest.fixture(scope="session")
def staged(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """``schemas``, what else is staged by other tests (``surveys``), and ``people`` by what they may see."""
    archive = house.archive("staging")
    folder = tmp_path_factory.mktemp("staged")
    schemas = {}
    for survey in SURVEYS:
        bundle = write_release(folder / survey, "r1", 4, survey=survey)
        schemas[survey] = ingest_bundle(bundle, archive, download=True).schema
    with closing(psycopg2.connect(archive.dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT survey FROM specola.releases")
        surveys = [row[0] for row in cursor.fetchall()]
    people = make_people(
        house,
        {
            "member": [f"{survey}:member" for survey in surveys],
            "manager": [f"{survey}:manager" for survey in surveys],
            "partial": ["gatea:reducer"],
            "outsider": ["elsewhere:admin"],
            "nobody": [],
            "operator": ["admin"],
        },
    )
    yield SimpleNamespace(archive=archive, url=archive.url, schemas=schemas, surveys=surveys, people=people)
    remove_releases(list(schemas.values()), archive)


@pytest.fixture
def web() -> Iterator[requests.Session]:
    with session() as made:
        yield made

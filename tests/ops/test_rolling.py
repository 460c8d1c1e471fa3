"""Processes are replaced while they are asked, and no question fails."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Self

import pytest
import pyvo
import requests

from ops.house import Archive, House
from ops.raising import raise_house, restart
from tests.support.locks import Lock, until

PUBLIC = ("dachs-public", "dachs-public-2")


def pids(house: House, specola) -> dict[str, int]:
    rows = json.loads(specola(house, "status", "--json").stdout)["services"]
    return {row["name"]: row["pid"] for row in rows}


class Asking:
    """Clients that ask distinct questions one after the other, and note what is not answered as it should be."""

    def __init__(self, archive: Archive, schema: str) -> None:
        self.archive, self.schema = archive, schema
        self.failed: list[str] = []
        self.done = 0
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(method,)) for method in ("GET", "POST", "GET", "POST")]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, method: str) -> None:
        with requests.Session() as web:
            while not self._over.is_set():
                number = next(self._numbers)
                query = f"SELECT count(*) AS n FROM {self.schema}.spectra WHERE n_pixels > {-number}"
                questions = [
                    ("tap/sync", {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query}, "200"),
                    (f"{self.schema}/q/cone/scs.xml", {"RA": f"{number % 360}.5", "DEC": "-5", "SR": "0.1"}, "VOTABLE"),
                ]
                for path, parameters, word in questions:
                    given = {"params": parameters} if method == "GET" else {"data": parameters}
                    try:
                        answer = web.request(method, f"{self.archive.url}/{path}", timeout=120, **given)  # type: ignore[arg-type]
                    except requests.RequestException as error:
                        self.failed.append(f"{method} {path}: {error}")
                    else:
                        if answer.status_code != 200 or word not in answer.text:
                            self.failed.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
                    self.done += 1


@pytest.fixture
def lock(archive: Archive, demo: SimpleNamespace) -> Iterator[Lock]:
    made = Lock(archive, f"{demo.schema}.slits")
    yield made
    made.release()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_restart_fails_no_query(house: House, archive: Archive, demo: SimpleNamespace, specola, lock: Lock) -> None:
    before = pids(house, specola)
    query = f"SELECT count(*) AS n FROM {lock.table}"
    ending = archive.servers[0]
    with ThreadPoolExecutor(2) as pool, Asking(archive, demo.schema) as asking:
        job = pyvo.dal.TAPService(f"http://127.0.0.1:{ending.port}/tap").submit_job(query).run()
        until(lambda: lock.waiting() == 1)
        begun: list[Future[requests.Response]] = []

        def told(step: str) -> None:
            if step.startswith(f"replacing {ending.name},"):
                # the process that is to end now has a query to finish, and can do so only when it no longer listens
                url = f"http://127.0.0.1:{ending.port}/tap/sync"
                data = {"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query}
                begun.append(pool.submit(requests.post, url, data=data, timeout=300))
                until(lambda: lock.waiting() == 2)

        restarted = pool.submit(restart, house, PUBLIC, told)
        until(lambda: bool(begun) and refused(ending.port))
        assert not begun[0].done()
        lock.release()
        restarted.result()
    assert asking.failed == []
    assert asking.done > 20
    after = pids(house, specola)
    assert {name for name in before if after[name] != before[name]} == set(PUBLIC)
    answer = begun[0].result()
    assert (answer.status_code, answer.text.split()[0]) == (200, "n"), answer.text
    # the job was that process's child, and is known to all
    elsewhere = pyvo.dal.AsyncTAPJob(job.url)
    elsewhere.wait(timeout=300)
    elsewhere.raise_if_error()
    assert elsewhere.fetch_result()["n"][0] == int(answer.text.split()[1])
    elsewhere.delete()


def test_a_changed_setting_reaches_the_process_it_is_for(house: House, archive: Archive, specola) -> None:
    before = pids(house, specola)
    gavorc = archive.servers[1].gavorc
    gavorc.write_text(gavorc.read_text("utf-8") + "# an older version\n", "utf-8")
    raise_house(house)
    after = pids(house, specola)
    assert [service for service in after if after[service] != before[service]] == [archive.servers[1].name]


def test_another_nginx_configuration_ends_no_transfer(house: House, archive: Archive, demo: SimpleNamespace, specola) -> None:
    before = pids(house, specola)
    conf = house.etc / "nginx.conf"
    conf.write_text(conf.read_text("utf-8") + "# an older version\n", "utf-8")
    with Asking(archive, demo.schema) as asking:
        raise_house(house)
    assert asking.failed == []
    assert pids(house, specola) == before

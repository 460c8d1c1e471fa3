"""Whatever one client sends, the others are answered (docs/decisions/0031-lanes.md).

Clients are told apart by their address; the greedy one's is told as a web server with TLS in front would tell it. Nothing is
measured by the clock: what has to be prompt has to be answered while the slow queries still run.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import pyvo
import requests

from ops.house import Archive
from tests.support.locks import Lock, until

GREEDY, MANY = "192.0.2.7", 48
"""More than the threads DaCHS has in two processes."""


class Slow(threading.Thread):
    """A client that waits for the answer to a slow query until it loses patience."""

    def __init__(self, archive: Archive, path: str, parameters: dict[str, str]) -> None:
        super().__init__(daemon=True)
        port = urllib.parse.urlsplit(archive.url).port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self.answer: tuple[int, str | None, str] | None = None
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Real-IP": GREEDY}
        self.connection.request("POST", path, urllib.parse.urlencode(parameters), headers)
        self.socket = self.connection.sock

    def run(self) -> None:
        try:
            got = self.connection.getresponse()
            self.answer = got.status, got.headers["Retry-After"], got.read().decode()
        except (OSError, http.client.HTTPException):
            return  # this client has hung up

    def hang_up(self) -> None:
        if self.answer is None:
            with contextlib.suppress(OSError):  # it was answered just now, or this was called before
                self.socket.shutdown(socket.SHUT_RDWR)
        self.join()
        self.connection.close()


@pytest.fixture(scope="module")
def lock(archive: Archive, demo: SimpleNamespace) -> Iterator[Lock]:
    made = Lock(archive, f"{demo.schema}.slits")
    yield made
    made.release()


@pytest.fixture(scope="module")
def greedy(archive: Archive, lock: Lock) -> Iterator[list[Slow]]:
    """One client's slow queries and huge jobs, all there are places for and more."""
    query = f"SELECT count(*) AS n FROM {lock.table}"
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    jobs = [tap.submit_job(query).run() for _ in range(3)]
    clients = [Slow(archive, "/tap/sync", {"LANG": "ADQL", "QUERY": query}) for _ in range(MANY)]
    for client in clients:
        client.start()
    try:
        # two asynchronous jobs, and four queries in the slow lanes of two processes
        until(lambda: lock.waiting() >= 6 and any(client.answer for client in clients))
        yield clients
    finally:
        for client in clients:
            client.hang_up()
        for job in jobs:
            job.delete()


def test_everybody_else_is_answered_meanwhile(
    archive: Archive, demo: SimpleNamespace, web: requests.Session, greedy: list[Slow]
) -> None:
    first = next((demo.bundle / "spectra").rglob("*.fits")).stem
    base = f"{archive.url}/{demo.schema}/q"
    for number in range(4):
        ra = 34 + number / 100
        # all distinct, so that none comes from nginx' cache
        asked = [
            ("cone/scs.xml", {"RA": ra, "DEC": "-5", "SR": "0.5"}),
            ("ssap/ssap.xml", {"REQUEST": "queryData", "POS": f"{ra},-5", "SIZE": "1"}),
            ("dl/dlmeta", {"ID": first, "MAXREC": 100 + number}),
            ("dl/dlget", {"ID": first, "BAND": f"{6e-7 + number * 1e-8} 7e-7"}),
        ]
        for path, parameters in asked:
            answer = web.get(f"{base}/{path}", params=parameters)
            assert (answer.status_code, answer.headers.get("X-Cache")) == (200, "MISS"), (path, answer.text[:500])
        query = f"SELECT count(*) AS n FROM {demo.schema}.spectra WHERE ra > {-number - 1} AND ra < {ra + 300}"
        answer = web.get(f"{archive.url}/tap/sync", params={"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": query})
        assert answer.text.split() == ["n", "200"], answer.text
    still = [client for client in greedy if client.answer is None]
    assert still, "the slow queries have ended, so that this shows nothing"


def test_who_is_refused_learns_why(greedy: list[Slow]) -> None:
    answers = [client.answer for client in greedy if client.answer]
    assert answers
    for status, retry, text in answers:
        assert (status, retry) == (503, "10")
        assert 'name="QUERY_STATUS" value="ERROR"' in text
        assert "asynchronous job" in text


def test_only_a_few_slow_queries_run(lock: Lock, greedy: list[Slow]) -> None:
    # of each process two in the slow lane and four of one client in the quick one; two jobs
    assert lock.waiting() <= 2 * (2 + 4) + 2


def test_the_queries_of_a_client_that_has_gone_are_ended(lock: Lock, greedy: list[Slow]) -> None:
    for client in greedy:
        client.hang_up()
    until(lambda: lock.waiting() <= 2)


def test_a_query_of_the_form_is_ended_too(archive: Archive, lock: Lock, greedy: list[Slow]) -> None:
    for client in greedy:
        client.hang_up()
    until(lambda: lock.waiting() <= 2)
    before = lock.waiting()
    form = {"__nevow_form__": "genForm", "query": f"SELECT * FROM {lock.table}", "_TIMEOUT": "50", "_FORMAT": "HTML"}
    browser = Slow(archive, "/__system__/adql/query/form", form)
    browser.start()
    until(lambda: lock.waiting() > before)
    browser.hang_up()
    until(lambda: lock.waiting() <= before)


def test_nobody_may_have_more_time(archive: Archive, demo: SimpleNamespace, web: requests.Session) -> None:
    for given in ("61", "1e9", "inf", "nan", "-1", "0", "x"):
        answer = web.get(f"{archive.url}/{demo.schema}/q/cone/scs.xml", params={"RA": 34, "DEC": -5, "SR": 1, "_TIMEOUT": given})
        assert answer.status_code == 400, given

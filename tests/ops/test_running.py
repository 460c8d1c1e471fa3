"""One running installation, looked at from all sides."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import pyvo

from ops import edge
from ops.clusters import connect, postmaster
from ops.errors import CommandError, OpsError
from ops.house import House
from ops.raising import raise_house
from ops.supervision import Supervisor
from tests.support.portal import make_people, session


def get(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, headers={key.replace("_", "-"): value for key, value in headers.items()})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, response.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


def until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def test_status_says_for_a_script_what_runs(house, specola):
    done = specola(house, "status", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["running"] is True
    assert {row["name"]: row["state"] for row in found["services"]} == dict.fromkeys(
        ["postgres-public", "postgres-team", "dachs-public", "dachs-public-2", "dachs-staging", "portal", "nginx"], "RUNNING"
    )
    assert found["addresses"]["public"] == house.archive("public").url


def test_doctor_finds_nothing_to_mend(house, specola):
    done = specola(house, "doctor", "--json")
    assert json.loads(done.stdout)["well"] is True, done.stdout
    assert done.returncode == 0


@pytest.fixture(scope="module")
def operator(house):
    """Headers of somebody who may see the staging archive."""
    return {"Authorization": f"Bearer {make_people(house, {'keeper': ['admin']})['keeper'].token}"}


def test_both_archives_answer_adql(house, operator):
    for archive, headers in zip(house.archives, ({}, operator), strict=True):
        with session() as web:
            web.headers.update(headers)
            service = pyvo.dal.TAPService(f"{archive.url}/tap", session=web)
            table = service.search("SELECT table_name FROM tap_schema.tables").to_table()
        assert "ivoa.obscore" in set(table["table_name"])


def test_limits_of_tap_are_those_we_set(house):
    found = pyvo.dal.TAPService(f"{house.archive('public').url}/tap")
    assert found.maxrec == 20000
    assert found.hardlimit == 20000000


def test_an_asynchronous_query_runs_to_its_end(house):
    service = pyvo.dal.TAPService(f"{house.archive('public').url}/tap")
    assert len(service.run_async("SELECT TOP 3 table_name FROM tap_schema.tables").to_table()) == 3


def test_the_landing_page_names_every_address(house):
    status, headers, body = get(f"{house.url}/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    for address in (house.archive("public").url, house.archive("staging").url):
        assert address.encode() in body


def _listening(pid: int) -> set[str]:
    """Inodes of TCP sockets on which a process and its children listen."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                inodes.add(fields[9])
    held = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(str(link.readlink()).removeprefix("socket:[").removesuffix("]"))
        except OSError:
            continue
    return inodes & held


def test_postgresql_listens_on_no_network(house):
    for cluster in house.clusters:
        pid = postmaster(cluster)
        assert pid is not None
        assert _listening(pid) == set()
        with closing(connect(house.superuser_dsn(cluster))) as conn, conn.cursor() as cursor:
            cursor.execute("SHOW listen_addresses")
            assert cursor.fetchone() == ("",)


def test_everything_that_listens_does_so_on_loopback(house):
    ports = {house.base_port + n for n in (0, 1, 2, 11, 12)}
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        address, port = fields[1].split(":")
        if fields[3] == "0A" and int(port, 16) in ports:
            found[int(port, 16)] = address
    assert found == dict.fromkeys(ports, "0100007F")


def test_a_connection_without_the_password_is_refused(house, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host=str(house.sockets), port=5432, dbname="archive", user="gavoadmin", passfile="/dev/null")


def test_the_owner_of_the_tables_can_not_make_or_take_roles(house):
    for archive in house.archives:
        with closing(connect(archive.dsn)) as conn, conn.cursor() as cursor:
            cursor.execute("SELECT current_user, rolcreaterole, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user")
            assert cursor.fetchone() == ("gavoadmin", False, False, False)
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute("CREATE ROLE intruder")


def test_the_public_cluster_lacks_what_is_not_public(house):
    databases = {}
    for cluster in house.clusters:
        with closing(connect(house.superuser_dsn(cluster))) as conn, conn.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'")
            databases[cluster.name] = {row[0] for row in cursor.fetchall()}
    assert databases == {"public": {"archive"}, "team": {"staging", "survey"}}


def test_the_roles_of_staging_can_not_enter_the_survey_database(house):
    dsn = house.archive("staging").dsn.replace("dbname=staging", "dbname=survey")
    with pytest.raises(OpsError, match="permission denied"):
        connect(dsn)
    with closing(connect(house.survey_dsn)) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT current_database(), current_user")
        assert cursor.fetchone() == ("survey", "survey")


def test_pg_sphere_and_q3c_work_and_every_operator_has_its_counterpart(house):
    with closing(connect(house.archive("public").dsn)) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT q3c_join(10, 10, 10, 10.001, 0.01), spoint(0, 0) <@ scircle(spoint(0, 0.001), 0.01)")
        assert cursor.fetchone() == (True, True)
        cursor.execute("SELECT spoint(0, 0) <@ smoc('0/0-11'), smoc('0/0-11') @> spoint(0, 0), 1::bigint !<@ smoc('29/1')")
        assert cursor.fetchone() == (True, True, False)
        cursor.execute(
            """SELECT a.oid::regoperator::text FROM pg_operator a
               LEFT JOIN pg_operator c ON c.oid = a.oprcom LEFT JOIN pg_operator n ON n.oid = a.oprnegate
               WHERE 'smoc'::regtype IN (a.oprleft, a.oprright) AND a.oprname IN ('@>', '<@', '!@>', '!<@')
               AND (c.oprcom IS DISTINCT FROM a.oid OR n.oprnegate IS DISTINCT FROM a.oid)"""
        )
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM pg_operator WHERE 'smoc'::regtype IN (oprleft, oprright) AND oprname LIKE '%@%'")
        assert cursor.fetchone()[0] >= 12


@pytest.fixture
def product(house: House):
    path = house.archive("public").products / "test ops" / "one+two.fits"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(bytes(range(256)) * 40)
    yield path
    path.unlink()


def test_products_are_sent_by_nginx_with_ranges_and_a_tag(house, product):
    url = f"{house.archive('public').url}/getproduct/test%20ops/one+two.fits"
    status, headers, body = get(url)
    assert (status, body) == (200, product.read_bytes())
    assert headers["server"].startswith("nginx")
    assert headers["content-type"] == "application/fits"
    assert headers["accept-ranges"] == "bytes"
    assert get(url, If_None_Match=headers["etag"])[0] == 304
    status, headers, body = get(url, Range="bytes=256-511")
    assert (status, body) == (206, bytes(range(256)))


@pytest.mark.parametrize(
    ("suffix", "kind"), [("png", "image/png"), ("vot", "application/x-votable+xml"), ("fits", "application/fits")]
)
def test_products_say_what_they_are(house, operator, suffix, kind):
    path = house.archive("staging").products / f"test-ops.{suffix}"
    path.write_bytes(b"x")
    try:
        status, headers, body = get(f"{house.archive('staging').url}/getproduct/{path.name}", **operator)
    finally:
        path.unlink()
    assert (status, headers["content-type"], body) == (200, kind, b"x")


def test_a_product_of_one_archive_is_not_in_the_other(house, product, operator):
    assert get(f"{house.archive('staging').url}/getproduct/test%20ops/one+two.fits", **operator)[0] == 404


def test_with_a_query_string_dachs_answers(house, product):
    status, _, body = get(f"{house.archive('public').url}/getproduct/test%20ops/one+two.fits?preview=True")
    assert status == 404  # no row of dc.products has this accref
    assert body != product.read_bytes()
    assert b"nginx" not in body


def test_what_is_not_there_is_asked_of_dachs(house):
    status, _, body = get(f"{house.archive('public').url}/getproduct/nothing/here.fits")
    assert status == 404
    assert b"nginx" not in body


@pytest.mark.parametrize("path", ["/getproduct/../../secrets/public.pgpass", "/getproduct/..%2f..%2fsecrets/public.pgpass"])
def test_nothing_outside_the_products_is_served(house, path):
    connection = http.client.HTTPConnection("127.0.0.1", house.base_port + 1, timeout=30)
    connection.request("GET", path)  # urllib would tidy the path
    response = connection.getresponse()
    assert response.status in {400, 404}
    assert b"gavoadmin" not in response.read()


def test_dachs_errors_carry_what_it_printed(house):
    with pytest.raises(CommandError) as raised:
        house.archive("public").dachs("imp", "no/such/rd")
    assert "no/such/rd" in raised.value.message


def test_programs_under_debians_python_see_gavo_and_this_repository(house):
    archive = house.archive("staging")
    process = archive.debian_python("site")
    assert process.communicate(timeout=60)[0]
    code = "import gavo.base, os; print(gavo.base.getConfig('inputsDir')); print(os.environ['PYTHONPATH'])"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", code], env=archive.environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert done == [str(archive.inputs), str(house.repository)]


def test_up_again_changes_nothing(house, specola):
    before = json.loads(specola(house, "status", "--json").stdout)["services"]
    assert specola(house, "up").returncode == 0
    after = json.loads(specola(house, "status", "--json").stdout)["services"]
    assert [row["pid"] for row in after] == [row["pid"] for row in before]


def test_up_has_running_servers_follow_code_that_changed(house, specola):
    """The sums noted for two of them are taken away, as if they had been started by a version that had other code."""
    before = {name: state.pid for name, state in Supervisor(house).states().items()}
    old = {"portal", "dachs-public"}
    for name in old:
        (house.var / "run" / f"{name}.code").write_text("of another version")
    assert specola(house, "up").returncode == 0
    after = {name: state.pid for name, state in Supervisor(house).states().items()}
    assert {name for name in before if before[name] != after[name]} == old
    assert specola(house, "doctor").returncode == 0


@pytest.mark.parametrize("name", ["dachs-public", "nginx", "postgres-public"])
def test_a_killed_server_is_started_again(house, specola, name):
    def row() -> dict[str, object]:
        return next(r for r in json.loads(specola(house, "status", "--json").stdout)["services"] if r["name"] == name)

    before = int(str(row()["pid"]))
    old = set(edge.processes(house)) if name == "nginx" else {before}
    assert before in old
    os.kill(before, signal.SIGKILL)
    until(lambda: row()["state"] == "RUNNING" and row()["pid"] != before)
    # what outlives a killed master of nginx is gone too, also its cache manager, which listens to nothing
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old))
    assert name != "nginx" or row()["pid"] in edge.listeners(house)
    url = f"{house.archive('public').url}/tap/sync?REQUEST=doQuery&LANG=ADQL&QUERY=SELECT+TOP+1+*+FROM+ivoa.obscore"
    until(lambda: get(url)[0] == 200)


def test_while_dachs_is_away_nginx_says_so(house, specola, operator):
    Supervisor(house).stop_service("dachs-staging")
    try:
        status, headers, body = get(f"{house.archive('staging').url}/tap/availability", **operator)
        assert (status, headers["retry-after"]) == (503, "10")
        assert b"try again" in body
        done = specola(house, "status", "--json")
        assert done.returncode == 3
        assert json.loads(done.stdout)["running"] is False
        done = specola(house, "doctor")
        assert done.returncode == 1
        assert "dachs-staging runs" in done.stdout
    finally:
        raise_house(house)
    assert get(f"{house.archive('staging').url}/tap/availability", **operator)[0] == 200


def test_doctor_finds_an_open_password_and_says_how_to_mend_it(house, specola):
    path = house.secrets / "public.pgpass"
    path.chmod(0o644)
    try:
        done = specola(house, "doctor", "--json")
    finally:
        path.chmod(0o600)
    assert done.returncode == 1
    bad = [check for check in json.loads(done.stdout)["checks"] if not check["well"]]
    # libpq does not use a password others can read, so the database can not be asked either.
    assert [check["check"] for check in bad] == ["passwords are private", "Databases"]
    assert str(path) in bad[0]["remedy"]


def test_doctor_finds_a_broken_nginx_configuration_and_up_mends_it(house, specola):
    conf = house.etc / "nginx.conf"
    conf.write_text(conf.read_text().replace("daemon off;", "daemon perhaps;"))
    done = specola(house, "doctor")
    assert done.returncode == 1
    assert "daemon" in done.stdout
    assert specola(house, "up").returncode == 0
    assert specola(house, "doctor").returncode == 0


def test_doctor_finds_a_lost_link_and_up_mends_it(house, specola):
    link = house.archive("public").inputs / "specola"
    link.unlink()
    done = specola(house, "doctor")
    assert done.returncode == 1
    assert "resdir" in done.stdout
    assert specola(house, "up").returncode == 0
    assert link.resolve() == (house.repository / "resdir").resolve()


def test_logs_show_each_server(house, specola):
    assert "database system is ready" in specola(house, "logs", "postgres-team", "-n", "200").stdout
    done = specola(house, "logs", "nothing")
    assert done.returncode == 1
    assert "dachs-public" in done.stderr

"""Installations coming and going: side by side, killed at any moment, stopped without a trace."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import pyvo

from ops import clusters, probes
from ops.configuration import render_all, services
from ops.files import locked, make_folders
from ops.house import House
from ops.production import render_production
from ops.raising import lower, raise_house
from ops.supervision import Supervisor, orphans
from tests.ops.conftest import environment_of
from tests.support.portal import PASSWORD, call, make_people, session


def processes_of(house: House) -> list[str]:
    """Command lines of this account's processes that name the installation's folder, or stand in it."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = str((folder / "cwd").readlink())
        except OSError:
            continue
        if f"{house.var}/" in command or where.startswith(str(house.var)):
            found.append(command)
    return found


@pytest.mark.slow
def test_two_installations_run_side_by_side_and_down_stops_only_its_own(new_house, specola):
    first = new_house("one")
    deep = new_house("a folder with spaces")
    deep = replace(deep, var=deep.var / ("long" * 20))
    raise_house(first)
    assert specola(deep, "up").returncode == 0
    try:
        assert not str(deep.sockets).startswith(str(deep.var))
        for house in (first, deep):
            service = pyvo.dal.TAPService(f"{house.archive('public').url}/tap")
            assert len(service.search("SELECT TOP 1 table_name FROM tap_schema.tables")) == 1
            assert specola(house, "doctor").returncode == 0
        assert specola(deep, "down").returncode == 0
        assert processes_of(deep) == []
        assert orphans(deep) == []
        assert probes.answers(probes.entrance(first, first.archive("public")))
        assert not probes.answers(probes.entrance(deep, deep.archive("public")))
    finally:
        lower(deep)
    # What was there is there again.
    raise_house(deep)
    assert probes.answers(probes.entrance(deep, deep.archive("staging")))
    lower(deep)


@pytest.mark.slow
def test_servers_that_outlived_a_killed_supervisor_are_found_and_replaced(new_house, specola):
    house = new_house("one")
    raise_house(house)
    pid = int((house.var / "run" / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    while Supervisor(house).is_running():
        time.sleep(0.05)
    assert {name for name, _ in orphans(house)} == {
        "postgres-public",
        "postgres-team",
        "dachs-public",
        "dachs-staging",
        "portal",
        "nginx",
    }
    assert "outlived" in specola(house, "doctor").stdout
    done = specola(house, "up")
    assert done.returncode == 0, done.stderr
    assert specola(house, "doctor").returncode == 0
    os.kill(int((house.var / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
    assert specola(house, "down").returncode == 0
    assert processes_of(house) == []


@pytest.mark.slow
def test_a_set_up_killed_at_any_moment_is_completed_by_the_next(new_house, specola):
    house = new_house("one")
    program = Path(sys.executable).parent / "specola"
    for seconds in (0.4, 0.9, 1.6, 3.0, 5.0, 8.0):
        process = subprocess.Popen(
            [program, "up"], env=environment_of(house), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(seconds)
        process.kill()
        process.wait()
    done = specola(house, "up")
    assert done.returncode == 0, done.stderr
    assert specola(house, "doctor").returncode == 0
    with session() as web:
        # the public archive asks for nothing, the staging one does
        web.auth = ("token", make_people(house, {"operator": ["admin"]})["operator"].token)
        for archive in house.archives:
            assert len(pyvo.dal.TAPService(f"{archive.url}/tap", session=web).search("SELECT * FROM ivoa.obscore")) == 0


@contextmanager
def tls_front(house: House, folder: Path) -> Iterator[Path]:
    """The web server in front of the team's pages, as `specola production` writes it, but for its ports and certificate."""
    key, certificate = folder / "privkey.pem", folder / "fullchain.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    render_production(house, "archive.example.org", folder, "team.example.org")
    text = (folder / "nginx-team-tls.conf").read_text().replace("/etc/letsencrypt/live/team.example.org", str(folder))
    ports = {"80": house.base_port + 25, "443": house.portal_url.rpartition(":")[2], "8443": house.staging_url.rpartition(":")[2]}
    text = re.sub(r"listen \[::\]:.*;\n", "", text)
    text = re.sub(r"listen (80|443|8443)\b", lambda match: f"listen 127.0.0.1:{ports[match[1]]}", text)
    scratch = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf = folder / "nginx.conf"
    conf.write_text(f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {scratch}\n{text}}}")
    with subprocess.Popen(["/usr/sbin/nginx", "-e", "stderr", "-c", conf]) as nginx:
        while nginx.poll() is None:
            with suppress(OSError), closing(socket.create_connection(("127.0.0.1", int(ports["8443"])))):
                break
        yield certificate
        nginx.terminate()


@pytest.mark.slow
def test_two_set_ups_at_once_are_one(new_house, specola):
    house = new_house("one")
    program = Path(sys.executable).parent / "specola"
    both = [
        subprocess.Popen([program, "up"], env=environment_of(house), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert specola(house, "doctor").returncode == 0


@pytest.mark.slow
def test_the_team_comes_in_by_tls(new_house, tmp_path):
    plain = new_house("one")
    tls = {f"{name}_url": f"https://127.0.0.1:{plain.base_port + port}" for name, port in (("portal", 23), ("staging", 24))}
    house = replace(plain, **tls)
    raise_house(house)
    people = make_people(house, {"anna": ["admin"], "berta": []})
    with tls_front(house, tmp_path) as certificate, session() as web:
        web.verify = str(certificate)
        staging = f"{house.staging_url}/tap/capabilities"
        assert web.get(staging).status_code == 401
        page = web.get(f"{house.portal_url}/login?next={staging}")
        token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        data = {"username": "anna", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": staging}
        referer = {"Referer": f"{house.portal_url}/login"}
        answer = web.post(f"{house.portal_url}/login", data=data, headers=referer, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, staging)
        assert {cookie.name.split("_")[1]: cookie.secure for cookie in web.cookies} == {"session": True, "csrf": True}
        found = web.get(staging)
        assert found.status_code == 200
        assert f"{house.staging_url}/tap" in found.text
        # Limits count by the address that the web server in front adds; what a client says of itself is not believed.
        for client in ("192.0.2.1", "192.0.2.2"):
            one = session()
            one.verify = web.verify
            for number in range(6):
                told = {"X-Forwarded-For": client}
                assert one.get(staging, auth=("berta", f"{client} {number}"), headers=told).status_code in {401, 403}
        assert set(
            call(house, "answer = list(LoginEvent.objects.filter(username='berta').values_list('address', flat=True))")
        ) == {"127.0.0.1"}
        many = [web.post(f"{house.portal_url}/login", data={"username": "x"}).status_code for _ in range(60)]
        assert many[0] == 403, "no token against forged requests"
        assert 429 in many
        assert web.get(staging, auth=("", people["anna"].token)).status_code == 200


@pytest.mark.slow
def test_an_archive_lives_on_an_existing_server(new_house, specola, monkeypatch):
    # The "existing server": a cluster of another installation, started by hand.
    elsewhere = new_house("server")
    make_folders(elsewhere)
    render_all(elsewhere)
    cluster = elsewhere.clusters[0]
    with locked(elsewhere) as lock:
        clusters.initialise(elsewhere, cluster, lock)
    postgres = next(service for service in services(elsewhere) if service.name == f"postgres-{cluster.name}")
    server = subprocess.Popen(postgres.command, env=postgres.environment, stderr=subprocess.DEVNULL)
    try:
        clusters.wait_until_ready(elsewhere.superuser_dsn(cluster))
        dsn = elsewhere.superuser_dsn(cluster, "spectra")
        monkeypatch.setenv("SPECOLA_DSN_PUBLIC", dsn)
        house = replace(new_house("archive"), dsns={"public": dsn})
        done = specola(house, "up")
        assert done.returncode == 0, done.stderr
        assert specola(house, "doctor").returncode == 0
        assert not (house.var / "postgres" / "public").exists()
        public = house.archive("public")
        assert len(pyvo.dal.TAPService(f"{public.url}/tap").search("SELECT TOP 1 table_name FROM tap_schema.tables")) == 1
        with closing(clusters.connect(public.dsn)) as conn, conn.cursor() as cursor:
            cursor.execute("SELECT current_database(), current_user")
            assert cursor.fetchone() == ("spectra", "gavoadmin")
        # From now on the superuser is not needed: a start without a usable password of his works.
        monkeypatch.setenv("SPECOLA_DSN_PUBLIC", dsn.replace("cluster-public.pgpass", "taken-away"))
        assert specola(house, "down").returncode == 0
        assert specola(house, "up").returncode == 0
    finally:
        specola(house, "down")
        server.send_signal(signal.SIGINT)
        server.wait(30)


def test_a_taken_port_is_named_before_anything_is_made(new_house, specola):
    house = new_house("one")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", house.base_port + 1))
        other.listen()
        done = specola(house, "up")
    assert done.returncode == 1
    assert str(house.base_port + 1) in done.stderr
    assert "SPECOLA_PORT" in done.stderr
    assert not (house.var / "postgres" / "public").exists()


def test_down_where_nothing_runs_says_so(new_house, specola):
    house = new_house("one")
    done = specola(house, "down")
    assert done.returncode == 0
    assert "nothing" in done.stdout
    assert specola(house, "status").returncode == 3
    assert specola(house, "restart").returncode == 1
    assert specola(house, "logs").returncode == 1
    assert specola(house, "doctor").returncode == 1


def test_a_folder_that_can_not_be_written_is_one_clear_error(specola):
    house = House(var=Path("/proc/nowhere"), base_port=29000, repository=Path("/"))
    done = specola(house, "up")
    assert done.returncode == 1
    assert "SPECOLA_VAR" in done.stderr
    assert "Traceback" not in done.stderr

"""No server that faces the world has what it takes to read what is not public. docs/decisions/0042 says where this ends."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from ops.clusters import connect
from ops.house import House
from ops.supervision import Supervisor

PUBLIC = re.compile(r"dachs-public|nginx|postgres-public")


def _tree(pid: int) -> list[int]:
    """A process and all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _tree(int(child)))]


def _public_processes(house: House) -> list[int]:
    found = [pid for name, state in Supervisor(house).states().items() if PUBLIC.match(name) for pid in _tree(state.pid)]
    assert len(found) > 4
    return found


def _secrets(house: House) -> dict[str, str]:
    """Every password of the installation, by where it is kept."""
    found = {path.name: path.read_text().strip().rpartition(":")[2] for path in house.secrets.iterdir() if path.is_file()}
    for archive in house.archives:
        for path in (archive.root / "etc").glob("*"):
            if password := re.search(r"^password = (\S+)", path.read_text(), re.MULTILINE):
                found[f"{archive.name} {path.name}"] = password[1]
    assert len(found) > 8
    return found


def test_no_password_is_in_an_environment_or_a_command_line(house: House) -> None:
    """Of any server: command lines are for everybody on the machine to read, and environments end up in reports of errors."""
    secrets = _secrets(house)
    for name, state in Supervisor(house).states().items():
        for pid in _tree(state.pid):
            seen = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
            assert [kept for kept, password in secrets.items() if password.encode() in seen] == [], name


def test_the_public_dachs_is_told_of_its_own_archive_alone(house: House) -> None:
    for name, state in Supervisor(house).states().items():
        if name.startswith("dachs-public"):
            environment = Path(f"/proc/{state.pid}/environ").read_text()
            assert "staging" not in environment
            assert "survey" not in environment
    archive = house.archive("public")
    for path in [*(archive.root / "etc").glob("*"), *(server.gavorc for server in archive.servers)]:
        text = path.read_text()
        for kept, password in _secrets(house).items():
            if not kept.startswith("public"):
                assert password not in text, (path, kept)
    assert "5433" not in (archive.root / "etc" / "dsn").read_text()


def test_no_public_server_holds_a_connection_or_a_file_of_the_team(house: House) -> None:
    team = [house.archive("staging").root, house.secrets, house.sockets / ".s.PGSQL.5433"]
    team += [cluster.data for cluster in house.clusters if cluster.name == "team"]
    nginx = Supervisor(house).states()["nginx"].pid
    for pid in _public_processes(house):
        held = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
        assert [path for path in held for place in team if path.startswith(str(place))] == [], pid
    # nginx serves both archives' files in the embedded default; products of the team's are under its eyes, databases are not
    assert nginx in _public_processes(house)
    with closing(connect(house.superuser_dsn(house.clusters[1]))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT usename::text, datname::text FROM pg_stat_activity WHERE backend_type = 'client backend'")
        here = set(cursor.fetchall())
    assert {datname for user, datname in here if user in {"gavo", "untrusted"}} <= {"staging"}


@pytest.mark.parametrize("role", ["gavoadmin", "gavo", "untrusted"])
@pytest.mark.parametrize("database", ["survey", "staging", "postgres"])
def test_the_public_archives_passwords_open_nothing_of_the_teams(house: House, role: str, database: str) -> None:
    profiles = {"gavoadmin": "feed", "gavo": "trustedquery", "untrusted": "untrustedquery"}
    text = (house.archive("public").root / "etc" / profiles[role]).read_text()
    password = text.partition("password = ")[2].strip()
    socket, own = str(house.sockets), {"host": str(house.sockets), "port": 5432, "dbname": "archive"}
    with closing(psycopg2.connect(**own, user=role, password=password, passfile="/dev/null")):
        pass  # it is the right one
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(host=socket, port=5433, dbname=database, user=role, password=password, passfile="/dev/null")


def test_the_staging_roles_reach_the_staging_database_alone(house: House) -> None:
    for profile, role in (("feed", "gavoadmin"), ("trustedquery", "gavo"), ("untrustedquery", "untrusted")):
        password = (house.archive("staging").root / "etc" / profile).read_text().partition("password = ")[2].strip()
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(
                host=str(house.sockets), port=5433, dbname="survey", user=role, password=password, passfile="/dev/null"
            )


def test_nothing_of_it_can_be_entered_by_another_account(house: House) -> None:
    for path in (house.secrets, house.sockets):
        assert path.stat().st_mode & 0o077 == 0
    for path in house.secrets.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert house.portal_socket.stat().st_mode & 0o077 == 0
    rules = [line.split() for line in (house.etc / "pg_hba.conf").read_text().splitlines() if not line.startswith("#")]
    assert {(rule[0], rule[-1]) for rule in rules if rule} == {("local", "scram-sha-256")}

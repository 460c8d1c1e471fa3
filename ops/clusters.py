"""Private PostgreSQL clusters: made, asked, given their databases and roles."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ops.errors import CommandError, OpsError
from ops.files import secret, write
from ops.house import Cluster, House

if TYPE_CHECKING:
    from psycopg2.extensions import connection

__all__ = ["connect", "initialise", "make_databases", "programs", "wait_until_ready"]

_LIBRARIES = Path("/usr/lib/postgresql")
EXTENSIONS = ("pg_sphere", "q3c")


def programs(cluster: Cluster | None = None) -> Path:
    """Folder of PostgreSQL's programs: of the cluster's own version, or the newest for which our extensions are there.

    :raises OpsError: when there is none
    """
    wanted = None
    if cluster is not None and (cluster.data / "PG_VERSION").exists():
        wanted = (cluster.data / "PG_VERSION").read_text().strip()
    versions = sorted((p.name for p in _LIBRARIES.glob("*") if (p / "bin" / "initdb").exists()), key=float, reverse=True)
    for version in versions:
        extensions = Path("/usr/share/postgresql") / version / "extension"
        complete = all((extensions / f"{name}.control").exists() for name in EXTENSIONS)
        if version == wanted or (wanted is None and complete):
            return _LIBRARIES / version / "bin"
    what = f"PostgreSQL {wanted}" if wanted else f"PostgreSQL with the extensions {' and '.join(EXTENSIONS)}"
    found = ", ".join(versions) or "none"
    raise OpsError(f"{what} is not installed (found in {_LIBRARIES}: {found})", "Install the Debian packages: bin/house packages")


def initialise(house: House, cluster: Cluster, lock: int) -> bool:
    """Make the cluster's data directory when it is not there yet; whole or not at all.

    :param lock: descriptor of the installation's lock, handed on to initdb
    :returns: True when it was made
    """
    if (cluster.data / "PG_VERSION").exists():
        return False
    password = secret(house.secrets / f"cluster-{cluster.name}")
    write(house.secrets / f"cluster-{cluster.name}.pgpass", f"*:*:*:postgres:{password}\n")
    partial = cluster.data.with_name(f"{cluster.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = [str(programs() / "initdb"), "-D", str(partial), "-U", "postgres", "-A", "scram-sha-256"]
    command += ["--pwfile", str(house.secrets / f"cluster-{cluster.name}"), "-E", "UTF8", "--locale=C", "--data-checksums"]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        pass_fds=(lock,),
    )
    if done.returncode:
        raise CommandError(command, done.returncode, done.stdout)
    partial.rename(cluster.data)
    return True


def connect(dsn: str) -> connection:
    """A connection in autocommit mode.

    :raises OpsError: when the server does not let us in
    """
    import psycopg2

    try:
        conn = psycopg2.connect(dsn, connect_timeout=10)
    except psycopg2.OperationalError as error:
        raise OpsError(
            f"no connection to PostgreSQL ({dsn}): {str(error).strip()}", "Is it running? See `specola status`."
        ) from error
    conn.autocommit = True
    return conn


def wait_until_ready(dsn: str, seconds: float = 60, still: Callable[[], None] = lambda: None) -> None:
    """Wait until the server answers.

    :param still: called between two attempts; may raise to end the wait
    :raises OpsError: when it does not within so many seconds
    """
    end = time.monotonic() + seconds
    while True:
        try:
            with closing(connect(dsn)):
                return
        except OpsError:
            if time.monotonic() > end:
                raise
        still()
        time.sleep(0.1)


def make_databases(admin_dsn: str, databases: Sequence[str]) -> None:
    """Make the databases that are missing, UTF-8 and in the C collation.

    :param admin_dsn: a superuser's DSN on that server; its dbname must exist
    """
    with closing(connect(admin_dsn)) as conn, conn.cursor() as cursor:
        for name in databases:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            # Nobody but the roles that are granted it may even connect.
            cursor.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')


def make_survey_role(house: House) -> None:
    """Make the owner of the team's survey database; nothing is put into it here."""
    team = next((cluster for cluster in house.clusters if "survey" in cluster.databases), None)
    if team is None:
        return
    password = secret(house.secrets / "survey")
    write(house.secrets / "survey.pgpass", f"*:*:*:survey:{password}\n")
    with closing(connect(house.superuser_dsn(team))) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'survey'")
        if cursor.fetchone() is None:
            cursor.execute("CREATE ROLE survey")
        cursor.execute("ALTER ROLE survey LOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB PASSWORD %s", (password,))
        cursor.execute("ALTER DATABASE survey OWNER TO survey")


def postmaster(cluster: Cluster) -> int | None:
    """Process id of the server running on a data directory, however it was started; None when there is none."""
    try:
        pid = int((cluster.data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if b"postgres" in command else None

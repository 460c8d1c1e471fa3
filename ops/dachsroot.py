"""DaCHS roots: made once an archive, whole or made again."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from contextlib import closing

from ops.archive import OWNER
from ops.clusters import connect, make_databases
from ops.configuration import defaultmeta
from ops.errors import CommandError
from ops.extensions import make_extensions
from ops.files import write
from ops.house import Archive, House

__all__ = ["initialise", "is_initialised", "refresh"]

STAMP = ".specola-initialised"
PROFILES = {"feed": OWNER, "trustedquery": "gavo", "untrustedquery": "untrusted"}
"""DaCHS's database profiles and their roles."""


_SERVICES = {"//services": "__system__/services", "//tap": "__system__/tap", "//siap2": "__system__/siap2"}
"""RDs of the services that every archive has, as DaCHS takes them and as its tables have them."""


def is_initialised(archive: Archive) -> bool:
    """True when this archive was made completely."""
    return (archive.root / STAMP).exists()


def refresh(house: House, archive: Archive) -> None:
    """Bring what follows from settings and checkout up to date: the link to resdir/ and defaultmeta.txt."""
    write(archive.root / "etc" / "defaultmeta.txt", defaultmeta(house, archive), 0o640)
    archive.inputs.mkdir(parents=True, exist_ok=True)
    for server in archive.servers:
        for name in ("state", "logs"):
            (archive.root / f"{name}{server.suffix}").mkdir(parents=True, exist_ok=True)
    link = archive.inputs / "specola"
    target = house.repository / "resdir"
    if not (link.is_symlink() and link.readlink() == target):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    userconfig = target / "userconfig.rd"
    place = archive.root / "etc" / "userconfig.rd"
    if userconfig.exists() and not place.is_symlink():
        place.unlink(missing_ok=True)
        place.symlink_to(userconfig)


def initialise(house: House, archive: Archive, lock: int) -> bool:
    """Make the database, the roles and the DaCHS root of an archive when it was not made yet.

    An interrupted first attempt left nothing anybody needs: nothing can be loaded before the stamp is there. So on a private
    cluster the database is dropped and made afresh.

    :param lock: descriptor of the installation's lock, handed on to DaCHS
    :returns: True when it was made
    :raises OpsError: with DaCHS's output when that failed
    """
    if is_initialised(archive):
        refresh(house, archive)
        _publish(archive)
        return False
    maintenance = _maintenance_dsn(archive)
    if archive.cluster is not None:
        with closing(connect(maintenance)) as conn, conn.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{archive.database}" WITH (FORCE)')
    shutil.rmtree(archive.root, ignore_errors=True)
    for name in ("etc", "logs"):
        (archive.root / name).mkdir(parents=True)
    make_databases(maintenance, [_database(archive)])
    make_extensions(archive)
    _profiles(archive)
    refresh(house, archive)
    _dachs_init(archive, lock)
    with closing(connect(archive.admin_dsn)) as conn, conn.cursor() as cursor:
        # DaCHS gives its owner CREATEROLE for its own first minutes. In PostgreSQL 15 that right takes over other roles.
        cursor.execute(f"ALTER ROLE {OWNER} NOCREATEROLE NOCREATEDB NOSUPERUSER")
    archive.dachs("imp", "//obscore")
    _publish(archive)
    write(archive.root / STAMP, "made completely\n")
    return True


def _publish(archive: Archive) -> None:
    """Have the registry know of the services that every archive has: also one that an older Specola has made."""
    with closing(connect(archive.admin_dsn)) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT sourcerd FROM dc.resources WHERE NOT deleted AND sourcerd = ANY(%s)", (list(_SERVICES.values()),))
        known = {name for (name,) in cursor.fetchall()}
    if missing := [name for name, rd in _SERVICES.items() if rd not in known]:
        archive.dachs("pub", *missing)


def _database(archive: Archive) -> str:
    from psycopg2.extensions import parse_dsn

    return str(parse_dsn(archive.admin_dsn).get("dbname", archive.database))


def _maintenance_dsn(archive: Archive) -> str:
    """The administrator's DSN with the database every server has."""
    from psycopg2.extensions import make_dsn

    return str(make_dsn(archive.admin_dsn, dbname="postgres"))


def _profiles(archive: Archive) -> None:
    """Make DaCHS's roles and its connection profiles with passwords of our making; it keeps what it finds."""
    from psycopg2.extensions import parse_dsn

    admin = parse_dsn(archive.admin_dsn)
    folder = archive.root / "etc"
    lines = [f"database = {_quoted(_database(archive))}", f"host = {_quoted(str(admin.get('host', 'localhost')))}"]
    lines.append(f"port = {admin.get('port', 5432)}")
    if "sslmode" in admin:
        lines.append(f"sslmode = {admin['sslmode']}")
    write(folder / "dsn", "\n".join(lines) + "\n")
    with closing(connect(archive.admin_dsn)) as conn, conn.cursor() as cursor:
        for profile, role in PROFILES.items():
            password = secrets.token_hex(24)
            write(folder / profile, f"include dsn\nuser = {role}\npassword = {password}\n")
            if profile == "feed":
                write(archive.passfile, f"*:*:*:{role}:{password}\n")
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
            verb = "ALTER" if cursor.fetchone() else "CREATE"
            cursor.execute(f"{verb} ROLE {role} LOGIN PASSWORD %s", (password,))
            cursor.execute(f'GRANT CONNECT, TEMPORARY ON DATABASE "{_database(archive)}" TO {role}')


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w/.-]+", text, re.ASCII) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _dachs_init(archive: Archive, lock: int) -> None:
    """Run ``dachs init``; passwords go by the environment, for everybody can read a command line."""
    from psycopg2.extensions import parse_dsn

    admin = dict(parse_dsn(archive.admin_dsn))
    environment = dict(archive.environment)
    if password := admin.pop("password", None):
        environment["PGPASSWORD"] = str(password)
    if passfile := admin.pop("passfile", None):
        environment["PGPASSFILE"] = str(passfile)
    admin.setdefault("dbname", archive.database)
    dsn = " ".join(f"{key}={value}" for key, value in admin.items() if key in {"dbname", "user", "host", "port", "sslmode"})
    command = ["/usr/bin/dachs", "--ui", "stingy", "init", "-d", dsn]
    done = subprocess.run(
        command,
        env=environment,
        cwd=archive.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        pass_fds=(lock,),
    )
    if done.returncode or "Could not create role" in done.stdout:
        raise CommandError(command, done.returncode, done.stdout)
    os.chmod(archive.root, 0o700)  # noqa: PTH101 - the profiles hold passwords

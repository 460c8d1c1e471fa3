"""An installation that is destroyed comes back from its backup: every row, every file, every service."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import pyvo

from ingest.bulk.publish import publish_bulk
from ingest.check import check_bundle
from ingest.load import ingest_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from ops.clusters import connect
from ops.errors import OpsError
from ops.house import House
from ops.raising import RESTORING, lower, raise_house
from specola import backup as backing
from specola import restore as restoring
from specola.backup import backup, check_backup, latest
from specola.restore import restore

DATABASES = {"archive": "public", "staging": "team", "survey": "team"}


def rows(house: House) -> dict[str, tuple[int, str]]:
    """Number of rows and a checksum of each table of each database, and of roles and indexes."""
    found: dict[str, tuple[int, str]] = {}
    clusters = {cluster.name: cluster for cluster in house.clusters}
    for database, name in DATABASES.items():
        with closing(connect(house.superuser_dsn(clusters[name], database))) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
            for (table,) in cursor.fetchall():
                cursor.execute(f"SELECT count(*), coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} AS t")
                found[f"{database}:{table}"] = cursor.fetchone()
            # `specola up` sets the survey role's password anew each time: the same password, with other salt
            cursor.execute(
                "SELECT count(*), md5(string_agg((to_jsonb(a) - 'rolpassword')::text, '|' ORDER BY rolname)) FROM pg_authid AS a"
            )
            found[f"{name}:roles"] = cursor.fetchone()
            cursor.execute("SELECT count(*), md5(string_agg(indexdef, '|' ORDER BY indexdef)) FROM pg_indexes")
            found[f"{database}:indexes"] = cursor.fetchone()
    return found


def files(house: House) -> dict[str, tuple[str, int]]:
    """Checksum and mode of every file that is no server's own affair."""
    found = {}
    for top in ("products", "secrets", "dachs", "bundles", "created"):
        for path in [house.var / top, *sorted((house.var / top).rglob("*"))]:
            if (
                path.is_file()
                and not path.is_symlink()
                and not {"logs", "state", "tmp"} & {part.split("-")[0] for part in path.parts}
            ):
                relative = path.relative_to(house.var).as_posix()
                found[relative] = (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode & 0o777)
    return found


def killed(work: Callable[[], object], module: Any, function: str, at: int = 1) -> None:
    """Do something in a process of its own, which is killed at a call of a function."""
    child = os.fork()
    if child == 0:
        calls = 0
        known = getattr(module, function)

        def deadly(*args: Any, **words: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return known(*args, **words)

        setattr(module, function, deadly)
        with suppress(BaseException):
            work()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.slow
def test_destroyed_and_brought_back(new_house: Callable[[str], House], tmp_path: Path) -> None:
    house = new_house("kept")
    raise_house(house)
    bundle = house.var / "bundles" / "demo"
    write_mock(bundle, Mock(spectra=40, seed=2), workers=1)
    for archive in house.archives:
        ingest_bundle(bundle, archive, previews=False)
    publish_bulk(check_bundle(bundle), house.archive("public"))
    with closing(connect(house.survey_dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE measurement (id serial PRIMARY KEY, z double precision, note text)")
        cursor.execute("INSERT INTO measurement (z, note) SELECT random(), repeat('ü', i) FROM generate_series(1, 500) AS i")

    folder = tmp_path / "backups"
    first = backup(house, folder)
    assert first.linked == 0
    before_rows, before_files = rows(house), files(house)
    assert len(before_rows) > 60
    assert before_rows["survey:public.measurement"][0] == 500
    for function, at in (("_base_backup", 2), ("_copy_file", 5), ("write_whole", 2)):
        killed(lambda: backup(house, folder), backing, function, at)
        assert [path.name for path in folder.glob("specola-*")] == [first.folder.name]
        check_backup(first.folder)
    second = backup(house, folder, keep=1)
    assert second.linked >= 40
    assert [path.name for path in folder.iterdir()] == [second.folder.name]
    assert latest(folder) == second.folder
    assert check_backup(second.folder)["installation"]["SPECOLA_VAR"] == str(house.var)
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=second.folder, check=True)

    with pytest.raises(OpsError, match="the installation runs"):
        restore(house, second.folder)
    lower(house)
    with pytest.raises(OpsError, match="nothing runs"):
        backup(house, folder)
    with pytest.raises(OpsError, match="there is something in"):
        restore(house, second.folder)
    shutil.rmtree(house.var)

    # one that dies while it copies has changed nothing; after the parts have changed places it is half there, and says so
    killed(lambda: restore(house, second.folder), restoring.shutil, "copytree", 2)
    assert not (house.var / RESTORING).exists()
    assert not (house.var / "postgres").exists()
    killed(lambda: restore(house, second.folder), restoring.os, "sync")
    assert (house.var / RESTORING).exists()
    with pytest.raises(OpsError, match="a restore was interrupted"):
        raise_house(house)
    restore(house, second.folder)
    assert not list(house.var.glob(".restor*"))
    assert files(house) == before_files
    raise_house(house)
    assert rows(house) == before_rows
    for dsn in (house.survey_dsn, *(archive.dsn for archive in house.archives)):
        connect(dsn).close()  # with the passwords of before
    archive = house.archive("public")
    found = pyvo.dal.TAPService(f"{archive.url}/tap").search("SELECT COUNT(*) AS n FROM demo_r1.spectra")
    assert found["n"][0] == 40


def a_backup(folder: Path) -> Path:
    """A backup as far as the check is concerned."""
    (folder / "var").mkdir(parents=True)
    (folder / "var" / "one").write_text("1")
    about = {"installation": {}, "files": 2, "made": "now"}
    (folder / "backup.json").write_text(json.dumps(about))
    digests = {path: hashlib.sha256((folder / path).read_bytes()).hexdigest() for path in ("var/one", "backup.json")}
    (folder / "SHA256SUMS").write_text("".join(f"{digest}  {path}\n" for path, digest in digests.items()))
    return folder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "var" / "one").write_text("2"), "var/one"),
        (lambda path: (path / "var" / "one").unlink(), "var/one"),
        (lambda path: (path / "var" / "two").write_text("2"), "var/two"),
        (lambda path: (path / "SHA256SUMS").unlink(), "is no backup"),
        (lambda path: (path / "backup.json").write_text("{}"), "backup.json"),
    ],
)
def test_a_damaged_backup_is_found(damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    folder = a_backup(tmp_path / "backup")
    assert check_backup(folder)["files"] == 2
    damage(folder)
    with pytest.raises(OpsError, match=message):
        check_backup(folder)


def test_a_backup_of_another_installation_is_refused(tmp_path: Path) -> None:
    house = House(var=tmp_path / "var", base_port=20000, repository=Path(__file__).parents[2])
    with pytest.raises(OpsError, match="SPECOLA_VAR = None"):
        restore(house, a_backup(tmp_path / "backup"))
    assert not house.var.exists()


def test_a_backup_inside_the_installation_is_refused(tmp_path: Path) -> None:
    house = House(var=tmp_path / "var", base_port=20000, repository=Path(__file__).parents[2])
    with pytest.raises(OpsError, match="inside of SPECOLA_VAR"):
        backup(house, house.var / "backups")

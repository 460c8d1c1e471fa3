"""What an archive has, held still while it changes, and everything outside the database made to follow it."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2

from ingest.announce import announce
from ingest.bulk.listing import refresh_listing
from ingest.errors import IngestError, ReleaseError
from ingest.rd import rd_id
from ingest.surveys import SurveyViews, survey_of
from ops.house import Archive

__all__ = ["change_lock", "follow", "loaded_releases", "remove_files", "tell"]


def loaded_releases(archive: Archive, *, settled: bool = False) -> dict[str, str]:
    """Schema and bundle checksum of every release in the archive.

    With ``settled`` wait for the end of a change that is under way: a loader may outlive the ingest that started it by a
    moment, and be just about to commit.
    """
    try:
        with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
            if settled:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtext('specola ingest'))")
            cursor.execute("SELECT to_regclass('specola.releases')")
            found = cursor.fetchone()
            if found is None or found[0] is None:
                return {}
            cursor.execute("SELECT schema_name, bundle FROM specola.releases")
            return dict(cursor.fetchall())
    except psycopg2.Error as error:
        raise IngestError(f"the {archive.name} archive's database: {str(error).strip()}; is it up (`specola status`)?") from error


@contextmanager
def change_lock(archive: Archive) -> Iterator[None]:
    """One ingest into an archive at a time on this machine; the database holds the same lock for other machines."""
    archive.products.parent.mkdir(parents=True, exist_ok=True)
    with (archive.products.parent / f"{archive.name}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ReleaseError(
                f"{stream.name}: found another ingest into the {archive.name} archive at work; wait for its end"
            ) from None
        yield


def follow(archive: Archive, schema: str) -> None:
    """Have files, servers and lists follow the database after a change of a release that was interrupted; may be repeated."""
    with change_lock(archive):
        if schema not in loaded_releases(archive, settled=True):
            remove_files(archive, schema)
        tell(archive, schema)


def tell(archive: Archive, schema: str) -> None:
    """Tell servers, survey views and the list of releases that a release has come or gone; may be repeated."""
    announce(archive, rd_id(schema))
    views = SurveyViews.of(archive, survey_of(schema), set(loaded_releases(archive)))
    views.restore()
    views.settle()
    # The release did come or go, whatever becomes of the list, which `specola up` and the next change write anew.
    with suppress(OSError):
        refresh_listing(archive)


def remove_files(archive: Archive, schema: str) -> None:
    """Remove RD and files of a release that is not in the database."""
    shutil.rmtree(archive.inputs / schema, ignore_errors=True)
    shutil.rmtree(archive.products / schema, ignore_errors=True)

"""Take releases out of an archive."""

from __future__ import annotations

from collections.abc import Collection

from ingest.errors import IngestError, ReleaseError
from ingest.loader import Loader
from ingest.present import change_lock, loaded_releases, remove_files, tell
from ingest.rd import rd_id
from ingest.surveys import SurveyViews, survey_of
from ops.house import Archive

__all__ = ["remove_release", "remove_releases"]


def remove_release(schema: str, archive: Archive, *, withdrawn: str | None = None) -> None:
    """Take a release out of an archive: tables, services, files. The registry keeps its records as deleted.

    With ``withdrawn``, a reason, the archive remembers in its table specola.withdrawn that it had the release, and takes in
    none of this name again.

    Raises
    ------
    ReleaseError
        The archive has no such release.
    """
    remove_releases([schema], archive, withdrawn=withdrawn)


def remove_releases(schemas: Collection[str], archive: Archive, *, withdrawn: str | None = None) -> None:
    """Take several releases out of an archive in one transaction, all or none; as `remove_release` does with one.

    Raises
    ------
    ReleaseError
        The archive does not have one of them.
    """
    with change_lock(archive):
        present = set(loaded_releases(archive, settled=True))
        for schema in schemas:
            if schema not in present:
                raise ReleaseError(
                    f"the {archive.name} archive: found no release {schema!r}; `specola releases` lists what there is"
                )
        surveys = sorted({survey_of(schema) for schema in schemas})
        views = [SurveyViews.of(archive, survey, present - set(schemas)) for survey in surveys]
        try:
            with Loader(archive) as loader:
                for schema in schemas:
                    loader.say({"remove": rd_id(schema), "schema": schema, "withdrawn": withdrawn})
                for one in views:
                    one.make(loader)
                for one in views:
                    one.put()
                loader.say({"commit": True})
        except IngestError:
            left = set(loaded_releases(archive, settled=True))
            if left.issuperset(schemas):
                for survey in surveys:
                    SurveyViews.of(archive, survey, left).restore()
                raise
        for schema in schemas:
            remove_files(archive, schema)
            tell(archive, schema)

"""After an upgrade of Specola: have the releases of an archive follow the new definitions.

The tables of a release never change, but views over them (the SSA view, its row in ivoa.obscore) and what DaCHS knows of them
come from resdir/*.rd, which an upgrade may change. A file beside each release's RD says which definitions it was made with.
"""

from __future__ import annotations

from collections.abc import Callable

from ingest.announce import announce
from ingest.bulk.listing import refresh_listing
from ingest.definitions import follows_definitions, note_definitions
from ingest.errors import IngestError
from ingest.loader import Loader
from ingest.present import change_lock, loaded_releases
from ingest.rd import rd_id
from ingest.surveys import SurveyViews, survey_of
from ops.house import Archive

__all__ = ["refresh_releases"]


def refresh_releases(archive: Archive, report: Callable[[str], None]) -> list[str]:
    """Make the views of all releases and surveys anew that were made with other definitions; returns their names.

    Raises
    ------
    IngestError
        A release can not follow: its tables are not what the definitions now want. Nothing was changed of it.
    """
    done = []
    for schema in sorted(loaded_releases(archive)):
        if follows_definitions(archive, schema):
            continue
        report(f"{schema}: following changed definitions")
        try:
            with change_lock(archive), Loader(archive) as loader:
                loader.say({"refresh": rd_id(schema)})
                loader.say({"commit": True})
        except IngestError as error:
            raise IngestError(
                f"release {schema} of the {archive.name} archive can not follow resdir/streams.rd: {error};"
                f" take it out (`specola remove {schema}`) and ingest its bundle again"
            ) from error
        note_definitions(archive, schema)
        announce(archive, rd_id(schema))
        done.append(schema)
    schemas = set(loaded_releases(archive))
    for survey in sorted({survey_of(schema) for schema in schemas}):
        views = SurveyViews.of(archive, survey, schemas)
        if follows_definitions(archive, survey) and views.in_place():
            continue
        report(f"{survey}: views over its releases")
        with change_lock(archive), Loader(archive) as loader:
            views.make(loader)
            views.put()
            loader.say({"commit": True})
        views.settle()
        done.append(survey)
    refresh_listing(archive)
    return done

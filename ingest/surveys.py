"""A survey's plain name: views over its releases, which follow whenever a release comes or goes.

The newest release is the one whose bundle was made last (``created`` in bundle.json). Its tables and services answer under
the survey's name, and ``all_…`` are the tables of all of its releases (`ingest.survey_rd`). The views are made in the
transaction of the loader that changes the releases; the RD is renamed into place just before the commit, as a release's is.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from ingest.announce import announce
from ingest.definitions import note_definitions
from ingest.errors import IngestError, ReleaseError
from ingest.loader import Loader
from ingest.rd import rd_id
from ingest.survey_rd import survey_rd
from ops.house import Archive
from specola_bundle.bundle import write_whole

__all__ = ["RESERVED", "SurveyViews", "check_name", "incoming", "survey_of"]

RESERVED = frozenset(
    {"adql", "browse", "bulk", "clientcount", "datalinkuws", "dc", "fancyroot", "gate", "genrd", "getproduct", "ivoa", "login",
     "oai", "odoc", "public", "schemata", "seffe", "specola", "static", "tableinfo", "tablenote", "tap", "teapot", "test", "uws"}
)  # fmt: skip
"""Names that a survey can not have: schemas of DaCHS and PostgreSQL, and addresses of the archive's own pages."""


def incoming(archive: Archive) -> Path:
    """A folder that stands in for DaCHS' inputsDir while an RD is not public yet."""
    folder = archive.root / "incoming"
    folder.mkdir(exist_ok=True)
    streams = folder / "specola"
    if not streams.is_symlink():
        streams.symlink_to(archive.inputs / "specola")
    return folder


def survey_of(schema: str) -> str:
    """The survey of a release: what stands before the underscore of its schema's name."""
    return schema.partition("_")[0]


def check_name(survey: str) -> None:
    """ReleaseError where the archive needs the survey's name itself."""
    if survey in RESERVED:
        raise ReleaseError(f"found a survey {survey!r}, expected another name: the archive has a schema or a page of this one")


@dataclass(frozen=True)
class SurveyViews:
    """The views of a survey in an archive, as they are to be with some releases."""

    archive: Archive
    survey: str
    releases: dict[str, Path]
    """Schema and RD of every release of the survey that is to be in them."""

    @classmethod
    def of(cls, archive: Archive, survey: str, schemas: set[str], *, coming: dict[str, Path] | None = None) -> SurveyViews:
        """Those over the survey's releases among ``schemas``, and those coming, whose RD is elsewhere."""
        present = {schema: archive.inputs / schema / "q.rd" for schema in schemas if survey_of(schema) == survey}
        return cls(archive, survey, present | (coming or {}))

    def document(self) -> bytes | None:
        """The RD of the survey; None where it has no release.

        Raises
        ------
        IngestError
            The RD of a release is not there or is no RD.
        """
        trees = []
        for schema, path in self.releases.items():
            try:
                tree = etree.parse(path).getroot()
                created = str(tree.xpath("string(meta[@name='creationDate'])"))
            except (OSError, etree.XMLSyntaxError) as error:
                raise IngestError(
                    f"{path}: found no resource descriptor ({error}), expected that of release {schema}; ingest its bundle again"
                ) from error
            trees.append(((created, schema), tree))
        trees.sort(key=lambda item: item[0])
        return survey_rd(self.survey, [tree for _, tree in trees]) if trees else None

    def make(self, loader: Loader) -> None:
        """Have the loader make the views, in its transaction."""
        folder = self._hidden()
        document = self.document()
        inputs = None
        if document is not None:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / "q.rd", document)
            inputs = str(incoming(self.archive))
        loader.say({"survey": rd_id(self.survey), "schema": self.survey, "inputs": inputs})

    def put(self) -> None:
        """Put the RD that `make` has written where DaCHS finds it, or take the old one away where there is no release."""
        place = self.archive.inputs / self.survey
        new = self._hidden() / "q.rd"
        if new.exists():
            place.mkdir(exist_ok=True)
            new.replace(place / "q.rd")
        else:
            (place / "q.rd").unlink(missing_ok=True)

    def restore(self) -> None:
        """Have the RD in place be that of these releases again, after a change of them has failed; the views are untouched."""
        if not self.in_place():
            document = self.document()
            if document is not None:
                self._hidden().mkdir(parents=True, exist_ok=True)
                write_whole(self._hidden() / "q.rd", document)
            self.put()
            self.settle()

    def in_place(self) -> bool:
        """Whether the RD that is there is the one that should be."""
        place = self.archive.inputs / self.survey / "q.rd"
        return (place.read_bytes() if place.exists() else None) == self.document()

    def settle(self) -> None:
        """After the commit: note what the views were made with, clear up, and tell running servers."""
        if self.releases:
            note_definitions(self.archive, self.survey)
        else:
            shutil.rmtree(self.archive.inputs / self.survey, ignore_errors=True)
        shutil.rmtree(self._hidden(), ignore_errors=True)
        announce(self.archive, rd_id(self.survey))

    def _hidden(self) -> Path:
        return incoming(self.archive) / self.survey

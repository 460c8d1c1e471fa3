"""Spectra that are asked for in one request: one query a release for their rows, and one for all that is around them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from gavo import base

__all__ = ["MEASURED", "MOST_OTHERS", "Together", "release_of"]

MOST_OTHERS = 20
"""Other spectra of the same object that links name: the sky fibres of a plate may all be one object."""

MEASURED: Mapping[str, str] = {
    "redshifts": "Redshifts measured on the spectrum, with their flags",
    "candidates": "Redshifts that an automatic measurement found possible, the best first",
    "lines": "Lines measured in the spectrum",
    "indices": "Spectral indices measured on the spectrum",
}
"""Tables with what was measured on a spectrum."""

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_SAFE_SCHEMA = re.compile(r"[a-z][a-z0-9_]{0,63}")

_ROWS = (
    "SELECT s.*, p.accesspath, p.owner AS held_by, p.embargo AS held_until"
    " FROM {schema}.spectra AS s JOIN dc.products AS p USING (accref) WHERE spectrum_id=ANY(%(ids)s)"
)
_FILES = (
    "SELECT json_agg(json_build_array(file_product, kind, title, file_format, file_size) ORDER BY kind, file_id)"
    " FROM {release}.files AS f WHERE f.spectrum_id=a.spectrum_id"
)
_OTHERS = (
    "SELECT json_agg(json_build_array(spectrum_id, accref, accsize)) FROM (SELECT s.spectrum_id, s.accref, s.accsize"
    " FROM {release}.spectra AS s WHERE s.object_id=a.object_id AND s.spectrum_id!=a.spectrum_id"
    " ORDER BY s.t_min, s.spectrum_id LIMIT %(most)s) AS o"
)


class Together:
    """The spectra of a request to the service of a schema, which is a release's or a survey's.

    A survey's has the spectra of all of its releases by publisher DID, and of the newest by identifier.

    Raises
    ------
    base.ReportableError
        It is no schema's name.
    """

    def __init__(self, schema: str, asked: Iterable[str]) -> None:
        if not _SAFE_SCHEMA.fullmatch(schema):
            raise base.ReportableError(f"Not a schema: {schema}")
        self._schema = schema
        self._releases: dict[str, bool] = {}
        self._rows: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._around: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._asked = list(asked)

    def row(self, pub_did: str) -> Mapping[str, Any] | None:
        """The row of a spectrum by its publisher DID or its identifier, its path, and who holds it; None where there is none."""
        schema, spectrum_id = self._place(pub_did)
        if schema not in self._rows:
            self._rows[schema] = self._fetched(schema)
        row = self._rows[schema].get(spectrum_id)
        return None if row is None or (pub_did.startswith("ivo://") and row["pub_did"] != pub_did) else row

    def around(self, release: str, spectrum_id: str) -> Mapping[str, Any]:
        """A spectrum's files, other spectra of its object, and in which tables something was measured on it."""
        if release not in self._around:
            found = [row for rows in self._rows.values() for row in rows.values() if release_of(row) == release]
            self._around[release] = _related(release, found)
        return self._around[release][spectrum_id]

    def _place(self, pub_did: str) -> tuple[str, str]:
        spectrum_id = pub_did.rpartition("?")[2] if pub_did.startswith("ivo://") else pub_did
        of_release = re.match(rf"ivo://[^/?]+/({self._schema}_[a-z0-9_]+)/", pub_did)
        return (of_release[1] if of_release and self._is_release(of_release[1]) else self._schema), spectrum_id

    def _is_release(self, schema: str) -> bool:
        if schema not in self._releases:
            with base.getTableConn() as connection:
                found = connection.query("SELECT 1 FROM specola.releases WHERE schema_name=%(schema)s", {"schema": schema})
                self._releases[schema] = bool(list(found))
        return self._releases[schema]

    def _fetched(self, schema: str) -> dict[str, Mapping[str, Any]]:
        places = [self._place(pub_did) for pub_did in self._asked]
        ids = sorted({name for place, name in places if place == schema and _SAFE_ID.fullmatch(name)})
        if not ids:
            return {}
        with base.getTableConn() as connection:
            rows = connection.queryToDicts(_ROWS.format(schema=schema), {"ids": ids})
            return {row["spectrum_id"]: row for row in rows}


def release_of(row: Mapping[str, Any]) -> str:
    """Schema of the release of a spectrum, by its row, also where a survey's plain name was asked."""
    return str(row["pub_did"]).split("/")[3]


def _related(release: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    names = (*MEASURED, "files")
    objects = {row["spectrum_id"]: row["object_id"] for row in rows}
    parameters = {"spectra": list(objects), "objects": list(objects.values()), "most": MOST_OTHERS}
    with base.getTableConn() as connection:
        # asked anew each time: a release of this name may have been taken out and another brought in
        asked = ", ".join(f"to_regclass('{release}.{name}') IS NOT NULL" for name in names)
        there = dict(zip(names, next(iter(connection.query(f"SELECT {asked}"))), strict=True))
        parts = {name: f"EXISTS (SELECT 1 FROM {release}.{name} AS t WHERE t.spectrum_id=a.spectrum_id)" for name in MEASURED}  # noqa: S608
        parts |= {"files": _FILES.format(release=release), "others": _OTHERS.format(release=release)}
        wanted = ", ".join(f"({part if there.get(name, True) else 'NULL'}) AS {name}" for name, part in parts.items())
        spectra = "unnest(%(spectra)s::text[], %(objects)s::text[]) AS a (spectrum_id, object_id)"
        found = connection.queryToDicts(f"SELECT a.spectrum_id, {wanted} FROM {spectra}", parameters)  # noqa: S608
        return {row["spectrum_id"]: row for row in found}

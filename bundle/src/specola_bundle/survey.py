"""A survey's description (``inputs/<survey>/survey.toml``) as a typed object.

The file has these parts::

    [bundle]    fields of bundle.json: survey, release, title, description, creators, rights, …
    [spectra]   columns of the table spectra that have the same value for every spectrum
    [reader]    options of the format's reader, described in docs/importing.md
    [[table]]   for catalogues: a table and its columns, see `ingest.readers.mapping`
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from specola_bundle.errors import SourceError
from specola_bundle.registry import standard_tables

__all__ = ["INPUTS", "Survey", "load_survey"]

INPUTS = Path(__file__).parents[3] / "inputs"
"""Folder of the surveys Specola knows, in a checkout of it."""

_PARTS = {"bundle", "spectra", "reader", "table", "source"}
_BUNDLE_FIELDS = {
    "survey", "release", "title", "description", "creators", "subjects", "facility", "instrument", "references",
    "rights", "rights_uri", "citation", "notes", "simulated", "software",
}  # fmt: skip

T = TypeVar("T")


@dataclass(frozen=True)
class Survey:
    """What a reader has to know about a survey beyond its files."""

    path: Path
    bundle: Mapping[str, Any]
    """Fields of bundle.json."""
    constants: Mapping[str, Any]
    """Columns of the table spectra with the same value for every spectrum."""
    options: Mapping[str, Any]
    """Options of the reader."""
    source: Mapping[str, Any]
    """How the rows of a catalogue are to be read."""
    tables: tuple[Mapping[str, Any], ...]
    """Column mappings of a catalogue."""

    def option(self, name: str, kind: type[T], default: T | None = None) -> T:
        """An option of the reader; SourceError where it is not there (and has no default) or is not of that type."""
        value = self.options.get(name, default)
        if kind is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, kind):
            raise SourceError(f"{self.path}: found [reader] {name} = {value!r}, expected a value of type {kind.__name__}; add it")
        return value

    def renamed(self, release: str | None) -> Survey:
        """The same survey with another release name, for importing a second selection of it."""
        return self if release is None else replace(self, bundle=MappingProxyType({**self.bundle, "release": release}))


def load_survey(path: Path) -> Survey:
    """Read a survey.toml; a name of a folder of ``inputs/`` or of any folder stands for the file in it.

    Raises
    ------
    SourceError
        There is no such file, it is not TOML, or it has parts or fields that nothing reads.
    """
    if path.is_dir():
        path = path / "survey.toml"
    elif not path.exists() and (INPUTS / path / "survey.toml").exists():
        path = INPUTS / path / "survey.toml"
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        known = ", ".join(sorted(p.parent.name for p in INPUTS.glob("*/survey.toml"))) or "none"
        raise SourceError(f"{path}: {error.strerror}; expected a survey description, or one of these names: {known}") from error
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"{path}: found {error}, expected TOML") from error
    _expect(path, "", raw, _PARTS)
    _expect(path, "[bundle] ", raw.get("bundle", {}), _BUNDLE_FIELDS)
    _expect(path, "[spectra] ", raw.get("spectra", {}), set(standard_tables()["spectra"].names))
    for name in ("survey", "release", "title", "description", "creators", "rights"):
        if name not in raw.get("bundle", {}):
            raise SourceError(f"{path}: found no {name} in [bundle], expected one")
    return Survey(
        path=path,
        bundle=MappingProxyType({"simulated": False, **raw["bundle"]}),
        constants=MappingProxyType(raw.get("spectra", {})),
        options=MappingProxyType(raw.get("reader", {})),
        source=MappingProxyType(raw.get("source", {})),
        tables=tuple(raw.get("table", ())),
    )


def _expect(path: Path, part: str, found: Mapping[str, Any], expected: set[str]) -> None:
    unknown = sorted(set(found) - expected)
    if unknown:
        raise SourceError(
            f"{path}: found {part}{', '.join(unknown)}, expected only {', '.join(sorted(expected))}; correct the name"
        )

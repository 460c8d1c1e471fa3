"""Checking a bundle: everything the contract asks for, before anything is loaded.

`check_bundle` reads bundle.json here, the tables in `check_tables` and the spectrum files in `check_files`. All that
is wrong is gathered and reported at once, each finding with file and row.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

import jsonschema
from astropy.io.votable.ucd import check_ucd

from ingest.check_files import check_files
from ingest.check_tables import check_tables
from ingest.errors import BundleError, Finding
from ingest.findings import Findings, Progress, folder_inside, inside, known_unit
from specola_bundle.bundle import CONTRACT, MANIFEST, Bundle, sha256_of
from specola_bundle.registry import Column, standard_tables

__all__ = ["ReadFiles", "check_bundle", "check_description"]

ReadFiles = bool | Literal["headers"]


def check_bundle(path: Path, *, read_files: ReadFiles = True, progress: Progress | None = None) -> Bundle:
    """Check a bundle and open it.

    Parameters
    ----------
    path
        The bundle's directory.
    read_files
        True: every spectrum file is read whole (checksum, layout, wavelengths); ``"headers"``: only their headers and
        sizes; False: none is opened.
    progress
        Called with what is being checked, how many are done, and how many there are.

    Raises
    ------
    BundleError
        With every breach of the contract that was found, the first 50 in words.
    """
    path = Path(path)
    findings = Findings()
    folder_inside.cache_clear()
    description = _description(path)
    _check_schema(description, findings)
    findings.stop()
    bundle = _open(path, description)
    _check_tables_listed(bundle, findings)
    _check_provenance(bundle, findings)
    findings.stop()
    check_tables(bundle, findings, progress)
    if read_files is not False:
        # Rows that break the contract would only be reported a second time by their files.
        findings.stop()
        check_files(bundle, findings, whole=read_files is True, progress=progress)
    findings.stop()
    return bundle


def check_description(description: dict[str, Any]) -> None:
    """Check the fields of a bundle.json that is yet to be written.

    Raises
    ------
    BundleError
        With every field that is not what bundle.schema.json says.
    """
    findings = Findings()
    _check_schema(description, findings)
    findings.stop()


def _fail(where: str, found: str, expected: str, remedy: str = "") -> BundleError:
    return BundleError([Finding(where, found, expected, remedy)])


def _description(path: Path) -> dict[str, Any]:
    """bundle.json, if it is JSON and of a version this code reads."""
    file = path / "bundle.json"
    try:
        description = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise _fail(
            str(file), error.strerror or str(error), "a bundle's description", "give the directory that holds bundle.json"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _fail(str(file), str(error), "JSON", "write the bundle again") from error
    if not isinstance(description, dict):
        raise _fail(str(file), f"a {type(description).__name__}", "an object", "write the bundle again")
    version = str(description.get("contract", ""))
    if not re.fullmatch(r"\d+\.\d+", version):
        raise _fail(
            "bundle.json, contract", repr(description.get("contract")), "a version such as '1.0'", "write the bundle again"
        )
    major, minor = (int(part) for part in version.split("."))
    if (major, minor) > CONTRACT:
        raise _fail(
            "bundle.json, contract", f"version {version}",
            f"{CONTRACT[0]}.{CONTRACT[1]} at most: the bundle is newer than this Specola",
            "update Specola, or have the bundle written for this version",
        )  # fmt: skip
    return description


@cache
def _validator() -> Any:
    schema = json.loads(Path(__file__).with_name("bundle.schema.json").read_text("utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _check_schema(description: dict[str, Any], findings: Findings) -> None:
    for error in sorted(_validator().iter_errors(description), key=lambda error: list(map(str, error.absolute_path))):
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
        findings.add(
            f"bundle.json{', ' + place if place else ''}",
            error.message[:200],
            "what bundle.schema.json says",
            "write the bundle again",
        )


def _open(path: Path, description: dict[str, Any]) -> Bundle:
    try:
        return Bundle(path, description)
    except (ValueError, TypeError) as error:
        raise _fail("bundle.json, tables", str(error), "columns documented once", "leave out what the registry has") from error


def _check_tables_listed(bundle: Bundle, findings: Findings) -> None:
    names = [entry["name"] for entry in bundle.description["tables"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        findings.add(f"bundle.json, table {name}", f"{names.count(name)} entries", "one", "write the bundle again")
    if (bundle.description["kind"] == "spectra") != (bundle.manifest is not None):
        there = "a table" if bundle.manifest is not None else "no table"
        findings.add(
            "bundle.json, kind",
            f"{bundle.description['kind']} and {there} {MANIFEST}",
            "kind spectra for a bundle with spectra, else catalogue",
        )
    for name, table in bundle.tables.items():
        where = f"bundle.json, table {name}"
        count = bundle.description["counts"].get(name)
        if count != table.rows:
            findings.add(f"{where}, counts", str(count), str(table.rows), "write the bundle again")
        if name not in standard_tables():
            _check_new_table(bundle, name, findings)
        for column in _own_columns(bundle, name):
            _check_documentation(where, column, findings)
        file = inside(bundle.path, table.path.relative_to(bundle.path).as_posix())
        if file is None:
            findings.add(
                f"{where}, path", str(table.path.relative_to(bundle.path)), "a file inside the bundle", "write the bundle again"
            )
        elif sha256_of(file) != table.sha256:
            findings.add(
                str(table.path.relative_to(bundle.path)),
                "another content",
                f"SHA-256 {table.sha256} as bundle.json says",
                "write or fetch the bundle again",
            )


def _own_columns(bundle: Bundle, name: str) -> list[Column]:
    """The columns that bundle.json documents for a table."""
    entries = [entry for entry in bundle.description["tables"] if entry["name"] == name]
    return [Column.from_mapping(column) for entry in entries for column in entry.get("columns", ())]


def _check_new_table(bundle: Bundle, name: str, findings: Findings) -> None:
    """A table that the registry does not know has to bring all that the registry would say of it."""
    definition = bundle.tables[name].definition
    where = f"bundle.json, table {name}"
    for part in ("title", "description", "primary"):
        if not getattr(definition, part) or (part == "title" and definition.title == name):
            findings.add(where, f"no {part}", "one, as the registry does not have this table", "document the table")
    for column in (definition.primary, *(definition.position or ()), *definition.indexes):
        if column and column not in definition.names:
            findings.add(
                where, f"no column {column}", "the columns of primary, position and indexes to exist", "document the table"
            )


def _check_documentation(where: str, column: Column, findings: Findings) -> None:
    place = f"{where}, column {column.name}"
    if not known_unit(column.unit):
        findings.add(f"{place}, unit", repr(column.unit), "a VOUnit string", "see ivoa.net/documents/VOUnits")
    if column.ucd and not check_ucd(column.ucd, check_controlled_vocabulary=True):
        findings.add(f"{place}, ucd", repr(column.ucd), "words of the UCD list", "see ivoa.net/documents/UCD1+")


def _check_provenance(bundle: Bundle, findings: Findings) -> None:
    entry = bundle.description.get("provenance")
    if entry is None:
        return
    file = inside(bundle.path, entry["path"])
    if file is None:
        findings.add("bundle.json, provenance", entry["path"], "a file inside the bundle", "write the bundle again")
    elif sha256_of(file) != entry["sha256"]:
        findings.add(
            entry["path"], "another content", f"SHA-256 {entry['sha256']} as bundle.json says", "write or fetch the bundle again"
        )

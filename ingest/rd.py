"""Write the DaCHS resource descriptor (RD) of a release.

Everything in it is data: metadata from bundle.json, columns from the registry and the bundle. What releases have in
common (services, views, ObsCore) stands in resdir/streams.rd and is fed from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

from specola_bundle.bundle import Bundle
from specola_bundle.registry import Column, Table, in_key_order, table_keys

__all__ = ["SIMULATED", "ServiceTests", "add_meta", "add_stream", "published_title", "rd_id", "release_rd", "short_name"]

SIMULATED = "SIMULATED: "
"""What the title of everything simulated begins with."""

_DACHS_TYPES = {"double": "double precision"}
_NULL_LITERALS = {"smallint": "-32768", "integer": "-2147483648", "bigint": "-9223372036854775808"}


@dataclass(frozen=True)
class ServiceTests:
    """Queries that return something, for the registry's and validators' test queries."""

    ra: float | None = None
    """Degrees."""
    dec: float | None = None
    target: str = ""


def rd_id(schema: str) -> str:
    """The RD's id in DaCHS: its path in inputsDir without the ending."""
    return f"{schema}/q"


def published_title(description: Mapping[str, Any]) -> str:
    """Title of a release as the world sees it; says when it is simulated."""
    title = str(description["title"])
    return title if not description["simulated"] or title.startswith(SIMULATED) else SIMULATED + title


def release_rd(bundle: Bundle, tests: ServiceTests) -> bytes:
    """The RD of a release as an XML document."""
    description = bundle.description
    root = etree.Element("resource", schema=bundle.schema, resdir=bundle.schema)
    _metadata(root, bundle)
    tables = {name: table.definition for name, table in bundle.tables.items()}
    order = in_key_order(tables)
    # DaCHS knows no forward references.
    keys = [key for key in table_keys(tables) if order.index(key[2]) < order.index(key[0])]
    for name in order:
        root.append(_table(bundle, tables[name], keys))
    creator = "; ".join(description["creators"])
    if bundle.manifest is not None:
        add_stream(
            root, "ssa",
            collection=_quote(description["survey"].upper()), creator=_quote(creator), publisher=_quote(creator),
            pdate=_quote(description["created"].rstrip("Z")),
            datasource=_quote("artificial" if description["simulated"] else "survey"),
            ssapsource="artificial" if description["simulated"] else "survey",
            shortname=short_name(bundle.schema, "ssa"), testquery=_test_query(tests),
        )  # fmt: skip
        add_stream(root, "links", title=published_title(description), shortname=short_name(bundle.schema, "dl"))
    for table in bundle.tables.values():
        if table.definition.cone_search and tests.ra is not None:
            add_stream(
                root, "cone", table=table.definition.name, shortname=short_name(bundle.schema, "scs"),
                title=f"{published_title(description)}: {table.definition.title}",
                testra=repr(tests.ra), testdec=repr(tests.dec), testsr="0.01",
            )  # fmt: skip
    views = [*(("ssa_source", "ssa") if bundle.manifest is not None else ())]
    if bundle.manifest is not None and "files" in bundle.tables:
        add_stream(root, "images", collection=_quote(description["survey"].upper()))
        views.append("images")
    # a record of its own in the registry: all tables of the release, and that TAP has them
    record = etree.SubElement(root, "data", id="tables", auto="False")
    add_meta(record, "title", f"{published_title(description)}: all tables")
    add_meta(record, "shortName", short_name(bundle.schema, "tab"))
    etree.SubElement(record, "publish", sets="ivo_managed")
    data = etree.SubElement(root, "data", id="create")
    for parent, names in ((record, order), (data, [*order, *views])):
        for name in names:
            etree.SubElement(parent, "make", table=name)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)


def _quote(text: str) -> str:
    """A string as SQL literal, safe in an RD attribute (DaCHS' macros begin with a backslash)."""
    return "'" + text.replace("\\", " ").replace("'", "''") + "'"


def short_name(schema: str, suffix: str) -> str:
    """A shortName: at most 16 characters (VOResource 1.1)."""
    return f"{schema[: 15 - len(suffix)]} {suffix}"


def _test_query(tests: ServiceTests) -> str:
    if tests.ra is not None:
        return f"POS={tests.ra:.6f},{tests.dec:.6f}&SIZE=0.01"
    return f"TARGETNAME={tests.target}" if tests.target else "MAXREC=1"


def add_meta(parent: etree._Element, name: str, text: str, **attributes: str) -> etree._Element:
    """Give an element of an RD a piece of metadata."""
    element = etree.SubElement(parent, "meta", {"name": name, **attributes})
    element.text = text.replace("\\", "\\\\")
    return element


def add_stream(parent: etree._Element, stream: str, **parameters: str) -> None:
    """Have an element of an RD play a stream of resdir/streams.rd."""
    etree.SubElement(parent, "FEED", {"source": f"specola/streams#{stream}", **parameters})


def _metadata(root: etree._Element, bundle: Bundle) -> None:
    description = bundle.description
    add_meta(root, "title", published_title(description))
    add_meta(root, "shortName", bundle.schema[:16])
    add_meta(root, "creationDate", description["created"])
    text = [description["description"], *description.get("notes", ())]
    if description["simulated"]:
        text.insert(0, "All data of this release are simulated; nothing in it was observed.")
    add_meta(root, "description", "\n\n".join(text), format="plain")
    for subject in description.get("subjects") or ("surveys", "spectroscopy", "redshifted"):
        add_meta(root, "subject", subject)
    add_meta(root, "creator", "; ".join(description["creators"]))
    add_meta(root, "version", description["release"])
    add_meta(root, "type", "Survey" if not description["simulated"] else "Simulation")
    add_meta(root, "contentLevel", "Research")
    for name in ("facility", "instrument"):
        if description.get(name):
            add_meta(root, name, description[name])
    if description.get("references"):
        add_meta(root, "source", description["references"][0])
    add_meta(root, "rights", description["rights"])
    if description.get("rights_uri"):
        add_meta(root, "rights.rightsURI", description["rights_uri"])
    if description.get("citation"):
        add_meta(root, "howtocite", description["citation"], format="plain")
    if description.get("doi"):
        add_meta(root, "doi", description["doi"])
    add_meta(root, "coverage.waveband", "Optical")
    # filled from the database, where vo/load.py puts what the release covers
    coverage = etree.SubElement(root, "coverage")
    for axis in ("spatial", "temporal", "spectral"):
        etree.SubElement(coverage, axis)


def _table(bundle: Bundle, table: Table, keys: Sequence[tuple[str, str, str, str]]) -> etree._Element:
    element = etree.Element("table", id=table.name, onDisk="True", adql="True", primary=table.primary)
    simulated = SIMULATED if bundle.description["simulated"] else ""
    add_meta(element, "title", f"{published_title(bundle.description)}: {table.title}")
    add_meta(element, "description", simulated + table.description)
    for column in table.published:
        element.append(_column(column))
    if table.name == "spectra":
        add_stream(element, "spectra", collection=_quote(bundle.description["survey"].upper()))
    elif table.name == "files":
        add_stream(element, "files")
    if table.position is not None:
        add_stream(element, "position")
    for name in table.indexes:
        etree.SubElement(element, "index", columns=name)
    for _, source, target, target_column in (key for key in keys if key[0] == table.name):
        # Declared (TAP_SCHEMA.keys), not enforced: references were checked, and a parent catalogue may hold part of the objects.
        etree.SubElement(element, "foreignKey", inTable=target, source=source, dest=target_column, metaOnly="True")
    return element


def _column(column: Column) -> etree._Element:
    attributes = {
        "name": column.name,
        "type": _DACHS_TYPES.get(column.type, column.type),
        "description": column.description.replace("\\", "\\\\"),
        "tablehead": column.name,
    }
    for name in ("unit", "ucd", "utype"):
        if getattr(column, name):
            attributes[name] = getattr(column, name)
    if column.required:
        attributes["required"] = "True"
    element = etree.Element("column", attributes)
    if column.type in _NULL_LITERALS and not column.required:
        etree.SubElement(element, "values", nullLiteral=_NULL_LITERALS[column.type])
    return element

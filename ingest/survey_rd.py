"""Write the RD of a survey: its newest release under the survey's plain name, and all of its releases in one.

``demo.spectra`` is the table spectra of demo's newest release, ``demo.all_spectra`` has those of all releases, with a column
``release``; so with every table. All are views, so nothing is there twice. What a column means is taken from the releases' own
RDs, which `ingest.rd` wrote; these say what the tables in the database are, also where the registry has changed since.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence

from lxml import etree

from ingest.rd import SIMULATED, add_stream, short_name
from ingest.rows import MADE

__all__ = ["ALL", "RELEASE", "survey_rd"]

ALL = "all_"
"""Before the name of a table: that table of all releases."""
RELEASE = "release"
"""Column of the tables of all releases."""

Tables = Mapping[str, etree._Element]  # noqa: SLF001 - lxml has no other name for it


def survey_rd(survey: str, releases: Sequence[etree._Element]) -> bytes:
    """The RD of a survey as an XML document.

    Parameters
    ----------
    survey
        Its short name, which is the name of the schema.
    releases
        The RDs of its releases, oldest first; at least one.
    """
    newest = releases[-1]
    tables = {str(one.get("schema")): _tables(one) for one in releases}
    current = tables[str(newest.get("schema"))]
    root = etree.Element("resource", schema=survey, resdir=survey)
    _metadata(root, survey, newest, list(tables))
    for name, table in current.items():
        root.append(_newest(name, table, str(newest.get("schema"))))
    together = [name for name in _all_names(tables) if ALL + name not in current]
    for name in together:
        root.append(_union(name, {schema: of[name] for schema, of in tables.items() if name in of}, together))
    for feed in _services(releases):
        root.append(_service(survey, feed))
    data = etree.SubElement(root, "data", id="create")
    for make in newest.findall("data[@id='create']/make"):
        # images are the releases' in ivoa.obscore, as the spectra are
        if make.get("table") != "images":
            data.append(copy.deepcopy(make))
    for name in together:
        etree.SubElement(data, "make", table=ALL + name)
    return etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True)


def _tables(release: etree._Element) -> Tables:
    return {str(table.get("id")): table for table in release.findall("table")}


def _all_names(tables: Mapping[str, Tables]) -> list[str]:
    """Names of all tables, those of the newest release first and in its order: keys point backwards."""
    names: dict[str, None] = {}
    for of in reversed(list(tables.values())):
        names.update(dict.fromkeys(of))
    return list(names)


def _metadata(root: etree._Element, survey: str, newest: etree._Element, schemas: Sequence[str]) -> None:
    for meta in newest.findall("meta"):
        root.append(copy.deepcopy(meta))
    for meta in root.findall("meta"):
        if meta.get("name") == "shortName":
            meta.text = survey[:16]
        elif meta.get("name") == "description":
            meta.text = (
                f"The survey {survey}: its newest release, {schemas[-1]}, under the survey's plain name, and in the tables {ALL}…"
                f" all of its releases ({', '.join(schemas)}). Of the newest release:\n\n{meta.text}"
            )


def _newest(name: str, table: etree._Element, schema: str) -> etree._Element:
    view = _view(name, table, f"The newest release of the survey, which is {schema}.")
    for element in table:
        if element.tag in {"column", "index", "foreignKey"}:
            view.append(copy.deepcopy(element))
    _streams(view, table)
    # vo.survey gives the view that table's limits
    etree.SubElement(view, "property", name="whole_of").text = f"{schema}.{name}"
    # DaCHS puts the names of the columns in
    _statement(view, rf"SELECT \colNames FROM {schema}.{name}")  # noqa: S608 - names that were checked
    view.set("primary", str(table.get("primary")))
    return view


def _union(name: str, tables: Tables, together: Sequence[str]) -> etree._Element:
    """That table of all releases; what a release does not have is NULL in its rows."""
    schemas = list(tables)
    latest = tables[schemas[-1]]
    view = _view(ALL + name, latest, f"All releases of the survey together: {', '.join(schemas)}.")
    etree.SubElement(
        view, "column", name=RELEASE, type="text", ucd="meta.version", required="True", tablehead=RELEASE,
        description="Release the row is of; its schema is the survey's name, an underscore, and this.",
    )  # fmt: skip
    columns = _common_columns(list(tables.values()))
    for column in columns.values():
        view.append(column)
    indexed = [index.get("columns") for index in latest.findall("index")]
    for names in indexed:
        etree.SubElement(view, "index", columns=str(names))
    for key in latest.findall("foreignKey"):
        if key.get("inTable") in together and key.get("source") in columns:
            # in the order of their names, in which vo.keys keeps them in TAP_SCHEMA
            pairs = sorted([(RELEASE, RELEASE), (str(key.get("source")), str(key.get("dest")))])
            etree.SubElement(
                view, "foreignKey", inTable=f"{ALL}{key.get('inTable')}", source=",".join(source for source, _ in pairs),
                dest=",".join(dest for _, dest in pairs), metaOnly="True",
            )  # fmt: skip
    _streams(view, latest)
    made = MADE.get(name, ())
    _statement(view, " UNION ALL ".join(_part(schema, name, table, columns, made) for schema, table in tables.items()))
    view.set("primary", f"{RELEASE},{latest.get('primary')}")
    return view


def _common_columns(tables: Sequence[etree._Element]) -> dict[str, etree._Element]:
    """Columns of all releases' tables as the newest describes them, without those of which releases differ in the type."""
    columns: dict[str, etree._Element] = {}
    types: dict[str, set[str]] = {}
    for table in reversed(tables):
        for column in table.findall("column"):
            name = str(column.get("name"))
            types.setdefault(name, set()).add(str(column.get("type")))
            columns.setdefault(name, copy.deepcopy(column))
    found = {name: column for name, column in columns.items() if len(types[name]) == 1 and name != RELEASE}
    for name, column in found.items():
        if "required" in column.attrib and not all(_has(table, name) for table in tables):
            del column.attrib["required"]
    return found


def _has(table: etree._Element, name: str) -> bool:
    return any(column.get("name") == name for column in table.findall("column"))


def _part(schema: str, name: str, table: etree._Element, columns: Mapping[str, etree._Element], made: Sequence[str]) -> str:
    release = schema.partition("_")[2]
    items = [f"'{release}'::text AS {RELEASE}"]
    for column, element in columns.items():
        items.append(f'"{column}"' if _has(table, column) else f'NULL::{element.get("type")} AS "{column}"')
    items += made
    return f"SELECT {', '.join(items)} FROM {schema}.{name}"  # noqa: S608 - names that were checked


def _view(name: str, table: etree._Element, about: str) -> etree._Element:
    view = etree.Element("table", id=name, onDisk="True", adql="True")
    for meta in table.findall("meta"):
        view.append(copy.deepcopy(meta))
    for meta in view.findall("meta"):
        if meta.get("name") == "description":
            simulated = SIMULATED if str(meta.text).startswith(SIMULATED) else ""
            meta.text = f"{simulated}{about} {str(meta.text).removeprefix(SIMULATED)}"
    return view


def _streams(view: etree._Element, table: etree._Element) -> None:
    for feed in table.findall("FEED"):
        stream = _stream(feed)
        add_stream(view, "spectra_view" if stream == "spectra" else stream)


def _statement(view: etree._Element, select: str) -> None:
    etree.SubElement(view, "viewStatement").text = rf"CREATE VIEW \curtable AS ({select})"


def _services(releases: Sequence[etree._Element]) -> Iterator[etree._Element]:
    """Those of the newest release; the links of the newest that has spectra."""
    yield from (feed for feed in releases[-1].findall("FEED") if _stream(feed) in {"ssa", "cone"})
    yield from [feed for release in releases for feed in release.findall("FEED") if _stream(feed) == "links"][-1:]


def _stream(feed: etree._Element) -> str:
    """Name of the stream of resdir/streams.rd that is played."""
    return str(feed.get("source")).partition("#")[2]


def _service(survey: str, feed: etree._Element) -> etree._Element:
    """A service of the newest release as one of the survey's. The registry has those of the releases, and no spectrum twice."""
    made = copy.deepcopy(feed)
    stream = _stream(feed)
    made.set("shortname", short_name(survey, {"ssa": "ssa", "links": "dl", "cone": "scs"}[stream]))
    if stream != "links":
        made.set("sets", "local")
    return made

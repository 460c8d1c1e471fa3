"""Writes docs/tables.md: what is in the tables that users query. ``python docs/tables.py`` prints the page.

What the standard columns mean is in docs/bundle.md, made from the same registry, and is not repeated. Here is the rest: keys,
indexes, joins, the columns that the archive adds, and those that a release has of its own. A test holds the page to this.
"""  # noqa: INP001 - a script beside the page it writes

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from ingest.mock.columns import EXTENSIONS, HEADS
from specola_bundle.registry import Table, in_key_order, standard_tables, table_keys
from specola_bundle.survey import load_survey

ROOT = Path(__file__).resolve().parents[1]

HEAD = """# Tables

<!-- This page is made by docs/tables.py; change that, or the registry in bundle/src/specola_bundle/tables. -->

What there is to query, table by table. Each release has a schema, `<survey>_<release>`, with those of the standard tables
that it has data for; so `demo_r1.spectra` and `vandels_g24.spectra` have the same columns with the same meaning, unit and UCD.
A release may have more columns and tables of its own. What is not known is NULL. Examples are in [adql.md](adql.md).

Every table is there under three names:

| name | what it is |
|---|---|
| `demo_r1.spectra` | the release r1 of the survey demo. It never changes: use this name in a paper |
| `demo.spectra` | the newest release of the survey, which is the one made last; another one, when there is a newer |
| `demo.all_spectra` | all releases together, with a column `release` in front; what a release does not have is NULL in its rows |

The services of the newest release are there under the survey's name, too: `/demo/q/ssap/ssap.xml`, `/demo/q/cone/scs.xml`, and
`/demo/q/dl/dlmeta`, which has the links of the spectra of all releases. A column of which releases differ in the type is not
in `all_…`.

The same is in the archive itself: in `TAP_SCHEMA`, in TOPCAT's *Columns*, and in the browser at `/tableinfo/demo_r1.spectra`.
"""

PRODUCT = (
    ("accref", "text", "", "Address of the spectrum's FITS file; `.vot` in place of `.fits` is the VOTable."),
    ("owner", "text", "", "Always NULL: what is not public is not in this archive."),
    ("embargo", "date", "", "Always NULL, for the same reason."),
    ("mime", "text", "", "Media type of the file at accref."),
    ("accsize", "bigint", "byte", "Size of the file at accref."),
)
"""Columns of DaCHS' mixin //products#table."""

MADE = {"spectra": "spectrum_columns", "files": "files"}
"""Streams of resdir/streams.rd with the columns that the archive adds to a table."""

OBSCORE = {
    "dataproduct_type": "`spectrum`; `image` for what is in `files`",
    "dataproduct_subtype": "NULL; `kind` of an image",
    "calib_level": "2; 1 where the flux is not calibrated (`flux_calib` UNCALIBRATED)",
    "obs_collection": "name of the survey, in capitals",
    "obs_id": "`spectrum_id`",
    "obs_title": "`title`",
    "obs_publisher_did": "`pub_did`",
    "obs_creator_did": "`creator_did`",
    "access_url": "address of the FITS file",
    "access_format": "`application/fits`",
    "access_estsize": "size of the file in kB",
    "target_name": "`target_name`",
    "target_class": "`target_class`",
    "s_ra": "`ra`",
    "s_dec": "`dec`",
    "s_fov": "`aperture`, in degrees",
    "s_region": "`coverage`",
    "s_resolution": "NULL: a slit spectrum has no spatial resolution",
    "t_min": "`t_min`, MJD",
    "t_max": "`t_max`, MJD",
    "t_exptime": "`exptime`, s",
    "t_resolution": "`exptime`, s",
    "em_min": "`wave_min`, in **metres**, in the medium em_ucd says",
    "em_max": "`wave_max`, in **metres**",
    "em_res_power": "`res_power`",
    "o_ucd": "`phot.flux.density;em.wl`, or `phot.count` for counts",
    "pol_states": "NULL",
    "facility_name": "`facility`",
    "instrument_name": "`instrument`",
    "s_xel1": "1",
    "s_xel2": "1",
    "t_xel": "1",
    "em_xel": "`n_pixels`",
    "pol_xel": "0",
    "s_pixel_scale": "NULL",
    "em_ucd": "`em.wl` for wavelengths in vacuum, `em.wl;obs.atmos` in air",
    "preview": "address of the plot",
    "source_table": "the table the row comes from, as `demo_r1.spectra`",
}
"""Columns of ivoa.obscore and where their values come from (resdir/streams.rd)."""

Row = tuple[str, str, str, str]


def page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *_standard(), *_releases(), *_obscore(), *_own()])


def _standard() -> Iterator[str]:
    first = ("spectra", "redshifts", "photometry", "pointings", "slits")
    for name in [*first, *(name for name in in_key_order(standard_tables()) if name not in first)]:
        table = standard_tables()[name]
        yield f"## `{name}`\n\n{table.description}\n"
        yield from _facts(table)
        made = [*_of_rd("streams.rd", MADE[name]), *(PRODUCT if name == "spectra" else ())] if name in MADE else []
        yield f"- Columns: [those of the contract](bundle.md#table-{name})" + (", and:\n" if made else ".\n")
        if made:
            yield from _columns(made)


def _facts(table: Table) -> Iterator[str]:
    indexed = [*table.indexes, *(["the position"] if table.position else ())]
    keys = table_keys(standard_tables())
    joins = [f"`{b}` by `{c}`" for a, c, b, _ in keys if a == table.name]
    joins += [f"`{a}` by `{c}`" for a, c, b, _ in keys if b == table.name]
    yield f"- Primary key: `{table.primary}`. Indexes: {', '.join(_code(i) for i in indexed)}."
    yield f"- Joins: {', '.join(joins)}."
    if table.cone_search:
        yield "- Cone search: `/<release>/q/cone/scs.xml`."


def _code(text: str) -> str:
    return text if " " in text else f"`{text}`"


def _releases() -> Iterator[str]:
    yield "## `specola.releases`\n\nOne row for each release that the archive serves.\n"
    yield from _columns(_of_rd("releases.rd", "releases"))
    yield "## `specola.withdrawn`\n\nOne row for each release that the archive served and no longer does.\n"
    yield from _columns(_of_rd("releases.rd", "withdrawn"))


def _obscore() -> Iterator[str]:
    yield "## `ivoa.obscore`\n\nOne row for each spectrum of every release, in the columns that all archives share."
    yield "Two-dimensional spectra and pictures of objects (`files`) have rows, too, of `dataproduct_type` `image`.\n"
    yield "| column | here |\n|---|---|"
    yield from (f"| `{name}` | {text} |" for name, text in OBSCORE.items())
    yield ""


def _own() -> Iterator[str]:
    yield "## Columns and tables that a release has of its own\n"
    yield "### `demo_r1.photometry`\n\nThe demonstration survey ([what it is](demo-survey.md)), beside the standard columns:\n"
    yield from _columns((c.name, c.type, c.unit, c.description) for c in EXTENSIONS["photometry"])
    yield f"### `demo_r1.truth`\n\n{HEADS['truth']['description']}\n"
    yield from _columns((c.name, c.type, c.unit, c.description) for c in EXTENSIONS["truth"])
    for path in sorted((ROOT / "inputs").glob("*/survey.toml")):
        survey = load_survey(path)
        schema = f"{survey.bundle['survey']}_{survey.bundle['release']}"
        heads = survey.options.get("tables", {})
        for name, columns in _extensions(survey).items():
            about = heads.get(name, {}).get("description", f"{survey.bundle['title']}, beside the standard columns:")
            yield f"### `{schema}.{name}`\n\n{about}\n"
            yield from _columns((c["name"], c["type"], c.get("unit", ""), c["description"]) for c in columns)


def _extensions(survey: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {name: list(columns) for name, columns in survey.options.get("columns", {}).items()}
    for table in survey.tables:
        if columns := [column for column in table["column"] if "description" in column]:
            found[table["name"]] = columns
    return found


def _of_rd(name: str, identifier: str) -> Iterator[Row]:
    """The columns written in an RD, in the table or stream of that id."""
    root = etree.parse(ROOT / "resdir" / name)
    for column in root.findall(f".//*[@id='{identifier}']/column"):
        yield column.get("name"), column.get("type"), column.get("unit", ""), column.get("description")


def _columns(rows: Iterable[Row]) -> Iterator[str]:
    yield "| column | type | unit | what it is |\n|---|---|---|---|"
    for name, kind, unit, text in rows:
        cell = " ".join(text.split()).replace("|", "\\|")
        yield f"| `{name}` | {kind} | {unit} | {cell} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())

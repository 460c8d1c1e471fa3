"""The tables of docs/bundle.md, made from the registry: ``python -m ingest.document docs/bundle.md`` brings the page up to date.

What stands between the two marker lines of the page is replaced; tests hold that it is what the registry says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from specola_bundle.bundle import write_whole
from specola_bundle.registry import Column, standard_tables

__all__ = ["documented", "main", "tables_text"]

BEGIN = "<!-- made by python -m ingest.document: begin -->"
END = "<!-- made by python -m ingest.document: end -->"


def tables_text() -> str:
    """The standard tables and the fields of bundle.json as Markdown."""
    return "\n".join([*_bundle_fields(), "", *_tables()])


def documented(page: str) -> str:
    """A page with what is between its markers brought up to date; ValueError where it has no markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"found no lines {BEGIN} and {END}, expected both")
    return f"{before}{BEGIN}\n\n{tables_text()}\n\n{END}{after}"


def _bundle_fields() -> Iterator[str]:
    schema = json.loads(Path(__file__).with_name("bundle.schema.json").read_text("utf-8"))
    yield "### bundle.json"
    yield ""
    yield "| field | required | what it is |"
    yield "|---|---|---|"
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {'yes' if name in schema['required'] else ''} | {_cell(_about(schema, field))} |"


def _about(schema: dict[str, Any], field: dict[str, Any]) -> str:
    if "$ref" in field:
        return f"Path and SHA-256 of a file: {', '.join(schema['$defs'][field['$ref'].rsplit('/', 1)[1]]['required'])}."
    text = str(field.get("description", "")) or f"A {field.get('type', 'value')}."
    if "enum" in field:
        text += f" One of {', '.join(field['enum'])}."
    return text


def _tables() -> Iterator[str]:
    for table in standard_tables().values():
        yield f"### Table `{table.name}`"
        yield ""
        yield f"{table.description} Primary key: `{table.primary}`."
        yield ""
        yield "| column | type | unit | UCD | what it is | limits |"
        yield "|---|---|---|---|---|---|"
        for column in table.columns:
            cells = (f"`{column.name}`", column.type, column.unit, column.ucd, column.description, "; ".join(_limits(column)))
            yield f"| {' | '.join(_cell(cell) for cell in cells)} |"
        yield ""


def _limits(column: Column) -> Iterator[str]:
    if column.required:
        yield "required"
    if column.unique:
        yield "unique"
    if column.min is not None or column.max is not None:
        low, high = ("" if limit is None else f"{limit:g}" for limit in (column.min, column.max))
        yield f"{low} to {high}"
    if column.values:
        yield "one of " + ", ".join(map(str, column.values))
    if column.pattern:
        yield f"matches `{column.pattern}`"
    if column.ref:
        yield f"in `{column.ref}`"
    if column.internal:
        yield "not published"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main(path: Path) -> None:
    """Bring a page up to date."""
    write_whole(path, documented(path.read_text("utf-8")).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))

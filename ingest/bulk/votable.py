"""What a table means, as a VOTable without data: it goes into the catalogues themselves.

Parquet keeps it under the keys of the VOParquet convention (IVOA Note, version 1.0), FITS in the primary HDU as STILTS' fits-plus
does, so that TOPCAT, STILTS and astropy show units, UCDs and descriptions of either file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ingest.rd import published_title
from specola_bundle.registry import Column, Table

__all__ = ["votable_of"]

_TYPES = {
    "text": 'datatype="unicodeChar" arraysize="*"', "boolean": 'datatype="boolean"', "smallint": 'datatype="short"',
    "integer": 'datatype="int"', "bigint": 'datatype="long"', "real": 'datatype="float"', "double": 'datatype="double"',
    "timestamp": 'datatype="char" arraysize="*" xtype="timestamp"', "spoly": 'datatype="double" arraysize="*" xtype="polygon"',
}  # fmt: skip


def votable_of(description: Mapping[str, Any], table: Table, columns: Sequence[Column], rows: int) -> str:
    """The VOTable (1.4) of a table.

    Parameters
    ----------
    description
        bundle.json.
    table, columns
        The table's definition, and which of its columns are in the file, in their order.
    rows
        Number of rows.
    """
    schema = f"{description['survey']}_{description['release']}"
    infos = {
        "publication_title": published_title(description), "creator": "; ".join(description["creators"]),
        "rights": description["rights"], "rights_uri": description.get("rights_uri"), "citation": description.get("doi"),
        "publication_date": description["created"],
    }  # fmt: skip
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
        "<RESOURCE>",
        f"<DESCRIPTION>{escape(description['description'].strip())}</DESCRIPTION>",
        *(f"<INFO name={quoteattr(name)} value={quoteattr(str(value))}/>" for name, value in infos.items() if value),
        '<COOSYS ID="icrs" system="ICRS"/>',
        f'<TABLE name={quoteattr(f"{schema}.{table.name}")} nrows="{rows}">',
        f"<DESCRIPTION>{escape(table.description)}</DESCRIPTION>",
    ]
    for column in columns:
        extra = "".join(
            f" {key}={quoteattr(value)}"
            for key, value in (("unit", column.unit), ("ucd", column.ucd), ("utype", column.utype))
            if value
        )
        if table.position and column.name in table.position:
            extra += ' ref="icrs"'
        text = escape(column.description)
        lines.append(
            f"<FIELD name={quoteattr(column.name)} {_TYPES[column.type]}{extra}><DESCRIPTION>{text}</DESCRIPTION></FIELD>"
        )
    lines += ["</TABLE>", "</RESOURCE>", "</VOTABLE>", ""]
    return "\n".join(lines)

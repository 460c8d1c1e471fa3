"""The links of a spectrum (DataLink 1.1): what there is of it, what it was made from, what was made from it, what goes with it.

Semantics are terms of http://www.ivoa.net/rdf/datalink/core.
"""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gavo import base

from vo.together import MEASURED

if TYPE_CHECKING:
    from vo.datalink import SpectrumDescriptor

__all__ = ["FITS", "VOTABLE", "links"]

FITS = "application/fits"
VOTABLE = "application/x-votable+xml"
PNG = "image/png"
KINDS: Mapping[str, str] = {
    "spectrum2d": "#progenitor",
    "raw": "#progenitor",
    "sky": "#auxiliary",
    "thumbnail": "#counterpart",
    "model": "#derivation",
    "calibration": "#calibration",
    "report": "#documentation",
}
"""What a file of the table files is to the spectrum, by its kind. The picture is another instrument's, so a counterpart."""


def links(descriptor: SpectrumDescriptor) -> Iterator[Any]:
    """The rows of the links response for a spectrum."""
    if descriptor.pubDID is None:
        # DaCHS asks for the service's parameters alone, for a whole SSA response
        return
    row, link = descriptor.row, descriptor.makeLink
    yield link(
        _product(row["accref"]), semantics="#this", contentType=FITS, contentLength=int(row["accsize"]),
        description="The spectrum as FITS binary table", localSemantics="fits",
    )  # fmt: skip
    yield link(
        _product(row["accref"].removesuffix(".fits") + ".vot"), semantics="#this", contentType=VOTABLE,
        description="The spectrum as VOTable (Spectrum data model)", localSemantics="votable",
    )  # fmt: skip
    if row["preview"]:
        small = row["preview"].removesuffix(".png") + ".thumb.png"
        for semantics, accref, width in (("#preview-plot", row["preview"], 1200), ("#thumbnail", small, 200)):
            yield link(
                _product(accref), semantics=semantics, contentType=PNG, contentLength=_size(descriptor, accref),
                description=f"Plot of the spectrum, {width} pixels wide",
                localSemantics="preview" if width > 200 else "thumbnail",
            )  # fmt: skip
    if row["work_product"]:
        yield link(
            _product(row["work_product"]), semantics="#progenitor",
            contentType=row["work_format"], contentLength=row["work_size"],
            description="The file the spectrum was made from", localSemantics="work",
        )  # fmt: skip
    yield from _around(descriptor)
    yield from _of_the_release(descriptor)


def _around(descriptor: SpectrumDescriptor) -> Iterator[Any]:
    """What else is about the spectrum or its object, from the release's other tables."""
    release, spectrum_id, link = descriptor.release, descriptor.row["spectrum_id"], descriptor.makeLink
    found = descriptor.together.around(release, spectrum_id)
    for accref, kind, title, media_type, size in found["files"] or ():
        yield link(
            _product(accref), semantics=KINDS[kind], contentType=media_type, contentLength=int(size),
            description=title, localSemantics=kind,
        )  # fmt: skip
    for table, text in MEASURED.items():
        if found[table]:
            yield link(
                _query(f"SELECT * FROM {release}.{table} WHERE spectrum_id='{spectrum_id}'"),  # noqa: S608 - ADQL; checked names
                semantics="#derivation", contentType=VOTABLE, description=text, localSemantics=table,
            )  # fmt: skip
    for other, accref, size in found["others"] or ():
        yield link(
            _product(accref), semantics="#counterpart", contentType=FITS, contentLength=int(size),
            description=f"Another spectrum of the same object: {other}", localSemantics="same-object",
        )  # fmt: skip


def _of_the_release(descriptor: SpectrumDescriptor) -> Iterator[Any]:
    """Where it all comes from, and how it is to be cited."""
    release, link = descriptor.release, descriptor.makeLink
    provenance = f"{release}/provenance.json"
    size = _size(descriptor, provenance)
    if size is not None:
        yield link(
            _product(provenance), semantics="#documentation", contentType="application/json", contentLength=size,
            description="Provenance of the release (W3C PROV): from what, by which programs it was made",
            localSemantics="provenance",
        )  # fmt: skip
    yield link(
        f"{_server()}/browse/{release}/q", semantics="#documentation", contentType="text/html",
        description="The release: what it is, how to cite it, its services", localSemantics="release",
    )  # fmt: skip


def _size(descriptor: SpectrumDescriptor, accref: str) -> int | None:
    """Size in bytes of a file of the archive; None where there is none."""
    try:
        return (descriptor.folder / accref).stat().st_size
    except FileNotFoundError:
        return None


@functools.cache
def _server() -> str:
    return str(base.getConfig("web", "serverurl")).rstrip("/")


def _product(accref: str) -> str:
    return f"{_server()}/getproduct/{urllib.parse.quote(accref)}"


def _query(adql: str) -> str:
    """Address of the answer of TAP to a query."""
    return f"{_server()}/tap/sync?{urllib.parse.urlencode({'REQUEST': 'doQuery', 'LANG': 'ADQL', 'QUERY': adql})}"

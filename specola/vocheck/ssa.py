"""Validate a service of the Simple Spectral Access Protocol (SSAP 1.1): metadata, response, errors, constraints."""

from __future__ import annotations

from typing import Any

import numpy as np

from specola.vocheck.documents import Answer, Login, Service, columns, query_status, read, values
from specola.vocheck.findings import Report
from specola.vocheck.spectra import check_spectra

__all__ = ["check_ssa"]

MANDATORY = {
    # SSAP 1.1, section 4.2.5 and appendix D: fields every response has, and what their values are
    "Dataset.DataModel": "text",
    "Dataset.Length": "integer",
    "DataID.Title": "text",
    "Curation.Publisher": "text",
    "Access.Reference": "text",
    "Access.Format": "text",
    "Char.SpatialAxis.Coverage.Location.Value": "number",
    "Char.SpatialAxis.Coverage.Bounds.Extent": "number",
    "Char.SpectralAxis.Coverage.Location.Value": "number",
    "Char.SpectralAxis.Coverage.Bounds.Extent": "number",
    "Char.TimeAxis.Coverage.Location.Value": "number",
    "Char.TimeAxis.Coverage.Bounds.Extent": "number",
}
RECOMMENDED = (
    "Curation.PublisherDID", "Target.Name", "Char.SpectralAxis.Coverage.Bounds.Start",
    "Char.SpectralAxis.Coverage.Bounds.Stop", "Char.FluxAxis.Ucd", "Char.SpectralAxis.Ucd",
)  # fmt: skip
UNITS = {
    "Char.SpectralAxis.Coverage.Location.Value": "m",
    "Char.SpectralAxis.Coverage.Bounds.Extent": "m",
    "Char.TimeAxis.Coverage.Location.Value": "d",
    "Char.TimeAxis.Coverage.Bounds.Extent": "s",
    "Char.SpatialAxis.Coverage.Location.Value": "deg",
    "Char.SpatialAxis.Coverage.Bounds.Extent": "deg",
}
INPUTS = ("POS", "SIZE", "BAND", "TIME", "FORMAT")
"""Parameters every service has to know (section 4.1.1)."""

_TYPES = {
    "text": {"char", "unicodeChar"},
    "integer": {"short", "int", "long", "unsignedByte"},
    "number": {"float", "double", "short", "int", "long"},
}
_EXACT = 1e-5
"""Degrees a position may be off by rounding."""


def check_ssa(address: str, login: Login | None = None, *, sample: int = 5) -> Report:
    """Check an SSA service.

    Parameters
    ----------
    address
        Its access URL; parameters in it go with every request.
    login
        For a service that asks who it is.
    sample
        Number of spectra to fetch.
    """
    service, report = Service(address, login), Report("ssa", address)
    _metadata(service, report)
    document, table = _response(service, report, sample)
    _errors(service, report)
    if table is not None and len(table.array):
        _constraints(service, report, table)
        check_spectra(service, report, document, table, sample)
    if not report.errors:
        report.add("passed", "service", "no error found")
    return report


def _document(report: Report, check: str, answer: Answer) -> Any:
    """The VOTable of an answer, after the findings about what it is not."""
    if not report.expect(answer.status == 200, check, f"found HTTP status {answer.status}, expected 200", answer.address):
        return None
    document = read(answer.content)
    report.expect(document is not None, check, f"found {answer.media_type or 'nothing'}, expected a VOTable", answer.address)
    report.expect(
        "xml" in answer.media_type, check, f"found the media type {answer.media_type!r}, expected a VOTable's", answer.address
    )
    return document


def _metadata(service: Service, report: Report) -> None:
    answer = service.ask(REQUEST="queryData", FORMAT="METADATA")
    document = _document(report, "metadata", answer)
    if document is None:
        return
    listed = {str(param.name).upper() for resource in document.resources for param in resource.params}
    listed |= {str(param.name).upper() for table in document.iter_tables() for param in table.params}
    for name in INPUTS:
        report.expect(
            f"INPUT:{name}" in listed, "metadata", f"found no PARAM INPUT:{name} (SSAP 1.1, section 4.1.3)", answer.address
        )
    report.expect(query_status(document)[0] == "OK", "metadata", "found no INFO QUERY_STATUS with value OK", answer.address)


def _response(service: Service, report: Report, sample: int) -> tuple[Any, Any]:
    answer = service.ask(REQUEST="queryData", MAXREC=str(sample))
    document = _document(report, "response", answer)
    if document is None:
        return None, None
    status = query_status(document)
    good = report.expect(
        status[0] in {"OK", "OVERFLOW"},
        "response",
        f"found QUERY_STATUS {status[0]!r} {status[1]}, expected OK or OVERFLOW",
        answer.address,
    )
    results = [resource for resource in document.resources if resource.type == "results" and resource.tables]
    if not report.expect(bool(results), "response", "found no RESOURCE of type results with a table", answer.address) or not good:
        return None, None
    table = results[0].tables[0]
    present = columns(table)
    for utype, kind in MANDATORY.items():
        item: Any = present.get(utype.lower())
        if not report.expect(
            item is not None, "fields", f"found no field with utype ssa:{utype}, which is mandatory", answer.address
        ):
            continue
        report.expect(
            item.datatype in _TYPES[kind],
            "fields",
            f"ssa:{utype}: found datatype {item.datatype}, expected one for {kind}",
            answer.address,
        )
        unit = UNITS.get(utype)
        shown = str(item.unit or "")
        right = unit is None or shown == unit
        report.expect(right, "fields", f"ssa:{utype}: found unit {shown!r}, expected {unit!r}", answer.address, level="warning")
    for utype in RECOMMENDED:
        report.expect(
            utype.lower() in present,
            "fields",
            f"found no field with utype ssa:{utype}, which is recommended",
            answer.address,
            level="warning",
        )
    report.expect(len(table.array) <= sample, "response", f"found {len(table.array)} rows, MAXREC was {sample}", answer.address)
    report.expect(len(table.array) > 0, "response", "found no spectrum", answer.address, level="warning")
    return document, table


def _errors(service: Service, report: Report) -> None:
    """Wrong requests are answered by a VOTable that says so (section 8.11), with status 200 or 4xx."""
    for parameters in ({"REQUEST": "queryData", "POS": "nonsense", "SIZE": "1"}, {"REQUEST": "nonsense"}):
        answer = service.ask(**parameters)
        shown = " ".join(f"{name}={value}" for name, value in parameters.items())
        report.expect(
            answer.status == 200 or 400 <= answer.status < 500,
            "errors",
            f"{shown}: found HTTP status {answer.status}",
            answer.address,
        )
        document = read(answer.content)
        status = query_status(document) if document is not None else ("", "")
        report.expect(status[0] == "ERROR", "errors", f"{shown}: found no VOTable with QUERY_STATUS ERROR", answer.address)
        report.expect(
            bool(status[1]) or status[0] != "ERROR", "errors", f"{shown}: the error has no text", answer.address, level="warning"
        )


def _rows(service: Service, report: Report, check: str, **parameters: str) -> Any:
    answer = service.ask(REQUEST="queryData", MAXREC="1000", **parameters)
    document = _document(report, check, answer)
    tables = [t for r in document.resources if r.type == "results" for t in r.tables] if document is not None else []
    return (tables[0] if tables else None), answer.address


def _constraints(service: Service, report: Report, table: Any) -> None:
    """FORMAT, BAND and POS/SIZE select what they say."""
    for check, parameters in (
        ("FORMAT", {"FORMAT": "application/x-nosuch"}),
        ("BAND", {"BAND": "1e-18/2e-18"}),
        ("TIME", {"TIME": "1850/1851"}),
    ):
        found, address = _rows(service, report, check, **parameters)
        report.expect(found is None or len(found.array) == 0, check, "found spectra, expected none", address)
    positions = values(table, "Char.SpatialAxis.Coverage.Location.Value")
    if positions is None:
        return
    known = [np.asarray(np.ma.filled(p, np.nan), float) for p in positions if np.size(p) == 2]
    known = [p for p in known if np.all(np.isfinite(p))]
    if not known:
        return
    lon, lat = known[0]
    size = 0.2
    found, address = _rows(service, report, "POS", POS=f"{lon:.7f},{lat:.7f}", SIZE=str(size))
    if found is None:
        return
    report.expect(len(found.array) > 0, "POS", "found nothing around the position of a spectrum", address)
    for place in values(found, "Char.SpatialAxis.Coverage.Location.Value"):
        far = float(_distance(lon, lat, *np.asarray(np.ma.filled(place, np.nan), float)))
        message = f"found a spectrum {far:.3f} deg from POS, expected {size / 2} at most: SIZE is a diameter"
        if not report.expect(not far > size / 2 + _EXACT, "SIZE", message, address, level="warning"):
            break


def _distance(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """Angle between two positions, all in degrees (haversine)."""
    one, two, step = np.radians(lat1), np.radians(lat2), np.radians(lon2 - lon1)
    half = np.sin((two - one) / 2) ** 2 + np.cos(one) * np.cos(two) * np.sin(step / 2) ** 2
    return float(np.degrees(2 * np.arcsin(np.sqrt(half))))

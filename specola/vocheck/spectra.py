"""Fetch the spectra an SSA response points to, and try its SODA block."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from astropy import units
from astropy.io import fits

from specola.vocheck.documents import Login, Service, read, values
from specola.vocheck.findings import Report
from specola.vocheck.stilts import votlint

__all__ = ["check_spectra"]

SODA = "ivo://ivoa.net/std/soda#sync"
_VOTABLES = {"application/x-votable+xml", "application/x-votable", "text/xml", "application/xml"}
_ROUNDING = 1e-6
"""Relative: a limit may be given as a 32-bit float."""


def check_spectra(service: Service, report: Report, document: Any, table: Any, sample: int) -> None:
    """Every spectrum of the sample is there and is what the response says; a cut-out is inside its limits."""
    references, formats = values(table, "Access.Reference"), values(table, "Access.Format")
    if references is None or formats is None:
        return
    for reference, kind in list(zip(references, formats, strict=True))[:sample]:
        _spectrum(service, report, str(reference), str(kind).split(";")[0].strip().lower())
    _soda(report, document, table, service.login)


def _spectrum(service: Service, report: Report, address: str, kind: str) -> None:
    if not report.expect(
        address.startswith(("http://", "https://")), "access", f"found {address!r}, expected an address", address
    ):
        return
    answer = service.get(address)
    if not report.expect(answer.status == 200, "access", f"found HTTP status {answer.status}", address):
        return
    report.expect(
        answer.media_type == kind or {answer.media_type, kind} <= _VOTABLES, "access",
        f"found the media type {answer.media_type!r}, the response says {kind!r}", address, level="warning",
    )  # fmt: skip
    if kind in _VOTABLES:
        document = read(answer.content)
        tables = list(document.iter_tables()) if document is not None else []
        if report.expect(bool(tables), "access", "found no VOTable with a table", address):
            report.expect(any(len(t.array) for t in tables), "access", "found a spectrum without data", address)
            for message in votlint(answer.content):
                report.add("error", "access", message, address)
    elif "fits" in kind:
        try:
            with fits.open(io.BytesIO(answer.content)) as hdus:
                hdus.verify("exception")
        except (OSError, fits.VerifyError) as error:
            report.add("error", "access", f"is no FITS file: {error}", address)
    else:
        report.expect(bool(answer.content), "access", "found nothing", address)


def _soda(report: Report, document: Any, table: Any, login: Login | None) -> None:
    """The cut-out service of the response, if it has one: half of the first spectrum's range."""
    block = next((r for r in document.resources if _param(r, "standardID").lower().startswith(SODA)), None)
    if block is None:
        return
    address = _param(block, "accessURL")
    inputs = {str(p.name): p for group in block.groups for p in group.entries if getattr(p, "name", None)}
    identifier = inputs.get("ID")
    column: Any = next((f for f in table.fields if identifier is not None and identifier.ref == f.ID), None)
    if not report.expect(
        bool(address) and column is not None, "SODA", "the block has no accessURL, or its ID refers to no column", address
    ):
        return
    if "BAND" not in inputs:
        return
    middle = float(values(table, "Char.SpectralAxis.Coverage.Location.Value")[0])
    extent = float(values(table, "Char.SpectralAxis.Coverage.Bounds.Extent")[0])
    lower, upper = middle - extent / 4, middle + extent / 4
    answer = Service(address, login).ask(ID=str(table.array[column.ID][0]), BAND=f"{lower!r} {upper!r}")
    document = read(answer.content) if answer.status == 200 else None
    if not report.expect(answer.status == 200, "SODA", f"found HTTP status {answer.status}", answer.address) or document is None:
        return
    result = document.get_first_table()
    axis = next((f for f in result.fields if str(f.ucd or "").startswith("em.wl")), None)
    if axis is None:
        return
    wave = np.asarray(result.array[axis.ID], float) * units.Unit(str(axis.unit or "m")).to(units.m)
    if report.expect(wave.size > 0, "SODA", "found no pixel in the middle of a spectrum", answer.address):
        inside = lower * (1 - _ROUNDING) <= wave.min() and wave.max() <= upper * (1 + _ROUNDING)
        report.expect(
            bool(inside),
            "SODA",
            f"found {wave.min():.6g} to {wave.max():.6g} m, BAND was {lower:.6g} {upper:.6g}",
            answer.address,
        )


def _param(resource: Any, name: str) -> str:
    return next((str(p.value) for p in resource.params if p.name == name), "")

"""Which check is for which service."""

from __future__ import annotations

from collections.abc import Callable

from specola.vocheck.documents import Login, Service, read
from specola.vocheck.findings import Report
from specola.vocheck.schemas import check_xml, is_known
from specola.vocheck.ssa import check_ssa
from specola.vocheck.stilts import check_cone, check_datalink, check_tap

__all__ = ["KINDS", "check"]

KINDS: dict[str, Callable[[str, Login | None], Report]] = {
    "ssa": check_ssa,
    "tap": check_tap,
    "cone": check_cone,
    "datalink": check_datalink,
    "xml": check_xml,
}


def check(address: str, kind: str = "auto", *, login: Login | None = None, sample: int = 5) -> Report:
    """Check a service.

    Parameters
    ----------
    address
        Its access URL; for Datalink with the ID. Or a document's: capabilities, availability, tables, an answer of OAI-PMH.
    kind
        One of :data:`KINDS`, or ``auto``: the service is asked what it is.
    login
        For a service that asks who it is.
    sample
        Number of spectra an SSA check fetches.
    """
    if kind == "auto":
        kind = _kind(Service(address, login), address)
    if kind == "ssa":
        return check_ssa(address, login, sample=sample)
    if kind not in KINDS:
        report = Report("unknown", address)
        report.add("error", "service", "answers like none of " + ", ".join(KINDS) + "; say which it is with --kind")
        return report
    return KINDS[kind](address, login)


def _kind(service: Service, address: str) -> str:
    """What a service is, from its capabilities if it has any, else from how it answers."""
    capabilities = service.get(f"{service.address.rstrip('/')}/capabilities")
    if capabilities.status == 200 and b"ivo://ivoa.net/std/tap" in capabilities.content.lower():
        return "tap"
    content = service.get(address).content
    if is_known(content):
        return "xml"
    document = read(content)
    if document is not None and any(
        str(f.utype or "") == "" and str(f.name) == "semantics" for t in document.iter_tables() for f in t.fields
    ):
        return "datalink"
    document = read(service.ask(REQUEST="queryData", FORMAT="METADATA").content)
    if document is not None and any(
        str(f.utype or "").lower().startswith("ssa:") for t in document.iter_tables() for f in t.fields
    ):
        return "ssa"
    document = read(service.ask(RA="0", DEC="0", SR="0").content)
    if document is not None and any(str(f.ucd) == "POS_EQ_RA_MAIN" for t in document.iter_tables() for f in t.fields):
        return "cone"
    return "unknown"

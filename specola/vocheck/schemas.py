"""Validate XML documents (VOSI, UWS, registry records, OAI-PMH, VOTable) against the IVOA's schemas, without the network.

The schemas are those DaCHS brings along; where it is not installed nothing can be validated.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from lxml import etree

from specola.vocheck.documents import Login, Service
from specola.vocheck.findings import Report

__all__ = ["FOLDER", "check_xml", "is_known", "xsd_errors"]

FOLDER = Path("/usr/lib/python3/dist-packages/gavo/resources/schemata")
MOST = 20
"""Messages about one document that are passed on."""
_XS = "http://www.w3.org/2001/XMLSchema"


def _parsed(content: bytes) -> etree._Element:
    """A document's root; entities stay as they are, and nothing is fetched.

    :raises etree.XMLSyntaxError: when it is no XML
    """
    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))


class _Local(etree.Resolver):
    """Schemas name others by addresses; here the file of that name is taken."""

    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]  # noqa: ARG002
        path = FOLDER / system_url.rpartition("/")[2]
        return self.resolve_filename(str(path), context) if path.exists() else None  # type: ignore[attr-defined]


@functools.cache
def _files() -> dict[str, str]:
    """The schemas' files by namespace."""
    found = {}
    for path in sorted(FOLDER.glob("*.xsd")):
        namespace = etree.parse(str(path)).getroot().get("targetNamespace")
        if namespace:
            found[namespace] = path.name
    return found


@functools.cache
def _schema(namespaces: frozenset[str]) -> etree.XMLSchema:
    imports = "".join(f'<import namespace="{name}" schemaLocation="{_files()[name]}"/>' for name in sorted(namespaces))
    parser = etree.XMLParser()
    parser.resolvers.add(_Local())
    document = etree.fromstring(f'<schema xmlns="{_XS}" targetNamespace="urn:joint">{imports}</schema>'.encode(), parser)
    return etree.XMLSchema(document)


def is_known(content: bytes) -> bool:
    """True for XML whose outermost element is of a namespace with a schema here, other than VOTable's."""
    try:
        root = _parsed(content)
    except etree.XMLSyntaxError:
        return False
    namespace = etree.QName(root).namespace or ""
    return namespace in _files() and "VOTable" not in namespace


def xsd_errors(content: bytes) -> list[str]:
    """What is wrong with a document, as ``line N: what``; also that it is no XML, or that there is no schema for it.

    Raises
    ------
    FileNotFoundError
        DaCHS, and so its schemas, is not on this machine.
    """
    if not FOLDER.is_dir():
        raise FileNotFoundError(f"{FOLDER} is not there: the schemas come with the Debian package python3-gavo")
    try:
        root = _parsed(content)
    except etree.XMLSyntaxError as error:
        return [f"line {error.lineno}: no XML: {error.msg}"]
    if etree.QName(root).namespace not in _files():
        return [f"line 1: found <{root.tag}>, for which there is no schema"]
    used = {name for element in root.iter(etree.Element) for name in element.nsmap.values()}
    schema = _schema(frozenset(used & _files().keys()))
    if schema.validate(root):
        return []
    errors: Any = schema.error_log
    return [f"line {error.line}: {error.message}" for error in errors][:MOST]


def check_xml(address: str, login: Login | None = None) -> Report:
    """A document of a service: capabilities, availability, tables, a UWS job, a registry's answer."""
    report = Report("xml", address)
    answer = Service(address, login).get(address)
    if not report.expect(answer.status == 200, "response", f"found HTTP status {answer.status}", address):
        return report
    try:
        for message in xsd_errors(answer.content):
            report.add("error", "schema", message, address)
    except FileNotFoundError as error:
        report.add("warning", "schema", str(error))
        return report
    if not report.errors:
        report.add("passed", "schema", "valid")
    return report

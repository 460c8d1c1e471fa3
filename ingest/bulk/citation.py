"""How a release is cited, made from bundle.json: CITATION.cff, DataCite JSON, BibTeX, README."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ingest.rd import published_title

__all__ = ["bibtex", "citation_cff", "datacite", "readme"]

_SPDX = {
    "creativecommons.org/publicdomain/zero/1.0": "CC0-1.0",
    "creativecommons.org/licenses/by/4.0": "CC-BY-4.0",
    "creativecommons.org/licenses/by-sa/4.0": "CC-BY-SA-4.0",
    "creativecommons.org/licenses/by-nc/4.0": "CC-BY-NC-4.0",
}
_PERSON = re.compile(r"(?P<family>[^,]+), (?P<given>(?:[^\W\d_]\.?[- ]?){1,6}|[^\W\d_][\w' -]+)")
_BIBCODE = re.compile(r"\d{4}[A-Za-z&.]{5}[\w.]{9}[A-Z]")
_DOI = re.compile(r"10\.\d{4,9}/\S+")

Description = Mapping[str, Any]


def _person(creator: str) -> tuple[str, str] | None:
    """Family and given name of a creator; None for a team."""
    match = _PERSON.fullmatch(creator)
    return (match["family"], match["given"]) if match else None


def _licence(description: Description) -> str | None:
    uri = re.sub(r"^https?://|/$|/(?:legalcode|deed\.\w+)$", "", description.get("rights_uri") or "")
    return _SPDX.get(uri)


def _version(description: Description) -> str:
    return str(description["release"])


def citation_cff(description: Description, url: str = "") -> str:
    """CITATION.cff (Citation File Format 1.2.0). JSON strings are YAML strings, so nothing needs to be escaped twice."""

    def lines() -> Iterator[str]:
        text = json.dumps
        yield "cff-version: 1.2.0"
        yield f"message: {text('If you use these data, please cite them as below, and the papers listed.')}"
        yield "type: dataset"
        yield f"title: {text(published_title(description), ensure_ascii=False)}"
        yield f"abstract: {text(' '.join(description['description'].split()), ensure_ascii=False)}"
        yield "authors:"
        for creator in description["creators"]:
            person = _person(creator)
            if person:
                yield f"  - family-names: {text(person[0], ensure_ascii=False)}"
                yield f"    given-names: {text(person[1], ensure_ascii=False)}"
            else:
                yield f"  - name: {text(creator, ensure_ascii=False)}"
        yield f"version: {text(_version(description))}"
        yield f"date-released: {description['created'][:10]}"
        if description.get("doi"):
            yield f"doi: {text(description['doi'])}"
        if url:
            yield f"url: {text(url)}"
        if licence := _licence(description):
            yield f"license: {licence}"
        if description.get("subjects"):
            yield "keywords:"
            yield from (f"  - {text(subject)}" for subject in description["subjects"])
        references = [one for one in description.get("references", ()) if _identified(one)]
        if references:
            yield "references:"
            for one in references:
                kind, value, address = _identified(one) or ("", "", "")
                yield "  - type: article"
                yield f"    title: {text(one)}"
                yield "    authors:"
                yield '      - name: "see the identifier"'
                yield "    identifiers:"
                yield f"      - type: {'doi' if kind == 'DOI' else 'url'}"
                yield f"        value: {text(value if kind == 'DOI' else address)}"

    return "\n".join(lines()) + "\n"


def _identified(reference: str) -> tuple[str, str, str] | None:
    """Kind, identifier and address of a reference; None for one in words."""
    if _DOI.fullmatch(reference):
        return "DOI", reference, f"https://doi.org/{reference}"
    if _BIBCODE.fullmatch(reference):
        return "bibcode", reference, f"https://ui.adsabs.harvard.edu/abs/{reference}"
    return None


def datacite(description: Description, publisher: str, url: str = "", *, size: int = 0) -> dict[str, Any]:
    """Metadata for a DOI (DataCite schema 4.5, JSON). ``size`` is that of all files, bytes."""
    doi = description.get("doi")
    creators = []
    for creator in description["creators"]:
        person = _person(creator)
        if person:
            creators.append(
                {"name": creator, "nameType": "Personal", "familyName": person[0], "givenName": person[1]},
            )
        else:
            creators.append({"name": creator, "nameType": "Organizational"})
    related = [
        {"relatedIdentifier": found[1], "relatedIdentifierType": found[0], "relationType": "IsDescribedBy"}
        for found in map(_identified, description.get("references", ()))
        if found
    ]
    rights = {"rights": description["rights"]}
    if description.get("rights_uri"):
        rights["rightsUri"] = description["rights_uri"]
    if licence := _licence(description):
        rights |= {"rightsIdentifier": licence, "rightsIdentifierScheme": "SPDX", "schemeUri": "https://spdx.org/licenses/"}
    record: dict[str, Any] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "creators": creators,
        "titles": [{"title": published_title(description)}],
        "publisher": {"name": publisher},
        "publicationYear": description["created"][:4],
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Spectroscopic survey"},
        "subjects": [{"subject": one, "subjectScheme": "Unified Astronomy Thesaurus"} for one in description.get("subjects", ())],
        "dates": [{"date": description["created"][:10], "dateType": "Issued"}],
        "language": "en",
        "version": _version(description),
        "rightsList": [rights],
        "descriptions": [{"description": " ".join(description["description"].split()), "descriptionType": "Abstract"}],
        "relatedIdentifiers": related,
        "formats": ["application/fits", "application/vnd.apache.parquet", "application/x-tar"],
    }
    if size:
        record["sizes"] = [f"{size} bytes"]
    if doi:
        record["doi"] = doi
    if url:
        record["url"] = url
    return record


def bibtex(description: Description, publisher: str, url: str = "") -> str:
    """A BibTeX entry of the release."""
    authors = " and ".join(creator if _person(creator) else f"{{{creator}}}" for creator in description["creators"])
    fields = {
        "author": authors, "title": f"{{{published_title(description)}}}", "year": description["created"][:4],
        "publisher": publisher, "version": _version(description), "doi": description.get("doi"), "url": url,
        "note": description.get("citation"),
    }  # fmt: skip
    key = f"{description['survey']}_{description['release']}"
    body = ",\n".join(f"  {name} = {{{_latex(value) if name != 'url' else value}}}" for name, value in fields.items() if value)
    return f"@misc{{{key},\n{body}\n}}\n"


def _latex(text: str) -> str:
    return re.sub(r"([&%$#_])", r"\\\1", text)


def readme(description: Description, counts: Mapping[str, int], contents: Iterable[tuple[str, str]], url: str = "") -> str:
    """README.md: what the release is, what the files are, what a user has to know, how to cite."""

    def paragraphs() -> Iterator[str]:
        yield f"# {published_title(description)}"
        yield " ".join(description["description"].split())
        yield (
            f"Release {description['release']} of {description['survey']}, made {description['created'][:10]}: "
            + ", ".join(f"{number:,} rows of {name}" for name, number in counts.items())
            + "."
        )
        if url:
            yield f"From <{url}>; its page there shows what is in it."
        yield "## Files"
        yield "\n".join(f"- `{name}`: {what}" for name, what in contents)
        yield "`sha256sum -c SHA256SUMS` in this folder checks a download; with `--ignore-missing` also a part of it."
        if description.get("notes"):
            yield "## What you have to know"
            yield "\n".join(f"- {note}" for note in description["notes"])
        yield "## Rights and citation"
        yield " ".join(str(part) for part in (description["rights"], description.get("rights_uri")) if part)
        if description.get("citation"):
            yield str(description["citation"])
        if description.get("references"):
            yield "References: " + ", ".join(description["references"]) + "."
        yield "`CITATION.cff`, `citation.bib` and `datacite.json` say it for programs."

    return "\n\n".join(paragraphs()) + "\n"

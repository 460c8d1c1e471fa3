"""Questions to an archive's own services, asked as a stranger would: with pyvo, over HTTP.

Each question gives an `Answer`; what goes wrong is in it and is not raised.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ops.house import Archive

__all__ = ["Answer", "ask"]

SIZE = 0.02
"""Diameter of the search around the first spectrum, deg."""
ROWS = 5


@dataclass(frozen=True)
class Answer:
    """What one service said to one question."""

    service: str
    address: str
    question: str
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    conclusion: str = ""
    error: str | None = None
    """What went wrong, None for nothing."""


class _WrongAnswerError(Exception):
    """A service answered, but not what it should have."""


def ask(archive: Archive, schema: str) -> list[Answer]:
    """Ask the services of an archive for spectra of a release: TAP, then SSAP near what TAP found, then Datalink for its file.

    The later questions build on what the earlier ones found, so the first that goes wrong is the last that is asked.
    """
    import requests
    from astropy.io.votable.exceptions import VOTableSpecError
    from pyvo.dal.exceptions import DALAccessError

    base = f"{archive.url}/{schema}/q"
    questions: tuple[tuple[Callable[[Answer, dict[str, Any]], Answer], Answer], ...] = (
        (_tap, Answer("TAP", f"{archive.url}/tap", _query(schema))),
        (_ssap, Answer("SSAP", f"{base}/ssap/ssap.xml", f"spectra within {SIZE / 2} deg of the first")),
        (_datalink, Answer("Datalink", f"{base}/dl/dlmeta", "what belongs to that spectrum, and its FITS file")),
    )
    known: dict[str, Any] = {}
    answers: list[Answer] = []
    for question, empty in questions:
        try:
            answers.append(question(empty, known))
        except (DALAccessError, VOTableSpecError, requests.RequestException, OSError, LookupError, ValueError,
                _WrongAnswerError) as error:  # fmt: skip
            kind = "" if isinstance(error, _WrongAnswerError) else f"{type(error).__name__}: "
            answers.append(replace(empty, error=f"{kind}{error}"))
            break
    return answers


def _query(schema: str) -> str:
    return (
        f"SELECT TOP {ROWS} s.spectrum_id, s.target_name, s.ra, s.dec, r.z, r.flag_label, s.snr, s.file_sha256 "  # noqa: S608 - ours
        f"FROM {schema}.spectra AS s JOIN {schema}.redshifts AS r ON r.spectrum_id = s.spectrum_id "
        "WHERE r.confidence >= 3 AND r.z BETWEEN 0.6 AND 0.8 ORDER BY s.snr DESC"
    )


def _tap(empty: Answer, known: dict[str, Any]) -> Answer:
    import pyvo

    table = pyvo.dal.TAPService(empty.address).search(empty.question).to_table()
    if len(table) == 0:
        raise _WrongAnswerError("the query found no rows, expected secure redshifts between 0.6 and 0.8")
    known["first"] = {name: table[name][0] for name in table.colnames}
    shown = ("spectrum_id", "target_name", "z", "flag_label", "snr")
    rows = [(r["spectrum_id"], r["target_name"], f"{r['z']:.4f}", r["flag_label"], f"{r['snr']:.1f}") for r in table]
    return replace(empty, columns=shown, rows=rows, conclusion=f"{len(table)} rows from spectra joined with redshifts.")


def _ssap(empty: Answer, known: dict[str, Any]) -> Answer:
    import pyvo

    first = known["first"]
    found = list(pyvo.dal.SSAService(empty.address).search(pos=(float(first["ra"]), float(first["dec"])), diameter=SIZE))
    records = [record for record in found if str(first["spectrum_id"]) in str(record.getdataurl())]
    if not records:
        raise _WrongAnswerError(f"found {len(found)} spectra, expected {first['spectrum_id']} among them")
    known["record"] = records[0]
    rows = [(record.format, record.title) for record in found[:ROWS]]
    text = f"{len(found)} spectra in the circle, {first['spectrum_id']} among them."
    return replace(empty, columns=("format", "title"), rows=rows, conclusion=text)


def _datalink(empty: Answer, known: dict[str, Any]) -> Answer:
    from astropy.io import fits

    record, first = known["record"], known["first"]
    links = [link for link in record.getdatalink() if link.access_url]
    rows = [(str(link.semantics), str(link.content_type), str(link.description or "")) for link in links]
    files = [link for link in links if str(link.content_type) in {"application/fits", "image/fits"}]
    if not files:
        raise _WrongAnswerError(f"found {len(links)} links, expected one to a FITS file among them")
    content = _download(files[0].access_url)
    if hashlib.sha256(content).hexdigest() != str(first["file_sha256"]):
        raise _WrongAnswerError(f"the FITS file at {files[0].access_url} is not the published one: its checksum differs")
    with fits.open(io.BytesIO(content)) as hdus:
        pixels = len(hdus[1].data["WAVE"][0])
        name = hdus[0].header["OBJECT"]
    text = f"{len(content):,} bytes downloaded: {pixels} pixels of {name}; their checksum is the published one."
    return replace(empty, columns=("semantics", "type", "what"), rows=rows, conclusion=text)


def _download(address: str) -> bytes:
    import requests

    response = requests.get(address, timeout=30)
    response.raise_for_status()
    return response.content

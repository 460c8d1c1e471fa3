"""Whether a file is an ESO Science Data Product of category SCIENCE.SPECTRUM: `validate` is what `specola validate` calls."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from specola_bundle.errors import SourceError
from specola_bundle.fitsbytes import ones_complement_sum
from specola_bundle.fitsio import content_of, plain_name
from specola_bundle.sdp.arrays import check_columns, check_numbers
from specola_bundle.sdp.plain import Unit, read_plain
from specola_bundle.sdp.rules import Breach, check_keywords

__all__ = ["LONGEST_NAME", "Breach", "validate"]

LONGEST_NAME = 68
"""Characters of a file's name, its ending included."""
_FITS = "write the file with a FITS library, or fetch it again"


def validate(path: Path) -> list[Breach]:
    """Everything in a file that the standard does not allow, in the order of the file.

    A rule is reported once for each keyword or column. ``Breach.note`` marks what is no fault. A file that can not be read
    at all has one breach of rule ``fits``.
    """
    try:
        content = content_of(path)
    except (OSError, SourceError) as error:
        return [Breach(str(path), str(error), "a file that can be read", _FITS, "fits")]
    return list(_validate(plain_name(path), content))


def _validate(name: str, content: bytes) -> Iterator[Breach]:
    if len(name) > LONGEST_NAME:
        yield Breach("file name", f"{len(name)} characters", f"at most {LONGEST_NAME}", "rename it", "filename")
    plain = read_plain(content)
    if plain is not None:
        yield from _checksums(content, (plain.primary, plain.table))
        yield from check_keywords(plain.primary.values, plain.table.values)
        yield from check_columns(plain.table.values)
        yield from check_numbers(plain.primary.values, plain.table.values, plain.arrays)
        return
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            with fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False) as hdus:
                for number, hdu in enumerate(hdus):
                    if not hasattr(hdu, "fileinfo"):  # astropy's stand-in for what it can not read
                        raise ValueError(f"HDU {number} has a damaged header")  # noqa: TRY301 - told as the other faults are
                found = list(_of(hdus, content))
                hdus.verify("exception")
        except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as error:
            yield Breach("file", f"{error}".strip().splitlines()[0], "a FITS file with one spectrum", _FITS, "fits")
            return
    for warning in seen:
        yield Breach("file", str(warning.message).splitlines()[0], "a FITS file without faults", _FITS, "fits")
    yield from found


def _of(hdus: fits.HDUList, content: bytes) -> Iterator[Breach]:
    yield from _checksums(content, [_unit(hdu) for hdu in hdus])
    if len(hdus) != 2 or not isinstance(hdus[1], fits.BinTableHDU):
        kinds = ", ".join(type(hdu).__name__ for hdu in hdus)
        yield Breach("file", kinds, "a primary HDU without data and one binary table", "write the spectrum as one row", "layout")
        return
    primary, table = (_values(hdu.header) for hdu in hdus)
    for keyword, wanted in (("NAXIS2", 1), ("PCOUNT", 0), ("GCOUNT", 1)):
        if table.get(keyword) != wanted:
            yield Breach(f"HDU 1, {keyword}", repr(table.get(keyword)), str(wanted), "write one row of plain arrays", "layout")
    yield from check_keywords(primary, table)
    yield from check_columns(table)
    if table.get("NAXIS2") == 1 and table.get("PCOUNT") == 0:
        rows = hdus[1].data
        yield from check_numbers(primary, table, {name: np.atleast_1d(rows[name][0]) for name in hdus[1].columns.names})


def _values(header: fits.Header) -> dict[str, Any]:
    """Keywords and values; undefined values count as absent, and CONTINUE cards, which astropy joins, are told by their image."""
    values = {card.keyword: card.value for card in header.cards if not isinstance(card.value, fits.card.Undefined)}
    if any(len(card.image) > fits.card.CARD_LENGTH for card in header.cards):
        values["CONTINUE"] = ""
    return values


def _unit(hdu: Any) -> Unit:
    place = hdu.fileinfo()
    return Unit(place["hdrLoc"], place["datLoc"], place["datLoc"] + place["datSpan"], hdu.header)


def _checksums(content: bytes, units: Sequence[Unit]) -> Iterator[Breach]:
    for number, unit in enumerate(units):
        said = unit.values
        stored = str(said.get("DATASUM", "")).strip()
        for keyword, good in (
            ("CHECKSUM", "CHECKSUM" not in said or ones_complement_sum(content[unit.start : unit.end]) in {0, 0xFFFFFFFF}),
            ("DATASUM", not stored or (stored.isdigit() and int(stored) == ones_complement_sum(content[unit.data : unit.end]))),
        ):
            if not good:
                yield Breach(f"HDU {number}, {keyword}", repr(said[keyword]), "the checksum of what is there",
                             "the file was changed after it was written: fetch it again", "checksum")  # fmt: skip

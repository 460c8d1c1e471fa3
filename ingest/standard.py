"""All spectra of a bundle against the standard: what must be mended before they are published, and what nobody knows.

A keyword that is missing because the source never said its value (the bundle's row has NULL there) is no mistake, and an
invented one would be: those are counted. Whatever else a file has against ESO-044286 is a mistake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from ingest.errors import Finding, ProductError
from ingest.findings import Progress
from specola_bundle.bundle import Bundle
from specola_bundle.sdp.rules import Breach
from specola_bundle.sdp.validate import validate

__all__ = ["check_products"]

_SAID_IN = {
    "RA": "ra", "DEC": "dec", "EXPTIME": "exptime", "TEXPTIME": "exptime", "MJD-OBS": "t_min", "MJD-END": "t_max",
    "TELAPSE": "t_max", "TMID": "t_max", "SNR": "snr", "NCOMBINE": "n_exposures", "SPEC_RES": "res_power", "SPEC_BIN": "wave_bin",
    "APERTURE": "aperture", "TELESCOP": "facility", "INSTRUME": "instrument", "ORIGIN": "facility", "DATE": "created",
}  # fmt: skip
"""Column of the manifest that a keyword's value comes from."""
_IN_FILES_ONLY = frozenset({"PROG_ID", "OBID1", "PROV1", "PROCSOFT", "SPECSYS"})
"""Keywords that come from the source's own header, or from nowhere."""
_BATCH = 2_000


@dataclass
class _Kind:
    """Breaches of a rule at the same place, in however many files."""

    breach: Breach
    first: str
    files: int = 0


def check_products(bundle: Bundle, progress: Progress | None = None) -> dict[str, int]:
    """Check every spectrum of a bundle whose files are those of its manifest (`ingest.check`).

    Returns
    -------
    Keywords that are missing because nobody knows their values, with the number of spectra.

    Raises
    ------
    ProductError
        With each rule that is broken, in how many files, and the first of them.
    """
    unknown: Counter[str] = Counter()
    kinds: dict[tuple[str, str, str], _Kind] = {}
    total = bundle.manifest.rows if bundle.manifest is not None else 0
    for number, row in enumerate(_rows(bundle), start=1):
        missing = set()
        for breach in validate(bundle.path / row["file"]):
            keyword = breach.where.rpartition(" ")[2]
            if breach.note:
                continue
            if breach.rule == "mandatory" and _nobody_knows(keyword, row):
                missing.add(keyword)
                continue
            kind = kinds.setdefault((breach.rule, breach.where, breach.remedy), _Kind(breach, row["spectrum_id"]))
            kind.files += 1
        unknown.update(missing)
        if progress is not None and (number % 200 == 0 or number == total):
            progress("standard", number, total)
    if kinds:
        raise ProductError([_finding(kind) for kind in kinds.values()])
    return dict(sorted(unknown.items()))


def _nobody_knows(keyword: str, row: Mapping[str, Any]) -> bool:
    column = _SAID_IN.get(keyword)
    return keyword in _IN_FILES_ONLY or (column is not None and row.get(column) is None)


def _finding(kind: _Kind) -> Finding:
    one = kind.breach
    where = f"{one.where} of {kind.files:,} spectra, first {kind.first}" if kind.files > 1 else f"{one.where} of {kind.first}"
    return Finding(where, one.found, one.expected, one.remedy)


def _rows(bundle: Bundle) -> Iterator[dict[str, Any]]:
    if bundle.manifest is None:
        return
    parquet = pq.ParquetFile(bundle.manifest.path)
    wanted = ("spectrum_id", "file", *sorted(set(_SAID_IN.values())))
    columns = [name for name in wanted if name in parquet.schema_arrow.names]
    for batch in parquet.iter_batches(_BATCH, columns=columns):
        yield from batch.to_pylist()

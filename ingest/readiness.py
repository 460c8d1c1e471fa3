"""Whether the people who made a bundle are done with it: what `ingest.check` can not know, and what a frozen release must be.

A bundle says so in two columns of the registry that are not published. Where ``spectra.qc_state`` is there, every spectrum must
be accepted. Where ``redshifts.z_state`` is there, every redshift must be agreed, reconciled or final, and every spectrum but
those of the blank sky must have one. A bundle without them (one imported from elsewhere, say) passes; `what_is_said` tells
which.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.findings import Findings
from specola_bundle.bundle import Bundle, BundleTable

__all__ = ["PASSED", "RECONCILED", "check_ready", "what_is_said"]

PASSED = ("accepted",)
"""Values of qc_state of the spectra that may be released."""
RECONCILED = ("agreed", "reconciled", "final")
"""Values of z_state of the redshifts that may be released."""

_GATES = (
    ("spectra", "qc_state", PASSED, "accept the spectrum, or leave it out of the release"),
    ("redshifts", "z_state", RECONCILED, "reconcile the redshift, or leave its spectrum out of the release"),
)
_BATCH = 50_000
_SKY = "SKY"


def what_is_said(bundle: Bundle) -> dict[str, bool]:
    """Which of ``qc_state`` and ``z_state`` the bundle has; False for what it says nothing of."""
    return {column: _has(bundle.tables.get(table), column) for table, column, _, _ in _GATES}


def check_ready(bundle: Bundle) -> None:
    """Check that all spectra passed quality control and all redshifts are reconciled, as far as the bundle speaks of it.

    Raises
    ------
    BundleError
        With each spectrum and redshift that is not, the first 50 by row and identifier.
    """
    findings = Findings()
    for name, column, good, remedy in _GATES:
        table = bundle.tables.get(name)
        if table is not None and _has(table, column):
            for row, identifier, found in _rows(table, column, pa.array(good)):
                _add(findings, bundle, table, f"row {row} ({identifier}), column {column}", found, _choice(good), remedy)
    if _has(bundle.tables.get("redshifts"), "z_state") and bundle.manifest is not None:
        _check_all_measured(bundle, findings)
    findings.stop()


def _has(table: BundleTable | None, column: str) -> bool:
    """Whether a table says anything in a column: one that is NULL in every row says nothing."""
    if table is None or column not in pq.read_schema(table.path).names:
        return False
    batches = pq.ParquetFile(table.path).iter_batches(_BATCH, columns=[column])
    return any(batch.column(0).null_count < batch.num_rows for batch in batches)


def _choice(values: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(values[:-1]), values[-1])))


def _add(findings: Findings, bundle: Bundle, table: BundleTable, where: str, found: str, expected: str, remedy: str) -> None:
    if findings.full:
        findings.more += 1
    else:
        findings.add(f"{table.path.relative_to(bundle.path)} {where}", found, expected, remedy)


def _rows(table: BundleTable, column: str, good: pa.Array) -> Iterator[tuple[int, str, str]]:
    """Row (from 1), identifier and value of what is not among the good values; NULL is not."""
    key, first = table.definition.primary, 1
    for batch in pq.ParquetFile(table.path).iter_batches(_BATCH, columns=[key, column]):
        bad = pc.invert(pc.is_in(batch.column(column), value_set=good))
        for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)):
            value = batch.column(column)[int(row)].as_py()
            yield first + int(row), batch.column(key)[int(row)].as_py(), "NULL" if value is None else repr(value)
        first += batch.num_rows


def _check_all_measured(bundle: Bundle, findings: Findings) -> None:
    """A spectrum nobody has measured is not reconciled either."""
    table = bundle.tables["spectra"]
    measured = pc.unique(pq.read_table(bundle.tables["redshifts"].path, columns=["spectrum_id"]).column(0)).drop_null()
    first = 1
    classes = "target_class" in pq.read_schema(table.path).names
    for batch in pq.ParquetFile(table.path).iter_batches(_BATCH, columns=["spectrum_id", *(["target_class"] * classes)]):
        bad = pc.invert(pc.is_in(batch.column("spectrum_id"), value_set=measured))
        if classes:
            bad = pc.and_(bad, pc.invert(pc.fill_null(pc.equal(batch.column("target_class"), _SKY), False)))
        for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)):
            where = f"row {first + int(row)} ({batch.column('spectrum_id')[int(row)].as_py()})"
            remedy = "measure it, or leave it out of the release"
            _add(findings, bundle, table, where, "no redshift", "a reconciled one", remedy)
        first += batch.num_rows

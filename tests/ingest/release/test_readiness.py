"""What nobody is done with is not released."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingest.check import check_bundle
from ingest.errors import BundleError
from ingest.readiness import PASSED, RECONCILED, check_ready, what_is_said
from specola_bundle.bundle import BundleWriter
from specola_bundle.registry import standard_tables
from tests.ingest.load.releases import description, redshift_row, spectrum_file, spectrum_row


def _bundle(path: Path, qc: list[str | None] | None, z: list[str | None] | None, **words: Any) -> Any:
    """Four spectra with these states of their quality control and their redshifts."""
    with BundleWriter(path, overwrite=True, **description("ready")) as writer:
        rows, measured = [], []
        for number in range(4):
            row = spectrum_row(number) | {"target_class": words.get("classes", ["GALAXY"] * 4)[number]}
            file = writer.folder / row["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(spectrum_file(row))
            row |= {"file_size": file.stat().st_size, "file_sha256": "0" * 64} | ({"qc_state": qc[number]} if qc else {})
            rows.append(row)
            if number not in words.get("unmeasured", ()):
                measured.append(redshift_row(row) | ({"z_state": z[number]} if z else {}))
        writer.write_table("spectra", rows)
        writer.write_table("redshifts", measured)
    return check_bundle(path, read_files=False)


def test_a_bundle_that_says_nothing_passes_and_that_is_known(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path / "a", None, None, unmeasured=(2,))
    check_ready(bundle)
    assert what_is_said(bundle) == {"qc_state": False, "z_state": False}


def test_a_column_of_nothing_but_null_says_nothing(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path / "a", [None] * 4, [None] * 4, unmeasured=(2,))
    check_ready(bundle)
    assert what_is_said(bundle) == {"qc_state": False, "z_state": False}


def test_what_is_accepted_and_reconciled_passes(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path / "a", ["accepted"] * 4, ["final", "reconciled", "agreed", "final"])
    check_ready(bundle)
    assert what_is_said(bundle) == {"qc_state": True, "z_state": True}


@pytest.mark.parametrize("state", ["pending", "unsure", "rejected", "superseded", None])
def test_a_spectrum_that_did_not_pass_quality_control_is_named(tmp_path: Path, state: str | None) -> None:
    bundle = _bundle(tmp_path / "a", ["accepted", "accepted", state, "accepted"], None)
    with pytest.raises(BundleError) as caught:
        check_ready(bundle)
    (finding,) = caught.value.findings
    assert finding.where == "manifest.parquet row 3 (L000002), column qc_state"
    assert finding.found == (repr(state) if state else "NULL")
    assert finding.expected == "accepted"


@pytest.mark.parametrize("state", ["automatic", "blind", "conflict", "stale", None])
def test_a_redshift_that_is_not_reconciled_is_named(tmp_path: Path, state: str | None) -> None:
    bundle = _bundle(tmp_path / "a", None, ["final", state, state, "agreed"])
    with pytest.raises(BundleError) as caught:
        check_ready(bundle)
    assert [finding.where for finding in caught.value.findings] == [
        f"catalogues/redshifts.parquet row {row} (L00000{row - 1}), column z_state" for row in (2, 3)
    ]
    assert caught.value.findings[0].expected == "agreed, reconciled or final"


def test_a_spectrum_nobody_measured_is_not_reconciled_but_sky_needs_no_redshift(tmp_path: Path) -> None:
    classes = ["GALAXY", "SKY", None, "QSO"]
    bundle = _bundle(tmp_path / "a", None, ["final"] * 4, classes=classes, unmeasured=(1, 2))
    with pytest.raises(BundleError) as caught:
        check_ready(bundle)
    (finding,) = caught.value.findings
    assert (finding.where, finding.found) == ("manifest.parquet row 3 (L000002)", "no redshift")


def test_every_state_of_the_registry_passes_or_does_not() -> None:
    """The parameters of the tests above are all there is."""
    values = {
        column: standard_tables()[table].column(column).values
        for table, column in (("spectra", "qc_state"), ("redshifts", "z_state"))
    }
    assert set(values["qc_state"]) == {*PASSED, "pending", "unsure", "rejected", "superseded"}
    assert set(values["z_state"]) == {*RECONCILED, "automatic", "blind", "conflict", "stale"}

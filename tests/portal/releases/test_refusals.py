"""What is refused, in one clear sentence, with nothing half done."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest

from ingest.errors import BundleError, ProductError, ReleaseError, SealError
from ingest.load import ingest_bundle
from ingest.present import loaded_releases
from tests.ingest.load.releases import SURVEY, snapshot, write_release
from tests.support.releases import leftovers_of, state_of

STATES = {
    "failing spectra": ({2: {"qc_state": "rejected"}, 0: {"qc_state": "accepted"}, 1: {"qc_state": "accepted"}},
                        r"row 3 \(L000002\), column qc_state: found 'rejected', expected accepted"),
    "spectra nobody judged": ({0: {"qc_state": "accepted"}}, r"row 2 \(L000001\), column qc_state: found NULL"),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_freeze_with_failing_spectra(portal, life, by, name, tmp_path: Path, case: str) -> None:
    changes, said = STATES[case]
    release = life.create(name, bundle=write_release(tmp_path / "bundle", "r", 3, changes=changes), **by)
    before = state_of(release)
    with pytest.raises(BundleError, match=said):
        life.freeze(name, **by)
    assert state_of(release) == before
    assert not release.folder.exists()
    assert not leftovers_of(portal, name)


def test_freeze_with_unreconciled_redshifts(portal, life, by, name, tmp_path: Path, monkeypatch) -> None:
    import tests.ingest.load.releases as made

    plain = made.redshift_row
    monkeypatch.setattr(
        made, "redshift_row", lambda row: plain(row) | {"z_state": "conflict" if row["spectrum_id"] == "L000001" else "final"}
    )
    release = life.create(name, bundle=write_release(tmp_path / "bundle", "r", 3), **by)
    with pytest.raises(
        BundleError, match=r"redshifts.parquet row 2 \(L000001\), column z_state: found 'conflict', expected agreed"
    ):
        life.freeze(name, **by)
    life.withdraw(name, **by)
    assert release.events.last().action == "withdraw"


def test_freeze_of_a_bundle_with_a_broken_file(portal, life, by, name, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", "r", 3)
    release = life.create(name, bundle=path, **by)
    file = path / "spectra" / "01" / "L000001.fits"
    content = file.read_bytes()
    for bad, said in ((content[:-1] + b"x", "SHA-256"), (content[:5000], "5000 bytes")):
        file.write_bytes(bad)
        with pytest.raises(BundleError, match=rf"row 2 \(L000001\), file .*{said}"):
            life.freeze(name, **by)
    file.write_bytes(content)
    assert not leftovers_of(portal, name)
    assert life.freeze(name, **by).state == "frozen"
    assert release.events.filter(action="freeze").count() == 1


def test_a_source_that_changed_since_it_was_added(life, by, name, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", "r", 3)
    life.create(name, bundle=path, **by)
    write_release(path, "r", 4)
    with pytest.raises(BundleError, match="as when it was added; add it again"):
        life.freeze(name, **by)
    life.add(name, path, **by)
    assert life.freeze(name, **by).counts["spectra"] == 4


def test_freeze_with_files_that_break_the_standard(portal, life, by, name, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", "r", 4, changes={1: {"snr": 9.0}, 3: {"snr": 9.0}, 2: {"exptime": 900.0}})
    release = life.create(name, bundle=path, **by)
    before = state_of(release)
    with pytest.raises(ProductError, match="2 problems in the spectra") as failure:
        life.freeze(name, **by)
    said = {str(finding).partition("; ")[0] for finding in failure.value.findings}
    assert said == {
        "HDU 0, SNR of 2 spectra, first L000001: found 9, expected the median of FLUX/ERR where QUAL is 0, 5",
        "HDU 1, TELAPSE of L000002: found 864.00000017602 s, expected at least TEXPTIME, 900.0 s",
    }
    assert state_of(release) == before
    assert not leftovers_of(portal, name)
    # What nobody knows is no mistake, and is written down.
    life.add(name, write_release(path, "r", 4, changes={1: {"ra": None, "dec": None}}), **by)
    event = life.freeze(name, **by).events.last()
    assert event.details["unknown_keywords"] == {"DEC": 1, "PROCSOFT": 4, "RA": 1}


def test_what_can_not_be_a_release(life, by, name, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", "r", 2)
    life.create(name, bundle=path, **by)
    with pytest.raises(ReleaseError, match=f"found release {name}, expected a new name"):
        life.create(name, bundle=path, **by)
    with pytest.raises(ReleaseError, match="found no survey 'nosuch'"):
        life.create("nosuch_r1", **by)
    for bad in (f"{SURVEY}_", f"{SURVEY}_R1", f"{SURVEY}_r/1", f"{SURVEY}_{'x' * 25}"):
        with pytest.raises(BundleError, match=r"bundle.json, release"):
            life.create(bad, **by)
    with pytest.raises(ReleaseError, match="expected a sentence that says why"):
        life.create(f"{SURVEY}_other", by=by["by"], reason=" ")
    with pytest.raises(BundleError, match=r"bundle.json, doi"):
        life.create(f"{SURVEY}_other", head={"doi": "not one"}, **by)
    with pytest.raises(ReleaseError, match="found no release 'loadtest_nothere'"):
        life.freeze("loadtest_nothere", **by)
    with pytest.raises(BundleError, match="found No such file or directory, expected a bundle"):
        life.add(name, tmp_path, **by)
    from portal.releases.models import Release

    assert not Release.objects.filter(name="other").exists()


def test_what_is_put_together_belongs_together(life, by, name, another, tmp_path: Path) -> None:
    life.create(name, **by)
    with pytest.raises(ReleaseError, match="release without content"):
        life.freeze(name, **by)
    elsewhere = write_release(tmp_path / "elsewhere", "r", 2, survey="othersurvey")
    with pytest.raises(ReleaseError, match="found survey othersurvey, expected loadtest"):
        life.add(name, elsewhere, **by)
    life.add(name, write_release(tmp_path / "one", "r", 2), **by)
    with pytest.raises(ReleaseError, match="simulated and real spectra are not mixed"):
        life.add(name, write_release(tmp_path / "real", "s", 2, simulated=False), **by)
    life.freeze(name, **by)
    with pytest.raises(ReleaseError, match=f"add {name}: found state frozen, expected candidate; a frozen release never changes"):
        life.add(name, tmp_path / "one", **by)


def test_promote_of_what_was_not_staged(portal, life, to, by, name, tmp_path: Path) -> None:
    path = write_release(tmp_path / "bundle", name.partition("_")[2], 2)
    release = to("frozen", name, path)
    with pytest.raises(ReleaseError, match=f"promote {name}: found state frozen, expected internal or embargo; stage it first"):
        life.promote(name, **by)
    with pytest.raises(ReleaseError, match="found state frozen, expected internal or embargo"):
        life.embargo(name, datetime(2030, 1, 1, tzinfo=UTC), **by)
    # Somebody loads another bundle of that name past us.
    ingest_bundle(path, portal.archive("staging"), previews=False)
    with pytest.raises(ReleaseError, match="staging archive, expected the frozen one"):
        life.stage(name, **by)
    assert state_of(release)[0] == "frozen"


def _unseal(path: Path) -> None:
    path.chmod(0o644)
    path.parent.chmod(0o755)


def test_a_file_that_changed_after_freeze_is_named_at_every_step(portal, life, to, by, name, tmp_path: Path) -> None:
    public = portal.archive("public")
    release = to("frozen", name, write_release(tmp_path / "bundle", "r", 5))
    file = next((release.folder / "bundle" / "spectra").rglob("L000003.fits"))
    with pytest.raises(PermissionError):
        file.write_bytes(b"")
    content = file.read_bytes()
    _unseal(file)
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(SealError, match=r"L000003\.fits: found another content, expected SHA-256"):
        life.stage(name, **by)
    assert name not in loaded_releases(portal.archive("staging"))
    file.write_bytes(content)
    assert life.stage(name, **by).state == "internal"
    before = snapshot(public)
    table = release.folder / "bundle" / "manifest.parquet"
    _unseal(table)
    kept = table.read_bytes()
    table.write_bytes(kept + b"x")
    with pytest.raises(SealError, match=r"manifest\.parquet: found another content"):
        life.promote(name, **by)
    table.write_bytes(kept)
    served = portal.archive("staging").products / name / "spectra" / "L000002.fits"
    served.unlink()
    served.write_bytes(b"another file")
    with pytest.raises(ReleaseError, match=r"L000002\.fits: found another content than .*, which was staged"):
        life.promote(name, **by)
    assert state_of(release)[0] == "internal"
    assert snapshot(public) == before


def test_tables_in_staging_that_changed_are_not_promoted(portal, life, to, by, name, tmp_path: Path) -> None:
    staging = portal.archive("staging")
    release = to("internal", name, write_release(tmp_path / "bundle", "r", 5))
    connection = psycopg2.connect(staging.dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"UPDATE {name}.redshifts SET z = z + 1e-15 WHERE redshift_id = 'L000002'")
    with pytest.raises(ReleaseError, match="is not what was staged: table redshifts: found other values in its 5 rows"):
        life.promote(name, **by)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {name}.redshifts WHERE redshift_id = 'L000002'")
    connection.close()
    with pytest.raises(ReleaseError, match="table redshifts: found 4 rows, expected 5"):
        life.promote(name, **by)
    assert state_of(release)[0] == "internal"
    assert name not in loaded_releases(portal.archive("public"))


@pytest.mark.parametrize("who", ["member", "reducer"])
def test_only_a_manager_of_the_survey_changes_a_release(life, to, people, name, tmp_path: Path, who: str) -> None:
    from django.core.exceptions import PermissionDenied

    user = getattr(people, who)
    path = write_release(tmp_path / "bundle", "r", 2)
    with pytest.raises(PermissionDenied):
        life.create(f"{SURVEY}_denied", by=user, reason="x")
    release = to("frozen", name, path)
    before = state_of(release)
    for call in (life.freeze, life.stage, life.promote, life.withdraw):
        with pytest.raises(PermissionDenied, match="may not make, freeze, stage, promote and withdraw releases"):
            call(name, by=user, reason="x")
    with pytest.raises(PermissionDenied):
        life.add(name, path, by=user, reason="x")
    with pytest.raises(PermissionDenied):
        life.embargo(name, datetime(2030, 1, 1, tzinfo=UTC), by=user, reason="x")
    assert state_of(release) == before


def test_two_at_work_on_one_release(portal, life, by, name, tmp_path: Path) -> None:
    life.create(name, bundle=write_release(tmp_path / "bundle", "r", 2), **by)
    other = psycopg2.connect(portal.survey_dsn)
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(4701002, hashtext(%s))", [f"specola release {name}"])
    with pytest.raises(ReleaseError, match=f"{name}: found somebody else at work on it"):
        life.freeze(name, **by)
    assert life.reconcile(name)[1]
    # The server sees that a process was killed a moment later, and whoever comes first must not be sent away for it.
    threading.Timer(0.5, other.close).start()
    assert not life.reconcile(name)[1]
    assert life.freeze(name, **by).state == "frozen"

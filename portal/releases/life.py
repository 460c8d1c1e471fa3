"""What a manager does to a release, from making it to withdrawing it. Each function says who does it and why.

All raise ``ingest.errors.IngestError`` (or one of its kinds) with what was found and what to do, and Django's
``PermissionDenied`` where somebody may not. After an error nothing is half done; after a kill, the same call again completes it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from ingest.assemble import DESCRIBED_BY_TABLES
from ingest.errors import IngestError, ReleaseError
from ingest.findings import Progress
from portal.accounts.models import User
from portal.releases import archives, store
from portal.releases.candidates import add, create, described
from portal.releases.desk import carried_out, get, told, why, working
from portal.releases.history import BusyError, at_work, note
from portal.releases.models import Phase, Release
from portal.releases.recovery import finish_promote, finish_stage, finish_withdraw, settle
from portal.releases.states import Action

__all__ = ["add", "create", "embargo", "freeze", "get", "promote", "reconcile", "stage", "withdraw"]


@told
def freeze(schema: str, *, by: User, reason: str, progress: Progress | None = None) -> Release:
    """Seal a candidate: copy its bundles into one, check all of it, write the SHA-256 of every file. It never changes again.

    Raises
    ------
    ReleaseError
        It is no candidate, or has nothing in it.
    BundleError
        A bundle breaks the contract, was changed since it was added, or a spectrum or redshift is not ready for release.
    ProductError
        Spectra break the standard of spectrum files (ESO-044286): every rule that is broken, and in how many files.
    """
    said = why(reason)
    with working(schema, Action.FREEZE, by) as (release, _):
        sources = [row.source for row in release.content]
        if not sources:
            raise ReleaseError(
                f"freeze {schema}: found a release without content, expected bundles; add one with `specola release add`"
            )
        try:
            sealed = store.keep(release.folder, described(release, sources), sources, progress)
            sealed.settle()
        except OSError as error:
            raise IngestError(
                f"freeze {schema}: the disk refused: {error}; {schema} is a candidate as before, make room and freeze it again"
            ) from error
        with transaction.atomic():
            release.bundle_sha256, release.seal_sha256, release.files = sealed.identity, sealed.seal_sha256, sealed.files
            release.counts = dict(sealed.description["counts"])
            release.head = {key: value for key, value in sealed.description.items() if key not in DESCRIBED_BY_TABLES}
            release.save(update_fields=["bundle_sha256", "seal_sha256", "counts", "files", "head"])
            details: dict[str, Any] = {"bundle_sha256": release.bundle_sha256, "seal_sha256": release.seal_sha256}
            details |= {"files": release.files, "counts": release.counts, "checked": dict(sealed.said)}
            details |= {"unknown_keywords": dict(sealed.unknown)}
            note(release, Action.FREEZE, by=by, reason=said, details=details)
    return release


@told
def stage(schema: str, *, by: User, reason: str, progress: Progress | None = None) -> Release:
    """Load a frozen release into the staging archive, for the team.

    Raises
    ------
    SealError
        A file has changed since the release was frozen.
    """
    said = why(reason)
    with working(schema, Action.STAGE, by) as (release, completed):
        if completed:
            return release
        folder = store.verify(release, progress)
        note(release, Action.STAGE, by=by, reason=said, phase=Phase.BEGUN)
        loaded = carried_out(release, lambda: archives.load_staging(folder, release, progress))
        if loaded is not None:
            finish_stage(release, loaded, by=by, reason=said)
    return release


@told
def embargo(schema: str, until: datetime, *, by: User, reason: str) -> Release:
    """Keep a staged release from being public before a date (with a time zone).

    Raises
    ------
    ReleaseError
        It is not staged, or is public already.
    """
    if until.tzinfo is None:
        raise ReleaseError(
            f"embargo {schema}: found {until.isoformat()} without a time zone, expected one, as in 2027-06-01T00:00:00+00:00"
        )
    with working(schema, Action.EMBARGO, by) as (release, _):
        note(release, Action.EMBARGO, by=by, reason=why(reason), details={"until": until.astimezone(UTC).isoformat()})
    return release


@told
def promote(
    schema: str,
    *,
    by: User,
    reason: str,
    despite_embargo: bool = False,
    at: datetime | None = None,
    progress: Progress | None = None,
) -> Release:
    """Publish exactly what was staged. The public archive has all of it or nothing, whatever happens.

    Parameters
    ----------
    despite_embargo
        Publish before the end of the embargo; the reason is recorded with it.
    at
        Now, where somebody wants to know what would be then.

    Raises
    ------
    ReleaseError
        It is not staged, is under embargo, or what the staging archive has is not what was staged.
    SealError
        A file has changed since the release was frozen.
    """
    said = why(reason)
    with working(schema, Action.PROMOTE, by) as (release, completed):
        if completed:
            return release
        until, moment = release.embargo_until, at or datetime.now(UTC)
        early = until is not None and moment < until
        if early and not despite_embargo:
            raise ReleaseError(
                f"promote {schema}: found an embargo until {until:%Y-%m-%d %H:%M} UTC, now is {moment:%Y-%m-%d %H:%M};"
                " wait for its end, or override it (--despite-embargo) with the reason, which is recorded"
            )
        folder = store.verify(release, progress)
        tables = release.staged_tables
        archives.verify_staged(folder, release, tables, progress)
        details = {"despite_embargo_until": until.isoformat()} if early and until is not None else {}
        note(release, Action.PROMOTE, by=by, reason=said, phase=Phase.BEGUN, details=details)
        copied = carried_out(release, lambda: archives.copy_to_public(folder, release, tables, progress))
        if copied is not None:
            finish_promote(release, by=by, reason=said, **details)
    return release


@told
def withdraw(schema: str, *, by: User, reason: str) -> Release:
    """Take a release out of the archives. They remember that they had it, and why they no longer do; the sealed files stay.

    Raises
    ------
    ReleaseError
        It was withdrawn already.
    """
    said = why(reason)
    with working(schema, Action.WITHDRAW, by) as (release, completed):
        if completed:
            return release
        if not release.bundle_sha256:
            finish_withdraw(release, by=by, reason=said)
            return release
        note(release, Action.WITHDRAW, by=by, reason=said, phase=Phase.BEGUN)
        taken = carried_out(release, lambda: archives.take_out(release, said))
        if taken is not None:
            finish_withdraw(release, by=by, reason=said, archives=taken)
    return release


@told
def reconcile(schema: str) -> tuple[Release, bool]:
    """A release with what was interrupted settled, and whether somebody is at work on it (nothing is settled then)."""
    release = get(schema)
    try:
        with at_work(release):
            release.refresh_from_db()
            settle(release)
    except BusyError:
        return release, True
    return release, False

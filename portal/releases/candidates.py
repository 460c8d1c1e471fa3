"""Candidates: releases that are being put together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from ingest.assemble import DESCRIBED_BY_TABLES, Source, open_source
from ingest.check import check_description
from ingest.errors import BundleError, Finding, ReleaseError
from portal.accounts.models import Survey, User
from portal.accounts.permissions import Action as Permission
from portal.accounts.permissions import require
from portal.releases.desk import get, told, why, working
from portal.releases.history import note
from portal.releases.models import Release
from portal.releases.states import Action, State
from specola_bundle.bundle import CONTRACT, sha256_of

__all__ = ["add", "create", "described"]

_OWN = DESCRIBED_BY_TABLES | {"survey", "release", "kind", "software"}
"""Fields of bundle.json that a release does not take from its first bundle as they are."""


@told
def create(
    schema: str,
    *,
    by: User,
    reason: str,
    bundle: Path | None = None,
    head: Mapping[str, Any] | None = None,
    parent: str | None = None,
) -> Release:
    """Make a candidate.

    Parameters
    ----------
    schema
        Its name, survey_release.
    by, reason
        Who makes it, and why.
    bundle
        A first bundle to be added.
    head
        Fields of bundle.json (title, description, creators, rights, doi …); what is not said here is taken from the first bundle.
    parent
        The release it follows; by default the newest frozen one of the survey.

    Raises
    ------
    ReleaseError
        The name is taken, or no name.
    BundleError
        The bundle breaks the contract; the release is not made then.
    """
    survey_key, _, name = schema.partition("_")
    survey = Survey.objects.filter(key=survey_key).first()
    if survey is None:
        raise ReleaseError(
            f"{schema}: found no survey {survey_key!r}, expected the name of a survey, an underscore, the name of a release"
        )
    require(by, Permission.MANAGE_RELEASES, survey)
    said = dict(head or {})
    _check_head({"title": "Not yet said", "description": "Not yet said.", "creators": ["Not yet said"], "rights": "Not yet said"}
                | {"simulated": False, **said, "survey": survey_key, "release": name})  # fmt: skip
    before = get(parent) if parent else _newest(survey)
    try:
        with transaction.atomic():
            release: Release = Release.objects.create(survey=survey, name=name, parent=before, head=said)
            note(release, Action.CREATE, by=by, reason=why(reason), details={"parent": before.schema if before else None})
            if bundle is not None:
                _add(release, bundle, None, by=by, reason=reason)
    except IntegrityError as error:
        if Release.objects.filter(survey=survey, name=name).exists():
            raise ReleaseError(
                f"found release {schema}, expected a new name; a name is used once, also after a release is withdrawn"
            ) from error
        raise
    return release


def _newest(survey: Survey) -> Release | None:
    frozen = Release.objects.filter(survey=survey).exclude(state__in=[State.CANDIDATE, State.DEPRECATED])
    newest: Release | None = frozen.order_by("id").last()
    return newest


def _check_head(head: Mapping[str, Any], kind: str = "spectra") -> None:
    table = {"name": "spectra", "path": "manifest.parquet", "sha256": "0" * 64, "rows": 0}
    software = [{"name": "specola", "version": version("specola")}]
    made = {"contract": ".".join(map(str, CONTRACT)), "created": _now(), "software": software, "tables": [table], "counts": {}}
    check_description({**made, "kind": kind, **head})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@told
def add(schema: str, bundle: Path, *, by: User, reason: str, spectra: Collection[str] | None = None) -> Release:
    """Add a bundle, or some of its spectra, to a candidate. Its tables are checked now, its files when the release is frozen.

    Where the bundle was made anew since it was added from the same place, this takes the place of all that came from there.

    Raises
    ------
    ReleaseError
        The release is not a candidate, or is of another survey.
    BundleError
        The bundle breaks the contract or does not have the spectra.
    """
    with working(schema, Action.ADD, by) as (release, _):
        _add(release, bundle, spectra, by=by, reason=reason)
    return release


def _add(release: Release, path: Path, spectra: Collection[str] | None, *, by: User, reason: str) -> None:
    path = path.resolve()
    try:
        source = Source(path, sha256_of(path / "bundle.json"), None if spectra is None else frozenset(spectra))
    except OSError as error:
        finding = Finding(str(path / "bundle.json"), error.strerror or str(error), "a bundle", "give the folder of a bundle")
        raise BundleError([finding]) from error
    bundle = open_source(source)
    where = f"{path / 'bundle.json'}, added to {release.schema}"
    if bundle.description["survey"] != release.survey.key:
        raise ReleaseError(f"{where}: found survey {bundle.description['survey']}, expected {release.survey.key}")
    simulated = release.head.get("simulated", bundle.description["simulated"])
    if simulated is not bundle.description["simulated"]:
        raise ReleaseError(
            f"{where}: found simulated = {not simulated}, expected {simulated}; simulated and real spectra are not mixed"
        )
    chosen = bundle.description["counts"].get("spectra", 0) if source.spectra is None else len(source.spectra)
    with transaction.atomic():
        if not release.sources.exists():
            taken = {key: value for key, value in bundle.description.items() if key not in _OWN and key not in release.head}
            release.head = {**release.head, **taken}
            release.save(update_fields=["head"])
        names = None if source.spectra is None else sorted(source.spectra)
        release.sources.create(path=str(path), identity=source.identity, spectra=names, n_spectra=chosen)
        details = {"bundle": str(path), "sha256": source.identity, "spectra": chosen, "all": source.spectra is None}
        note(release, Action.ADD, by=by, reason=why(reason), details=details)


def described(release: Release, sources: list[Source]) -> dict[str, Any]:
    """What bundle.json of the whole will say; BundleError where that is not enough."""
    bundles = [open_source(source) for source in sources]
    software = [program for bundle in bundles for program in bundle.description["software"]]
    software.append({"name": "specola release", "version": version("specola")})
    kind = "spectra" if any(bundle.manifest is not None for bundle in bundles) else "catalogue"
    names = {"survey": release.survey.key, "release": release.name, "kind": kind}
    unique = [program for number, program in enumerate(software) if program not in software[:number]]
    head = {**release.head, **names, "software": unique, "created": _now()}
    if notes := list(dict.fromkeys(note for bundle in bundles for note in bundle.description.get("notes", ()))):
        head["notes"] = notes
    _check_head(head, kind)
    return head

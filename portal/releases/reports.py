"""Releases as they are shown: to scripts, on a terminal, on the site."""

from __future__ import annotations

from typing import Any

from portal.releases.history import broken_link, open_intent
from portal.releases.models import Release

__all__ = ["listed", "shown"]


def listed(survey: str | None = None) -> list[dict[str, Any]]:
    """All releases, or those of a survey, in the order in which they were made."""
    found = Release.objects.select_related("survey").order_by("survey__key", "id")
    return [_row(release) for release in (found if survey is None else found.filter(survey__key=survey))]


def _row(release: Release) -> dict[str, Any]:
    last = release.events.last()
    until = release.embargo_until if release.state == "embargo" else None
    return {
        "release": release.schema,
        "state": release.state,
        "title": release.head.get("title", ""),
        "spectra": release.counts.get("spectra", sum(source.n_spectra for source in release.content)),
        "since": last.at.isoformat(timespec="seconds") if last else None,
        "by": last.username if last else None,
        "embargo_until": until.isoformat(timespec="minutes") if until else None,
    }


def shown(release: Release) -> dict[str, Any]:
    """All there is to say of a release."""
    intent = open_intent(release)
    return _row(release) | {
        "parent": release.parent.schema if release.parent else None,
        "counts": release.counts,
        "bundle_sha256": release.bundle_sha256,
        "seal_sha256": release.seal_sha256,
        "files": release.files,
        "folder": str(release.folder) if release.seal_sha256 else None,
        "sources": [
            {"path": source.path, "sha256": source.identity, "spectra": source.n_spectra, "all": source.spectra is None}
            for source in release.content
        ],
        "begun": intent.action if intent else None,
        "history_broken_at": broken_link(release),
        "history": [
            {
                "number": event.number,
                "at": event.at.isoformat(timespec="seconds"),
                "by": event.username,
                "action": event.action,
                "phase": event.phase,
                "state": event.after,
                "reason": event.reason,
                "details": event.details,
                "sha256": event.sha256,
            }
            for event in release.events.all()
        ],
    }

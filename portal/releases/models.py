"""Releases in the survey database. Triggers (migrations/0002_guards.py) hold what is promised here against every path.

A release's state changes only by an event, an event is never changed, and what was frozen stays.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models

from ingest.assemble import Source
from portal.accounts.models import Survey, User
from portal.releases.states import Action, State

__all__ = ["Phase", "Release", "ReleaseEvent", "ReleaseSource", "ReleaseTransition"]


def _choices(values: type[StrEnum]) -> list[tuple[str, str]]:
    return [(value.value, value.value) for value in values]


class Phase(StrEnum):
    """Of an event: what takes long is announced before it begins, so that what was interrupted can be settled."""

    BEGUN = "begun"
    ABANDONED = "abandoned"
    DONE = "done"


class ReleaseTransition(models.Model):
    """The copy of :data:`.states.TRANSITIONS` that the database's triggers read; ``before`` may be empty."""

    action = models.CharField(max_length=10)
    before = models.CharField(max_length=10, blank=True)
    after = models.CharField(max_length=10)

    class Meta:
        """Each once."""

        constraints = (models.UniqueConstraint(fields=["action", "before"], name="transition_once"),)

    def __str__(self) -> str:
        return f"{self.action}: {self.before or 'nothing'} -> {self.after}"


class Release(models.Model):
    """A release of a survey.

    ``head`` holds what its bundle.json says beside the tables. The sums are those of the sealed folder: SHA-256 of bundle.json
    and of the file that lists the SHA-256 of every file (``seal``).
    """

    survey = models.ForeignKey(Survey, on_delete=models.PROTECT, related_name="releases")
    name = models.CharField(max_length=24)
    state = models.CharField(max_length=10, choices=_choices(State), default=State.CANDIDATE.value)
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    head = models.JSONField()
    bundle_sha256 = models.CharField(max_length=64, blank=True)
    seal_sha256 = models.CharField(max_length=64, blank=True)
    counts = models.JSONField(default=dict)
    files = models.PositiveBigIntegerField(default=0)

    class Meta:
        """A name once in a survey."""

        ordering = ("survey", "id")
        constraints = (models.UniqueConstraint(fields=["survey", "name"], name="release_name_once"),)

    def __str__(self) -> str:
        return self.schema

    @property
    def schema(self) -> str:
        """Name of its schema in an archive, by which it is called everywhere."""
        return f"{self.survey.key}_{self.name}"

    @property
    def folder(self) -> Path:
        """Where it is kept once it is frozen; :mod:`.store` says what is there."""
        folder: Path = settings.HOUSE.releases / self.schema
        return folder

    @property
    def content(self) -> list[ReleaseSource]:
        """What it consists of: all that was added, but of a bundle that was made anew and added again only the last."""
        rows = list(self.sources.all())
        last = {row.path: row.identity for row in rows}
        return [row for row in rows if row.identity == last[row.path]]

    @property
    def embargo_until(self) -> datetime | None:
        """The end of its embargo, as last set."""
        event = self.events.filter(action=Action.EMBARGO, phase=Phase.DONE).last()
        return None if event is None else datetime.fromisoformat(event.details["until"]).astimezone(UTC)

    @property
    def staged_tables(self) -> dict[str, Any]:
        """Fingerprints of its tables as they were in the staging archive after COPY, by name."""
        event = self.events.filter(action=Action.STAGE, phase=Phase.DONE).last()
        return {} if event is None else dict(event.details["tables"])


class ReleaseSource(models.Model):
    """A bundle, or some spectra of one, that a candidate consists of."""

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="sources")
    path = models.TextField()
    identity = models.CharField(max_length=64)
    spectra = models.JSONField(null=True)
    """Identifiers of the spectra taken; None for all."""
    n_spectra = models.PositiveBigIntegerField()

    class Meta:
        """In the order in which they were added."""

        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.path} ({self.n_spectra} spectra)"

    @property
    def source(self) -> Source:
        """As `ingest.assemble` takes it."""
        return Source(Path(self.path), self.identity, None if self.spectra is None else frozenset(self.spectra))


class ReleaseEvent(models.Model):
    """Something that was done to a release: what, by whom, when, why. Append-only, each row sealing the one before it.

    ``sha256`` is that of the row's content with the ``previous`` row's sum (:func:`.history.digest`).
    """

    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="events")
    number = models.PositiveIntegerField()
    action = models.CharField(max_length=10, choices=_choices(Action))
    phase = models.CharField(max_length=9, choices=_choices(Phase))
    before = models.CharField(max_length=10, blank=True)
    after = models.CharField(max_length=10, choices=_choices(State))
    actor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    username = models.CharField(max_length=150)
    at = models.DateTimeField()
    reason = models.TextField(blank=True)
    details = models.JSONField(default=dict)
    previous = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64)

    class Meta:
        """In the order in which they happened."""

        ordering = ("release", "number")
        constraints = (models.UniqueConstraint(fields=["release", "number"], name="release_event_once"),)

    def __str__(self) -> str:
        return f"{self.release.schema} {self.number}: {self.action} {self.phase} by {self.username}"

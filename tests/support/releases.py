"""What a step of a release's life leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def state_of(release: Any) -> tuple[Any, ...]:
    """State, hash and number of things done to a release: all that a refusal leaves as it was."""
    release.refresh_from_db()
    return release.state, release.bundle_sha256, release.events.filter(phase="done").count()


def leftovers_of(portal: Any, schema: str) -> list[Path]:
    """What lies about of a release beside the release itself."""
    return [path for path in portal.releases.glob(f"*{schema}*") if path.name != schema]

"""A survey with a manager and a member in the survey database of the tests' installation, and names for releases.

A release is never deleted, so each test has a name of its own, also in the next run.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ingest.present import loaded_releases
from ingest.removal import remove_releases
from ops.house import House
from tests.ingest.load.releases import SURVEY

WHY = "for a test"


@pytest.fixture(scope="session")
def portal(house: House) -> House:
    """Django made ready for the tests' installation."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in house.environment.items():
            patch.setenv(name, value)
        from portal.setup import configure

        configure()
    from django.conf import settings

    assert house.var == settings.HOUSE.var
    return house


@pytest.fixture(scope="session")
def people(portal: House) -> SimpleNamespace:
    """The survey, its manager, and a member who is no manager."""
    from portal.accounts.models import Membership, Role, Survey, User

    survey, _ = Survey.objects.get_or_create(key=SURVEY, defaults={"name": "Survey of the tests"})
    found = SimpleNamespace(survey=survey)
    for role in (Role.MANAGER, Role.MEMBER, Role.REDUCER):
        user, _ = User.objects.get_or_create(username=f"loadtest-{role}")
        Membership.objects.get_or_create(user=user, survey=survey, role=role)
        setattr(found, role, user)
    return found


@pytest.fixture
def life(people: SimpleNamespace) -> ModuleType:
    from portal.releases import life

    return life


@pytest.fixture(scope="module")
def leftovers(portal: House) -> Iterator[list[str]]:
    """Releases to be taken away after the tests of a module, together: one at a time is what takes long."""
    made: list[str] = []
    yield made
    for archive in portal.archives:
        if present := [schema for schema in made if schema in loaded_releases(archive, settled=True)]:
            remove_releases(present, archive)
    for schema in made:
        forget(portal.releases / schema)


def fresh_name(leftovers: list[str], letter: str, survey: str = SURVEY) -> str:
    """A schema that no release has had."""
    leftovers.append(f"{survey}_{letter}{time.time_ns():x}")
    return leftovers[-1]


@pytest.fixture
def name(leftovers: list[str], people: SimpleNamespace) -> str:
    """A schema that no release has had."""
    return fresh_name(leftovers, "a")


@pytest.fixture
def another(leftovers: list[str], people: SimpleNamespace) -> str:
    """A second one."""
    return fresh_name(leftovers, "b")


def forget(folder: Path) -> None:
    """Remove a sealed folder."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def to(life: ModuleType, people: SimpleNamespace) -> Callable[..., Any]:
    """Takes a release to a state: ``to("public", schema, bundle)``."""
    by = {"by": people.manager, "reason": WHY}

    def advance(state: str, schema: str, bundle: Path) -> Any:
        release = life.create(schema, bundle=bundle, **by)
        for reached, action in (("frozen", life.freeze), ("internal", life.stage), ("public", life.promote)):
            if release.state == state:
                break
            release = action(schema, **by)
            assert release.state == reached
        return release

    return advance


@pytest.fixture
def by(people: SimpleNamespace) -> dict[str, Any]:
    """Who does it, and why."""
    return {"by": people.manager, "reason": WHY}

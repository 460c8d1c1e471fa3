"""Every survey that can be imported can be released: what its sources do not know keeps nothing from being frozen."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ops.house import House
from tests.conftest import _read
from tests.portal.releases.conftest import WHY, fresh_name

SURVEYS = ("vandels", "sdss", "desi", "easylife", "esosdp", "zcosmos")


@pytest.fixture(scope="module")
def imported(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: path for name, path, _ in _read(shared_data, tmp_path_factory.mktemp("real"))}


@pytest.fixture
def candidate(imported: dict[str, Path], leftovers: list[str], people: Any, life: ModuleType, request: Any) -> str:
    """A candidate made of a survey's bundle."""
    from portal.accounts.models import Membership, Role, Survey

    survey, _ = Survey.objects.get_or_create(key=request.param, defaults={"name": request.param})
    Membership.objects.get_or_create(user=people.manager, survey=survey, role=Role.MANAGER)
    schema = fresh_name(leftovers, "t", request.param)
    life.create(schema, bundle=imported[request.param], by=people.manager, reason=WHY)
    return schema


@pytest.mark.parametrize("candidate", SURVEYS, indirect=True)
def test_a_survey_can_be_frozen(candidate: str, life: ModuleType, by: Any) -> None:
    release = life.freeze(candidate, **by)
    assert release.state == "frozen"
    unknown = release.events.get(action="freeze").details["unknown_keywords"]
    if candidate.startswith("desi"):  # fibres of which no exposure was good
        assert unknown == {"EXPTIME": 3, "TEXPTIME": 3, "SNR": 3}
    if candidate.startswith(("sdss", "esosdp", "zcosmos")):
        assert unknown == {}


@pytest.mark.parametrize("candidate", ["desi"], indirect=True)
def test_a_spectrum_without_an_exposure_is_published_without_its_time(
    candidate: str, life: ModuleType, by: Any, portal: House
) -> None:
    import pyvo

    for action, state in ((life.freeze, "frozen"), (life.stage, "internal"), (life.promote, "public")):
        assert action(candidate, **by).state == state
    service = pyvo.dal.TAPService(f"{portal.archive('public').url}/tap")
    rows = service.search(f"SELECT exptime, n_exposures, n_valid FROM {candidate}.spectra").to_table()
    assert [bool(one) for one in rows["exptime"].mask] == [number == 0 for number in rows["n_valid"]]
    assert len(service.search(f"SELECT spectrum_id FROM {candidate}.spectra WHERE exptime < 10")) == 0
    assert life.withdraw(candidate, **by).state == "deprecated"

"""What vo/packing.py and vo/answers.py make quicker they leave as it was, to the byte."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from ops.archive import DEBIAN_PYTHON
from ops.house import Archive
from tests.support.markdown import ROOT


@pytest.fixture(scope="module")
def both(archive: Archive, demo: SimpleNamespace) -> dict[str, Any]:
    done = subprocess.run(
        [DEBIAN_PYTHON, "-W", "ignore", "-m", "tests.vo.write_both", demo.schema],
        env=archive.environment, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("what", ["tables", "ssa", "links", "settings"])
def test_what_is_written_is_what_dachs_writes(both: dict[str, Any], what: str) -> None:
    assert both["before"][what] == both["after"][what]


def test_what_was_compared_is_worth_it(both: dict[str, Any]) -> None:
    assert len(set(both["before"]["tables"])) > 150
    (refused,) = [answer for answer in both["before"]["ssa"] if " " in answer]
    assert "POS" in refused
    assert len(set(both["before"]["ssa"])) >= 8
    assert len(set(both["before"]["links"])) == 4


def test_identifiers_cost_the_same_each(both: dict[str, Any]) -> None:
    before, after = both["before"]["identifiers"], both["after"]["identifiers"]
    assert before["found"] == after["found"]
    assert before["looked"] > 100_000
    assert after["looked"] < 1010


def test_settings_are_those_of_before_again(both: dict[str, Any]) -> None:
    first, within, after, failed = both["after"]["settings"]
    assert within == ["1234ms", "off"]
    assert first == after == failed


def test_it_is_quicker(both: dict[str, Any]) -> None:
    # on a quiet machine 2.1 times and 1.6 times
    assert both["before"]["rows"] > 1.4 * both["after"]["rows"]
    assert both["before"]["few"] > 1.15 * both["after"]["few"]

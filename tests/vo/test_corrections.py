"""What vo/corrections.py puts right in DaCHS, seen from outside."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import pyvo
import requests

from ops.house import Archive


@pytest.mark.parametrize("operator", ["<>", "!="])
def test_both_ways_to_write_unequal(archive: Archive, demo: SimpleNamespace, operator: str) -> None:
    tap = pyvo.dal.TAPService(f"{archive.url}/tap")
    found = tap.search(f"SELECT count(*) AS n FROM {demo.schema}.redshifts WHERE flag_scheme {operator} 'vipers'")
    assert found["n"][0] == 0
    assert tap.run_async(f"SELECT count(*) AS n FROM {demo.schema}.redshifts WHERE z {operator} -1")["n"][0] > 0


def test_the_script_of_all_pages_is_there(archive: Archive, web: requests.Session) -> None:
    answer = web.get(f"{archive.url}/static/js/jquery-gavo.js")
    assert answer.status_code == 200
    assert "jQuery" in answer.text

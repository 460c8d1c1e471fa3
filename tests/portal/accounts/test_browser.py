"""The team's pages in a browser (Debian's Chromium): login, token, release page and gate, as a member goes through them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ops.house import House
from tests.support.portal import PASSWORD, call, make_people, session

WIDTHS = {"desk": 1280, "phone": 390}


@pytest.fixture(scope="module")
def carla(house: House, staged: SimpleNamespace) -> str:
    """Somebody of one survey only, with an account of her own."""
    return make_people(house, {"carla": ["gatea:member"]})["carla"].username


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A browser's page, on whose console nothing may go wrong; that an address was answered by a refusal is said there, too."""
    context = chromium.new_context(viewport={"width": WIDTHS["desk"], "height": 900})
    one = context.new_page()
    one.set_default_timeout(120_000)
    said: list[str] = []
    one.on("pageerror", lambda error: said.append(str(error)))
    one.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    yield one
    context.close()
    assert [text for text in said if not re.search(r"the server responded with a status of 4(03|04|29)\b", text)] == []


def _log_in(page: Any, username: str, password: str = PASSWORD) -> None:
    page.get_by_label(re.compile("user ?name", re.IGNORECASE)).fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def _fits(page: Any, tmp_path: Path, name: str) -> None:
    """At the width of a desk and of a phone: nothing runs out of the page, and every field has a label."""
    for what, width in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        page.screenshot(path=tmp_path / f"{name}-{what}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, what)
    unnamed = "[...document.querySelectorAll('input:not([type=hidden]), select')].filter(e => !e.labels.length).length"
    assert page.evaluate(unnamed) == 0, name
    page.set_viewport_size({"width": WIDTHS["desk"], "height": 900})


def test_a_member_from_the_locked_door_to_a_spectrum(
    page: Any, house: House, staged: SimpleNamespace, carla: str, tmp_path: Path
) -> None:
    release = f"{staged.url}/bulk/gatea_r1/"
    # A browser asks for name and password at a 401, and shows its page when that is declined; without a window it gives up.
    locked = page.request.get(release)
    assert locked.status == 401
    page.set_content(locked.text())
    assert "gatea" not in page.locator("body").inner_text()
    _fits(page, tmp_path, "locked-door")
    page.get_by_role("link", name="Log in").click()
    page.wait_for_url(re.compile(r"/login\?next="))
    _fits(page, tmp_path, "login")

    _log_in(page, carla, "not this one")
    assert "correct user name and password" in page.get_by_role("alert").inner_text()
    _log_in(page, carla)
    # Back where she wanted to go, on another port: the policy of the login page allows this redirect.
    page.wait_for_url(release)
    assert "GATEA, release r1" in page.locator("header").inner_text()
    _fits(page, tmp_path, "release")
    with page.expect_response(f"{release}SHA256SUMS") as sums:
        page.evaluate("fetch('SHA256SUMS')")
    assert sums.value.ok

    page.goto(f"{house.url}/account")
    assert page.get_by_role("link", name="gatea_r1").get_attribute("href") == f"{staged.url}/browse/gatea_r1/q"
    page.get_by_label("Name").fill("a browser's test")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator("#token").inner_text()
    assert re.fullmatch(r"specola_\w+_\w+", token)
    _fits(page, tmp_path, "account")
    with session() as web:
        product = f"{staged.url}/getproduct/gatea_r1/spectra/L000001.fits"
        assert web.get(product, auth=(carla, token)).content.startswith(b"SIMPLE")
        page.get_by_role("button", name=re.compile("Revoke the token a browser")).click()
        assert "is revoked" in page.get_by_role("status").inner_text()
        assert web.get(product, auth=(carla, token)).status_code == 401
    assert page.goto(f"{house.url}/account/password").status == 200
    _fits(page, tmp_path, "password")
    page.get_by_label("Old password").fill(PASSWORD)
    page.get_by_label(re.compile("^New password:?$")).fill("short")
    page.get_by_label(re.compile("confirmation")).fill("shirt")
    page.get_by_role("button", name="Change it").click()
    assert page.locator(".errorlist").first.is_visible()
    _fits(page, tmp_path, "password-wrong")


def test_logging_out_closes_both_archives_doors(page: Any, house: House, staged: SimpleNamespace, carla: str) -> None:
    page.goto(f"{house.url}/login")
    _log_in(page, carla)
    page.wait_for_url(f"{house.url}/account")
    assert page.request.get(f"{staged.url}/bulk/gatea_r1/").status == 200
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log in").wait_for()
    assert page.request.get(f"{staged.url}/bulk/gatea_r1/").status == 401
    page.goto(f"{house.url}/account")
    page.wait_for_url(re.compile(r"/login\?next=/account"))
    page.go_back()
    assert "Last logins" not in page.locator("body").inner_text()  # nor does the browser keep the page


def test_guessing_in_a_browser(page: Any, house: House, staged: SimpleNamespace, carla: str, tmp_path: Path) -> None:
    forget = "from axes.models import AccessAttempt\nAccessAttempt.objects.all().delete()"
    call(house, forget)
    try:
        page.goto(f"{house.url}/login?next=/account")
        for _ in range(4):
            _log_in(page, carla, "not this one")
            assert "correct user name and password" in page.get_by_role("alert").inner_text()
        _fits(page, tmp_path, "wrong")
        _log_in(page, carla, "not this one")
        assert page.get_by_role("heading", name="Too many attempts").is_visible()
        _fits(page, tmp_path, "locked")
        page.goto(f"{house.url}/login?next=/account")
        _log_in(page, carla)  # the right one, too late
        assert page.get_by_role("heading", name="Too many attempts").is_visible()
        assert page.request.get(f"{staged.url}/bulk/gatea_r1/").status == 401
    finally:
        call(house, forget)
    page.goto(f"{house.url}/login?next=/account")
    _log_in(page, carla)
    page.wait_for_url(f"{house.url}/account")


def test_what_is_not_hers_is_a_page_that_says_why(
    page: Any, house: House, staged: SimpleNamespace, carla: str, tmp_path: Path
) -> None:
    page.goto(f"{house.url}/login")
    _log_in(page, carla)
    page.wait_for_url(f"{house.url}/account")
    assert page.goto(f"{staged.url}/bulk/gateb_r1/").status == 403
    assert "a survey in which you have no role" in page.locator("body").inner_text()
    _fits(page, tmp_path, "refused")
    assert page.goto(f"{staged.url}/").status == 403
    assert "shows all releases in staging" in page.locator("body").inner_text()
    page.get_by_role("link", name="Your account").click()
    page.wait_for_url(f"{house.url}/account")
    assert page.goto(f"{house.url}/nothing/here").status == 404
    _fits(page, tmp_path, "missing")


def test_the_pages_of_dachs_behind_the_gate(page: Any, house: House, staged: SimpleNamespace, carla: str) -> None:
    """The portal's cookie alone opens them."""
    page.goto(f"{house.url}/login")
    _log_in(page, carla)
    page.wait_for_url(f"{house.url}/account")
    assert page.goto(f"{staged.url}/browse/gatea_r1/q").status == 200
    assert page.request.get(f"{staged.url}/gatea_r1/q/ssap/ssap.xml?REQUEST=queryData&MAXREC=1").status == 200


def test_a_form_whose_page_is_too_old_is_a_page_that_says_what_to_do(page: Any, house: House, carla: str, tmp_path: Path) -> None:
    page.goto(f"{house.url}/login?next=/account")
    page.context.clear_cookies()
    _log_in(page, carla)
    page.get_by_role("heading", name="Please try again").wait_for()
    _fits(page, tmp_path, "too-old")
    page.get_by_role("link", name="open the page anew").click()
    _log_in(page, carla)
    page.wait_for_url(f"{house.url}/account")

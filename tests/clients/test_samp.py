"""A table found in a browser goes to the programs on the desktop, by SAMP's web profile: the pages' button, a hub, a client."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from astropy.io.votable import parse
from pyvo.samp import SAMPHubServer, SAMPIntegratedClient
from pyvo.samp.hub import WebProfileDialog

from ops.house import Archive

WEB_PROFILE = 21012
"""The port of SAMP's web profile (SAMP 1.3, section 5.2)."""


class Willing(WebProfileDialog):  # type: ignore[misc]
    """In the place of the person who is asked whether the page may."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def show_dialog(self, samp_name: str, *_: Any) -> None:
        self.asked.append(samp_name)
        self.consent()


@pytest.fixture
def desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A hub that lets pages in, and a client that takes tables: what it ``got``, and what the hub ``asked``."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", WEB_PROFILE))
        except OSError:
            pytest.skip(f"another SAMP hub has the port of the web profile, {WEB_PROFILE}")
    dialog, done, got = Willing(), threading.Event(), []
    hub = SAMPHubServer(
        web_profile=True, web_profile_dialog=dialog, lockfile=str(tmp_path_factory.mktemp("samp") / "lock"), mode="multiple"
    )
    hub.start()

    def answer() -> None:
        while not done.wait(0.05):
            dialog.handle_queue()

    thread = threading.Thread(target=answer)
    thread.start()
    client = SAMPIntegratedClient(name="a program for tables")
    client.connect(hub=hub)
    arrived = threading.Event()

    def table(_key: Any, sender: str, _type: str, parameters: dict[str, str], _extra: Any) -> None:
        got.append((sender, parameters))
        arrived.set()

    client.bind_receive_notification("table.load.votable", table)
    yield SimpleNamespace(got=got, asked=dialog.asked, arrived=arrived)
    client.disconnect()
    done.set()
    thread.join(10)
    hub.stop()


def test_a_table_goes_from_the_page_to_a_program(
    archive: Archive, demo: SimpleNamespace, chromium: Any, desktop: SimpleNamespace
) -> None:
    page = chromium.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{archive.url}/{demo.schema}/q/cone/form")
    page.locator("[name=hscs_pos]").fill("34.5, -5")
    page.locator("[name=hscs_sr]").fill("60")
    page.get_by_role("button", name="Go").click()
    page.get_by_role("button", name="Send via SAMP").click()
    assert desktop.arrived.wait(60)
    page.close()
    assert len(desktop.asked) == 1
    ((_, sent),) = desktop.got
    # what is sent is an address where the same table is, whole and for programs
    answer = requests.get(sent["url"], timeout=60)
    table = parse(io.BytesIO(answer.content)).get_first_table()
    assert len(table.array) > 10
    assert {"spectrum_id", "z"} <= {field.name for field in table.fields}

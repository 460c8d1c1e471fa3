"""TOPCAT itself, on a screen that nobody sees, loads what the archive serves: it is told to by SAMP and says whether it could."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from pyvo.samp import SAMPHubServer, SAMPIntegratedClient

from ops.house import Archive

MISSING = [name for name in ("topcat", "Xvfb") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed (Debian packages topcat, xvfb)"),
]


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as said:
        yield f":{said.readline().strip()}"
    server.terminate()
    server.wait(30)


@pytest.fixture(scope="module")
def topcat(display: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SAMPIntegratedClient]:
    """A client of the SAMP hub TOPCAT is registered with; its public id there is ``topcat_id``."""
    home = tmp_path_factory.mktemp("home")
    lock = home / "samp"
    hub = SAMPHubServer(web_profile=False, lockfile=str(lock), mode="multiple")
    hub.start()
    client = SAMPIntegratedClient(name="test", metadata={"samp.name": "test"})
    client.connect(hub=hub)
    environment = os.environ | {"DISPLAY": display, "HOME": str(home), "SAMP_HUB": f"std-lockurl:{lock.as_uri()}"}
    log = (home / "log").open("wb")
    program = subprocess.Popen(
        ["topcat", "-samp", f"-Duser.home={home}"], env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    tick = threading.Event()
    try:
        for _ in range(1200):
            found = client.get_subscribed_clients("table.load.votable")
            if found:
                break
            assert program.poll() is None, (home / "log").read_text()
            tick.wait(0.1)
        assert found, (home / "log").read_text()
        client.topcat_id = next(iter(found))
        assert client.get_metadata(client.topcat_id)["samp.name"] == "topcat"
        yield client
    finally:
        program.terminate()
        program.wait(60)
        client.disconnect()
        hub.stop()
        log.close()


def load(topcat: SAMPIntegratedClient, kind: str, url: str) -> None:
    answer = topcat.ecall_and_wait(topcat.topcat_id, f"table.load.{kind}", "300", url=url, name=url.rpartition("/")[2])
    assert answer["samp.status"] == "samp.ok", (url, answer)


def test_it_loads_what_we_serve(topcat: SAMPIntegratedClient, archive: Archive, demo: SimpleNamespace) -> None:
    first = next((demo.bundle / "spectra").rglob("*.fits")).stem
    base = f"{archive.url}/{demo.schema}/q"
    load(topcat, "votable", f"{base}/cone/scs.xml?RA=34.5&DEC=-5&SR=1")
    load(topcat, "votable", f"{base}/ssap/ssap.xml?REQUEST=queryData&MAXREC=20")
    load(topcat, "votable", f"{base}/dl/dlmeta?ID={first}")
    load(topcat, "votable", f"{base}/dl/dlget?ID={first}&BAND=6e-7%207e-7")
    load(topcat, "votable", f"{archive.url}/getproduct/{demo.schema}/spectra/{first}.vot")
    load(topcat, "fits", f"{archive.url}/getproduct/{demo.schema}/spectra/{first}.fits")
    load(topcat, "votable", f"{archive.url}/tap/sync?LANG=ADQL&QUERY=SELECT+*+FROM+ivoa.obscore")


def test_it_says_when_it_can_not(topcat: SAMPIntegratedClient, archive: Archive, demo: SimpleNamespace) -> None:
    answer = topcat.ecall_and_wait(topcat.topcat_id, "table.load.votable", "300", url=f"{archive.url}/{demo.schema}/nothing.vot")
    assert answer["samp.status"] != "samp.ok", answer

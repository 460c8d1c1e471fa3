"""A stock DaCHS beside a running archive: one process on the same root, database and RDs, without what vo/ puts into the server.

It is ``dachs serve start -f`` itself, with the archive's own limits, its own port and its own folders for state and logs. The
RDs need vo/ for their Datalink and SSAP procedures; of that package it sees all but the corrections, which are what makes ours
quicker.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ops.house import Archive
from ops.probes import Probe, answers

__all__ = ["stock_dachs"]

_NO_CORRECTIONS = '"""In place of vo/corrections.py: DaCHS as it comes."""\n\n\ndef apply() -> None:\n    pass\n'


def _stock_code(repository: Path, folder: Path) -> None:
    package = folder / "vo"
    package.mkdir()
    for module in (repository / "vo").glob("*.py"):
        if module.name != "corrections.py":
            (package / module.name).symlink_to(module)
    (package / "corrections.py").write_text(_NO_CORRECTIONS, "utf-8")


@contextmanager
def stock_dachs(archive: Archive, seconds: float = 120) -> Iterator[str]:
    """Run one; gives its address.

    :raises RuntimeError: when it ends or does not answer, with the end of its log
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = [archive.root / "state-stock", archive.root / "logs-stock"]
    with TemporaryDirectory() as scratch:
        _stock_code(archive.repository, Path(scratch))
        settings = archive.gavorc.read_text("utf-8")
        for name, value in (("serverPort", port), ("serverURL", f"http://127.0.0.1:{port}")):
            settings = re.sub(rf"(?m)^{name}:.*", f"{name}: {value}", settings)
        for name, folder in zip(("stateDir", "logDir"), own, strict=True):
            folder.mkdir(exist_ok=True)
            settings = re.sub(rf"(?m)^{name}:.*", f"{name}: {folder}", settings)
        gavorc = Path(scratch) / "gavo.rc"
        gavorc.write_text(settings, "utf-8")
        environment = archive.environment | {"GAVOSETTINGS": str(gavorc), "PYTHONPATH": scratch}
        log = Path(scratch) / "log"
        with log.open("wb") as output:
            command = ["/usr/bin/dachs", "--ui", "stingy", "serve", "start", "-f"]
            server = subprocess.Popen(command, env=environment, cwd=archive.root, stdout=output, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            end = time.monotonic() + seconds
            while not answers(Probe(f"{address}/tap/capabilities"), seconds=30):
                if server.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the stock DaCHS does not answer:\n{log.read_text('utf-8', 'replace')[-2000:]}")
                time.sleep(0.3)
            yield address
        finally:
            server.terminate()
            server.wait(90)
            for folder in own:
                shutil.rmtree(folder, ignore_errors=True)

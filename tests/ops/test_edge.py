"""What a killed master of nginx leaves: all of it is found, and nothing of another installation."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import edge
from ops.house import House

CONFIGURATION = """
daemon off;
worker_processes 2;
pid "{var}/run/nginx.pid";
events {{ worker_connections 64; }}
http {{
  access_log off;
  proxy_cache_path "{var}/cache" keys_zone=answers:1m;
  client_body_temp_path "{var}/body";
  proxy_temp_path "{var}/proxy";
  fastcgi_temp_path "{var}/fastcgi";
  uwsgi_temp_path "{var}/uwsgi";
  scgi_temp_path "{var}/scgi";
  server {{ listen 127.0.0.1:{port}; return 200; }}
}}
"""


SILENT = ["nginx: cache loader", "nginx: cache manager"]
"""Processes that listen to nothing; the loader is there for a minute."""
ALL = [*SILENT, "nginx: master", "nginx: worker", "nginx: worker"]


def titles(pids: list[int]) -> list[str]:
    """What nginx's processes say they are, in order."""
    return sorted(Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("process")[0].strip() for pid in pids)


@pytest.fixture
def started(new_house: Callable[[str], House]) -> Iterator[Callable[[str], tuple[House, int]]]:
    """Starts nginx of an installation, with a cache, and gives the id of its master."""
    masters: list[tuple[House, subprocess.Popen[bytes]]] = []

    def start(name: str) -> tuple[House, int]:
        house = new_house(name)
        for folder in (house.etc, house.var / "run"):
            folder.mkdir(parents=True, exist_ok=True)
        (house.etc / "nginx.conf").write_text(CONFIGURATION.format(var=house.var, port=house.ports[0]))
        command = [edge.NGINX, "-e", "stderr", "-c", str(house.etc / "nginx.conf")]
        # in a group of its own, as the supervisor starts it
        master = subprocess.Popen(command, process_group=0, stderr=subprocess.DEVNULL)
        masters.append((house, master))
        end = time.monotonic() + 10
        while len(edge.processes(house)) < len(ALL) and time.monotonic() < end:
            time.sleep(0.05)
        return house, master.pid

    yield start
    for house, master in masters:
        master.kill()
        master.wait()
        edge.end_old(house)


def test_all_of_a_killed_master_is_ended_and_nothing_else(started: Callable[[str], tuple[House, int]]) -> None:
    house, master = started("one")
    other, _ = started("other")
    theirs = edge.processes(other)
    assert titles(theirs) == ALL
    os.kill(master, signal.SIGKILL)
    os.waitpid(master, 0)
    left = edge.processes(house)
    assert titles(left) == [*SILENT, "nginx: worker", "nginx: worker"]
    assert sorted(edge.end_old(house)) == sorted(left)
    assert edge.processes(house) == []
    assert not any(Path(f"/proc/{pid}/exe").exists() for pid in left)
    assert edge.processes(other) == theirs


def test_a_cache_manager_without_workers_is_found_and_a_reused_id_is_not(started: Callable[[str], tuple[House, int]]) -> None:
    house, master = started("one")
    os.kill(master, signal.SIGKILL)
    os.waitpid(master, 0)
    for pid in edge.listeners(house):
        os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while edge.listeners(house) and time.monotonic() < end:
        time.sleep(0.05)
    assert titles(edge.processes(house)) == SILENT
    assert len(edge.end_old(house)) == len(SILENT)
    # the file of the killed one stays, and its number may be another's by now
    other, theirs = started("other")
    (house.var / "run" / "nginx.pid").write_text(f"{theirs}\n")
    assert edge.end_old(house) == []
    assert titles(edge.processes(other)) == ALL

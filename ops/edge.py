"""nginx, started in place of this process once nothing of an earlier one keeps its ports.

When nginx's master is killed its workers live on and listen, with the configuration of then: a new master can not bind, and
gives up again and again while the old workers answer. Its cache manager lives on, too, and listens to nothing.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from ops.house import House

__all__ = ["NGINX", "end_old", "listeners", "processes"]

NGINX = "/usr/sbin/nginx"
_LISTEN = "0A"  # TCP_LISTEN of the kernel's include/net/tcp_states.h


def listeners(house: House) -> list[int]:
    """Process ids of this account's nginx processes that listen on a port of this installation, master and workers."""
    wanted = {f"socket:[{inode}]" for inode in _listening(set(house.ports))}
    return [pid for pid in _nginx_processes() if wanted & _open_files(pid)]


def processes(house: House) -> list[int]:
    """Process ids of all nginx processes of this installation, also of those that listen to nothing.

    A supervised server leads a process group, which what it starts stays in, also after its death: whatever is in a group with a
    listener, or in that of the master whose id is in the pid file, which a killed one leaves. An id may have gone to another
    installation's master since; that one lives and names another configuration.
    """
    groups = {_group(pid) for pid in listeners(house)}
    with suppress(OSError, ValueError):
        noted = int((house.var / "run" / "nginx.pid").read_text())
        if not (command := _command(noted)) or str(house.etc / "nginx.conf").encode() in command:
            groups.add(noted)
    return [pid for pid in _nginx_processes() if _group(pid) in groups]


def end_old(house: House, seconds: float = 10) -> list[int]:
    """End them: TERM, and what is left after so many seconds with KILL.

    :returns: the process ids
    """
    found = processes(house)
    how = signal.SIGTERM
    end = time.monotonic() + seconds
    while left := processes(house):
        for pid in left:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue
        if time.monotonic() > end:
            how = signal.SIGKILL
        time.sleep(0.05)
    return found


def _listening(ports: set[int]) -> set[str]:
    """Inodes of the sockets that listen on these ports."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return {row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) in ports}


def _nginx_processes() -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            # An upgrade of the package leaves "/usr/sbin/nginx (deleted)".
            if folder.name.isdigit() and str((folder / "exe").readlink()).split(" ")[0] == NGINX:
                found.append(int(folder.name))
        except OSError:  # gone, or somebody else's
            continue
    return found


def _group(pid: int) -> int:
    """Process group of a process, 0 when it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def _command(pid: int) -> bytes:
    """What a process says of itself, nothing when it is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _open_files(pid: int) -> set[str]:
    try:
        return {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()


def main() -> None:
    """Become nginx; called by the supervisor."""
    house = House.from_environment()
    if ended := end_old(house):
        print(f"ended nginx processes a killed master had left: {', '.join(map(str, ended))}", flush=True)  # noqa: T201 - its log
    os.execv(NGINX, [NGINX, "-e", "stderr", "-c", str(house.etc / "nginx.conf")])  # noqa: S606


if __name__ == "__main__":
    main()

"""The supervisor (PyPI's ``supervisor``): started, asked over its Unix socket, stopped; and what outlived it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops import edge
from ops.clusters import postmaster
from ops.errors import CommandError, OpsError
from ops.house import House

__all__ = ["Supervisor", "orphans", "stop_orphans"]


@dataclass(frozen=True)
class State:
    """State of one service as the supervisor sees it (STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL)."""

    name: str
    state: str
    pid: int
    since: int
    """Unix time of its last start, 0 before it."""
    why: str


class Supervisor:
    """The supervisor of one installation."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.socket = house.sockets / "supervisor.sock"

    def _call(self, method: str, *arguments: object) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(serverurl=f"unix://{self.socket}")
        try:
            target: Any = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            for part in method.split("."):
                target = getattr(target, part)
            return target(*arguments)
        finally:
            transport.close()

    def is_running(self) -> bool:
        """True when it answers."""
        try:
            return bool(self._call("supervisor.getState")["statename"])
        except (OSError, xmlrpc.client.Error):
            return False

    def start(self) -> None:
        """Start the supervisor, detached; its services wait to be started one by one.

        :raises CommandError: when it ended with an error
        :raises OpsError: when it does not answer within ten seconds
        """
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.house.etc / "supervisord.conf")]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=self.house.var,
            # Services get what their section says and this, not the caller's environment.
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.house.var / "home")},
        )
        if done.returncode:
            raise CommandError(command, done.returncode, done.stdout)
        end = time.monotonic() + 10
        while not self.is_running():
            if time.monotonic() > end:
                raise OpsError("the supervisor was started and does not answer", f"Look into {self.house.logs}/supervisord.log.")
            time.sleep(0.05)

    def states(self) -> dict[str, State]:
        """State of every service; empty when the supervisor does not run."""
        try:
            found = self._call("supervisor.getAllProcessInfo")
        except (OSError, xmlrpc.client.Error):
            return {}
        return {
            item["name"]: State(
                item["name"], item["statename"], item["pid"], item["start"] if item["pid"] else 0, item["spawnerr"]
            )
            for item in found
        }

    def start_service(self, name: str) -> None:
        """Start a service unless it runs; does not wait."""
        try:
            self._call("supervisor.startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise OpsError(f"{name} can not be started: {fault.faultString}", self._look(name)) from fault

    def stop_service(self, name: str) -> None:
        """Stop a service and wait for its end."""
        try:
            self._call("supervisor.stopProcess", name)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise OpsError(f"{name} can not be stopped: {fault.faultString}", self._look(name)) from fault

    def signal_service(self, name: str, what: str) -> None:
        """Send a signal, as in ``HUP``, to a service."""
        self._call("supervisor.signalProcess", name, what)

    def check_alive(self, name: str) -> None:
        """Raise an error with the end of its log when a service gave up or is failing again and again."""
        state = self.states().get(name)
        if state is None or state.state in {"FATAL", "BACKOFF", "EXITED", "STOPPED"}:
            tail = "\n".join(log_tail(self.house.logs / f"{name}.log", 12))
            shown = state.state if state else "not known to the supervisor"
            raise OpsError(f"{name} does not run ({shown}). The end of its log:\n{tail}", self._look(name))

    def _look(self, name: str) -> str:
        return f"The whole log: `specola logs {name}`. `specola doctor` looks for the usual causes."

    def stop(self, seconds: float = 60) -> bool:
        """Stop every service in the reverse order of starting, then the supervisor itself.

        :returns: False when it did not run
        """
        states = self.states()
        pid = self._pid()
        if not states and pid is None:
            return False
        try:
            for name in sorted(states, key=lambda n: ("nginx" not in n, not n.startswith(("dachs", "portal")))):
                if states[name].state not in {"STOPPED", "EXITED", "FATAL"}:
                    self.stop_service(name)
            self._call("supervisor.shutdown")
        except (OSError, xmlrpc.client.Error):
            if pid is not None:
                os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + seconds
        while self._pid() is not None:
            if time.monotonic() > end:
                raise OpsError(
                    f"the supervisor (process {self._pid()}) does not end", f"Look into {self.house.logs}/supervisord.log."
                )
            time.sleep(0.05)
        return True

    def _pid(self) -> int | None:
        try:
            pid = int((self.house.var / "run" / "supervisord.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.house.etc / "supervisord.conf").encode() in command else None


def log_tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; empty when it is not there."""
    try:
        with path.open("rb") as source:
            source.seek(0, os.SEEK_END)
            source.seek(max(0, source.tell() - 400 * lines))
            return source.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def orphans(house: House) -> list[tuple[str, int]]:
    """Servers of this installation that run without a supervisor, as (name, process id)."""
    if Supervisor(house)._pid() is not None:  # noqa: SLF001 - same module
        return []
    found = [(f"postgres-{cluster.name}", pid) for cluster in house.clusters if (pid := postmaster(cluster))]
    found += [("nginx", pid) for pid in edge.processes(house)]
    wanted = {f"GAVOSETTINGS={archive.gavorc}".encode(): f"dachs-{archive.name}" for archive in house.archives}
    found += [
        (wanted[variable], pid)
        for pid, command, variables in _processes()
        for variable in variables
        if variable in wanted and b"vo.serve" in command
    ]
    mine = f"SPECOLA_VAR={house.var}".encode()
    # of gunicorn's processes the first one only: the others end with it
    gunicorns = {pid for pid, command, variables in _processes() if mine in variables and b"gunicorn" in command}
    found += [("portal", pid) for pid in gunicorns if _parent(pid) not in gunicorns]
    return found


def _processes() -> Iterator[tuple[int, list[bytes], list[bytes]]]:
    """This account's processes: id, command line, environment."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if folder.stat().st_uid == os.getuid():
                command = (folder / "cmdline").read_bytes().split(b"\0")
                yield int(folder.name), command, (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue


def stop_orphans(house: House, seconds: float = 30) -> list[str]:
    """End what outlived its supervisor (after a kill -9 of it, say), the databases last.

    :returns: the names of what was ended
    """
    ended = []
    for name, pid in sorted(orphans(house), key=lambda item: item[0].startswith("postgres")):
        try:
            os.kill(pid, signal.SIGINT if name.startswith("postgres") else signal.SIGTERM)
        except ProcessLookupError:  # nginx's workers end with their master
            continue
        end = time.monotonic() + seconds
        while _exists(pid):
            if time.monotonic() > end:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.05)
        ended.append(name)
    return ended


def _exists(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"])


def _parent(pid: int) -> int:
    """Process id of a process's parent, 0 when it is gone."""
    found = _stat(pid)
    return int(found[1]) if found else 0


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; none when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []

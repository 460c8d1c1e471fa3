"""Brings an installation up, step by step, and down again. Every step may be repeated and interrupted."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ops import clusters, configuration, dachsroot, files, probes
from ops.errors import CommandError, OpsError
from ops.house import Archive, House
from ops.supervision import Supervisor, stop_orphans
from ops.upgrade import code_of, note_code, outdated

__all__ = ["RESTORING", "Report", "lower", "raise_house", "restart", "taken_ports"]

RESTORING = ".restoring"
"""Marker in SPECOLA_VAR: a restore has begun and has not ended."""

Report = Callable[[str], None]
"""Called with what is being done now."""


def _quiet(_: str) -> None:
    """Report nothing."""


def raise_house(house: House, report: Report = _quiet) -> None:
    """Set up what is missing, start everything, and return when all of it answers.

    :param report: told of every step
    :raises OpsError: what does not work, and how to mend it
    """
    if os.getuid() == 0:
        raise OpsError("PostgreSQL and DaCHS refuse to run as root", "Call bin/specola: it changes to the account `specola`.")
    with files.locked(house) as lock:
        if (house.var / RESTORING).exists():
            raise OpsError(
                "a restore was interrupted", f"Run it again: specola restore {(house.var / RESTORING).read_text().strip()}"
            )
        report("configuration")
        files.make_folders(house)
        changed = configuration.render_all(house)
        supervisor = Supervisor(house)
        code = code_of(house)
        stale = _settle(house, supervisor, changed, code)
        if not supervisor.is_running():
            stop_orphans(house)
            _check_ports(house)
            report("database clusters")
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda cluster: clusters.initialise(house, cluster, lock), house.clusters))
            report("supervisor")
            supervisor.start()
        report("PostgreSQL")
        _start_databases(house, supervisor)
        if not all(map(dachsroot.is_initialised, house.archives)):
            report("DaCHS: first initialisation (half a minute, once)")
        with ThreadPoolExecutor() as pool:
            prepared = pool.submit(_prepare_portal, house)
            list(pool.map(lambda archive: dachsroot.initialise(house, archive, lock), house.archives))
            prepared.result()
        report("DaCHS, portal and nginx")
        for service in configuration.services(house):
            if service.stage > 0:
                supervisor.start_service(service.name)
        with ThreadPoolExecutor() as pool:
            list(pool.map(partial(_wait_for_archive, house, supervisor), house.archives))
        _wait_for(supervisor, ("portal", "nginx"), probes.portal(house))
        _wait_for_supervisor(supervisor)
        _replace(house, supervisor, stale, report)
        note_code(house, (service.name for service in configuration.services(house)), code)


def lower(house: House) -> bool:
    """Stop everything, also what outlived its supervisor.

    :returns: False when nothing ran
    """
    if not house.var.exists():
        return False
    with files.locked(house):
        stopped = Supervisor(house).stop()
        return bool(stop_orphans(house)) or stopped


def restart(house: House, names: Sequence[str], report: Report = _quiet) -> None:
    """Restart services and return when everything answers again.

    DaCHS processes of an archive that has several are replaced one after the other, so that it answers all the time.

    :param names: services; none means those that run code of this repository (DaCHS and the portal)
    :raises OpsError: for a name that is no service, or when nothing runs
    """
    known = [service.name for service in configuration.services(house)]
    for name in names:
        if name not in known:
            raise OpsError(f"there is no service {name!r}", f"The services are: {', '.join(known)}.")
    supervisor = Supervisor(house)
    if not supervisor.is_running():
        raise OpsError("nothing runs, so nothing can be restarted", "Run `specola up`.")
    chosen = names or [name for name in known if name.startswith(("dachs-", "portal"))]
    spared = _not_alone(house)
    for name in chosen:
        if name not in spared:
            report(f"stopping {name}")
            supervisor.stop_service(name)
    raise_house(house, report)
    with files.locked(house):
        _replace(house, supervisor, [name for name in chosen if name in spared], report)


def taken_ports(house: House) -> list[int]:
    """Ports this installation needs and somebody listens on."""
    taken = []
    for port in house.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                    raise
                taken.append(port)
    return taken


def _check_ports(house: House) -> None:
    if taken := taken_ports(house):
        raise OpsError(
            f"another program listens on port {', '.join(map(str, taken))} of 127.0.0.1, which this installation needs",
            f"Stop that program, or choose other ports: SPECOLA_PORT={house.base_port + 100} specola up",
        )


def _settle(house: House, supervisor: Supervisor, changed: set[str], code: Mapping[str, str]) -> list[str]:
    """Make running servers follow the configuration files and the code that changed.

    :returns: DaCHS processes that run with old ones and are to be replaced when everything runs
    """
    if not supervisor.is_running():
        return []
    if "supervisord.conf" in changed or any(name.startswith(("postgresql", "pg_hba")) for name in changed):
        supervisor.stop()
        return []
    if "nginx.conf" in changed and supervisor.states()["nginx"].state == "RUNNING":
        # it goes on with the old one while connections last that were made under it
        supervisor.signal_service("nginx", "HUP")
    stale = [server.name for archive in house.archives for server in archive.servers if server.gavorc.name in changed]
    stale += outdated(house, [name for name, state in supervisor.states().items() if state.state == "RUNNING"], code)
    for name in set(stale) - _not_alone(house):
        supervisor.stop_service(name)
    return [name for name in stale if name in _not_alone(house)]


def _not_alone(house: House) -> set[str]:
    """DaCHS processes with others beside them that answer meanwhile."""
    return {server.name for archive in house.archives if len(archive.servers) > 1 for server in archive.servers}


def _replace(house: House, supervisor: Supervisor, names: Sequence[str], report: Report, seconds: float = 100) -> None:
    """Replace DaCHS processes one after the other, without a failed request: each finishes what it has begun (vo/drain.py), the
    supervisor starts another one in its place, and only when that answers it is the next one's turn.

    :param seconds: after which a process that has not ended is stopped
    """
    for archive in house.archives:
        for server in archive.servers:
            if server.name not in names:
                continue
            report(f"replacing {server.name}, which finishes its answers")
            before = supervisor.states()[server.name].pid
            end = time.monotonic() + seconds
            supervisor.signal_service(server.name, "USR1")
            while supervisor.states()[server.name].pid == before:
                if time.monotonic() > end:
                    supervisor.stop_service(server.name)
                    supervisor.start_service(server.name)
                time.sleep(0.1)
            _wait_for_archive(house, supervisor, archive)


def _start_databases(house: House, supervisor: Supervisor) -> None:
    for cluster in house.clusters:
        supervisor.start_service(f"postgres-{cluster.name}")
    for cluster in house.clusters:
        alive = partial(_grace(supervisor.check_alive), f"postgres-{cluster.name}")
        clusters.wait_until_ready(house.superuser_dsn(cluster), still=alive)
        clusters.make_databases(house.superuser_dsn(cluster), cluster.databases)
    clusters.make_survey_role(house)


def _wait_for_archive(house: House, supervisor: Supervisor, archive: Archive, seconds: float = 90) -> None:
    names = tuple(server.name for server in archive.servers)
    for server in archive.servers:
        _wait_for(supervisor, names, probes.server(archive, server), seconds)
    # through nginx last: it may answer from its cache, or by the first process alone
    _wait_for(supervisor, (*names, "nginx"), probes.entrance(house, archive), seconds)


def _wait_for(supervisor: Supervisor, names: Sequence[str], probe: probes.Probe, seconds: float = 90) -> None:
    """Wait until something answers as it should; names are of the services it needs."""
    alive = _grace(supervisor.check_alive)
    end = time.monotonic() + seconds
    while not probes.answers(probe, seconds=30):
        for name in names:
            alive(name)
        if time.monotonic() > end:
            raise OpsError(
                f"{probe.address} does not answer {probe.status} after {seconds:.0f} s", f"Look at `specola logs {names[0]}`."
            )
        time.sleep(0.15)


def _prepare_portal(house: House) -> None:
    """Bring the survey database's tables and the portal's static files up to what this checkout wants.

    :raises CommandError: with what Django printed
    """
    command = [sys.executable, "-m", "portal", "prepare"]
    plain = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "HOME": str(house.var / "home")}
    done = subprocess.run(
        command,
        env=plain | house.environment,
        cwd=house.repository,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise CommandError(command, done.returncode, done.stdout, "Run `specola up` again when that is mended.")


def _wait_for_supervisor(supervisor: Supervisor, seconds: float = 10) -> None:
    """Wait until the supervisor too calls everything RUNNING: it watches a new process for a second before it does."""
    end = time.monotonic() + seconds
    while any(state.state == "STARTING" for state in supervisor.states().values()) and time.monotonic() < end:
        time.sleep(0.05)


def _grace(check: Callable[[str], None], seconds: float = 6) -> Callable[[str], None]:
    """Let a service fail for some seconds before an error is made of it: it may need a second attempt."""
    until = time.monotonic() + seconds

    def wrapped(name: str) -> None:
        if time.monotonic() > until:
            check(name)

    return wrapped

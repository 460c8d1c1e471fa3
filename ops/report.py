"""State of an installation as data: for ``specola status`` and whoever asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ops import probes
from ops.configuration import services
from ops.house import House
from ops.supervision import Supervisor

__all__ = ["ServiceStatus", "Status", "status_of"]


@dataclass(frozen=True)
class ServiceStatus:
    """One service.

    :ivar state: the supervisor's word, or STOPPED when it does not run itself
    :ivar pid: process id, 0 when it does not run
    :ivar since: Unix time of the start, 0 when it does not run
    :ivar answers: whether its address answers; None for what has none
    """

    name: str
    state: str
    pid: int
    since: int
    answers: bool | None


@dataclass(frozen=True)
class Status:
    """All services, and where they are.

    :ivar running: True when every service runs and every address answers
    """

    running: bool
    var: str
    addresses: dict[str, str]
    services: tuple[ServiceStatus, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries."""
        return asdict(self)


def status_of(house: House, answers: Callable[[probes.Probe], bool]) -> Status:
    """Ask the supervisor and the servers.

    :param answers: tells whether one answers
    """
    states = Supervisor(house).states()
    asked = {"nginx": probes.front(house), "portal": probes.portal(house)}
    asked |= {server.name: probes.server(archive, server) for archive in house.archives for server in archive.servers}
    rows = []
    for name in [service.name for service in services(house)]:
        state = states.get(name)
        up = state is not None and state.state == "RUNNING"
        rows.append(
            ServiceStatus(
                name,
                state.state if state else "STOPPED",
                state.pid if state else 0,
                state.since if state else 0,
                (answers(asked[name]) if up else False) if name in asked else None,
            )
        )
    return Status(
        running=all(row.state == "RUNNING" and row.answers is not False for row in rows),
        var=str(house.var),
        addresses={"portal": house.url, **{archive.name: archive.url for archive in house.archives}},
        services=tuple(rows),
    )

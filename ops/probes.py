"""How it is found out whether a server answers, and what a right answer is."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.error import HTTPError

from ops.house import Archive, House, Server

__all__ = ["Probe", "answers", "entrance", "front", "portal", "server"]


@dataclass(frozen=True)
class Probe:
    """A GET, and the status it should give."""

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: HTTPStatus = HTTPStatus.OK


def portal(house: House) -> Probe:
    """The portal with its database, through nginx."""
    return Probe(f"http://127.0.0.1:{house.base_port}/health")


def front(house: House) -> Probe:
    """The portal's first page, which nginx sends itself."""
    return Probe(f"http://127.0.0.1:{house.base_port}/")


def server(archive: Archive, one: Server) -> Probe:
    """A DaCHS process with its database, past nginx: there one may answer for another, or the cache for all."""
    return Probe(f"http://127.0.0.1:{one.port}/tap/capabilities", archive.headers)


def entrance(house: House, archive: Archive) -> Probe:
    """An archive through nginx; one behind the portal's login has to ask who we are."""
    number = 1 if archive.name == "public" else 2
    address = f"http://127.0.0.1:{house.base_port + number}/tap/capabilities"
    return Probe(address, status=HTTPStatus.OK if archive.gate is None else HTTPStatus.UNAUTHORIZED)


def answers(probe: Probe, seconds: float = 5) -> bool:
    """True when it gives the right answer within so many seconds."""
    request = urllib.request.Request(probe.address, headers=dict(probe.headers))  # noqa: S310 - our own addresses
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=seconds) as response:
            return bool(response.status == probe.status)
    except HTTPError as error:
        return error.code == probe.status
    except (OSError, http.client.HTTPException):
        return False

"""Fetch what services serve, and read it."""

from __future__ import annotations

import io
import urllib.parse
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import requests
from astropy.io import votable

__all__ = ["Answer", "Login", "Service", "columns", "query_status", "read", "values"]

TIMEOUT = 60
"""Seconds to wait for an answer."""
MOST = 100_000_000
"""Bytes of an answer that are read."""


@dataclass(frozen=True)
class Login:
    """Name and password (or token) for a service that asks for them."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; status 0 where there was none, with the reason as content."""

    address: str
    status: int
    media_type: str
    content: bytes


class Service:
    """A service with parameters, at an address that may have some already."""

    def __init__(self, address: str, login: Login | None = None) -> None:
        self._session = requests.Session()
        self.login = login
        parts = urllib.parse.urlsplit(address)
        self._place = (parts.scheme, parts.netloc)
        self._fixed = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
        self.address = urllib.parse.urlunsplit(parts._replace(query="", fragment=""))

    def ask(self, **parameters: str) -> Answer:
        """The answer to these parameters."""
        names = {name.upper() for name in parameters}
        query = [(name, value) for name, value in self._fixed if name.upper() not in names]
        return self.get(f"{self.address}?{urllib.parse.urlencode([*query, *parameters.items()])}")

    def get(self, address: str) -> Answer:
        """What is behind any address. Only the service's own server is told the name and password."""
        ours = urllib.parse.urlsplit(address)[:2] == self._place
        auth = (self.login.user, self.login.password) if self.login is not None and ours else None
        try:
            with self._session.get(address, timeout=TIMEOUT, stream=True, auth=auth) as answer:
                content = b""
                for piece in answer.iter_content(1 << 18):
                    content += piece
                    if len(content) > MOST:
                        break
                media = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
                return Answer(address, answer.status_code, media, content)
        except requests.RequestException as error:
            return Answer(address, 0, "", str(error).encode())


def read(content: bytes) -> votable.tree.VOTableFile | None:
    """A VOTable document, None where it is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return votable.parse(io.BytesIO(content), verify="ignore")
        except Exception:  # noqa: BLE001 - astropy raises nearly anything for what is no VOTable
            return None


def query_status(document: votable.tree.VOTableFile) -> tuple[str, str]:
    """Value and text of the INFO QUERY_STATUS of the results (DALI 1.1, section 4.4); empty where there is none."""
    found: list[Any] = [*document.infos, *(info for resource in document.resources for info in resource.infos)]
    for info in found:
        if info.name == "QUERY_STATUS":
            return str(info.value), str(info.content or "")
    return "", ""


def columns(table: Any) -> dict[str, Any]:
    """Fields and parameters of a table by utype, without the prefix of the namespace."""
    return {str(item.utype).rpartition(":")[2].lower(): item for item in [*table.params, *table.fields] if item.utype}


def values(table: Any, utype: str) -> Any:
    """Values of a column by utype; None where there is none."""
    found = columns(table).get(utype.lower())
    if found is None:
        return None
    if any(found is field for field in table.fields):
        return table.array[found.ID]
    return np.array([found.value] * len(table.array))

"""The portal of a test installation, from outside: its functions in a process of their own, and plain requests to nginx."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import requests

from ops.house import House

PASSWORD = "a spectrograph in Trieste"  # noqa: S105 - of accounts that live as long as a test


def call(house: House, code: str, **values: Any) -> Any:
    """Run code with the portal's models of an installation; ``answer`` in it comes back by way of JSON."""
    program = (
        "import json, sys\n"
        "values = json.load(sys.stdin)\n"
        "from portal.setup import configure\nconfigure()\n"
        "from portal.accounts import people\nfrom portal.accounts.models import *\nfrom portal.accounts.people import role_of\n"
        f"answer = None\n{code}\n"
        "print(json.dumps(answer, default=str))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(values),
        env={**os.environ, **house.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@dataclass(frozen=True)
class Person:
    """Somebody with an account, and a token."""

    username: str
    token: str

    @property
    def auth(self) -> tuple[str, str]:
        return self.username, PASSWORD


def make_people(house: House, roles: dict[str, list[str]]) -> dict[str, Person]:
    """Make accounts with these roles and a token each; ``admin`` is an administrator.

    An account of that name is made anew, and its tokens are worth nothing then: a name belongs to one module.
    """
    code = """
User.objects.filter(username__in=values["roles"]).delete()
answer = {}
for name, roles in values["roles"].items():
    people.add(name, values["password"], roles=[role_of(one) for one in roles if one != "admin"], admin="admin" in roles)
    answer[name] = people.add_token(name, "tests", 2)["token"]
"""
    return {name: Person(name, token) for name, token in call(house, code, roles=roles, password=PASSWORD).items()}


def session() -> requests.Session:
    """Plain HTTP: no proxy, no netrc, no redirects followed unless asked for."""
    made = requests.Session()
    made.trust_env = False
    return made


def raw(port: int, request: bytes) -> tuple[int, bytes]:
    """Send bytes as they are; status and everything that came back (status 0: the server hung up)."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        got = b""
        while piece := connection.recv(1 << 16):
            got += piece
    return (int(got.split(b" ", 2)[1]) if got.startswith(b"HTTP/") else 0), got

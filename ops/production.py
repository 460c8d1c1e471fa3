"""Files for a production machine: the systemd unit, its settings, the TLS front. Rendered for the operator to install."""

from __future__ import annotations

import grp
import os
import pwd
import re
import sys
from pathlib import Path

from ops.errors import OpsError
from ops.files import render, write
from ops.house import House

__all__ = ["FILES", "TEAM", "render_production"]

FILES = {
    "specola.service": 0o644,
    "specola.env": 0o600,
    "nginx-tls.conf": 0o644,
    "specola-backup.service": 0o644,
    "specola-backup.timer": 0o644,
}
"""What is rendered, with its mode; the templates are in etc/production/."""
TEAM = {"nginx-team-tls.conf": 0o644}
"""What is rendered where the team's pages have a host name."""


def render_production(house: House, host: str, folder: Path, team: str = "") -> list[Path]:
    """Render the production files for a public host name.

    :param host: name under which the world reaches the public archive
    :param folder: where the files go
    :param team: name under which the team reaches portal and staging archive; '' where only this machine does
    :returns: the files
    :raises OpsError: when the host name is none
    """
    for name in filter(None, (host, team)):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name, re.ASCII | re.IGNORECASE):
            raise OpsError(f"{name!r} is no host name", "Give the name alone, as in archive.example.org.")
    if host == team:
        raise OpsError(f"{host!r} is to be both the world's and the team's", "Give the team's pages another name.")
    values = {
        "host": host,
        "account": pwd.getpwuid(os.getuid()).pw_name,
        "group": grp.getgrgid(os.getgid()).gr_name,
        "repository": house.repository,
        "var": house.var,
        "venv": sys.prefix,
        "etc": folder,
        "sockets_parent": "" if house.sockets.is_relative_to(house.var) else house.sockets.parent,
        "port": house.base_port,
        "archive_port": house.base_port + 1,
        "authority": house.authority,
        "contact": house.contact,
        "certificate": f"/etc/letsencrypt/live/{host}",
        "team": team,
        "team_certificate": f"/etc/letsencrypt/live/{team}",
        "staging_port": house.base_port + 2,
        "portal_url": f"https://{team}" if team else "",
        "staging_url": f"https://{team}:8443" if team else "",
    }
    made = []
    for name, mode in (FILES | (TEAM if team else {})).items():
        write(folder / name, render(house.repository / "etc" / "production" / f"{name}.in", values), mode)
        made.append(folder / name)
    return made

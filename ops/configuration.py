"""Renders every configuration file of an installation from the templates in etc/."""

from __future__ import annotations

import grp
import os
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ops.archive import DEBIAN_PYTHON
from ops.clusters import programs
from ops.errors import SettingsError
from ops.files import render, secret, write
from ops.house import Archive, Cluster, House, Server

__all__ = ["Service", "defaultmeta", "render_all", "services"]


@dataclass(frozen=True)
class Service:
    """A server the supervisor runs.

    :ivar stage: order of starting; what has the same number starts together
    """

    name: str
    stage: int
    command: tuple[str, ...]
    directory: Path
    environment: dict[str, str]
    stopsignal: str = "TERM"
    killasgroup: bool = False


def services(house: House) -> tuple[Service, ...]:
    """What runs, in the order in which it is started."""
    plain = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "HOME": str(house.var / "home")}
    found = [
        Service(
            f"postgres-{cluster.name}",
            0,
            (
                str(programs(cluster) / "postgres"),
                "-D",
                str(cluster.data),
                "-c",
                f"config_file={_postgresql_conf(house, cluster)}",
            ),
            house.var,
            plain,
            stopsignal="INT",  # "fast": ends the connections, then writes a checkpoint
        )
        for cluster in house.clusters
    ]
    found += [
        Service(
            server.name,
            1,
            (DEBIAN_PYTHON, "-m", "vo.serve"),
            archive.root,
            archive.server_environment(server),
            killasgroup=True,  # with the asynchronous TAP jobs it runs
        )
        for archive in house.archives
        for server in archive.servers
    ]
    found.append(
        Service(
            "portal",
            2,
            (sys.executable, "-m", "gunicorn", "--config", "python:portal.serving", "portal.wsgi"),
            house.repository,
            plain | house.environment,
        )
    )
    edge = (sys.executable, "-m", "ops.edge")
    found.append(Service("nginx", 3, edge, house.repository, plain | house.environment))
    return tuple(found)


def defaultmeta(house: House, archive: Archive) -> str:
    """Text of DaCHS's defaultmeta.txt: who runs this archive."""
    created = house.var / "created"
    if not created.exists():
        write(created, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return render(
        house.repository / "etc" / "defaultmeta.txt.in",
        {
            "sitename": archive.title,
            "authority": house.authority,
            "contact": house.contact,
            "url": archive.url,
            "created": created.read_text(),
        },
    )


def render_all(house: House) -> set[str]:
    """Write every configuration file.

    :returns: the names of those that changed
    """
    templates = house.repository / "etc"
    texts: dict[Path, str] = {}
    memory = _memory()
    for cluster in house.clusters:
        texts[_postgresql_conf(house, cluster)] = render(
            templates / "postgresql.conf.in",
            {
                "name": cluster.name,
                "data": cluster.data,
                "hba": house.etc / "pg_hba.conf",
                "run": house.var / "run",
                "port": cluster.port,
                "sockets": house.sockets,
                "memory": memory,
                "shared_buffers": _between(128, memory // 16, 4096),
                "effective_cache": _between(256, memory // 2, 65536),
                "maintenance": _between(64, memory // 32, 1024),
            },
        )
    texts[house.etc / "pg_hba.conf"] = render(templates / "pg_hba.conf.in", {})
    for archive in house.archives:
        for server in archive.servers:
            texts[server.gavorc] = _gavorc(house, archive, server, memory)
    texts[house.etc / "supervisord.conf"] = _supervisord(house)
    texts[house.etc / "nginx.conf"] = _nginx(house)
    texts[house.var / "www" / "portal" / "index.html"] = render(
        templates / "landing.html.in",
        {
            "sitename": house.sitename,
            "public_url": house.archive("public").url,
            "staging_url": house.archive("staging").url,
            "contact": house.contact,
        },
    )
    for archive in house.archives:
        _link(house.var / "www" / archive.name / "getproduct", archive.products)
    return {path.name for path, text in texts.items() if write(path, text)}


def _postgresql_conf(house: House, cluster: Cluster) -> Path:
    return house.etc / f"postgresql-{cluster.name}.conf"


def _gavorc(house: House, archive: Archive, server: Server, memory: int) -> str:
    try:
        group = grp.getgrgid(os.getgid()).gr_name
    except KeyError as error:
        raise SettingsError(
            f"the group {os.getgid()} of this account has no name, and DaCHS wants one", "Give it one with groupadd."
        ) from error
    return render(
        house.repository / "etc" / "gavo.rc.in",
        {
            "name": archive.name,
            "root": archive.root,
            "group": group,
            "contact": house.contact,
            "port": server.port,
            "suffix": server.suffix,
            "url": archive.url,
            "sitename": archive.title,
            "adminpasswd": secret(house.secrets / f"{archive.name}-admin"),
            "index_memory": _between(64, memory // 16, 2000),
            "authority": house.authority,
        },
    )


def _supervisord(house: House) -> str:
    template = house.repository / "etc" / "supervisord-program.conf.in"

    def escaped(text: str) -> str:
        return text.replace("%", "%%")

    parts = [
        render(
            template,
            {
                "name": service.name,
                "command": escaped(shlex.join(service.command)),
                "directory": escaped(str(service.directory)),
                "environment": ",".join(f'{key}="{escaped(value)}"' for key, value in sorted(service.environment.items())),
                "stopsignal": service.stopsignal,
                "killasgroup": str(service.killasgroup).lower(),
                "logs": escaped(str(house.logs)),
            },
        )
        for service in services(house)
    ]
    return render(
        house.repository / "etc" / "supervisord.conf.in",
        {
            "logs": house.logs,
            "run": house.var / "run",
            "var": house.var,
            "sockets": house.sockets,
            "programs": "".join(parts),
        },
    )


def _nginx(house: House) -> str:
    templates = house.repository / "etc"
    servers, upstreams = [], []
    for number, archive in enumerate(house.archives, start=1):
        # Web clients elsewhere may read what is public; staging is for its own pages only.
        headers = '    add_header Access-Control-Allow-Origin "*";\n' if archive.name == "public" else ""
        # The web server with TLS in front of the public archive says who its client is (etc/production).
        front = "    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Real-IP;\n" if archive.name == "public" else ""
        # add_header in a location hides those of its server
        cache = render(templates / "nginx-cache.conf.in", {"name": archive.name}) + headers if archive.cache is not None else ""
        servers.append(
            render(
                templates / "nginx-archive.conf.in",
                {
                    "name": archive.name,
                    "port": house.base_port + number,
                    "www": house.var / "www",
                    "front": front,
                    "headers": headers,
                    "forwarded": _forwarded(house, archive),
                    "cache": cache,
                    **_gate(house, archive),
                },
            )
        )
        # max_fails: a process that refused is asked again at once, for it costs nothing on loopback and may be there again.
        # keepalive_timeout: nginx gives up idle connections before a process that is ending (vo/drain.py) has waited long for it.
        members = " ".join(f"server 127.0.0.1:{server.port} max_fails=0;" for server in archive.servers)
        upstreams.append(f"\n  upstream dachs_{archive.name} {{ least_conn; {members} keepalive 8; keepalive_timeout 4s; }}")
    return render(
        templates / "nginx.conf.in",
        {
            "run": house.var / "run",
            "scratch": house.var / "nginx",
            "cache": house.archive("public").cache,
            "www": house.var / "www",
            "portal_port": house.base_port,
            "portal_socket": house.portal_socket,
            "forwarded": _forwarded(house),
            "behind": _BEHIND_TLS if house.portal_url else "",
            "upstreams": "".join(upstreams),
            "servers": "".join(servers),
        },
    )


_BEHIND_TLS = """
  # The web server in front is on this machine and says last whom it answers.
  set_real_ip_from 127.0.0.1;
  real_ip_header X-Forwarded-For;
"""


def _forwarded(house: House, archive: Archive | None = None) -> str:
    """What is told to the server behind nginx: an archive, or without one the portal."""
    gated = archive is not None and archive.gate is not None
    values = {"gate": secret(archive.gate), "user": "$gate_user"} if archive and archive.gate else {"gate": "", "user": ""}
    values["scheme"] = "https" if house.portal_url and (archive is None or gated) else "$scheme"
    text = render(house.repository / "etc" / "nginx-forwarded.conf.in", values)
    # The portal's cookie goes to every port of the host; DaCHS has no use for it.
    return text if archive is None or gated else text + '    proxy_set_header Cookie "";\n'


def _gate(house: House, archive: Archive) -> dict[str, str]:
    """What differs between an archive for everybody and one behind the portal's login."""
    if archive.gate is None:
        return {"gate": "", "open": "", "pages": "error_page 502 504 =503 @away;"}
    values = {"portal_url": house.url, "url": archive.url}
    gate = render(house.repository / "etc" / "nginx-gate.conf.in", values)
    # 500 is nginx's own word for a portal that does not answer; DaCHS' 500 passes through as it is.
    pages = "error_page 401 @login; error_page 403 @refused; error_page 500 502 504 =503 @away;"
    return {"gate": gate, "open": "\n      auth_request off;", "pages": pages}


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and link.readlink() == target:
        return
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def _memory() -> int:
    """Memory of the machine in MB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))

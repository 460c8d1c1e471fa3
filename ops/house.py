"""Where everything of an installation is, and how its two archives are called.

A :class:`House` is made once from the environment and never changes; nothing here writes to the disk. What is known of one
archive is in :mod:`ops.archive`.

==================== ======================================= ==========================================
variable             meaning                                 default
==================== ======================================= ==========================================
SPECOLA_VAR          folder of everything that is written    ``var`` in the repository
SPECOLA_PORT         portal; +1 public, +2 staging archive   8080
SPECOLA_AUTHORITY    IVOA authority of the identifiers       ``org.specola.demo``
SPECOLA_DSN_PUBLIC   libpq DSN of an existing server         none: a private cluster
SPECOLA_DSN_STAGING  the same for staging                    none: a private cluster
SPECOLA_DSN_SURVEY   libpq DSN of the survey database        none: in the team's private cluster
SPECOLA_URL          public base URL of the archive, when    ``http://127.0.0.1:<port + 1>``
                     another web server stands in front
SPECOLA_PORTAL_URL   base URL of the team's portal, likewise   ``http://127.0.0.1:<port>``
SPECOLA_STAGING_URL  base URL of staging, on the same host    ``http://127.0.0.1:<port + 2>``
SPECOLA_CONTACT      e-mail address users may write to       ``archive@specola.example.org``
SPECOLA_SITENAME     title of the installation               Specola spectroscopic archive
SPECOLA_PROCESSES    DaCHS processes of the public archive   one a core, at most 4
==================== ======================================= ==========================================
"""

from __future__ import annotations

import hashlib
import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ops.archive import ARCHIVES, Archive, ArchiveName, Server, dsn_of, without_login
from ops.errors import SettingsError

__all__ = ["ARCHIVES", "Archive", "ArchiveName", "Cluster", "House", "Server"]

_SOCKET_LIMIT = 107
"""Bytes a Unix socket path may have on Linux (``sun_path`` less its final NUL)."""
_LONGEST_SOCKET = "/supervisor.sock.4194304"
"""The longest socket name we make: supervisord links ``<name>.<pid>`` before it renames."""
_MOST_PROCESSES = 8
"""The servers' ports are the ten above the staging archive's."""
_UNQUOTABLE = re.compile(r'["\\;#\x00-\x1f]')
"""What can not stand in every configuration file a setting goes into."""
_AUTHORITY = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._~-]{2,}")


@dataclass(frozen=True)
class Cluster:
    """One private PostgreSQL cluster.

    :ivar name: ``public`` or ``team``
    :ivar data: its data directory
    :ivar port: number in its socket's name (there is no TCP listener)
    :ivar databases: databases it holds
    """

    name: str
    data: Path
    port: int
    databases: tuple[str, ...]


@dataclass(frozen=True)
class House:
    """An installation, seen from its settings.

    :ivar var: folder of everything written
    :ivar base_port: port of the portal
    :ivar repository: the checkout (or the copy of it) that is running
    """

    var: Path
    base_port: int
    repository: Path
    authority: str = "org.specola.demo"
    contact: str = "archive@specola.example.org"
    public_url: str = ""
    portal_url: str = ""
    staging_url: str = ""
    """Both or neither: another web server, with TLS, stands in front of the team's pages."""
    processes: int = 1
    """DaCHS processes of the public archive; the staging archive has one."""
    dsns: Mapping[ArchiveName, str] = field(default_factory=dict)
    dsn_survey: str = ""
    """DSN of the survey database's owner on an existing server."""
    sitename: str = "Specola spectroscopic archive"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> House:
        """Read the settings.

        :param environ: variables to read instead of the process's own
        :raises SettingsError: when one can not be used
        """
        env = os.environ if environ is None else environ
        repository = Path(__file__).resolve().parent.parent
        var = Path(env.get("SPECOLA_VAR") or repository / "var").expanduser()
        if not var.is_absolute():
            raise SettingsError(f"SPECOLA_VAR is {str(var)!r}", "Give an absolute path.")
        text = env.get("SPECOLA_PORT") or "8080"
        if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65500:
            raise SettingsError(
                f"SPECOLA_PORT is {text!r}", "Give a number from 1024 to 65500; the twenty above it are used too."
            )
        authority = env.get("SPECOLA_AUTHORITY") or cls.authority
        if not _AUTHORITY.fullmatch(authority):
            raise SettingsError(
                f"SPECOLA_AUTHORITY is {authority!r}",
                "Give an IVOA authority: letters, digits, '.', '-', '_', '~', three or more, as in org.example.survey.",
            )
        processes = env.get("SPECOLA_PROCESSES") or str(min(os.cpu_count() or 1, 4))
        if not processes.isascii() or not processes.isdigit() or not 1 <= int(processes) <= _MOST_PROCESSES:
            raise SettingsError(f"SPECOLA_PROCESSES is {processes!r}", f"Give a number from 1 to {_MOST_PROCESSES}.")
        for name in ("CONTACT", "SITENAME", "URL", "PORTAL_URL", "STAGING_URL"):
            if found := _UNQUOTABLE.search(env.get(f"SPECOLA_{name}") or ""):
                raise SettingsError(
                    f"SPECOLA_{name} has the character {found[0]!r}", 'Leave out quotation marks ("), \\, ; and #.'
                )
        portal_url, staging_url = _team_urls(env)
        dsns: dict[ArchiveName, str] = {}
        for archive in ARCHIVES:
            if dsn := env.get(f"SPECOLA_DSN_{archive.upper()}"):
                dsns[archive] = dsn
        return cls(
            var=Path(os.path.normpath(var)),
            base_port=int(text),
            repository=repository,
            authority=authority,
            contact=env.get("SPECOLA_CONTACT") or cls.contact,
            public_url=(env.get("SPECOLA_URL") or "").rstrip("/"),
            portal_url=portal_url,
            staging_url=staging_url,
            processes=int(processes),
            dsns=dsns,
            dsn_survey=env.get("SPECOLA_DSN_SURVEY") or "",
            sitename=env.get("SPECOLA_SITENAME") or cls.sitename,
        )

    @property
    def environment(self) -> dict[str, str]:
        """Variables from which another process of this account, such as the portal, finds the same installation.

        DSNs of existing servers are in it without the administrator's name and password: nobody needs these once the
        archives are made.
        """
        return {
            "SPECOLA_VAR": str(self.var),
            "SPECOLA_PORT": str(self.base_port),
            "SPECOLA_AUTHORITY": self.authority,
            "SPECOLA_CONTACT": self.contact,
            "SPECOLA_SITENAME": self.sitename,
            "SPECOLA_URL": self.public_url,
            "SPECOLA_PORTAL_URL": self.portal_url,
            "SPECOLA_STAGING_URL": self.staging_url,
            "SPECOLA_PROCESSES": str(self.processes),
            "SPECOLA_DSN_SURVEY": self.dsn_survey,
            **{f"SPECOLA_DSN_{name.upper()}": without_login(dsn) for name, dsn in self.dsns.items()},
        }

    @property
    def url(self) -> str:
        """Base URL of the portal as people see it, without a final slash."""
        return self.portal_url or f"http://127.0.0.1:{self.base_port}"

    @property
    def etc(self) -> Path:
        """Folder of the rendered configuration files."""
        return self.var / "etc"

    @property
    def releases(self) -> Path:
        """Folder of the frozen releases, each sealed."""
        return self.var / "releases"

    @property
    def logs(self) -> Path:
        """Folder of every server's log."""
        return self.var / "logs"

    @property
    def secrets(self) -> Path:
        """Folder (0700) of the passwords."""
        return self.var / "secrets"

    @property
    def portal_socket(self) -> Path:
        """Unix socket on which the portal answers, behind nginx."""
        return self.sockets / "portal.sock"

    @property
    def sockets(self) -> Path:
        """Folder (0700) of the Unix sockets: ``var/run``, or a short one in /tmp when that path is too long."""
        inside = self.var / "run"
        plain = re.fullmatch(r"[\w/.+@~-]+", str(inside), re.ASCII)
        if plain and len(os.fsencode(inside)) + len(_LONGEST_SOCKET) <= _SOCKET_LIMIT:
            return inside
        digest = hashlib.sha256(os.fsencode(self.var)).hexdigest()[:12]
        return Path(f"/tmp/specola-{os.getuid()}-{digest}")  # noqa: S108 - made 0700, owner checked in ops.files

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        """The private clusters; an archive with a DSN of its own has none."""
        found = []
        if "public" not in self.dsns:
            found.append(Cluster("public", self.var / "postgres" / "public", 5432, ("archive",)))
        team = {"staging": "staging" not in self.dsns, "survey": not self.dsn_survey}
        if any(team.values()):
            databases = tuple(name for name, private in team.items() if private)
            found.append(Cluster("team", self.var / "postgres" / "team", 5433, databases))
        return tuple(found)

    @property
    def archives(self) -> tuple[Archive, Archive]:
        """Both archives."""
        return self.archive("public"), self.archive("staging")

    def archive(self, name: ArchiveName) -> Archive:
        """The archive called ``public`` or ``staging``."""
        if name not in ARCHIVES:
            raise SettingsError(f"there is no archive {name!r}", "The archives are: public, staging.")
        number = ARCHIVES.index(name) + 1
        url = (self.public_url if name == "public" else self.staging_url) or f"http://127.0.0.1:{self.base_port + number}"
        database = "archive" if name == "public" else "staging"
        private = next((c for c in self.clusters if database in c.databases), None)
        return Archive(
            name=name,
            root=self.var / "dachs" / name,
            gavorc=self.etc / f"gavo-{name}.rc",
            products=self.var / "products" / name,
            url=url,
            title=f"{self.sitename} (staging)" if name == "staging" else self.sitename,
            servers=self._servers(name, number),
            cache=self.var / "nginx" / "cache-public" if name == "public" else None,
            authority=self.authority,
            database=database,
            cluster=private.name if private else None,
            admin_dsn=self.superuser_dsn(private, database) if private else self.dsns[name],
            passfile=self.secrets / f"{name}.pgpass",
            repository=self.repository,
            home=self.var / "home",
            gate=self.secrets / "staging-gate" if name == "staging" else None,
        )

    def _servers(self, name: ArchiveName, number: int) -> tuple[Server, ...]:
        first = Server(f"dachs-{name}", self.base_port + 10 + number, self.etc / f"gavo-{name}.rc", "")
        more = range(2, self.processes + 1) if name == "public" else ()
        return (
            first,
            *(Server(f"{first.name}-{n}", self.base_port + 11 + n, self.etc / f"gavo-{name}-{n}.rc", f"-{n}") for n in more),
        )

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port this installation listens on."""
        inner = (server.port for archive in self.archives for server in archive.servers)
        return (*range(self.base_port, self.base_port + 3), *inner)

    def superuser_dsn(self, cluster: Cluster, database: str = "postgres") -> str:
        """libpq DSN of a private cluster's superuser; its password is in the passfile."""
        passfile = self.secrets / f"cluster-{cluster.name}.pgpass"
        return dsn_of(host=self.sockets, port=cluster.port, dbname=database, user="postgres", passfile=passfile)

    @property
    def survey_dsn(self) -> str:
        """libpq DSN of the team's survey database, as its owner: ``survey`` where the cluster is ours."""
        return self.dsn_survey or dsn_of(
            host=self.sockets, port=5433, dbname="survey", user="survey", passfile=self.secrets / "survey.pgpass"
        )


def _team_urls(env: Mapping[str, str]) -> tuple[str, str]:
    """Addresses of portal and staging behind a web server with TLS; '' for both where there is none.

    :raises SettingsError: when they are not both there, not https, or on two hosts: the portal's cookie would not reach staging
    """
    found = tuple((env.get(f"SPECOLA_{name}_URL") or "").rstrip("/") for name in ("PORTAL", "STAGING"))
    if any(found):
        parts = [urllib.parse.urlsplit(one) for one in found]
        if (
            {part.scheme for part in parts} != {"https"}
            or len({part.hostname for part in parts}) != 1
            or any(p.path for p in parts)
        ):
            raise SettingsError(
                f"SPECOLA_PORTAL_URL is {found[0]!r} and SPECOLA_STAGING_URL {found[1]!r}",
                "Give both, with https and the same host, as in https://team.example.org and https://team.example.org:8443.",
            )
    return found[0], found[1]

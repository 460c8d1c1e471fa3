"""An archive of an installation: its database, the DaCHS processes in front of it, its files; and how its programs are run."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from ops.errors import CommandError, SettingsError

__all__ = ["ARCHIVES", "DEBIAN_PYTHON", "OWNER", "Archive", "ArchiveName", "Server", "dsn_of", "without_login"]

ArchiveName = Literal["public", "staging"]
ARCHIVES: tuple[ArchiveName, ArchiveName] = ("public", "staging")

DEBIAN_PYTHON = "/usr/bin/python3"
OWNER = "gavoadmin"
"""Database role that owns the tables DaCHS declares; the loader connects as this role."""


@dataclass(frozen=True)
class Server:
    """One DaCHS process of an archive. All of an archive's share its root and its database, and nginx spreads requests over them.

    :ivar name: of the service, as in ``dachs-public``, ``dachs-public-2``
    :ivar port: where it listens on loopback, behind nginx
    :ivar gavorc: file GAVOSETTINGS names
    :ivar suffix: of its own folders for state and logs in the root
    """

    name: str
    port: int
    gavorc: Path
    suffix: str


@dataclass(frozen=True)
class Archive:
    """One archive: a database, the DaCHS in front of it, its products.

    :ivar name: ``public`` or ``staging``
    :ivar root: DaCHS rootDir
    :ivar gavorc: file GAVOSETTINGS names, for commands; the first server uses it too
    :ivar products: folder of the product files; accrefs are relative to it
    :ivar url: base URL users see, without a final slash
    :ivar title: its name on its pages
    :ivar servers: its DaCHS processes, one at least
    :ivar cluster: name of the private cluster, None on an existing server
    """

    name: ArchiveName
    root: Path
    gavorc: Path
    products: Path
    url: str
    title: str
    servers: tuple[Server, ...]
    cache: Path | None
    """Folder in which nginx keeps answers for a minute; None where it keeps none."""
    authority: str
    database: str
    cluster: str | None
    admin_dsn: str
    """DSN of a superuser, used when the archive is first made and by nothing else."""
    passfile: Path
    repository: Path
    home: Path
    gate: Path | None = None
    """File with the secret without which its servers answer nobody (:mod:`vo.gate`); None where they answer everybody."""

    def server_environment(self, server: Server) -> dict[str, str]:
        """Environment of one of its DaCHS processes."""
        return self.environment | {"GAVOSETTINGS": str(server.gavorc), "SPECOLA_GATE": str(self.gate or "open")}

    @property
    def headers(self) -> dict[str, str]:
        """What a request of our own straight to one of its servers, past nginx, has to carry; nothing before the first start."""
        if self.gate is None or not self.gate.exists():
            return {}
        return {"X-Specola-Gate": self.gate.read_text().strip()}

    @property
    def inputs(self) -> Path:
        """DaCHS inputsDir; ``specola`` in it is a link to the repository's resdir/."""
        return self.root / "inputs"

    @property
    def dsn(self) -> str:
        """libpq DSN of the owner role. The password is in the passfile it names, never in the string."""
        from psycopg2.extensions import make_dsn

        return str(make_dsn(without_login(self.admin_dsn), user=OWNER, passfile=str(self.passfile)))

    @property
    def environment(self) -> dict[str, str]:
        """Environment of everything that runs under Debian's Python for this archive."""
        return {
            "LANG": "C.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "GAVOSETTINGS": str(self.gavorc),
            "PYTHONPATH": str(self.repository),
            "PYTHONUNBUFFERED": "1",
            "SPECOLA_PRODUCTS": str(self.products),
        }

    def dachs(self, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``dachs --ui stingy ARGUMENTS`` on this archive.

        :param timeout: seconds to wait
        :raises CommandError: when it fails; its message ends with what DaCHS printed
        """
        command = ["/usr/bin/dachs", "--ui", "stingy", *arguments]
        try:
            done = subprocess.run(
                command,
                env=self.environment,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError as error:
            raise SettingsError(
                f"cannot run dachs for the {self.name} archive: {error.filename or command[0]} is not there",
                "Run `specola up` (installs and initialises what is missing) or `specola doctor`.",
            ) from error
        if done.returncode:
            raise CommandError(command, done.returncode, done.stdout, f"(archive {self.name}, log: {self.root}/logs/dcErrors)")
        return done

    def debian_python(
        self,
        module: str,
        *arguments: str,
        stdin: int | IO[bytes] | None = subprocess.PIPE,
        stdout: int | IO[bytes] | None = subprocess.PIPE,
        stderr: int | IO[bytes] | None = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start ``/usr/bin/python3 -m MODULE ARGUMENTS``, where gavo can be imported, with this archive's settings."""
        return subprocess.Popen(
            [DEBIAN_PYTHON, "-m", module, *arguments],
            env=self.environment,
            cwd=self.repository,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )


def dsn_of(**parts: object) -> str:
    """A libpq DSN of its parts."""
    from psycopg2.extensions import make_dsn

    return str(make_dsn(**{key: str(value) for key, value in parts.items()}))


def without_login(dsn: str) -> str:
    """A libpq DSN less the name, password and passfile of whoever it is for."""
    from psycopg2.extensions import parse_dsn

    return dsn_of(**{key: value for key, value in parse_dsn(dsn).items() if key not in {"user", "password", "passfile"}})

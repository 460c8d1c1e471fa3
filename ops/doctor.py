"""Looks for what is missing or broken in an installation, and says how to mend it."""

from __future__ import annotations

import grp
import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ops import clusters, dachsroot, probes, raising, supervision
from ops.archive import DEBIAN_PYTHON, OWNER
from ops.configuration import services
from ops.edge import NGINX
from ops.errors import OpsError
from ops.house import House

__all__ = ["Finding", "examine"]

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
ENOUGH_DISK = 2 * 2**30
"""Bytes below which a release can no longer be loaded safely."""


@dataclass(frozen=True)
class Finding:
    """One check.

    :ivar found: what was seen
    :ivar remedy: what to do, when it is not well
    """

    check: str
    well: bool
    found: str = ""
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self)


def examine(house: House) -> list[Finding]:
    """Run every check. One that fails to run is itself a finding."""
    found: list[Finding] = []
    for check in CHECKS:
        try:
            found += check(house)
        except (OpsError, OSError, subprocess.SubprocessError) as error:
            remedy = error.remedy if isinstance(error, OpsError) else "Mend that and run `specola doctor` again."
            found.append(Finding((check.__doc__ or check.__name__).rstrip("."), well=False, found=str(error), remedy=remedy))
    return found


def _packages(house: House) -> Iterator[Finding]:
    """Debian packages."""
    text = (house.repository / "etc" / "packages.txt").read_text()
    wanted = {line for line in re.sub(r"#.*", "", text).split() if line}
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted], capture_output=True, text=True, check=False
    ).stdout
    there = {line.split()[0] for line in listed.splitlines() if line.endswith(" installed")}
    missing = sorted(wanted - there)
    yield Finding(
        "Debian packages", not missing, f"missing: {', '.join(missing)}" if missing else f"{len(wanted)} installed",
        "As root: bin/house packages",
    )  # fmt: skip


def _environment(house: House) -> Iterator[Finding]:
    """Virtual environment."""
    differing = []
    for line in (house.repository / "constraints.txt").read_text().splitlines():
        name, separator, version = line.partition("==")
        if not separator or line.startswith("#"):
            continue
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that was not asked for, or nothing a Python of this version needs
        if installed != version.split(";")[0].strip():
            differing.append(f"{name} {installed} instead of {version}")
    yield Finding("Python packages as pinned", not differing, "; ".join(differing[:5]), "Run: make setup")


def _debian_python(_: House) -> Iterator[Finding]:
    """DaCHS under Debian's Python."""
    done = subprocess.run([DEBIAN_PYTHON, "-c", "import gavo.utils"], capture_output=True, text=True, check=False,
                          env={"PATH": "/usr/bin:/bin", "GAVOSETTINGS": "/dev/null"})  # fmt: skip
    yield Finding(
        "DaCHS under Debian's Python",
        done.returncode == 0,
        done.stderr.strip().splitlines()[-1] if done.returncode else "",
        f"Install python3-gavo with its dependencies (bin/house packages); {DEBIAN_PYTHON} must be Debian's own.",
    )


def _account(house: House) -> Iterator[Finding]:
    """Account."""
    yield Finding(
        "an unprivileged account", os.getuid() != 0, f"uid {os.getuid()}", "Call bin/specola: it changes to the account."
    )
    try:
        name = grp.getgrgid(os.getgid()).gr_name
    except KeyError:
        name = ""
    yield Finding("its group has a name", bool(name), name, f"As root: groupadd -g {os.getgid()} specola")
    foreign = [str(path) for path in (house.var, *house.var.glob("*")) if path.exists() and path.lstat().st_uid != os.getuid()]
    yield Finding(
        "the folder belongs to it", not foreign, ", ".join(foreign[:3]) or str(house.var),
        f"As root: chown -R {os.getuid()} {house.var}",
    )  # fmt: skip


def _disk(house: House) -> Iterator[Finding]:
    """Disk."""
    there = next(path for path in (house.var, *house.var.parents) if path.exists())
    free = shutil.disk_usage(there).free
    yield Finding(
        "disk space", free > ENOUGH_DISK, f"{free / 2**30:.1f} GB free", "Make room, or move SPECOLA_VAR to a larger disk."
    )


def _secrets(house: House) -> Iterator[Finding]:
    """Passwords."""
    files = [path for path in house.secrets.glob("*") if path.is_file()]
    files += [path for archive in house.archives for name in dachsroot.PROFILES if (path := archive.root / "etc" / name).exists()]
    open_ones = [str(path) for path in (house.secrets, *files) if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    shown = f"readable by others: {', '.join(open_ones)}" if open_ones else f"{len(files)} files"
    yield Finding("passwords are private", not open_ones, shown, f"chmod go= {' '.join(open_ones)}")


def _archives(house: House) -> Iterator[Finding]:
    """Archives."""
    for archive in house.archives:
        made = dachsroot.is_initialised(archive)
        yield Finding(f"the {archive.name} archive was made completely", made, "", "Run: specola up")
        if not made:
            continue
        link = archive.inputs / "specola"
        right = link.is_symlink() and link.resolve() == (house.repository / "resdir").resolve()
        shown = f"{link} -> {link.readlink()}" if link.is_symlink() else f"{link} is no link"
        yield Finding(
            f"the {archive.name} archive reads this checkout's resdir/", right and link.exists(), shown, "Run: specola up"
        )
        products = house.var / "www" / archive.name / "getproduct"
        yield Finding(
            f"nginx finds the products of the {archive.name} archive",
            products.resolve() == archive.products.resolve(),
            "",
            "Run: specola up",
        )


def _nginx(house: House) -> Iterator[Finding]:
    """nginx configuration."""
    conf = house.etc / "nginx.conf"
    if not conf.exists():
        yield Finding("nginx configuration", well=False, found=f"{conf} is not there", remedy="Run: specola up")
        return
    done = subprocess.run([NGINX, "-t", "-q", "-e", "stderr", "-c", str(conf)], capture_output=True, text=True, check=False)
    yield Finding("nginx configuration", done.returncode == 0, done.stderr.strip()[-300:], "Run: specola up (renders it afresh)")


def _ports(house: House) -> Iterator[Finding]:
    """Ports."""
    low, _ = (int(text) for text in EPHEMERAL.read_text().split())
    yield Finding(
        "the ports are below those of outgoing connections",
        max(house.ports) < low,
        f"{house.base_port} and on; the kernel uses {low} and on",
        "Any program's outgoing connection may sit on a port we need: choose a lower SPECOLA_PORT.",
    )
    if supervision.Supervisor(house).is_running():
        return
    strays = ", ".join(f"{name} (process {pid})" for name, pid in supervision.orphans(house))
    yield Finding("no server outlived its supervisor", not strays, strays, "Run: specola down")
    taken = [] if strays else raising.taken_ports(house)
    yield Finding(
        "the ports are free", not taken, f"taken: {', '.join(map(str, taken))}" if taken else "",
        f"Stop what listens there, or choose others: SPECOLA_PORT={house.base_port + 100}",
    )  # fmt: skip


def _services(house: House) -> Iterator[Finding]:
    """Services."""
    states = supervision.Supervisor(house).states()
    if not states:
        yield Finding("the supervisor runs", well=False, found="nothing runs", remedy="Run: specola up")
        return
    for service in services(house):
        state = states.get(service.name)
        runs = state is not None and state.state == "RUNNING"
        tail = "" if runs else "; ".join(supervision.log_tail(house.logs / f"{service.name}.log", 2))
        shown = f"{state.state.lower() if state else 'unknown'} {tail}".strip()
        yield Finding(f"{service.name} runs", runs, shown, f"Run: specola up; then specola logs {service.name}")


def _databases(house: House) -> Iterator[Finding]:
    """Databases."""
    if not supervision.Supervisor(house).is_running():
        return
    for archive in house.archives:
        if not dachsroot.is_initialised(archive):
            continue
        with closing(clusters.connect(archive.dsn)) as conn, conn.cursor() as cursor:
            cursor.execute("SELECT rolcreaterole OR rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = %s", (OWNER,))
            row = cursor.fetchone()
            strong = row is None or row[0]
            yield Finding(
                f"{OWNER} of the {archive.name} archive has no right to make roles", not strong, "",
                f"As superuser of that server: ALTER ROLE {OWNER} NOCREATEROLE NOCREATEDB NOSUPERUSER",
            )  # fmt: skip
            cursor.execute("SELECT array_agg(extname::text) FROM pg_extension")
            row = cursor.fetchone()
            missing = sorted(set(clusters.EXTENSIONS) - set(row[0] if row else []))
            yield Finding(
                f"extensions of the {archive.name} archive", not missing, f"missing: {', '.join(missing)}" if missing else "",
                f"As superuser in {archive.database}: " + "; ".join(f"CREATE EXTENSION {name}" for name in missing),
            )  # fmt: skip


def _answers(house: House) -> Iterator[Finding]:
    """Answers."""
    if not supervision.Supervisor(house).is_running():
        return
    asked = [probes.front(house), probes.portal(house), *(probes.entrance(house, one) for one in house.archives)]
    asked += [probes.server(archive, server) for archive in house.archives for server in archive.servers]
    for probe in asked:
        what = f"{probe.address} answers" if probe.status == 200 else f"{probe.address} asks for a login"
        yield Finding(what, probes.answers(probe), "", "Run: specola restart; then specola logs")
    for archive in house.archives:
        if archive.gate is not None:
            bare = [probes.Probe(f"http://127.0.0.1:{one.port}/", status=HTTPStatus.FORBIDDEN) for one in archive.servers]
            yield Finding(
                f"the {archive.name} archive answers nobody past nginx",
                all(map(probes.answers, bare)),
                "",
                "Run: specola restart",
            )


def _log_errors(house: House) -> Iterator[Finding]:
    """Log sizes."""
    large = [f"{path} {path.stat().st_size / 2**20:.0f} MB" for path in _log_files(house) if path.stat().st_size > 200 * 2**20]
    yield Finding(
        "logs are of a reasonable size", not large, ", ".join(large), "Something repeats itself there: read the end of it."
    )


def _log_files(house: House) -> list[Path]:
    return [*house.logs.glob("*"), *(path for archive in house.archives for path in (archive.root / "logs").glob("*"))]


CHECKS: tuple[Callable[[House], Iterator[Finding]], ...] = (
    _packages,
    _environment,
    _debian_python,
    _account,
    _disk,
    _secrets,
    _archives,
    _nginx,
    _ports,
    _services,
    _databases,
    _answers,
    _log_errors,
)

"""How long a release takes from candidate to public, beside copying files and a bare COPY of rows: ``make bench-release``.

All in one run, at two sizes: the cost of a spectrum should be the same at both. Drawing the plots, which is most of staging,
is also measured alone. Prints a table, and writes bench/results/release.json. The installation it works on is its own
(houses/bench-release).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.clock import Clock, Spent
from bench.dachs import bare_copy
from ingest.check import check_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from ingest.previews import make_previews
from ops.house import House
from ops.raising import lower, raise_house

RESULTS = Path(__file__).with_name("results") / "release.json"
STEPS = {"freeze": "freeze", "stage": "stage", "promote": "promote"}
PEERS = {"files": "plain copy of the files", "copy": "bare COPY of the rows, twice (two archives)", "plots": "drawing the plots"}
LIMIT = 300.0
"""Seconds that freezing, staging and promoting the larger bundle may take."""


def measure(house: House, path: Path, user: Any, report: Callable[[str], None]) -> dict[str, Spent]:
    """Time of each step and of each peer with one bundle."""
    from portal.releases import life

    schema = f"demo_b{time.time_ns():x}"
    by = {"by": user, "reason": "a benchmark"}
    life.create(schema, bundle=path, **by)
    archive = house.archive("public")
    cluster = next(one.data for one in house.clusters if one.name == archive.cluster)
    times: dict[str, Spent] = {}
    for step in STEPS:
        report(f"{path.name}: {step}")
        clock = Clock(cluster)
        release = getattr(life, step)(schema, **by)
        times[step] = clock.spent()
    assert release.state == "public"
    folder = release.folder / "bundle"
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        report(f"{path.name}: {PEERS['files']}")
        clock = Clock(cluster)
        shutil.copytree(path, Path(scratch, "copy"), copy_function=shutil.copyfile)
        times["files"] = clock.spent()
        report(f"{path.name}: {PEERS['plots']}")
        clock = Clock(cluster)
        make_previews(path, Path(scratch, "plots"))
        times["plots"] = clock.spent()
        report(f"{path.name}: {PEERS['copy']}")
        bundle = check_bundle(folder, read_files=False)
        one, other = (bare_copy(archive, bundle, Path(scratch), cluster) for _ in range(2))
        times["copy"] = Spent(one.wall + other.wall, one.cpu + other.cpu)
    life.withdraw(schema, **by)
    return times


def manager() -> Any:
    """Somebody who may: an administrator of the benchmark's own installation."""
    from portal.accounts.models import Survey, User

    Survey.objects.get_or_create(key="demo", defaults={"name": "Demonstration"})
    user, _ = User.objects.get_or_create(username="bench", defaults={"is_superuser": True})
    return user


def print_table(times: dict[str, dict[str, dict[str, float]]], console: Console) -> None:
    """Show what was measured."""
    small, large = sorted(times, key=int)
    table = Table("what", title="The life of a release, seconds by the wall clock", title_justify="left")
    for name in (f"{int(small):,} spectra", f"{int(large):,} spectra", "ms a spectrum", "ms a spectrum more"):
        table.add_column(name, justify="right")

    def add(name: str, few: float, many: float) -> None:
        more = (many - few) / (int(large) - int(small)) * 1e3
        table.add_row(name, f"{few:.1f}", f"{many:.1f}", f"{many / int(large) * 1e3:.2f}", f"{more:.2f}")

    for name, text in (STEPS | PEERS).items():
        add(text, times[small][name]["wall"], times[large][name]["wall"])
    total = {size: sum(times[size][step]["wall"] for step in STEPS) for size in times}
    peer = {size: times[size]["files"]["wall"] + times[size]["copy"]["wall"] for size in times}
    table.add_section()
    add("freeze + stage + promote", total[small], total[large])
    add("plain copy + COPY", peer[small], peer[large])
    console.print(table)
    growth = (total[large] / total[small]) / (int(large) / int(small))
    without = total[large] - times[large]["plots"]["wall"]
    verdict = "met" if total[large] < LIMIT else "NOT met"
    console.print(f"{int(large):,} spectra in {total[large]:.0f} s, wanted below {LIMIT:.0f} s: {verdict}")
    console.print(f"{int(large) // int(small)} times the spectra cost {growth:.2f} times as much a spectrum (1 is linear)")
    console.print(
        f"{total[large] / peer[large]:.1f} times plain copying and COPY; less the plots {without / peer[large]:.1f} times"
    )


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs=2, default=[2_500, 10_000], help="spectra of the two bundles")
    options = parser.parse_args()
    console = Console(width=max(Console().width, 120))
    settings = House.from_environment()
    var = settings.var / "houses" / "bench-release"
    house = House(var=var, base_port=settings.base_port + 340, repository=settings.repository)
    result: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "cores": os.cpu_count(), "machine": platform.machine(),
        "load_before": os.getloadavg()[0], "times": {},
    }  # fmt: skip
    raise_house(house)
    os.environ.update(house.environment)
    from portal.setup import configure

    configure()
    try:
        with console.status("starting") as status:
            for size in options.sizes:
                path = house.var / "bench" / f"mock{size}"
                status.update(f"making {size} spectra")
                if not path.exists():
                    write_mock(path, Mock(spectra=size))
                times = measure(house, path, manager(), status.update)
                result["times"][str(size)] = {name: asdict(one) for name, one in times.items()}
    finally:
        lower(house)
    result["load_after"] = os.getloadavg()[0]
    print_table(result["times"], console)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()

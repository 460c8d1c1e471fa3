"""How fast a release comes into an archive, beside DaCHS' own import and a bare COPY: ``make bench``.

All ways take the same files in the same run, at two sizes: the difference tells the cost of a spectrum, what remains is the
cost of starting. Prints a table, and writes bench/results/ingest.json. The installation it works on is its own (houses/bench).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.clock import Clock, Spent
from bench.dachs import bare_copy, dachs_imp
from bench.memory import write_tiny
from ingest.check import ReadFiles, check_bundle
from ingest.load import ingest_bundle
from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from ingest.present import loaded_releases
from ingest.removal import remove_release
from ops.house import Archive, House
from ops.raising import lower, raise_house
from specola_bundle.bundle import Bundle

RESULTS = Path(__file__).with_name("results") / "ingest.json"

WAYS = {
    "imp": "dachs imp, fitsProdGrammar",
    "copy": "bare COPY of the rows of spectra",
    "rows": "ingest, rows of spectra",
    "headers": "ingest, every file's headers read",
    "files": "ingest, every file read and hashed",
    "tables": "ingest, rows of all tables",
    "plots": "ingest, all tables, files, plots",
}
CLOCKS = {"wall": "by the wall clock", "cpu": "of processor time (ours, PostgreSQL's)"}

Times = dict[str, list[Spent]]


def spectra_only(path: Path) -> Path:
    """A bundle with another's spectra and none of its other tables: what dachs imp loads from the same files."""
    copy = path.with_name(path.name + "-spectra")
    if not copy.exists():
        shutil.copytree(path, copy, copy_function=os.link)
        description = json.loads((path / "bundle.json").read_text())
        description["tables"] = [table for table in description["tables"] if table["name"] == "spectra"]
        description["counts"] = {"spectra": description["counts"]["spectra"]}
        (copy / "bundle.json").unlink()
        (copy / "bundle.json").write_text(json.dumps(description))
    return copy


def measure(archive: Archive, cluster: Path, path: Path, rounds: int, report: Callable[[str], None]) -> tuple[Bundle, Times]:
    """Time of each way with one bundle, each done ``rounds`` times in turn (the plots once)."""
    bundle, alone = check_bundle(path, read_files=False), spectra_only(path)
    files = sorted((path / "spectra").rglob("*.fits"))
    times: Times = {name: [] for name in WAYS}

    def ingest(name: str, what: Path, *, read_files: ReadFiles = False, previews: bool = False) -> None:
        report(f"{len(files)} spectra: {WAYS[name]}")
        clock = Clock(cluster)
        ingest_bundle(what, archive, read_files=read_files, previews=previews)
        times[name].append(clock.spent())

    if bundle.schema in loaded_releases(archive):
        remove_release(bundle.schema, archive)
    for number in range(rounds):
        report(f"{len(files)} spectra: {WAYS['imp']}")
        times["imp"].append(dachs_imp(archive, files, cluster))
        ways: tuple[tuple[str, Path, ReadFiles], ...] = (
            ("headers", alone, "headers"), ("files", alone, True), ("tables", path, False), ("rows", alone, False),
        )  # fmt: skip
        for name, what, read_files in ways:
            ingest(name, what, read_files=read_files)
            if name != "rows":
                remove_release(bundle.schema, archive)
        report(f"{len(files)} spectra: {WAYS['copy']}")
        times["copy"].append(bare_copy(archive, check_bundle(alone, read_files=False), path.parent, cluster))
        remove_release(bundle.schema, archive)
        if not number:
            ingest("plots", path, read_files=True, previews=True)
            remove_release(bundle.schema, archive)
    return bundle, times


def memory(house: House, spectra: int, scratch: Path) -> dict[str, Any]:
    """Seconds and peak memory of an ingest in a process of its own."""
    path = scratch / f"tiny{spectra}"
    if not path.exists():
        write_tiny(path, spectra)
    environment = {**os.environ, "SPECOLA_VAR": str(house.var), "SPECOLA_PORT": str(house.base_port)}
    done = subprocess.run(
        [sys.executable, "-m", "bench.memory", str(path)],
        env=environment,
        cwd=house.repository,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cost(result: dict[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """By clock and way: the cost of a spectrum (ms) and of starting (s), from the two sizes."""
    small, large = sorted(result["best"], key=int)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for clock in CLOCKS:
        for name in WAYS:
            few, many = (result["best"][size][name][clock] for size in (small, large))
            each = (many - few) / (int(large) - int(small))
            found.setdefault(clock, {})[name] = {"ms": each * 1e3, "start_s": few - each * int(small)}
    return found


def print_table(result: dict[str, Any], console: Console) -> None:
    """Show what was measured."""
    small, large = sorted(result["best"], key=int)
    for clock, text in CLOCKS.items():
        best = {size: {name: result["best"][size][name][clock] for name in WAYS} for size in (small, large)}
        costs = result["cost"][clock]
        table = Table("way", title=f"Into the archive, seconds {text}, best of {result['rounds']}", title_justify="left")
        for name in (f"{int(small):,}", f"{int(large):,}", "spectra/s", "x imp", "start", "a spectrum", "x imp"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, way in WAYS.items():
            table.add_row(
                way, f"{best[small][name]:.2f} s", f"{best[large][name]:.2f} s", f"{int(large) / best[large][name]:,.0f}",
                f"{best[large]['imp'] / best[large][name]:.1f}", f"{costs[name]['start_s']:.1f} s", f"{costs[name]['ms']:.3f} ms",
                f"{costs['imp']['ms'] / costs[name]['ms']:.1f}",
            )  # fmt: skip
        console.print(table)
        imp, each = costs["imp"]["ms"], result["rows"][large] / int(large)
        wanted = (
            (f"rows/s of a whole bundle ({each:.0f} rows a spectrum)", each * imp / costs["tables"]["ms"], 10.0),
            ("spectra/s with every file's headers read", imp / costs["headers"]["ms"], 3.0),
        )
        for what, ratio, target in wanted:
            verdict = "met" if ratio >= target else "MISSED"
            console.print(f"  {what}: {ratio:.1f} times {WAYS['imp']}, wanted {target:.0f}: {verdict}")
        console.print(f"  spectra/s of that table alone: {imp / costs['rows']['ms']:.1f} times it, which loads no other")
        console.print(
            f"  bare COPY is {costs['rows']['ms'] / costs['copy']['ms']:.1f} times faster than ingest with its indexes\n"
        )
    for one in result["memory"]:
        peaks = ", ".join(f"{name} {value:.0f} MB" for name, value in one["peak_mb"].items())
        console.print(f"{one['spectra']:,} tiny spectra, every file read: {one['seconds']:.1f} s, peak memory {peaks}")


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs=2, default=[2_000, 10_000], help="spectra of the two bundles")
    parser.add_argument("--rounds", type=int, default=2, help="measurements of each; the best counts")
    parser.add_argument("--memory", type=int, nargs="*", default=[10_000, 100_000], help="spectra of the bundles of tiny files")
    options = parser.parse_args()
    console = Console(width=max(Console().width, 120))
    settings = House.from_environment()
    house = House(var=settings.var / "houses" / "bench", base_port=settings.base_port + 300, repository=settings.repository)
    scratch = house.var / "bench"
    raise_house(house)
    scratch.mkdir(exist_ok=True)
    archive = house.archive("public")
    result: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "cores": os.cpu_count(), "machine": platform.machine(),
        "load_before": os.getloadavg()[0], "rounds": options.rounds, "times": {}, "best": {}, "rows": {},
    }  # fmt: skip
    cluster = next(one.data for one in house.clusters if one.name == archive.cluster)
    try:
        with console.status("starting") as status:
            for size in options.sizes:
                path = scratch / f"mock{size}"
                status.update(f"making {size} spectra")
                if not path.exists():
                    write_mock(path, Mock(spectra=size))
                bundle, times = measure(archive, cluster, path, options.rounds, status.update)
                result["times"][str(size)] = {name: [asdict(one) for one in all_] for name, all_ in times.items()}
                result["best"][str(size)] = {
                    name: {clock: min(getattr(one, clock) for one in all_) for clock in CLOCKS} for name, all_ in times.items()
                }
                result["rows"][str(size)] = sum(table.rows for table in bundle.tables.values())
            result["cost"] = cost(result)
            status.update("memory")
            result["memory"] = [memory(house, spectra, scratch) for spectra in options.memory]
    finally:
        lower(house)
    result["load_after"] = os.getloadavg()[0]
    print_table(result, console)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"written to {RESULTS}")


if __name__ == "__main__":
    main()

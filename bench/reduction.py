"""Our reduction, ESO's pipeline and PypeIt on the same simulated frames in one run, against the truth: ``make bench-reduction``.

Simulates quadrants of several seeds, reduces them as ``specola-reduce run`` does, with objects detected blindly, and prints each
target of quality and time beside the figure reached. Then every pipeline is measured in one way (bench/reduction_truth.py),
quality and time side by side: ours and ESO's on all quadrants (wants esorex and cpl-plugin-vimos, and says so where they are not
there). Then our fluxes (bench/reduction_flux.py), how our time and memory grow with slits and exposures, and last ours and
PypeIt's on one quadrant of few slits, since it takes minutes. Times are processor seconds on one thread, reading included, ours
and PypeIt's without the start of Python. Writes bench/results/reduction.json. PypeIt is installed by name into an environment of
its own, outside the project.

The simulator draws the sky from the atlas that our reduction compares sky lines with, bands and continuum varied: flexure is
better known here than it will be on the sky.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from threadpoolctl import threadpool_limits

from bench import reduction_eso, reduction_pypeit
from bench.reduction_flux import FLUX_TARGETS, fluxes
from bench.reduction_growth import EXPOSURES, grow
from bench.reduction_ours import TARGETS, judge, reduce_quadrant, seen_by_us
from bench.reduction_truth import SAME, measure
from ops.house import House
from specola_pipeline.organise import scan
from specola_pipeline.simulate import Settings, simulate
from specola_pipeline.simulate.truth import FrameTruth, read_truth

RESULTS = Path(__file__).with_name("results") / "reduction.json"


def in_a_process(folder: Path) -> dict[str, Any]:
    """What :func:`ours` gives in a process of its own, whose memory and first use of everything are nobody else's."""
    command = [sys.executable, "-m", "bench.reduction", "--ours", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"our reduction of {folder} failed: {done.stderr}")
    return dict(json.loads(done.stdout))


def ours(folder: Path) -> dict[str, Any]:
    """Our figures of the quadrant simulated in *folder*: of the targets, of all pipelines, and how many slits failed."""
    with threadpool_limits(1):
        reduced = reduce_quadrant(folder)
        return {
            "failed": len(reduced.record.failed),
            "targets": judge(reduced),
            "same": measure(seen_by_us(reduced), reduced.truth),
        }


def eso(folder: Path) -> dict[str, Any]:
    """ESO's figures of the same quadrant; ``said`` has the reason where there are none."""
    try:
        products = reduction_eso.reduce_with_eso(scan(folder / "raw"), folder / "eso")
        return {"same": measure(reduction_eso.seen_by_eso(products, truth_of(folder)), truth_of(folder))}
    except reduction_eso.EsoError as error:
        return {"said": str(error)}


def beside_pypeit(seed: int, slits: int, kept: Path | None) -> dict[str, Any]:
    """Our figures and PypeIt's of a quadrant of its own; ``said`` has the reason where there are none of PypeIt's.

    Frames and products stay in the folder *kept*, and PypeIt's are read from there when they are complete.
    """
    with contextlib.ExitStack() as stack:
        above = kept or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = above / f"seed{seed}-{slits}slits"
        if not folder.exists():
            simulate(Settings(seed=seed, slits=slits, exposures=1, standards=0), folder)
        found = {"seed": seed, "slits": slits, "program": reduction_pypeit.PYPEIT, "ours": in_a_process(folder)}
        try:
            python = reduction_pypeit.install(House.from_environment().var / "bench" / "pypeit")
            products = reduction_pypeit.reduce_with_pypeit(python, scan(folder / "raw"), folder / "pypeit")
            seen = reduction_pypeit.seen_by_pypeit(products, truth_of(folder))
            return {**found, "pypeit": {"same": measure(seen, truth_of(folder))}}
        except reduction_pypeit.PypeItError as error:
            return {**found, "pypeit": {"said": str(error)}}


def truth_of(folder: Path) -> FrameTruth:
    """The truth of the science exposure simulated in *folder*."""
    truth = read_truth(folder)
    return truth.frame(next(frame["file"] for frame in truth.frames if frame["kind"] == "science"))


def quadrant(seed: int, slits: int, with_eso: bool) -> dict[str, Any]:
    """Simulate a quadrant and reduce it with every pipeline that is here."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(Settings(seed=seed, slits=slits, exposures=1, standards=0), folder)
        found = {"seed": seed, "slits": slits, "ours": in_a_process(folder)}
        return {**found, "eso": eso(folder)} if with_eso else found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15], help="quadrants to simulate")
    parser.add_argument("--slits", type=int, nargs="+", default=[60], help="slits of each; the last number goes for all further")
    parser.add_argument("--growth", type=int, nargs="*", default=[15, 30, 60], help="slits of which time and memory are measured")
    parser.add_argument("--flux", type=int, default=8, help="slits of the two nights in which fluxes are compared, 0 for none")
    parser.add_argument("--pypeit-slits", type=int, default=8, help="slits of the quadrant that PypeIt reduces, too; 0: not run")
    parser.add_argument("--only-pypeit", action="store_true", help="add PypeIt's quadrant to the results there are")
    parser.add_argument("--keep", type=Path, help="where PypeIt's frames and products stay, to be read the next time")
    parser.add_argument("--note", default="", help="words that go into the results, as about load of the machine")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.ours:
        print(json.dumps(ours(chosen.ours)))
        return
    console = Console()
    results: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if chosen.only_pypeit else {}
    with Progress(console=Console(stderr=True)) as bar:
        with tempfile.TemporaryDirectory() as folder:  # compiles what numba has to, so that no quadrant pays for it
            simulate(Settings(seed=1, slits=2, exposures=1, standards=0), Path(folder))
            in_a_process(Path(folder))
        if not chosen.only_pypeit:
            results = {**_now(chosen.note), "eso": reduction_eso.missing() or "run"}
            slits = [*chosen.slits, *[chosen.slits[-1]] * len(chosen.seeds)][: len(chosen.seeds)]
            _measure(results, list(zip(chosen.seeds, slits, strict=True)), chosen, bar)
        if chosen.pypeit_slits:
            waiting = bar.add_task("PypeIt", total=1)
            results["pypeit"] = {**_now(chosen.note), **beside_pypeit(chosen.seeds[0], chosen.pypeit_slits, chosen.keep)}
            bar.advance(waiting)
            _write(results)
    if not chosen.only_pypeit:
        _print(results, console)
    _print_pypeit(results.get("pypeit"), console)


def _now(note: str) -> dict[str, str]:
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "note": note}


def _measure(results: dict[str, Any], quadrants: list[tuple[int, int]], chosen: argparse.Namespace, bar: Progress) -> None:
    """Quadrants of seeds and slits, fluxes, then growth, into *results*."""
    results["runs"] = []
    for seed, count in bar.track(quadrants, description="quadrants"):
        results["runs"].append(quadrant(seed, count, results["eso"] == "run"))
        _write(results)
    if chosen.flux:
        task = bar.add_task("fluxes", total=1)
        results["flux"] = fluxes(chosen.seeds[0], chosen.flux)
        bar.advance(task)
    results["growth"] = []
    for row in bar.track(grow(chosen.growth), total=len(chosen.growth) + EXPOSURES - 1, description="growth"):
        results["growth"].append(row)
        _write(results)


def _print(results: dict[str, Any], console: Console) -> None:
    """Tables of the results, and what was not run or failed, with reasons."""
    runs = results["runs"]
    if results["eso"] != "run":
        console.print(f"ESO's pipeline is not run beside: {results['eso']}")
    console.print(_of_targets(runs))
    if "flux" in results:
        console.print(_of_fluxes(results["flux"]))
    console.print(_side_by_side(runs, "eso", "ESO", "the same frames, medians over quadrants"))
    for run in runs:
        if "said" in run.get("eso", {}):
            console.print(f"ESO's pipeline, seed {run['seed']}: {run['eso']['said']}")
    console.print(f"slits that failed, ours: {sum(run['ours']['failed'] for run in runs)}")
    if results["growth"]:
        console.print(_of_growth(results["growth"]))


def _print_pypeit(run: dict[str, Any] | None, console: Console) -> None:
    if run is None:
        console.print("PypeIt is not run beside: --pypeit-slits is 0.")
        return
    console.print(_side_by_side([run], "pypeit", "PypeIt", f"the same frames: {run['slits']} slits, seed {run['seed']}"))
    if "said" in run["pypeit"]:
        console.print(f"{run['program']} gave no figures: {run['pypeit']['said']}", markup=False)


def _write(results: dict[str, Any]) -> None:
    """Called after every measurement, so that what was measured is kept when the run is stopped. JSON has null for no figure."""
    plain = json.loads(json.dumps(results), parse_constant=lambda _: None)
    RESULTS.write_text(json.dumps(plain, indent=1) + "\n", "utf-8")


def _of_targets(runs: list[dict[str, Any]]) -> Table:
    count = ", ".join(str(run["slits"]) for run in runs)
    table = Table("", "target", "median", "worst", "met", title=f"ours: {len(runs)} quadrants of {count} slits, VIMOS MR, 1200 s")
    for name, (target, holds) in TARGETS.items():
        values = np.array([run["ours"]["targets"][name] for run in runs])
        middle = float(np.median(values))
        far = values if "<=" in target else np.abs(values - 1)  # of a part or a ratio the best is 1
        worst = values[np.argmax(far)]
        table.add_row(name, target, f"{middle:.4g}", f"{worst:.4g}", "" if not target else "yes" if holds(middle) else "NO")
    return table


def _of_fluxes(flux: dict[str, Any]) -> Table:
    table = Table("", "target", "reached", "met", title=f"ours: fluxes of {flux['objects'][0]} objects, seed {flux['seed']}")
    for name, most in FLUX_TARGETS.items():
        table.add_row(name, f"<= {most:g}", f"{flux[name]:.4f}", "yes" if flux[name] <= most else "NO")
    table.add_row("flux, relative, with losses", "", f"{flux['flux, relative, with losses']:.4f}", "")
    return table


def _side_by_side(runs: list[dict[str, Any]], peer: str, called: str, title: str) -> Table:
    table = Table("measured in one way", "ours", "worst", called, "worst", title=title)
    for name in SAME:
        row = [name]
        for who in ("ours", peer):
            values = np.array([run[who]["same"][name] for run in runs if "same" in run.get(who, {})])
            far = np.abs(values - 1) if "truth" in name else -values if "found" in name or "<=" in name else values
            row += [f"{np.median(values):.4g}", f"{values[np.argmax(far)]:.4g}"] if values.size else ["-", "-"]
        table.add_row(*row)
    return table


def _of_growth(grown: list[dict[str, float]]) -> Table:
    table = Table(*grown[0], title="specola-reduce run, one worker")
    for row in grown:
        table.add_row(*(f"{value:.4g}" for value in row.values()))
    return table


if __name__ == "__main__":
    main()

"""How time and memory of ``specola-reduce run`` grow with slits and with exposures: :func:`grow`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from specola_pipeline.simulate import Settings, simulate

__all__ = ["grow"]

EXPOSURES = 3


def grow(slits: Sequence[int]) -> Iterator[dict[str, float]]:
    """Runs with so many slits and one exposure, then with the fewest slits and more exposures; nothing where there are no slits.

    Processor seconds are those of the whole command with one worker, start and report included; memory is the most that any of
    its processes had.
    """
    nights = [(count, 1) for count in slits] + [(min(slits), number) for number in range(2, EXPOSURES + 1) if slits]
    for count, exposures in nights:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            simulate(Settings(seed=21, slits=count, exposures=exposures, standards=0), folder)
            yield {"slits": count, "exposures": exposures, **_run(folder)}


def _run(folder: Path) -> dict[str, float]:
    call = "from specola_pipeline.cli import app; app()"
    command = [sys.executable, "-c", call, "run", str(folder / "raw"), str(folder / "reduced"), "--workers", "1"]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)  # not process.wait(): this counts the workers, and nothing else
    process.returncode = os.waitstatus_to_exitcode(status)
    if not (folder / "reduced" / "qc.json").exists():
        raise SystemExit(f"specola-reduce run ended with {process.returncode}: {(folder / 'said').read_text('utf-8', 'replace')}")
    return {"s": usage.ru_utime + usage.ru_stime, "GiB": usage.ru_maxrss / 1024**2}

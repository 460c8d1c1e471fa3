"""Time and memory of ``specola-reduce redshift --bundle`` as the survey grows: ``python -m bench.measured``.

First bundles of the mock survey of 100 and 400 spectra are measured (stars only, so that it takes little): processor time a
spectrum, and the peak of resident memory of each process. Then the tables of a bundle of 100,000 spectra are written from what
would have been measured on them: the records of a few spectra, again and again under other names. Prints figures and
writes bench/results/measured.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ingest.mock.setup import Mock
from ingest.mock.survey import write_mock
from specola_bundle.bundle import BundleWriter, sha256_of
from specola_pipeline.derived.context import context_of
from specola_pipeline.derived.journal import Journal
from specola_pipeline.derived.tables import write_tables
from specola_pipeline.derived.write import METHOD, Options, measure_bundle, open_bundle

RESULTS = Path(__file__).with_name("results") / "measured.json"
SIZES = (100, 400)
_MOST_LINKS = 30_000
"""Hard links of one file: some file systems allow 65,000."""


def peak() -> float:
    """The most memory this process has had, MB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000 if found else float("nan")


def measure(folder: Path, size: int) -> dict[str, float]:
    """Measure a mock of so many spectra, two workers."""
    source, target = folder / f"mock{size}", folder / f"measured{size}"
    write_mock(source, Mock(spectra=size, seed=3), overwrite=True)
    begun = os.times()
    measure_bundle(source, target, Options(classes=("STAR",), workers=2))
    ended = os.times()
    seconds = sum(ended[i] - begun[i] for i in range(4))
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    return {"spectra": size, "ms a spectrum": 1e3 * seconds / size, "MB, this process": peak(), "MB, a worker": workers}


def write_many(folder: Path, size: int) -> dict[str, float]:
    """Write the tables of many spectra from records that are there."""
    few = folder / "few"
    rows = pq.read_table(few / "manifest.parquet").to_pylist()
    head = json.loads((few / "bundle.json").read_text("utf-8"))
    words = {key: head[key] for key in head if key not in {"contract", "tables", "counts", "provenance"}}
    records = [json.loads(line) for line in (folder / "records.jsonl").read_text("utf-8").splitlines()[1:]]
    by_name = {row["spectrum_id"]: row for row in rows}
    source = folder / "many"
    with BundleWriter(source, overwrite=True, **words) as writer, writer.open_table("spectra", rows[0]) as table:
        for number in range(size):
            row = dict(by_name[records[number % len(records)]["spectrum"]])
            if number % _MOST_LINKS == 0:
                first = writer.folder / f"spectra/first{number}.fits"
                shutil.copyfile(few / row["file"], first)
            row |= {
                "spectrum_id": f"N{number:07d}",
                "object_id": f"O{number}",
                "file": f"spectra/{number % 256:02x}/{number}.fits",
            }
            (writer.folder / row["file"]).parent.mkdir(exist_ok=True)
            os.link(first, writer.folder / row["file"])
            row |= {"file_size": first.stat().st_size, "file_sha256": sha256_of(first) if number < 1 else row["file_sha256"]}
            table.append([row])
    bundle = open_bundle(source)
    manifest = bundle.manifest
    assert manifest is not None
    journal = Journal(folder / "many.measured", {"bench": "measured"})
    with (journal.folder / "records.jsonl").open("a", encoding="utf-8") as stream:
        for number in range(size):
            record = {key: value for key, value in records[number % len(records)].items() if key != "model"}
            stream.write(json.dumps({**record, "spectrum": f"N{number:07d}"}) + "\n")
    command = [sys.executable, "-m", "bench.measured", "--write", str(source), str(journal.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return {"spectra": size, **json.loads(done.stdout)}


def write(source: Path, folder: Path) -> dict[str, float]:
    """Write the tables of a bundle from its records, in this process; how long it takes and how much memory."""
    bundle = open_bundle(source)
    manifest = bundle.manifest
    assert manifest is not None
    before, begun = peak(), time.process_time()
    journal = Journal(folder, {"bench": "measured"})
    context = context_of(bundle, manifest, None, METHOD)
    words = {key: value for key, value in bundle.description.items() if key not in {"contract", "tables", "counts", "provenance"}}
    with BundleWriter(source.with_name("many-measured"), overwrite=True, **words) as writer:
        counts = write_tables(writer, bundle, context, journal, f"{METHOD} bench", lambda *_: None)
    seconds = time.process_time() - begun
    return {
        "ms a spectrum": 1e3 * seconds / counts["spectra"], "MB before": before, "MB, this process": peak(),
        "rows of lines": counts["lines"],
    }  # fmt: skip


def main() -> None:
    """Run it all, or one part in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spectra", type=int, default=100_000, help="of the bundle whose tables are written")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure[0]), int(options.measure[1]))))
        return
    if options.write:
        print(json.dumps(write(*options.write)))
        return
    result: dict[str, Any] = {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "measured": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size in SIZES:
            command = [sys.executable, "-m", "bench.measured", "--measure", name, str(size)]
            result["measured"].append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
            print(result["measured"][-1])
        keep_records(folder)
        result["written"] = write_many(folder, options.spectra)
        print(result["written"])
    small, large = result["measured"]
    result["time a spectrum, large over small"] = large["ms a spectrum"] / small["ms a spectrum"]
    print(f"time a spectrum, {large['spectra']} over {small['spectra']}: {result['time a spectrum, large over small']:.2f}")
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def keep_records(folder: Path) -> None:
    """Measure a few spectra of all classes and keep the records, whose rows are then like those of a survey."""
    source, target = folder / "few", folder / "few-measured"
    write_mock(source, Mock(spectra=40, seed=4), overwrite=True)

    def last(what: str, done: int, total: int) -> None:
        if what == "rows" and done == total:
            shutil.copyfile(folder / "few-measured.measured" / "records.jsonl", folder / "records.jsonl")

    measure_bundle(source, target, Options(workers=1), progress=last)


if __name__ == "__main__":
    main()

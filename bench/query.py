"""How fast the archive answers, beside one stock DaCHS process on the same data and beside psql: ``make bench-query``.

Everything runs side by side in one run, in turn, and only ratios are promised. Stock is bench/stock.py: one process, asked
directly, without nginx, its cache, and what vo/ puts into our processes. Queries are all distinct, so that no cache helps, but
where they are said to be repeated. Prints a table and writes bench/results/query.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.asking import Asked, Question, ask, best
from bench.stock import stock_dachs
from ingest.present import loaded_releases
from ops.house import Archive, House

RESULTS = Path(__file__).with_name("results") / "query.json"
CLIENTS = 32
BIG = 200_000


@dataclass(frozen=True)
class Case:
    """One line of the table.

    :ivar wanted: of the ratio of rates, as text
    :ivar questions: makes the questions for a server at a base address; distinct ones with every call unless they are repeated
    """

    what: str
    clients: int
    wanted: str
    questions: Callable[[str], Sequence[Question]]


@dataclass(frozen=True)
class Row:
    """What was measured: of ours, of the other (a stock process, or psql), and the ratio of rates (above 1: ours is faster)."""

    what: str
    ours: Asked
    other: Asked
    wanted: str

    @property
    def ratio(self) -> float:
        """Our answers a second over the other's."""
        return self.ours.rate / self.other.rate


def _tap(base: str, query: str) -> Question:
    parameters = {"LANG": "ADQL", "FORMAT": "votable", "MAXREC": 10 * BIG, "QUERY": query}
    return Question(f"{base}/tap/sync?" + urllib.parse.urlencode(parameters))


def _places(numbers: Iterator[int], count: int) -> Iterator[tuple[float, float]]:
    """Places in the demonstration survey, none of them twice."""
    for number in itertools.islice(numbers, count):
        yield 34.0 + (number % 97) * 1e-2 + number * 1e-6, -5.2 + (number % 53) * 5e-3


def _cones(base: str, places: Iterator[tuple[float, float]]) -> list[Question]:
    query = "SELECT * FROM ivoa.obscore WHERE 1=CONTAINS(POINT(s_ra, s_dec), CIRCLE({:.7f}, {:.7f}, 0.01))"
    return [_tap(base, query.format(*place)) for place in places]


def big_query(schema: str, number: int) -> str:
    """200,000 rows of six columns; another text for each number, the same rows."""
    return (
        f"SELECT TOP {BIG} a.object_id, a.ra, a.dec, a.mag_selection, a.photoz, b.z"  # noqa: S608
        f" FROM {schema}.photometry AS a CROSS JOIN {schema}.redshifts AS b WHERE b.z > {-number}"
    )


def cases(schema: str, ids: Sequence[str], stock: str, queries: int) -> list[Case]:
    """All that is measured against a stock process at the address ``stock``."""
    numbers = itertools.count(1)

    def ssa(base: str) -> list[Question]:
        asked = f"{base}/{schema}/q/ssap/ssap.xml?REQUEST=queryData&SIZE=0.02&POS="
        return [Question(f"{asked}{ra:.7f},{dec:.7f}") for ra, dec in _places(numbers, queries)]

    def big(count: int) -> Callable[[str], list[Question]]:
        return lambda base: [_tap(base, big_query(schema, next(numbers))) for _ in range(count)]

    def votables(base: str) -> list[Question]:
        if base == stock:  # without nginx DaCHS has them elsewhere, and nothing is kept
            return [Question(f"{base}/{schema}/q/dl/dlget?ID={name}") for name in ids[:100]]
        return [Question(f"{base}/getproduct/{schema}/spectra/{name}.vot?{next(numbers)}") for name in ids[:100]]

    return [
        Case("ObsCore cone", CLIENTS, "≥1.6, better 3", lambda base: _cones(base, _places(numbers, queries))),
        Case("SSA, diameter 0.02 deg", CLIENTS, "≥1.6, better 3", ssa),
        # so many that the half second for which nginx has the others wait for the first is a part of it, and not all
        Case("one ObsCore cone repeated", CLIENTS, "≥20", lambda base: _cones(base, _places(numbers, 1)) * (3 * queries)),
        Case(f"{BIG:,} rows", 1, "≥1", big(1)),
        Case(f"{BIG:,} rows, twice", 2, "≥1.8", big(2)),
        Case("Datalink of 1,000 IDs", 1, "", lambda base: [Question(f"{base}/{schema}/q/dl/dlmeta", {"ID": list(ids)})]),
        Case(
            "spectra as FITS", 8, "", lambda base: [Question(f"{base}/getproduct/{schema}/spectra/{i}.fits") for i in ids[:300]]
        ),
        Case("spectra as VOTable", 8, "", votables),
    ]


def run(archive: Archive, schema: str, stock: str, rounds: int, queries: int) -> list[Row]:
    """All measurements, of the archive and of the stock DaCHS at the address ``stock``."""
    house = House.from_environment()
    pids = [int((house.var / "run" / "supervisord.pid").read_text()), os.getpid()]  # the stock process is our child
    rows = []
    for case in track(cases(schema, _ids(archive, schema), stock, queries), "measuring", console=Console(stderr=True)):
        pairs = [
            [ask(case.questions(base), case.clients, _servers(pids)) for base in (archive.url, stock)] for _ in range(rounds)
        ]
        ours, other = (best(side) for side in zip(*pairs, strict=True))
        rows.append(Row(f"{case.what}, {case.clients} client{'s' * (case.clients > 1)}", ours, other, case.wanted))
        if case.what == f"{BIG:,} rows":
            rows.append(Row(f"{rows[-1].what}, beside psql \\copy", ours, _psql(archive, schema), ""))
    return rows


def _servers(pids: Sequence[int]) -> list[int]:
    """The supervisor, and the stock process without the clients, which are our children too."""
    supervisor, us = pids
    children = Path(f"/proc/{us}/task/{us}/children").read_text().split()
    return [supervisor, *(int(pid) for pid in children if b"dachs" in Path(f"/proc/{pid}/cmdline").read_bytes())]


def _ids(archive: Archive, schema: str) -> list[str]:
    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT spectrum_id FROM {schema}.spectra ORDER BY spectrum_id LIMIT 1000")  # noqa: S608
        return [row[0] for row in cursor.fetchall()]


def _psql(archive: Archive, schema: str) -> Asked:
    sql = big_query(schema, 1).replace(f"TOP {BIG} ", "") + f" LIMIT {BIG}"
    begun = time.perf_counter()
    subprocess.run(["psql", archive.dsn, "-qAt", "-c", f"\\copy ({sql}) TO '{os.devnull}' CSV"], check=True, capture_output=True)
    return Asked(1 / (time.perf_counter() - begun), float("nan"))


def main() -> None:
    """Measure the running installation's first release with spectra."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--queries", type=int, default=160)
    parser.add_argument("--json", type=Path, default=RESULTS)
    options = parser.parse_args()
    archive = House.from_environment().archive("public")
    if "demo_r1" not in loaded_releases(archive):
        parser.error("the public archive has no release demo_r1: run `make demo` first")
    with stock_dachs(archive) as stock:
        rows = run(archive, "demo_r1", stock, options.rounds, options.queries)
    table = Table("what", "answers/s", "other's", "ratio", "wanted", "ms of processor", "other's")
    for row in rows:
        numbers = (f"{row.ours.rate:.2f}", f"{row.other.rate:.2f}", f"{row.ratio:.2f}", row.wanted)
        table.add_row(row.what, *numbers, f"{row.ours.processor:.1f}", f"{row.other.processor:.1f}")
    Console().print(table)
    options.json.parent.mkdir(exist_ok=True)
    record = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "processes": len(archive.servers),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
    }
    options.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()

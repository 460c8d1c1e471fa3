"""How fast the archive answers, beside one stock DaCHS process on the same data and beside psql: ``make bench-query``.

Everything runs side by side in one run, in turn, and only ratios are promised. Stock is `bench/stock.py`: one process, asked
directly, without nginx, its cache, and what vo/ puts into our processes. Queries of the first two rows are all distinct, so that
no cache helps. Prints a table and writes bench/results/query.json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import time
import urllib.parse
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg2
import requests
from rich.console import Console
from rich.table import Table

from bench.stock import stock_dachs
from ingest.load import loaded_releases
from ops.house import Archive, House

RESULTS = Path(__file__).with_name("results") / "query.json"
CLIENTS = 32
BIG = 200_000


@dataclass(frozen=True)
class Row:
    """One line of the table: what, in which unit, ours, the stock process, their ratio (above 1: ours is faster)."""

    what: str
    unit: str
    ours: float
    stock: float
    wanted: str

    @property
    def ratio(self) -> float:
        """Ours over the stock process."""
        return self.ours / self.stock if self.stock else float("nan")


def _fetch(urls: Sequence[str]) -> int:
    """Get addresses one after the other with one connection; returns bytes."""
    total = 0
    with requests.Session() as session:
        for url in urls:
            answer = session.get(url, timeout=300)
            answer.raise_for_status()
            total += len(answer.content)
    return total


def _clients(urls: Sequence[str], clients: int) -> int:
    """Spread addresses over that many threads of this process."""
    shares = [urls[n::clients] for n in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(_fetch, [share for share in shares if share]))


def rate(urls: Sequence[str], clients: int) -> float:
    """Answers a second with that many clients at once, from a process of its own so that our threads do not meet others'."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        pool.apply(_clients, (urls[:2], 1))
        begun = time.perf_counter()
        pool.apply(_clients, (urls, clients))
        return len(urls) / (time.perf_counter() - begun)


def _tap(base: str, query: str, form: str = "votable") -> str:
    return f"{base}/tap/sync?" + urllib.parse.urlencode({"LANG": "ADQL", "FORMAT": form, "MAXREC": 10 * BIG, "QUERY": query})


def _cone(base: str, salt: float, number: int) -> str:
    ra, dec = 34.0 + (number % 97) * 1e-2 + salt, -5.2 + (number % 53) * 5e-3
    where = f"1=CONTAINS(POINT(s_ra, s_dec), CIRCLE({ra:.7f}, {dec:.7f}, 0.01))"
    return _tap(base, f"SELECT * FROM ivoa.obscore WHERE {where}")  # noqa: S608


def _ssa(base: str, salt: float, number: int, schema: str) -> str:
    ra, dec = 34.0 + (number % 97) * 1e-2 + salt, -5.2 + (number % 53) * 5e-3
    return f"{base}/{schema}/q/ssap/ssap.xml?REQUEST=queryData&POS={ra:.7f},{dec:.7f}&SIZE=0.02"


def best(measure: Callable[[str], float], ours: str, stock: str, rounds: int) -> tuple[float, float]:
    """The best of some rounds each, in turn: noise of a shared machine only ever slows."""
    pairs = [(measure(ours), measure(stock)) for _ in range(rounds)]
    return max(a for a, _ in pairs), max(b for _, b in pairs)


def run(archive: Archive, schema: str, stock: str, rounds: int, queries: int) -> list[Row]:
    """All measurements, of the archive and of the DaCHS at the address ``stock``."""
    ours = archive.url
    rows: list[Row] = []
    salts = iter(range(1, 1000))

    def distinct(make: Callable[[str, float, int], str], base: str) -> float:
        salt = next(salts) * 1e-5
        return rate([make(base, salt, n) for n in range(queries)], CLIENTS)

    def add(what: str, unit: str, wanted: str, measure: Callable[[str], float]) -> None:
        Console(stderr=True).print(f"[dim]{what}[/]")
        rows.append(Row(what, unit, *best(measure, ours, stock, rounds), wanted))

    add(f"ObsCore cone, all distinct, {CLIENTS} clients", "queries/s", "≥1.6", partial(distinct, _cone))
    add(f"SSA, all distinct, {CLIENTS} clients", "queries/s", "≥1.6", partial(distinct, partial(_ssa_of, schema)))
    add(
        f"one ObsCore cone repeated, {CLIENTS} clients",
        "queries/s",
        "≥20",
        lambda base: rate([_cone(base, 0.5, 1)] * queries, CLIENTS),
    )
    big = (
        f"SELECT TOP {BIG} a.object_id, a.ra, a.dec, a.mag_selection, a.photoz, b.z"  # noqa: S608
        f" FROM {schema}.photometry AS a CROSS JOIN {schema}.redshifts AS b"
    )
    add(f"{BIG:,} rows, one client", "results/s", "≥1", lambda base: rate([_tap(base, big + f" WHERE b.z > {-next(salts)}")], 1))
    add(
        f"{BIG:,} rows, two clients", "results/s", "≥1.8",
        lambda base: rate([_tap(base, big + f" WHERE b.z > {-next(salts)}") for _ in range(2)], 2),
    )  # fmt: skip
    ids = _ids(archive, schema)
    add("datalink of 1,000 IDs", "calls/s", "≥1", lambda base: _post(base, schema, ids))
    add(
        "spectra as FITS",
        "spectra/s",
        "",
        lambda base: rate([_spectrum(base, stock, schema, i, "fits", 0) for i in ids[:300]], 8),
    )
    add(
        "spectra as VOTable", "spectra/s", "",
        lambda base: rate([_spectrum(base, stock, schema, i, "vot", next(salts)) for i in ids[:100]], 8),
    )  # fmt: skip
    rows.append(Row(f"{BIG:,} rows, one client, beside psql \\copy", "results/s", rows[3].ours, _psql(archive, big), ""))
    return rows


def _spectrum(base: str, stock: str, schema: str, spectrum_id: str, ending: str, salt: int) -> str:
    """Address of a spectrum; without nginx DaCHS has its VOTables elsewhere."""
    if ending == "vot" and base == stock:
        return f"{base}/{schema}/q/dl/dlget?ID={spectrum_id}"
    return f"{base}/getproduct/{schema}/spectra/{spectrum_id}.{ending}" + (f"?x={salt}" if salt else "")


def _ssa_of(schema: str, base: str, salt: float, number: int) -> str:
    return _ssa(base, salt, number, schema)


def _ids(archive: Archive, schema: str) -> list[str]:
    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT spectrum_id FROM {schema}.spectra ORDER BY spectrum_id LIMIT 1000")  # noqa: S608
        return [row[0] for row in cursor.fetchall()]


def _post(base: str, schema: str, ids: Sequence[str]) -> float:
    begun = time.perf_counter()
    requests.post(f"{base}/{schema}/q/dl/dlmeta", data={"ID": list(ids)}, timeout=300).raise_for_status()
    return 1 / (time.perf_counter() - begun)


def _psql(archive: Archive, query: str) -> float:
    sql = query.replace(f"TOP {BIG} ", "") + f" LIMIT {BIG}"
    begun = time.perf_counter()
    subprocess.run(["psql", archive.dsn, "-qAt", "-c", f"\\copy ({sql}) TO '{os.devnull}' CSV"], check=True, capture_output=True)
    return 1 / (time.perf_counter() - begun)


def main() -> None:
    """Measure the running installation's first release with spectra."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--queries", type=int, default=160)
    options = parser.parse_args()
    archive = House.from_environment().archive("public")
    if "demo_r1" not in loaded_releases(archive):
        parser.error("the public archive has no release demo_r1: run `make demo` first")
    with stock_dachs(archive) as stock:
        rows = run(archive, "demo_r1", stock, options.rounds, options.queries)
    table = Table("what", "unit", "ours", "stock", "ratio", "wanted")
    for row in rows:
        table.add_row(row.what, row.unit, f"{row.ours:.2f}", f"{row.stock:.2f}", f"{row.ratio:.2f}", row.wanted)
    Console().print(table)
    RESULTS.parent.mkdir(exist_ok=True)
    record = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "processes": len(archive.servers),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "rows": [asdict(row) | {"ratio": row.ratio} for row in rows],
    }
    RESULTS.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()

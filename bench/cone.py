"""Does a cone cost the same on many ObsCore rows as on few? ``python -m bench.cone [--rows 10000 1000000 10000000]``

For each number of rows it makes a release of that many synthetic spectra beside the real ones: the table of spectra of the
demonstration release with all of its indexes, filled with copies of its rows at positions spread over the whole sky, and the
view that ivoa.obscore has on it. Then it asks both for the same cones, in turn, with the SQL that DaCHS makes of the ADQL, and
shows the plan of the larger. Cones get smaller as rows get more, so that each finds about three.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import statistics
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg2
import requests
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - the class of what is called cursor here
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ops.house import Archive, House

__all__ = ["Cost", "measure"]

FOUND = 3
"""Objects in a cone, on average."""


@dataclass(frozen=True)
class Cost:
    """What cones cost on a table of so many rows."""

    rows: int
    milliseconds: float
    """Median of all cones."""
    buffers: float
    """Median of the pages of 8 kB a cone looks at: does not depend on how busy the machine is."""
    found: float
    """Mean number of rows of a cone."""
    plan: str


def translated(archive: Archive) -> str:
    """SQL that DaCHS makes of a cone in ivoa.obscore: %(ra)s, %(dec)s, %(radius)s for its numbers, {view} for the table."""
    adql = "SELECT * FROM ivoa.obscore WHERE 1=CONTAINS(POINT(s_ra, s_dec), CIRCLE(123.25, 45.125, 0.0625))"
    answer = requests.get(f"{archive.url}/tap/sync", params={"LANG": "ADQL", "QUERY": adql, "MAXREC": "1000"}, timeout=300)
    answer.raise_for_status()
    infos = ET.fromstring(answer.content).iter("{http://www.ivoa.net/xml/VOTable/v1.3}INFO")  # noqa: S314 - our own archive's
    sql = next(info.attrib["value"] for info in infos if info.attrib["name"] == "sql_query").replace("%%", "%")
    sql = sql.replace("%", "%%").replace("ivoa.obscore", "{view}")
    for number, name in (("45.125", "dec"), ("123.25", "ra"), ("0.0625", "radius")):
        assert number in sql, sql
        sql = sql.replace(number, f"%({name})s")
    return sql


def _make(cursor: Cursor, schema: str, source: str, rows: int) -> None:
    """A schema with a table of spectra like another release's, of so many rows, and the ObsCore view of it."""
    cursor.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    cursor.execute(f"CREATE SCHEMA {schema}")
    cursor.execute(f"CREATE TABLE {schema}.spectra (LIKE {source}.spectra)")
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (f"{source}.spectra",),
    )
    columns = [row[0] for row in cursor.fetchall()]
    new = {"ra": "p.ra", "dec": "p.dec", "spectrum_id": "'B' || p.n", "pub_did": "'ivo://bench/' || p.n", "accref": "'b/' || p.n"}
    chosen = ", ".join(new.get(name, f"s.{name}") for name in columns)
    cursor.execute("SELECT setseed(0.5)")
    cursor.execute(f"SELECT count(*) FROM {source}.spectra WHERE ra IS NOT NULL")  # noqa: S608
    (size,) = cursor.fetchone() or (0,)
    sky = "SELECT n, random()*360 AS ra, degrees(asin(2*random()-1)) AS dec"
    places = f"{sky} FROM generate_series(1, {rows}) AS n"
    copied = f"SELECT *, row_number() OVER () AS k FROM {source}.spectra WHERE ra IS NOT NULL"  # noqa: S608
    cursor.execute(
        f"INSERT INTO {schema}.spectra ({', '.join(columns)})"  # noqa: S608
        f" SELECT {chosen} FROM ({places}) AS p JOIN ({copied}) AS s ON s.k = p.n % {size} + 1"
    )
    cursor.execute("SELECT indexdef FROM pg_indexes WHERE schemaname=%s AND tablename='spectra'", (source,))
    for number, (definition,) in enumerate(cursor.fetchall()):
        changed = re.sub(r"INDEX \S+ ON", f"INDEX i{number} ON", definition).replace(f"{source}.spectra", f"{schema}.spectra")
        cursor.execute(changed)
    cursor.execute("SELECT sqlfragment FROM ivoa._obscoresources WHERE tablename=%s", (f"{source}.spectra",))
    (fragment,) = cursor.fetchone() or (None,)
    assert fragment, f"{source}.spectra is not in ivoa._obscoresources"
    fragment = fragment.replace(f"{source}.spectra", f"{schema}.spectra")
    cursor.execute(f"CREATE VIEW {schema}.obscore AS {fragment}")
    cursor.execute(f"ANALYZE {schema}.spectra")


def _cost(cursor: Cursor, sql: str, rows: int, cones: int) -> Cost:
    rng = random.Random(rows)  # noqa: S311 - positions, no secrets
    radius = math.degrees(math.sqrt(4 * FOUND / rows))
    took, pages, found, plan = [], [], 0, ""
    for number in range(cones + 1):
        at = {"ra": rng.uniform(0, 360), "dec": math.degrees(math.asin(rng.uniform(-1, 1))), "radius": radius}
        cursor.execute("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF) " + sql, at)
        plan = "\n".join(row[0] for row in cursor.fetchall())
        begun = time.perf_counter()
        cursor.execute(sql, at)
        got = len(cursor.fetchall())
        if number:  # the first is for the caches
            took.append(1000 * (time.perf_counter() - begun))
            pages.append(sum(map(int, re.findall(r"(?:hit|read)=(\d+)", plan.split("Planning:")[0].splitlines()[1]))))
            found += got
    return Cost(rows, statistics.median(took), statistics.median(pages), found / cones, plan)


def measure(archive: Archive, source: str, numbers: Sequence[int], cones: int = 200) -> list[Cost]:
    """What cones cost on tables of these numbers of rows, made like the spectra of a release and removed again."""
    sql = translated(archive)
    costs = []
    with psycopg2.connect(archive.dsn) as connection, connection.cursor() as cursor:
        # as vo/synctap.py has it: with q3c in a query DaCHS keeps PostgreSQL from reading whole tables
        cursor.execute("SET LOCAL enable_seqscan = " + ("off" if "q3c_" in sql else "on"))
        for rows in track(numbers, "tables and cones", console=Console(stderr=True), transient=True):
            schema = f"bench_{rows}"
            _make(cursor, schema, source, rows)
            costs.append(_cost(cursor, sql.format(view=f"{schema}.obscore"), rows, cones))
            cursor.execute(f"DROP SCHEMA {schema} CASCADE")
        connection.rollback()
    return costs


def main() -> None:
    """Measure, and print costs and the last plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--source", default="demo_r1", help="schema of the release whose spectra are copied")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_name("results") / "cone.json")
    options = parser.parse_args()
    costs = measure(House.from_environment().archive("public"), options.source, options.rows)
    table = Table("rows", "ms a cone", "pages a cone", "rows found", f"time to that of {costs[0].rows:,} rows (wanted ≤1.5)")
    for cost in costs:
        ratio = cost.milliseconds / costs[0].milliseconds
        table.add_row(f"{cost.rows:,}", f"{cost.milliseconds:.2f}", f"{cost.buffers:.0f}", f"{cost.found:.2f}", f"{ratio:.2f}")
    Console().print(table)
    print(costs[-1].plan)
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps([asdict(cost) for cost in costs], indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()

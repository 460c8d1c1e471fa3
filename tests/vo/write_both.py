"""Run by tests/vo/test_answers.py under DaCHS' Python: what DaCHS writes without and with vo/packing.py and vo/answers.py.

Reads the schema of a release; prints, for each of two columns "before" and "after", what was written and how long it took.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

from gavo import api, base, formats, rsc, rscdef, svcs
from gavo.formats import votablewrite
from gavo.utils import codetricks, pgsphere

from vo import answers, corrections, packing

COLUMNS = {
    "name": "text", "letter": "char(1)", "word": "char(5)", "dry": "text",
    "ra": "double precision", "flux": "real", "n": "integer", "small": "smallint", "big": "bigint", "yes": "boolean",
    "byte": "bytea", "wide": "unicode", "at": "timestamp", "day": "date", "place": "spoint", "pair": "real[2]",
    "many": "double precision[]", "counts": "integer[]", "words": "text[]",
}  # fmt: skip
WITH_NULL = {"n", "big"}
"""Integers with something to write in place of NULL; of the others a NULL is an error in BINARY."""


def _value(rng: random.Random, kind: str) -> Any:
    number = rng.uniform(-1e3, 1e3)
    return {
        "text": lambda: rng.choice(["", "a", "Ångström", "x" * 300, "tab\tnew\nline", "a&b<c>"]),
        "char(1)": lambda: rng.choice("ab"),
        "char(5)": lambda: rng.choice(["", "abc", "abcdefgh"]),
        "unicode": lambda: rng.choice(["ü", "漢字", "plain"]),
        "double precision": lambda: rng.choice([number, float("nan"), float("inf"), 0.0, -0.0, 5]),
        "real": lambda: rng.choice([number, float("nan"), 1e-40]),
        "integer": lambda: rng.randrange(-(2**31), 2**31),
        "smallint": lambda: rng.randrange(-(2**15), 2**15),
        "bigint": lambda: rng.randrange(-(2**63), 2**63),
        "boolean": lambda: rng.random() < 0.5,
        "bytea": lambda: rng.randrange(256),
        "timestamp": lambda: datetime(2020, 2, 3, 4, 5, rng.randrange(60)),  # noqa: DTZ001 - as the database gives them
        "date": lambda: date(2020, 2, 1 + rng.randrange(28)),
        "spoint": lambda: pgsphere.SPoint(rng.uniform(0, 6), rng.uniform(-1, 1)),
        "real[2]": lambda: [number, number / 2],
        "double precision[]": lambda: [number] * rng.randrange(4),
        "integer[]": lambda: [rng.randrange(99) for _ in range(rng.randrange(4))],
        "text[]": lambda: ["ab", "cde"],
    }[kind]()


def _table(names: list[str], rows: list[tuple[Any, ...]]) -> Any:
    columns = "".join(
        f'<column name="{name}" type="{COLUMNS[name]}">'
        + ('<values nullLiteral="-999"/>' if name in WITH_NULL or name == "byte" else "")
        + "</column>"
        for name in names
    )
    definition = base.parseFromString(rscdef.TableDef, f'<table id="made">{columns}</table>')
    return rsc.wrapTable(rsc.TableForDef(definition, rows=[definition.makeRowFromTuple(row) for row in rows]))


def _tables() -> Iterator[Any]:
    rng = random.Random(7)  # noqa: S311 - values, no secrets
    for _ in range(60):
        names = rng.sample(list(COLUMNS), rng.randrange(1, len(COLUMNS) + 1))
        nulls = rng.choice([0, 0, 0.1, 0.6])
        yield _table(
            names,
            [
                tuple(None if rng.random() < nulls else _value(rng, COLUMNS[name]) for name in names)
                for _ in range(rng.choice([0, 1, 40]))
            ],
        )
    # values that are no such thing: what is said of them, and what stands before them
    for name, wrong in [("n", "text"), ("n", 2**40), ("ra", "text"), ("flux", 1e300), ("yes", "x"), ("pair", 3), ("small", None)]:
        yield _table([name, "name"], [(_value(rng, COLUMNS[name]), "before"), (wrong, "wrong"), (1, "after")])


def _written(table: Any, coding: str) -> str:
    out = io.BytesIO()
    try:
        votablewrite.writeAsVOTable(table, out, votablewrite.VOTableContext(tablecoding=coding, acquireSamples=False))
    except Exception as error:  # noqa: BLE001 - what it says is compared
        out.write(f"{type(error).__name__}: {error}".encode())
    return _digest(out.getvalue())


def _digest(written: bytes) -> str:
    # names of tables are made of addresses in memory
    return hashlib.sha256(re.sub(rb'TABLE name="\w+"|In table \w+|20\d\d-\d\d-\d\dT[\d:]+Z?', b"", written)).hexdigest()


def _ssa(schema: str, parameters: dict[str, str]) -> str:
    service = api.getRD(f"{schema}/q").getById("ssap")
    given = {"REQUEST": "queryData"} | parameters
    out = io.BytesIO()
    try:
        data = service.run("ssap.xml", {name: [value] for name, value in given.items()}, svcs.QueryMeta(given))
    except base.ValidationError as error:
        return str(error)
    formats.formatData("votabletd", data, out, acquireSamples=False)
    return _digest(out.getvalue())


def _links(schema: str, spectra: list[str]) -> str:
    service = api.getRD(f"{schema}/q").getById("dl")
    args = {"ID": spectra}  # DaCHS takes it from here by its name
    return _digest(service.run("dlmeta", args, svcs.QueryMeta(args))[1])


class _Counted(dict[str, Any]):
    """Counts what is looked for in it."""

    looked = 0

    def __contains__(self, key: object) -> bool:
        self.looked += 1
        return super().__contains__(key)


def _identifiers() -> dict[str, Any]:
    """Those of a thousand things with few names, and how often one was looked for."""
    manager, taken = codetricks.IdManagerMixin(), _Counted({"a3": None, "b": None})
    found = []
    for number in range(1000):
        found.append(manager._fixSuggestion("abc"[number % 3], taken))
        taken[found[-1]] = None
    return {"found": found, "looked": taken.looked}


def _all(schema: str) -> dict[str, list[str]]:
    questions: list[dict[str, str]] = [
        {}, {"MAXREC": "3"}, {"MAXREC": "0"}, {"TARGETNAME": "no such thing"}, {"REDSHIFT": "0.5/0.6"},
        {"POS": "34.5,-5", "SIZE": "0.2"}, {"POS": "nonsense"}, {"BAND": "5e-7/6e-7", "MAXREC": "2"},
        {"REQUEST": "getTargetNames"},
    ]  # fmt: skip
    with base.getTableConn() as connection:
        all_spectra = [row[0] for row in connection.query(f"SELECT pub_did FROM {schema}.spectra ORDER BY pub_did")]
    return {
        "tables": [_written(table, coding) for table in _tables() for coding in ("binary", "binary2", "td")],
        "ssa": [_ssa(schema, question) for question in questions],
        "links": [_links(schema, spectra) for spectra in ([], all_spectra[:1], [*all_spectra, "none such"], all_spectra[:2] * 2)],
    }


def _settings() -> list[Any]:
    """What the database is set to before, within and after a query of DaCHS', and after one that failed."""
    found = []
    with base.getTableConn() as connection:

        def now() -> list[Any]:
            return [next(iter(connection.query(f"SHOW {name}")))[0] for name in ("statement_timeout", "enable_seqscan")]

        found.append(now())
        with connection.parameters([("statement_timeout", "1234 ms"), ("enable_seqscan", "no")]):
            found.append(now())
        found.append(now())
        with contextlib.suppress(base.DBError), connection.parameters([("statement_timeout", "99 ms")]):
            list(connection.query("SELECT 1/0"))
        found.append(now())
    return found


def _seconds(what: Callable[[], Any]) -> float:
    """Of the quickest of five: others use this machine too."""

    def one() -> float:
        begun = time.process_time()
        what()
        return time.process_time() - begun

    return min(one() for _ in range(5))


def main() -> None:
    """Write everything twice."""
    schema = sys.argv[1]
    install = [answers.install, packing.install]
    answers.install = packing.install = lambda: None
    corrections.apply()
    rows = [(f"object {number}", number * 0.1, None if number % 5 else 0.5, number * 0.3) for number in range(20000)]
    definition = '<column name="a" type="text"/>' + "".join(f'<column name="{n}" type="double precision"/>' for n in "bcd")
    big = base.parseFromString(rscdef.TableDef, f'<table id="big">{definition}</table>')
    big_table = rsc.wrapTable(rsc.TableForDef(big, rows=[big.makeRowFromTuple(row) for row in rows]))

    def both() -> dict[str, Any]:
        return {
            **_all(schema),
            "settings": _settings(),
            "identifiers": _identifiers(),
            "rows": _seconds(lambda: _written(big_table, "binary")),
            "few": _seconds(lambda: [_ssa(schema, {"MAXREC": "2"}) for _ in range(20)]),
        }

    before = both()
    for one in install:
        one()
    json.dump({"before": before, "after": both()}, sys.stdout)


if __name__ == "__main__":
    main()

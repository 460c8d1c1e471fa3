"""Checking the spectrum files of a bundle against its manifest.

Each file is read once, into memory, and its header cards are read by the few lines below: astropy's HDU objects take
milliseconds a file, which is an hour for a million spectra. Threads are enough for two and more cores, as reading and
hashing release Python's lock.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ingest.findings import Findings, Progress, inside
from specola_bundle.bundle import Bundle, BundleTable
from specola_bundle.specfile import fits_unit

__all__ = ["check_files"]

CHUNK = 200
_BLOCK = 2880
_CARD = 80
_TOLERANCE = 1e-9  # deg: positions are doubles, written with 17 digits
_COLUMNS = (
    "spectrum_id", "target_name", "ra", "dec", "n_pixels", "n_valid", "wave_min", "wave_max", "flux_unit",
    "file", "file_size", "file_sha256", "work_file", "work_size", "work_sha256", "file_id",
)  # fmt: skip
_TYPES = {"E": ">f4", "D": ">f8", "I": ">i2", "J": ">i4", "K": ">i8", "B": ">u1"}
_STRING = re.compile(r"\s*'((?:[^']|'')*)'")
_FORM = re.compile(r"(\d*)([A-Z])")

Columns = dict[str, tuple[int, int, str, str]]
"""Columns of a table by name: offset in the row in bytes, number of values, numpy type, unit."""

Problem = tuple[int, str, str, str, str]
"""Row (from 1), identifier, column, found, expected."""


def check_files(bundle: Bundle, findings: Findings, *, whole: bool, progress: Progress | None) -> None:
    """Check every spectrum file, and what else belongs to the spectra: work files, and those of the table files."""
    if bundle.manifest is not None:
        _check_table(bundle, bundle.manifest, _check_chunk, findings, whole=whole, progress=progress)
    if "files" in bundle.tables:
        _check_table(bundle, bundle.tables["files"], _check_extras, findings, whole=whole, progress=progress)


def _check_table(
    bundle: Bundle, table: BundleTable, check: Callable[..., list[Problem]], findings: Findings, *, whole: bool,
    progress: Progress | None,
) -> None:  # fmt: skip
    """Check the files of all rows of a table, some rows at a time."""
    name = table.path.relative_to(bundle.path).as_posix()
    done = 0
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running: deque[tuple[Future[list[Problem]], int]] = deque()

        def collect() -> None:
            nonlocal done
            future, size = running.popleft()
            for row, identifier, column, found, expected in future.result():
                findings.add(f"{name} row {row} ({identifier}), {column}", found, expected, "write or fetch the bundle again")
            done += size
            if progress:
                progress("files", done, table.rows)

        for first, rows in _chunks(table.path):
            running.append((pool.submit(check, bundle.path, rows, first, whole=whole), len(rows)))
            if len(running) > 2 * (os.cpu_count() or 1):
                collect()
        while running:
            collect()


def _chunks(path: Path) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    first = 1
    with pq.ParquetFile(path) as file:
        there = [name for name in _COLUMNS if name in file.schema_arrow.names]
        for batch in file.iter_batches(CHUNK, columns=there):
            yield first, batch.to_pylist()
            first += batch.num_rows


def _check_chunk(root: Path, rows: Sequence[Mapping[str, Any]], first: int, *, whole: bool) -> list[Problem]:
    problems: list[Problem] = []
    for number, row in enumerate(rows, start=first):
        identifier = row["spectrum_id"]
        for column, found, expected in _check_file(root, row, whole=whole):
            problems.append((number, identifier, column, found, expected))
        if row.get("work_file") is not None:
            for found, expected in _check_content(
                root, row["work_file"], row.get("work_size"), row.get("work_sha256"), whole=whole
            ):
                problems.append((number, identifier, f"file {row['work_file']}", found, expected))
    return problems


def _check_extras(root: Path, rows: Sequence[Mapping[str, Any]], first: int, *, whole: bool) -> list[Problem]:
    return [
        (number, row["file_id"], f"file {row['file']}", found, expected)
        for number, row in enumerate(rows, start=first)
        for found, expected in _check_content(root, row["file"], row["file_size"], row["file_sha256"], whole=whole)
    ]


def _check_content(root: Path, relative: str, size: int | None, sha256: str | None, *, whole: bool) -> Iterator[tuple[str, str]]:
    path = inside(root, relative)
    if path is None:
        yield "no such file inside the bundle", "it to be there"
        return
    found = path.stat().st_size
    if found != size:
        yield f"{found} bytes", f"{size}{', it is truncated' if found < (size or 0) else ''}"
    elif whole and _digest(path.read_bytes()) != sha256:
        yield "another content", f"SHA-256 {sha256} as the manifest says"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check_file(root: Path, row: Mapping[str, Any], *, whole: bool) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a spectrum file: place, found, expected."""
    place = f"file {row['file']}"
    path = inside(root, row["file"])
    if path is None:
        yield place, "no such file inside the bundle", "it to be there"
        return
    size = path.stat().st_size
    if size != row["file_size"]:
        yield place, f"{size} bytes", f"{row['file_size']}{', it is truncated' if size < row['file_size'] else ''}"
        return
    content = path.read_bytes() if whole else _head(path)
    if whole and _digest(content) != row["file_sha256"]:
        yield place, "another content", f"SHA-256 {row['file_sha256']} as the manifest says"
        return
    try:
        primary, start = _header(content, 0)
        table, start = _header(content, start)
        for found, expected in _check_layout(primary, table, row, start, size):
            yield place, found, expected
        if whole:
            for found, expected in _check_arrays(content, table, start, row):
                yield place, found, expected
    except (ValueError, KeyError, IndexError) as error:
        yield place, f"{error}", "a FITS file with one spectrum as a binary table in HDU 1"


def _head(path: Path) -> bytes:
    """The file up to the end of its second header."""
    with path.open("rb") as stream:
        content = stream.read(6 * _BLOCK)
        while True:
            try:
                _, start = _header(content, 0)
                _header(content, start)
            except ValueError:
                more = stream.read(6 * _BLOCK)
                if not more:
                    return content
                content += more
            else:
                return content


def _header(content: bytes, start: int) -> tuple[dict[str, str], int]:
    """Cards of the header at an offset, keyword to value text, and the offset of its data; ValueError where it has no end."""
    cards: dict[str, str] = {}
    last = ""
    for place in range(start, len(content), _CARD):
        card = content[place : place + _CARD].decode("latin-1")
        if card[8:10] == "= ":
            last = card[:8].rstrip()
            cards[last] = card[10:]
        elif card.startswith("CONTINUE") and last:
            cards[last] = _joined(cards[last], card[10:])
        elif card == "END" + " " * 77:
            return cards, start + -(-(place + _CARD - start) // _BLOCK) * _BLOCK
    raise ValueError(f"no END of the header that begins at byte {start}")


def _string(text: str) -> str:
    """The string of a card's value."""
    match = _STRING.match(text)
    if match is None:
        raise ValueError(f"the value {text.strip()!r} instead of a string")
    return match[1].replace("''", "'").rstrip()


def _joined(first: str, more: str) -> str:
    """The value of a card with that of the CONTINUE card after it."""
    text = _string(first).removesuffix("&") + _string(more)
    return "'" + text.replace("'", "''") + "'"


def _number(text: str) -> float:
    return float(text.split("/", 1)[0].replace("D", "E"))


def _columns(table: Mapping[str, str]) -> Columns:
    """The columns of the table; KeyError or ValueError where its cards do not describe them."""
    numbers = range(1, int(_number(table["TFIELDS"])) + 1)
    columns, width = _parsed(tuple((table[f"TTYPE{n}"], table[f"TFORM{n}"], table.get(f"TUNIT{n}", "''")) for n in numbers))
    if width != int(_number(table["NAXIS1"])):
        raise ValueError(f"columns of {width} bytes in rows of NAXIS1 = {int(_number(table['NAXIS1']))}")
    return columns


@lru_cache(maxsize=256)
def _parsed(cards: tuple[tuple[str, str, str], ...]) -> tuple[Columns, int]:
    """Columns and their width in bytes from TTYPE, TFORM and TUNIT, which most files of a survey have in common."""
    columns = {}
    offset = 0
    for name, form, unit in cards:
        match = _FORM.match(_string(form))
        if match is None or match[2] not in _TYPES:
            raise ValueError(f"a column of format {_string(form)!r}")
        count, kind = int(match[1] or 1), _TYPES[match[2]]
        columns[_string(name)] = (offset, count, kind, _string(unit))
        offset += count * np.dtype(kind).itemsize
    return columns, offset


def _check_layout(
    primary: Mapping[str, str], table: Mapping[str, str], row: Mapping[str, Any], start: int, size: int
) -> Iterator[tuple[str, str]]:
    if "SIMPLE" not in primary or _string(table.get("XTENSION", "' '")) != "BINTABLE":
        yield "no binary table in HDU 1", "one"
        return
    if int(_number(table["NAXIS2"])) != 1:
        yield f"{int(_number(table['NAXIS2']))} rows in HDU 1", "one row"
        return
    end = start + int(_number(table["NAXIS1"]))
    if size < end:
        yield f"{size} bytes", f"at least {end}, it is truncated"
        return
    columns = _columns(table)
    unit = fits_unit(row["flux_unit"])
    for name, expected in (("WAVE", "Angstrom"), ("FLUX", unit), ("ERR", unit), ("QUAL", "")):
        if name not in columns:
            yield f"no column {name} in HDU 1", f"one beside {', '.join(columns)}"
            continue
        _, count, _, found = columns[name]
        if found != expected:
            yield f"TUNIT {found!r} of column {name}", f"{expected!r}"
        if count != row["n_pixels"]:
            yield f"{count} pixels in column {name}", f"n_pixels = {row['n_pixels']}"
    if "NELEM" not in table or int(_number(table["NELEM"])) != row["n_pixels"]:
        yield f"NELEM = {table.get('NELEM', 'none').split('/')[0].strip()}", f"n_pixels = {row['n_pixels']}"
    yield from _check_identity(primary, row)


def _check_identity(primary: Mapping[str, str], row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for keyword, column in (("SPECID", "spectrum_id"), ("OBJECT", "target_name")):
        found = _string(primary[keyword]) if keyword in primary else None
        if found != row[column].rstrip():
            yield f"{keyword} = {found!r}", f"{column} {row[column]!r}"
    for keyword, column in (("RA", "ra"), ("DEC", "dec")):
        value = _number(primary[keyword]) if keyword in primary else None
        expected = row.get(column)
        if (value is None) != (expected is None) or (
            value is not None and expected is not None and not abs(value - expected) <= _TOLERANCE
        ):
            yield f"{keyword} = {value}", f"{column} {expected}"


def _check_arrays(content: bytes, table: Mapping[str, str], start: int, row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    columns = _columns(table)
    if not {"WAVE", "QUAL"} <= set(columns):
        return
    offset, count, kind, _ = columns["WAVE"]
    wave = np.frombuffer(content, kind, count, start + offset)
    bad = np.flatnonzero(~np.isfinite(wave))
    if bad.size:
        yield f"wavelength {wave[bad[0]]} in pixel {bad[0] + 1}", "finite numbers"
        return
    bad = np.flatnonzero(wave[1:] <= wave[:-1])
    if bad.size:
        yield f"wavelength {wave[bad[0] + 1]} after {wave[bad[0]]} in pixel {bad[0] + 2}", "strictly increasing wavelengths"
        return
    margin = 1e-6 * float(wave[-1])
    for column, inside_axis in (
        ("wave_min", row["wave_min"] >= wave[0] - margin),
        ("wave_max", row["wave_max"] <= wave[-1] + margin),
    ):
        if not inside_axis:
            yield f"wavelengths from {wave[0]} to {wave[-1]}", f"an axis that holds {column} {row[column]}"
    if row.get("n_valid") is not None:
        offset, count, kind, _ = columns["QUAL"]
        valid = int(np.count_nonzero(np.frombuffer(content, kind, count, start + offset) == 0))
        if valid != row["n_valid"]:
            yield f"{valid} pixels with QUAL 0", f"n_valid = {row['n_valid']}"

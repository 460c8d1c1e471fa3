"""Make one bundle of several, or of some of their spectra. `assemble` is the function to call.

Files are copied, not linked: a source is somebody else's and may be written to again. Where the file system can share blocks
(XFS, Btrfs) the kernel does, and the copy costs nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.check import check_bundle
from ingest.diff import differs
from ingest.errors import BundleError, Finding
from ingest.findings import Progress, inside
from specola_bundle.build import file_name
from specola_bundle.bundle import MANIFEST, Bundle, BundleWriter
from specola_bundle.registry import FILES, Column, standard_tables

__all__ = ["DESCRIBED_BY_TABLES", "Source", "assemble", "open_source"]

DESCRIBED_BY_TABLES = frozenset({"contract", "tables", "counts", "provenance", "created"})
"""Fields of bundle.json that come from the content, not from its describer."""

_BATCH = 5000
_FILES_A_FOLDER = 1000


@dataclass(frozen=True)
class Source:
    """A bundle, or some spectra of one."""

    path: Path
    identity: str
    """SHA-256 of its bundle.json when it was chosen."""
    spectra: frozenset[str] | None = None
    """Identifiers of the spectra that are taken; None for all."""


def open_source(source: Source, progress: Progress | None = None) -> Bundle:
    """Check the tables of a source, and that it is the bundle that was chosen.

    Raises
    ------
    BundleError
        It breaks the contract, was changed since, or does not have the spectra.
    """
    bundle = check_bundle(source.path, read_files=False, progress=progress)
    where = str(source.path / "bundle.json")
    if bundle.identity != source.identity:
        raise BundleError([Finding(where, "another content", f"SHA-256 {source.identity}, as when it was added", "add it again")])
    if source.spectra is not None:
        known = set() if bundle.manifest is None else set(_identifiers(bundle))
        if missing := sorted(source.spectra - known):
            listed = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            raise BundleError([Finding(where, f"no spectra {listed}", "them", "name spectra of the bundle")])
    return bundle


def _identifiers(bundle: Bundle) -> Iterator[str]:
    for batch in pq.ParquetFile(bundle.tables[MANIFEST].path).iter_batches(columns=["spectrum_id"]):
        yield from batch.column(0).to_pylist()


def assemble(target: Path, description: Mapping[str, Any], sources: Sequence[Source], progress: Progress | None = None) -> None:
    """Write a bundle of the content of others; it appears at ``target`` whole, and is to be checked.

    A spectrum may come from one source only. Rows of other tables (pointings, the parent catalogue) that several sources have
    must be the same in all and are taken once. Rows that name a spectrum are taken with it. Files get new paths in the bundle.

    Parameters
    ----------
    target
        Where the bundle is to be.
    description
        What bundle.json says beside its tables: survey, release, kind, title and so on.
    sources
        What is put together, one at least.
    progress
        Called with the step, what is done, and what is to be done.

    Raises
    ------
    BundleError
        The sources contradict each other, or one is not what it was.
    """
    bundles = [(source, open_source(source, progress)) for source in sources]
    _refuse_twice(bundles)
    with BundleWriter(target, overwrite=True, **description) as writer:
        for name in dict.fromkeys(name for _, bundle in bundles for name in bundle.tables):
            _write_table(writer, name, [(source, bundle) for source, bundle in bundles if name in bundle.tables], progress)
        writer.provenance(_provenance(description, bundles))


def _refuse_twice(bundles: Sequence[tuple[Source, Bundle]]) -> None:
    """A spectrum comes from one source."""
    seen: list[tuple[Path, pa.Array]] = []
    for source, bundle in bundles:
        if bundle.manifest is None:
            continue
        rows = _chosen(pq.read_table(bundle.manifest.path, columns=["spectrum_id"]), source, bundle, MANIFEST)
        identifiers = rows.column(0).combine_chunks()
        for other, earlier in seen:
            twice = identifiers.filter(pc.is_in(identifiers, value_set=earlier))
            if len(twice):
                where = f"{bundle.manifest.path} ({twice[0]})"
                found = f"{len(twice)} spectra that {other} has too"
                raise BundleError(
                    [Finding(where, found, "every spectrum in one bundle", "add the other bundle's spectra by name")]
                )
        seen.append((bundle.manifest.path, identifiers))


def _write_table(writer: BundleWriter, name: str, parts: Sequence[tuple[Source, Bundle]], progress: Progress | None) -> None:
    present = dict.fromkeys(column for _, bundle in parts for column in pq.read_schema(bundle.tables[name].path).names)
    head = {} if name in standard_tables() else _head(name, parts)
    total = sum(bundle.tables[name].rows for _, bundle in parts)
    done = 0
    with writer.open_table(name, present, extensions=_extensions(name, parts), **head) as table:
        for number, (source, bundle) in enumerate(parts):
            for batch in pq.ParquetFile(bundle.tables[name].path).iter_batches(_BATCH):
                rows = _chosen(pa.Table.from_batches([batch]), source, bundle, name)
                if name in FILES:
                    rows = _place_files(rows, name, bundle.path, writer.folder, table.rows + table.waiting)
                else:
                    rows = _not_yet_there(rows, name, [other for _, other in parts[:number]], bundle)
                table.append(_completed(rows, present, name, parts))
                done += batch.num_rows
                if progress is not None:
                    progress("assemble" if name == MANIFEST else f"table {name}", done, total)


def _head(name: str, parts: Sequence[tuple[Source, Bundle]]) -> dict[str, Any]:
    """Title, description and so on of a table the registry does not have; the same in all sources."""
    heads = []
    for _, bundle in parts:
        definition = bundle.tables[name].definition
        heads.append(
            {key: getattr(definition, key) or None for key in ("title", "description", "primary", "position", "indexes")}
        )
    for (_, bundle), head in zip(parts, heads, strict=True):
        if head != heads[0]:
            raise _contradiction(bundle, f"table {name}", "another title, description, key or index", "those of the first bundle")
    return heads[0]


def _extensions(name: str, parts: Sequence[tuple[Source, Bundle]]) -> list[Column]:
    """The columns the sources document themselves; one documented twice must mean the same."""
    registry = set(standard_tables()[name].names) if name in standard_tables() else set()
    found: dict[str, Column] = {}
    for _, bundle in parts:
        for column in bundle.tables[name].definition.columns:
            if column.name not in registry and found.setdefault(column.name, column) != column:
                raise _contradiction(bundle, f"table {name}, column {column.name}", "another meaning", "that of the first bundle")
    return list(found.values())


def _contradiction(bundle: Bundle, where: str, found: str, expected: str) -> BundleError:
    return BundleError([Finding(f"{bundle.path / 'bundle.json'}, {where}", found, expected, "write one of the bundles again")])


def _chosen(rows: pa.Table, source: Source, bundle: Bundle, name: str) -> pa.Table:
    """The rows of the spectra that are taken, and those that name no spectrum."""
    if source.spectra is None:
        return rows
    for column in bundle.tables[name].definition.columns:
        if column.name in rows.column_names and (column.ref == "spectra.spectrum_id" or column.name == "spectrum_id"):
            values = rows[column.name]
            rows = rows.filter(pc.or_(pc.is_null(values), pc.is_in(values, value_set=pa.array(sorted(source.spectra)))))
    return rows


def _place_files(rows: pa.Table, name: str, source: Path, folder: Path, first: int) -> pa.Table:
    """Copy the files of some rows of a table; the paths in the rows are then those in the new bundle."""
    copies: list[tuple[str, str]] = []
    columns: dict[str, list[str | None]] = {}
    identifiers = rows[standard_tables()[name].primary].to_pylist()
    for column, place in ((file.path, file.place) for file in FILES[name]):
        if column not in rows.column_names:
            continue
        columns[column] = []
        for number, (identifier, old) in enumerate(zip(identifiers, rows[column].to_pylist(), strict=True), start=first):
            new = None if old is None else f"{place}/{number // _FILES_A_FOLDER:05d}/{file_name(identifier, Path(old).suffix)}"
            if old is not None:
                copies.append((old, str(new)))
            columns[column].append(new)
    for parent in {new.rpartition("/")[0] for _, new in copies}:
        (folder / parent).mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda copy: _copy(source, copy[0], copy[1], folder), copies))
    for column, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(column), rows.schema.field(column), pa.array(values, pa.string()))
    return rows


def _copy(source: Path, old: str, new: str, folder: Path) -> None:
    path = inside(source, old)
    if path is None:
        raise BundleError(
            [Finding(str(source / old), "no such file inside the bundle", "it to be there", "fetch the bundle again")]
        )
    with path.open("rb", buffering=0) as reading, (folder / new).open("xb", buffering=0) as writing:
        size = os.fstat(reading.fileno()).st_size
        try:
            while size > 0 and (moved := os.copy_file_range(reading.fileno(), writing.fileno(), size)):
                size -= moved
        except OSError:
            # A pair of file systems that can not; a full disk is met again.
            reading.seek(0)
            writing.seek(0)
            shutil.copyfileobj(reading, writing)


def _not_yet_there(rows: pa.Table, name: str, before: Sequence[Bundle], bundle: Bundle) -> pa.Table:
    """The rows that no earlier source has; one that has them must say the same."""
    key = bundle.tables[name].definition.primary
    for other in before:
        common = [column for column in pq.read_schema(other.tables[name].path).names if column in rows.column_names]
        earlier = pq.read_table(other.tables[name].path, columns=common, filters=pc.field(key).isin(rows[key]))
        twice = pc.is_in(rows[key], value_set=earlier[key].combine_chunks())
        repeated = rows.filter(twice)
        earlier = earlier.take(pc.index_in(repeated[key], value_set=earlier[key].combine_chunks()))
        for column in common:
            different = differs(repeated[column].combine_chunks(), earlier[column].combine_chunks())
            if pc.any(different).as_py():
                row = pc.index(different, value=True).as_py()
                where = f"{bundle.tables[name].path} ({repeated[key][row]}), column {column}"
                found, wanted = str(repeated[column][row]), f"{earlier[column][row]} as in {other.tables[name].path}"
                raise BundleError([Finding(where, found, wanted, "leave the row out of one of the bundles")])
        rows = rows.filter(pc.invert(twice))
    return rows


def _completed(rows: pa.Table, present: Mapping[str, Any], name: str, parts: Sequence[tuple[Source, Bundle]]) -> pa.Table:
    """The rows with NULL in the columns that other sources have."""
    types = {column.name: column.arrow_type for _, other in parts for column in other.tables[name].definition.columns}
    for column in present:
        if column not in rows.column_names:
            rows = rows.append_column(column, pa.nulls(rows.num_rows, types[column]))
    return rows


def _provenance(description: Mapping[str, Any], bundles: Sequence[tuple[Source, Bundle]]) -> dict[str, Any]:
    """W3C PROV: the release is derived from its sources, whose own documents are kept as PROV bundles."""
    release = f"specola:release/{description['survey']}/{description['release']}"
    entities: dict[str, Any] = {release: {"prov:type": "specola:Release", "prov:label": description["title"]}}
    derived: dict[str, Any] = {}
    documents: dict[str, Any] = {}
    for number, (source, bundle) in enumerate(bundles, start=1):
        entity = f"specola:source/{source.identity}"
        entities[entity] = {"prov:type": "specola:Bundle", "prov:label": bundle.schema, "specola:sha256": source.identity}
        if source.spectra is not None:
            entities[entity]["specola:spectra_taken"] = len(source.spectra)
        derived[f"_:derived{number}"] = {"prov:generatedEntity": release, "prov:usedEntity": entity}
        if entry := bundle.description.get("provenance"):
            documents[entity] = json.loads((bundle.path / entry["path"]).read_text("utf-8"))
    made = {
        "prefix": {"prov": "http://www.w3.org/ns/prov#", "specola": "urn:specola:"},
        "entity": entities,
        "wasDerivedFrom": derived,
    }
    return made | ({"bundle": documents} if documents else {})

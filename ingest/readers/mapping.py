"""Column mappings of catalogues: from a source's columns to a bundle's, as data in survey.toml.

A table of the bundle is described as::

    [[table]]
    name = "redshifts"

    [[table.column]]
    name = "z"                     # column of the registry, or a new one with type, unit, ucd, description
    from = "zpec"                  # column of the source
    null = [-99.0]                 # values that mean: none
    unit_from = "arcmin"           # unit in the source where it is not the column's; converted with astropy

    [[table.column]]
    name = "redshift_id"
    from = "id_zcosmos"
    format = "zCOSMOS_{}"          # text made of the value

    [[table.column]]
    name = "class"
    values = [{ from = "cc", map = { "18.5" = "QSO" } }, { from = "zpec", map = { "0.0" = "STAR" } }]
    constant = "GALAXY"            # where nothing else gave a value

    [[table.column]]
    from = "cc"
    flags = "zcosmos"              # fills flag_label, flag_scheme, confidence, …, secure by `specola_bundle.flags`

All of it works on Arrow arrays, a batch of rows at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy import units

from ingest.errors import SourceError
from specola_bundle import flags
from specola_bundle.registry import Column, Table, table_of

__all__ = ["ColumnMap", "TableMap", "table_maps"]

_DOCUMENTATION = {"type", "unit", "ucd", "utype", "description", "required", "unique", "min", "max", "pattern", "ref"}
_RULES = {"name", "from", "null", "unit_from", "format", "map", "values", "constant", "flags", "allowed"}
_FLAG_TYPES = {
    "flag_label": pa.string(), "flag_scheme": pa.string(), "confidence": pa.int16(), "broad_line": pa.bool_(),
    "secondary": pa.bool_(), "photoz_agreement": pa.string(), "secure": pa.bool_(),
}  # fmt: skip


@dataclass(frozen=True)
class ColumnMap:
    """How one column of the bundle (or the group of flag columns) is made."""

    rule: Mapping[str, Any]
    column: Column | None
    """None for a rule with ``flags``, which fills several columns."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bundle's columns the rule fills."""
        return tuple(_FLAG_TYPES) if self.column is None else (self.column.name,)

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the source the rule needs."""
        found = [self.rule["from"]] if "from" in self.rule else []
        return (*found, *(part["from"] for part in self.rule.get("values", ())))

    def apply(self, batch: pa.Table, where: str, first_row: int) -> dict[str, pa.Array]:
        """The columns made of a batch of source rows; SourceError names column and row (1-based, ``first_row`` on)."""
        if self.column is None:
            return _flag_columns(self.rule, batch, where, first_row)
        return {self.column.name: _values(self.rule, self.column, batch, where, first_row)}


@dataclass(frozen=True)
class TableMap:
    """A table of the bundle with the maps of its columns."""

    definition: Table
    extensions: tuple[Column, ...]
    head: Mapping[str, Any]
    columns: tuple[ColumnMap, ...]

    @property
    def sources(self) -> frozenset[str]:
        """Columns of the source that the table needs."""
        return frozenset(name for column in self.columns for name in column.sources)

    @property
    def present(self) -> tuple[str, ...]:
        """Names of the bundle's columns that are filled."""
        return tuple(name for column in self.columns for name in column.names)

    def apply(self, batch: pa.Table, where: str, first_row: int) -> pa.Table:
        """The bundle's rows of a batch of source rows."""
        made: dict[str, pa.Array] = {}
        for column in self.columns:
            made |= column.apply(batch, where, first_row)
        return pa.table(made)


def table_maps(tables: Sequence[Mapping[str, Any]], where: str) -> tuple[TableMap, ...]:
    """The maps of a survey.toml's ``[[table]]`` parts; SourceError where a rule is not one."""
    if not tables:
        raise SourceError(f"{where}: found no [[table]], expected the mapping of at least one table")
    return tuple(_table_map(table, where) for table in tables)


def _table_map(table: Mapping[str, Any], where: str) -> TableMap:
    name = table.get("name", "")
    head = {key: table[key] for key in ("title", "description", "primary", "position", "indexes") if key in table}
    known = set(table_of(name).names)
    extensions = []
    for rule in table.get("column", ()):
        unknown = sorted(set(rule) - _RULES - _DOCUMENTATION)
        if unknown or not ({"name", "flags"} & set(rule)):
            raise SourceError(
                f"{where}: found {dict(rule)} in table {name}, expected a name (or flags) and no {', '.join(unknown) or 'more'}"
            )
        if "name" in rule and rule["name"] not in known:
            try:
                extensions.append(Column.from_mapping({key: rule[key] for key in ("name", *_DOCUMENTATION) if key in rule}))
            except TypeError as error:
                raise SourceError(
                    f"{where}: found column {name}.{rule['name']} without documentation ({error}), expected type and description"
                ) from error
        elif "name" in rule and set(rule) & _DOCUMENTATION:
            raise SourceError(f"{where}: found documentation for {name}.{rule['name']}, expected none: the registry has it")
    definition = table_of(name, extensions, **head)
    columns = tuple(
        ColumnMap(rule, None if "flags" in rule else definition.column(rule["name"])) for rule in table.get("column", ())
    )
    return TableMap(definition, tuple(extensions), head, columns)


def _values(rule: Mapping[str, Any], column: Column, batch: pa.Table, where: str, first_row: int) -> pa.Array:
    made = pa.nulls(batch.num_rows, column.arrow_type)
    for part in [rule] if "from" in rule else rule.get("values", ()):
        made = pc.coalesce(made, _part(part, column, batch, where, first_row))
    if "constant" in rule:
        made = pc.coalesce(made, pa.scalar(rule["constant"], column.arrow_type))
    return made


def _part(rule: Mapping[str, Any], column: Column, batch: pa.Table, where: str, first_row: int) -> pa.Array:
    source = batch[rule["from"]].combine_chunks()
    if isinstance(source, pa.ChunkedArray):
        source = pa.concat_arrays(source.chunks) if source.num_chunks else pa.array([], source.type)
    source = _without(source, rule.get("null", ()))
    if "map" in rule:
        return _mapped(source, rule["map"], column)
    if "format" in rule:
        return pa.array(
            [None if value is None else rule["format"].format(value) for value in source.to_pylist()], column.arrow_type
        )
    if "unit_from" in rule:
        factor = units.Unit(rule["unit_from"]).to(units.Unit(column.unit))
        source = pc.multiply(source.cast(pa.float64()), factor)
    try:
        return source.cast(column.arrow_type, safe=not pa.types.is_floating(column.arrow_type))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        row = first_row + _first_failure(source, column.arrow_type)
        value = source[row - first_row].as_py()
        raise SourceError(
            f"{where} row {row}, column {rule['from']}: found {value!r}, expected a value of type {column.type}; "
            "correct it, or list it under null"
        ) from error


def _first_failure(source: pa.Array, kind: pa.DataType) -> int:
    for number, value in enumerate(source):
        try:
            pa.array([value.as_py()], source.type).cast(kind)
        except pa.ArrowInvalid:
            return number
    return 0


def _without(source: pa.Array, missing: Sequence[Any]) -> pa.Array:
    """The same values with NULL where they are NaN or one of the values that mean none, compared in the source's type."""
    if pa.types.is_floating(source.type):
        source = pc.if_else(pc.is_nan(source), pa.scalar(None, source.type), source)
    wanted = [value for value in missing if _fits(value, source.type)]
    if not wanted:
        return source
    return pc.if_else(pc.is_in(source, value_set=pa.array(wanted, source.type)), pa.scalar(None, source.type), source)


def _fits(value: Any, kind: pa.DataType) -> bool:
    if pa.types.is_string(kind):
        return isinstance(value, str)
    if pa.types.is_integer(kind):
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, int | float)


def _label(value: Any) -> str:
    """A value as a flag or key is written: 4.0 as 4, 9.5 as 9.5."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(round(value, 6))
    return str(value).strip()


def _mapped(source: pa.Array, table: Mapping[str, Any], column: Column) -> pa.Array:
    wanted = {_label(float(key)) if _is_number(key) else key: value for key, value in table.items()}
    keys = source.dictionary_encode()
    values = pa.array([wanted.get(_label(value)) for value in keys.dictionary.to_pylist()], column.arrow_type)
    return pc.take(values, keys.indices)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _flag_columns(rule: Mapping[str, Any], batch: pa.Table, where: str, first_row: int) -> dict[str, pa.Array]:
    source = _without(
        pa.concat_arrays(batch[rule["from"]].chunks or [pa.array([], batch[rule["from"]].type)]), rule.get("null", ())
    )
    keys = source.dictionary_encode()
    parsed = []
    for number, value in enumerate(keys.dictionary.to_pylist()):
        try:
            parsed.append(flags.components(rule["flags"], _label(value)))
        except ValueError as error:
            row = first_row + int(np.flatnonzero(keys.indices.to_numpy(zero_copy_only=False) == number)[0])
            raise SourceError(f"{where} row {row}, column {rule['from']}: {error}") from error
    # A row without a flag still belongs to the scheme, and is not secure.
    parsed.append({"flag_scheme": rule["flags"], "secure": False})
    indices = pc.coalesce(keys.indices, pa.scalar(len(parsed) - 1, keys.indices.type))
    return {name: pc.take(pa.array([one.get(name) for one in parsed], kind), indices) for name, kind in _FLAG_TYPES.items()}

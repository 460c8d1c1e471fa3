"""The contract itself: registry, schema, survey descriptions and their documentation agree."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import jsonschema
import pytest
from astropy import units
from astropy.io.votable.ucd import check_ucd

from ingest.document import documented
from ingest.readers.mapping import table_maps
from specola_bundle.build import head_of, own_columns
from specola_bundle.flags import SCHEMES
from specola_bundle.registry import Column, standard_tables, table_of
from specola_bundle.survey import INPUTS, load_survey

REPOSITORY = Path(__file__).parents[2]
IMPORTED = ["vandels", "sdss", "desi", "easylife", "esosdp", "zcosmos"]
COLUMNS = [(table.name, column) for table in standard_tables().values() for column in table.columns]


def good_unit(unit: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", units.UnitsWarning)
        try:
            units.Unit(unit, format="vounit")
        except ValueError:
            return False
    return True


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{table}.{column.name}" for table, column in COLUMNS])
def test_columns_of_the_registry(table, column):
    assert good_unit(column.unit)
    assert column.internal or check_ucd(column.ucd, check_controlled_vocabulary=True)
    assert column.description.endswith(".")
    assert Column.from_mapping(column.to_mapping()) == column
    assert column.min is None or column.max is None or column.min < column.max
    re.compile(column.pattern)
    if column.ref:
        other, name = column.ref.split(".")
        assert standard_tables()[other].column(name).arrow_type == column.arrow_type


@pytest.mark.parametrize("table", standard_tables().values(), ids=lambda table: table.name)
def test_tables_of_the_registry(table):
    for name in (table.primary, *table.indexes, *(table.position or ())):
        table.column(name)
    assert table.column(table.primary).required
    assert table.column(table.primary).unique
    assert len(set(table.names)) == len(table.names)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(json.loads((REPOSITORY / "ingest" / "bundle.schema.json").read_text()))


def test_the_page_on_bundles_says_what_the_registry_says():
    page = (REPOSITORY / "docs" / "bundle.md").read_text()
    assert page == documented(page), "docs/bundle.md is stale: run python -m ingest.document docs/bundle.md"


def test_a_page_without_markers():
    with pytest.raises(ValueError, match="found no lines"):
        documented("# A page")


@pytest.mark.parametrize("name", IMPORTED)
def test_surveys_are_described_fully(name):
    survey = load_survey(Path(name))
    assert survey.path == INPUTS / name / "survey.toml"
    for field in (
        "title",
        "description",
        "creators",
        "rights",
        "citation",
        "references",
        "facility",
        "instrument",
        "notes",
        "subjects",
    ):
        assert survey.bundle[field], field
    scheme = survey.options.get("flag_scheme")
    assert scheme is None or scheme in SCHEMES or scheme in {"sdss", "desi"}
    tables = {*survey.options.get("columns", {}), *survey.options.get("tables", {})}
    columns = [column for table in tables for column in own_columns(survey, table)]
    for table in tables:
        definition = table_of(table, own_columns(survey, table), **head_of(survey, table))
        definition.column(definition.primary)
    if survey.tables:
        columns += [column for one in table_maps(survey.tables, name) for column in one.extensions]
    for column in columns:
        assert good_unit(column.unit)
        assert check_ucd(column.ucd, check_controlled_vocabulary=True), column


def test_the_page_on_importing_names_every_command():
    from specola.commands.import_ import _app

    page = (REPOSITORY / "docs" / "importing.md").read_text()
    for command in _app.registered_commands:
        assert f"| `{command.name or command.callback.__name__}` |" in page

"""What DaCHS 2.7 does in vain for each answer, left out: half of the time of an SSA query of three rows.

What is answered is the same to the byte (tests/vo/test_answers.py).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Container, Sequence
from typing import Any

from gavo.base import sqlsupport
from gavo.protocols import ssap
from gavo.utils import codetricks, stanxml

__all__ = ["install"]


def install() -> None:
    """Have it left out in this process."""
    _writers_compiled_once()
    _columns_not_copied()
    _attributes_that_are_there()
    _settings_in_one_go()
    _identifiers_counted_on()


def _writers_compiled_once() -> None:
    """DaCHS writes a program for the rows of each answer and compiles it, a quarter of the time of an SSA query of few rows.

    The program depends on the columns alone, so there are few different ones: what was compiled is kept by its text.
    """
    compiled = functools.lru_cache(maxsize=512)(lambda source, mode: compile(source, "<generated code>", mode))
    codetricks.compile = lambda source, _name, mode: compiled(source, mode)


def _columns_not_copied() -> None:
    """DaCHS copies the definition of each SSA result with all of its columns, and then puts other columns in their place."""
    run = ssap.SSAPCore._run_queryData  # noqa: SLF001

    def without_copies(self: Any, service: Any, table: Any, meta: Any) -> Any:
        result = run(self, service, table, meta)
        definition = result.tableDef
        # Service.adaptCoreRes copies it and sets the columns; the definition is this query's own
        definition.copy = lambda parent: definition.change(parent_=parent, columns=[])
        return result

    ssap.SSAPCore._run_queryData = without_copies  # noqa: SLF001


def _attributes_that_are_there() -> None:
    """An element of XML has some ten possible attributes and uses two; DaCHS looks up how each of them is written, twice."""

    def attributes(self: Any) -> dict[str, str]:
        found = ((name, getattr(self, name, None)) for name, _ in self._nodeAttrs)
        return {getattr(self, f"_name_a_{name}", name): str(value) for name, value in found if value is not None}

    if not hasattr(stanxml.Element, "_localAttrs"):  # DaCHS 2.11 has some attributes elsewhere
        stanxml.Element._makeAttrDict = attributes  # noqa: SLF001


def _settings_in_one_go() -> None:
    """DaCHS asks the database for each setting, sets it, and does both again after the query: four questions, not two."""

    def configure(self: Any, settings: Sequence[tuple[str, Any]], cursor: Any = None) -> list[tuple[str, str]]:
        if not settings:
            return []
        cursor = cursor or self.cursor()
        names = [name for name, _ in settings]
        # the list is worked off from the left: what was set before is read before it is set
        asked = ", ".join(["current_setting(%s)"] * len(names) + ["set_config(%s, %s, false)"] * len(names))
        values = [text for name, value in settings for text in (name, str(value))]
        cursor.execute(f"SELECT {asked}", [*names, *values])
        return list(zip(names, cursor.fetchone()[: len(names)], strict=True))

    sqlsupport.GAVOConnection.configure = configure


def _identifiers_counted_on() -> None:
    """DaCHS looks for a free identifier from the first number on, each time: links of n spectra cost n squared."""

    def number_on(self: Any, suggestion: str, taken: Container[str]) -> str:
        last: dict[str, int] = self.__dict__.setdefault("_last_numbers", {})
        free = next(n for n in itertools.count(last.get(suggestion, 0)) if f"{suggestion}{n}" not in taken)
        last[suggestion] = free + 1
        return f"{suggestion}{free}"

    codetricks.IdManagerMixin._fixSuggestion = number_on  # noqa: SLF001

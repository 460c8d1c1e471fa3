"""Reading an instrument's TOML file key by key, with errors that name file and key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from specola_pipeline.errors import InstrumentError
from specola_pipeline.instruments.model import Kind

__all__ = ["TomlTable"]

_MISSING = object()


class TomlTable:
    """A TOML table that is read key by key, and at the end complains of keys nobody asked for.

    All methods raise InstrumentError, which names file and key, where the table has something else.
    """

    def __init__(self, file: Path, where: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise InstrumentError(f"{file.name}: {where} is {values!r}, expected a table.")
        self.file, self.where, self.values, self.asked = file, where, values, set[str]()

    def fail(self, key: str, problem: str) -> InstrumentError:
        """An error about a key, to be raised."""
        return InstrumentError(f"{self.file.name}: {self.where}.{key}: {problem}.".replace(": .", ": "))

    def take(self, key: str, kind: type | tuple[type, ...], default: Any = _MISSING) -> Any:
        """The value of a key, which must be of ``kind``; an error without it, unless there is a default."""
        self.asked.add(key)
        value = self.values.get(key, default)
        if value is _MISSING:
            raise self.fail(key, "is missing")
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if wrong and value is not default:
            names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
            raise self.fail(key, f"is {value!r}, expected {names}")
        return value

    def text(self, key: str, default: Any = _MISSING) -> Any:
        """A text."""
        return self.take(key, str, default)

    def number(self, key: str, default: Any = _MISSING) -> Any:
        """A number, as float."""
        value = self.take(key, (int, float), default)
        return value if value is default else float(value)

    def texts(self, key: str, default: Any = _MISSING) -> tuple[str, ...]:
        """One text or several."""
        value = self.take(key, (str, list), default)
        values = [value] if isinstance(value, str) else list(value)
        if not all(isinstance(one, str) for one in values):
            raise self.fail(key, f"is {value!r}, expected text or a list of texts")
        return tuple(values)

    def numbers(self, key: str, count: int | None = None, default: Any = _MISSING) -> tuple[float, ...]:
        """Several numbers, ``count`` of them if that is given."""
        value = self.take(key, list, default)
        if any(isinstance(one, bool) or not isinstance(one, int | float) for one in value):
            raise self.fail(key, f"is {value!r}, expected a list of numbers")
        if count is not None and len(value) != count:
            raise self.fail(key, f"has {len(value)} numbers, expected {count}")
        return tuple(float(one) for one in value)

    def table(self, key: str) -> TomlTable:
        """A table within this one."""
        return TomlTable(self.file, f"{self.where}.{key}".lstrip("."), self.take(key, dict))

    def tables(self, key: str, default: Any = _MISSING) -> Iterator[TomlTable]:
        """The tables of an array of tables."""
        for number, values in enumerate(self.take(key, list, default), 1):
            yield TomlTable(self.file, f"{self.where}.{key}[{number}]".lstrip("."), values)

    def kind(self, key: str, value: str) -> Kind:
        """A kind of frame by its name."""
        try:
            return Kind(value)
        except ValueError:
            raise self.fail(key, f"is '{value}', expected one of {', '.join(Kind)}") from None

    def done(self) -> None:
        """Complain of a key that nobody asked for."""
        unknown = sorted(set(self.values) - self.asked)
        if unknown:
            raise self.fail(unknown[0], "is not known here (a misspelling?)")

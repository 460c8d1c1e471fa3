"""Rows of VOTable's binary serialisations written with a few calls a row, where DaCHS 2.7 takes several for each value.

Its encoder of a row packs every value by itself and tells errors of every value apart; its mapper of a row calls a function for
each value, most of which do nothing; its writer of a stream, once it has written 1,140 bytes, encodes and writes row by row. Most
of the time of an answer of many rows is spent in the three. Here neighbours are packed together and a stream is written in pieces
of some ten thousand bytes. A field that is neither a number, a truth value nor a plain string is still encoded by DaCHS' own
lines, and a row that fails is given to its own encoder, which says what is wrong. What is written is the same to the byte
(tests/vo/test_answers.py).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from typing import Any

from gavo import utils
from gavo.utils import algotricks
from gavo.votable import coding, common, enc_binary, enc_binary2, model, tablewriter

__all__ = ["install"]

BLOCK = 57 * 256
"""Bytes encoded at a time: a multiple of three, so that pieces of base64 can be joined."""

_NUMBERS = {"short": "h", "int": "i", "long": "q", "float": "f", "double": "d"}
_NAN = {"float", "double"}


def _null(field: Any, module: Any) -> str | None:
    """Program text of what stands for NULL in a number's place; None where DaCHS says it has nothing to put there."""
    if field.datatype in _NAN:
        return "NaN"
    if module is enc_binary2:  # the row's flags say what is null
        return "0"
    literal = coding.getNullvalue(field, int)
    return None if literal is None else repr(int(literal))


def _plain_string(field: Any) -> bool:
    return field.datatype == "char" and field.arraysize == "*" and not field.xtype and coding.getNullvalue(field, str) is None


class _Program:
    """The lines of an encoder, and the values that wait to be packed together."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"NaN": common.NaN}
        self._code, self._values = "!", list[str]()

    def number(self, field: Any, value: str) -> None:
        """A number alone in its field."""
        null = _null(field, self.module)
        self._put(_NUMBERS[field.datatype], value if null is None else f"{null} if {value} is None else {value}")

    def truth(self, value: str) -> None:
        """A truth value alone in its field."""
        self._put("c", f"b'?' if {value} is None else b'1' if {value} else b'0'")

    def string(self, value: str) -> None:
        """A string of any length: its length and its characters."""
        self.lines.append(f"{value} = b'' if {value} is None else {value}.encode('ascii', 'replace')")
        self._put("i", f"len({value})")
        self.pack()
        self.lines.append(f"tokens.append({value})")

    def other(self, field: Any, value: str) -> None:
        """Anything else: DaCHS' own lines."""
        self.pack()
        self.lines += [f"val = {value}", *self.module.getLinesFor(field)]

    def pack(self) -> None:
        """Write what waits."""
        if self._values:
            name = f"pack{len(self.names)}"
            self.names[name] = struct.Struct(self._code).pack
            self.lines.append(f"tokens.append({name}({', '.join(self._values)}))")
            self._code, self._values = "!", []

    def _put(self, code: str, value: str) -> None:
        self._code += code
        self._values.append(value)


def _quick(fields: Sequence[Any], module: Any, environment: dict[str, Any]) -> Callable[[Sequence[Any]], bytes]:
    """An encoder of rows that raises anything at a value it can not write."""
    program = _Program(module)
    values = [f"c{number}" for number in range(len(fields))]
    if module is enc_binary2:
        program.names["no_flags"] = bytes((len(fields) + 7) // 8)
        program.lines.append("tokens.append(nullFlags.serializeFromRow(row) if None in row else no_flags)")
    for field, value in zip(fields, values, strict=True):
        if field.isScalar() and field.datatype in _NUMBERS:
            program.number(field, value)
        elif field.isScalar() and field.datatype == "boolean":
            program.truth(value)
        elif _plain_string(field):
            program.string(value)
        else:
            program.other(field, value)
    program.pack()
    head = ["tokens = []", f"{', '.join(values)}, = row"]
    lines = ["def codec(row):", *common.indentList([*head, *program.lines, "return b''.join(tokens)"], "  ")]
    encoder: Callable[[Sequence[Any]], bytes] = coding.buildCodec("\n".join(lines), environment | program.names)
    return encoder


def _encoder(definition: Any, module: Any) -> Callable[[Sequence[Any]], Any]:
    """In place of votable.coding.buildEncoder."""
    careful: Callable[[Sequence[Any]], Any] = coding.buildEncoder(definition, module)
    fields = list(definition.iterChildrenOfType(model.VOTable.FIELD))
    if module not in {enc_binary, enc_binary2} or not fields:
        return careful
    quick = _quick(fields, module, module.getGlobals(definition))

    def encode(row: Sequence[Any]) -> Any:
        try:
            return quick(row)
        except Exception:  # noqa: BLE001 - whatever it was, DaCHS' encoder says it, or knows what to do
            return careful(row)

    return encode


class _Coding:
    """votable.coding as its table writer sees it."""

    buildEncoder = staticmethod(_encoder)  # noqa: N815 - DaCHS' name


def _write(self: Any, file: Any) -> None:
    """In place of the writer of BINARY and BINARY2 elements."""
    file.write(f'<{self.name_}><STREAM encoding="base64">'.encode("ascii"))
    waiting, size = list[bytes](), 0
    try:
        for data in self.iterSerialized():
            waiting.append(data)
            size += len(data)
            if size >= BLOCK:
                joined = b"".join(waiting)
                whole = size - size % BLOCK
                file.write(base64.b64encode(joined[:whole]))
                waiting, size = [joined[whole:]], size - whole
    finally:
        file.write(base64.b64encode(b"".join(waiting)))
        file.write(f"</STREAM></{self.name_}>".encode("ascii"))


def install() -> None:
    """Have all VOTables of this process written so; leaves alone a DaCHS in which the places look different."""
    # There are two functions that do nothing, and the one mappers are is not the one that is looked for so as not to be called.
    algotricks.identity = utils.identity
    if tablewriter.coding is coding:
        tablewriter.coding = _Coding
    if "write" in vars(model.VOTable._BinaryDataElement):  # noqa: SLF001
        model.VOTable._BinaryDataElement.write = _write  # noqa: SLF001

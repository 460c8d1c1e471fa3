"""What DaCHS' parser of ADQL remembers while it parses.

pyparsing tries alternative after alternative and would take exponential time on nested queries if it did not keep what it found
at each place ("packrat" parsing; Ford 2002, ICFP, doi:10.1145/581478.581483). DaCHS 2.7 has it keep the last 128 results of every
element of the grammar, single words included. That is dear (a copy, a lock and a comparison for each of some thousand
elements a query) and yet too little: a nested query has pushed out what is needed again before it is needed.

Here results are kept for the rules that may hold themselves (pyparsing's ``Forward``) and for no others, and all of them until
the query is parsed. Everything else lies between two such rules, so its cost at a place is bounded by the size of the grammar:
time is linear in the depth of a query, and about half of what it was for a shallow one. What is parsed is the same;
tests/vo/test_parsing.py compares trees and messages.
"""

from __future__ import annotations

from typing import Any

from gavo.utils import parsetricks

__all__ = ["install"]

Place = tuple[int, str, int, bool, bool]


def install() -> None:
    """Have recursive rules remembered, and nothing else; leaves alone a parser that is not the one DaCHS 2.7 brings along."""
    element, recursive = parsetricks.ParserElement, parsetricks.Forward
    if element.__module__ != "gavo.imp.pyparsing" or element._parse is not element._parseCache:  # noqa: SLF001
        return
    parse, failure = element._parseNoCache, parsetricks.ParseBaseException  # noqa: SLF001
    kept: dict[Place, Any] = {}

    def remembered(self: Any, instring: str, loc: int, doActions: bool = True, callPreParse: bool = True) -> Any:
        # A parse within a parse (a region in a string) is of another text, so the text belongs to the key.
        place = (id(self), instring, loc, doActions, callPreParse)
        with element.packrat_cache_lock:
            found = kept.get(place)
            if found is None:
                try:
                    found = parse(self, instring, loc, doActions, callPreParse)
                except failure as error:
                    kept[place] = error.__class__(*error.args)
                    raise
                kept[place] = (found[0], found[1].copy())
                return found
            if isinstance(found, Exception):
                raise found
            return found[0], found[1].copy()

    # pyparsing empties what it calls packrat_cache before, and DaCHS after, each text
    element.packrat_cache = kept
    element._parse, recursive._parse = parse, remembered  # noqa: SLF001

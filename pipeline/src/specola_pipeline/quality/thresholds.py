"""The limits of quality control, from ``thresholds.toml`` and a file of the user's own."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from specola_pipeline.errors import QualityError

__all__ = ["ACCEPTED", "REJECTED", "UNSURE", "Limit", "read_thresholds", "worst"]

ACCEPTED, UNSURE, REJECTED = "accepted", "unsure", "rejected"
"""States of a slit in an exposure, and of a spectrum: those of the bundle's column qc_state."""

_ORDER = (ACCEPTED, UNSURE, REJECTED)
_KEYS = {"unsure": float, "rejected": float, "below": bool, "says": str}


def worst(*states: str) -> str:
    """The worst of some states; accepted without any."""
    return max(states, key=_ORDER.index, default=ACCEPTED)


@dataclass(frozen=True)
class Limit:
    """Two limits of a figure, and the sentence that says it is beyond one; ``below`` where a small figure is the bad one."""

    figure: str
    unsure: float
    rejected: float
    says: str
    below: bool = False

    def judge(self, value: float | None) -> str:
        """The state that a value means. What could not be measured (None, NaN) is accepted here; whoever measures says so."""
        if value is None or math.isnan(value):
            return ACCEPTED
        size = value if self.below else abs(value)
        for state, limit in ((REJECTED, self.rejected), (UNSURE, self.unsure)):
            if size < limit if self.below else size > limit:
                return state
        return ACCEPTED

    def words(self, value: float) -> str:
        """Why a value is beyond a limit, with the limit."""
        limit = self.rejected if self.judge(value) == REJECTED else self.unsure
        return f"{self.says.format(value=value)} (limit {limit:g})"


@cache
def read_thresholds(path: Path | None = None) -> tuple[Limit, ...]:
    """The limits of the package, with those of a file of the user's own in their place.

    Raises:
        QualityError: the file can not be read, names a figure that is not judged, or its limits make no sense.
    """
    own = _tables(Path(__file__).with_name("thresholds.toml"))
    given = _tables(path) if path else {}
    if unknown := sorted(set(given) - set(own)):
        raise QualityError(f"{path}: found [{unknown[0]}], expected one of {', '.join(own)}; correct the name.")
    limits = []
    for figure, values in own.items():
        limit = Limit(figure, **{**values, **given.get(figure, {})})
        if (limit.rejected > limit.unsure) if limit.below else (limit.rejected < limit.unsure):
            raise QualityError(
                f"{path}: [{figure}] rejects at {limit.rejected:g} before it is unsure at {limit.unsure:g}; exchange the two."
            )
        limits.append(limit)
    return tuple(limits)


def _tables(path: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise QualityError(
            f"{path}: can not be read as TOML ({error}); copy the package's thresholds.toml and change that."
        ) from error
    for figure, values in tables.items():
        if not isinstance(values, dict):
            raise QualityError(f"{path}: found {figure} = {values!r}, expected a table [{figure}] with unsure and rejected.")
        for key, value in values.items():
            kind = _KEYS.get(key)
            number = kind is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if kind is None or not (number or (kind is not float and isinstance(value, kind))):
                raise QualityError(f"{path}: [{figure}] has {key} = {value!r}, expected numbers unsure and rejected; correct it.")
    return tables

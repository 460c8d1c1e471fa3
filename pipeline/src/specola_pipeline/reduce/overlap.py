"""Where the light of two slits falls on the same pixels: at the ends of slits cut too near, or one spectrum over another.

What is there is neither slit's: its lines are two spectra's, its sky is twice as bright. Such pixels are left out of everything,
and the slits say so. Begin with :func:`meeting` for all slits of a mask, then :func:`foreign_light` for the pixels of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from specola_pipeline.reduce.traces import Slit

__all__ = ["foreign_light", "meeting"]

_BLUR = 1.5
"""Columns that a slit's light reaches beyond its edge: the optics blur it by about one."""

_ENDS = 8
"""Rows that a spectrum may reach beyond those its slit is expected on."""

_SAID = 0.03
"""Part of a slit's pixels from which a person is told: less is only left out, and counts in the part of bad pixels."""


def meeting(slits: Sequence[Slit], columns: int) -> tuple[list[Slit], list[tuple[Slit, ...]]]:
    """Slits of a detector of so many *columns* with words on whose light falls on them, and for each slit those others."""
    said: list[Slit] = []
    beside: list[tuple[Slit, ...]] = []
    windows = [slit.window(columns) for slit in slits]
    for slit, window in zip(slits, windows, strict=True):
        position, length = slit.position(window)
        inside = (position > -0.5) & (position < length[:, None] + 0.5)
        found, words = [], []
        for other, beyond in zip(slits, windows, strict=True):
            if other is slit or not (_meet(window[1], beyond[1], 0) and _meet(window[0], beyond[0], _ENDS)):
                continue
            shared = inside & foreign_light(window, (other,))
            if shared.any():
                found.append(other)
                part = float(shared.sum() / max(inside.sum(), 1))
                if part > _SAID:
                    words.append(f"the light of slit {other.number} falls on {part:.0%} of it, which is left out")
        said.append(replace(slit, odd=(*slit.odd, *words)))
        beside.append(tuple(found))
    return said, beside


def _meet(one: slice, other: slice, reach: int) -> bool:
    return bool(other.start - reach < one.stop and one.start < other.stop + reach)


def foreign_light(window: tuple[slice, slice], others: Sequence[Slit], moved: float = 0.0) -> NDArray[np.bool_]:
    """Which pixels of a *window* the light of *others* falls on, when all slits lie *moved* columns from their traces."""
    rows, columns = window
    lit = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
    x = np.arange(columns.start, columns.stop, dtype=float)[None, :] - moved
    for other in others:
        first, last = max(other.rows[0] - _ENDS, rows.start), min(other.rows[1] + _ENDS, rows.stop)
        if first < last:
            y = np.arange(first, last, dtype=float)
            left, right = other.left(y)[:, None], other.right(y)[:, None]
            lit[first - rows.start : last - rows.start] |= (x > left - _BLUR) & (x < right + _BLUR)
    return lit

"""Names that never change: of a mask's observation, its slits, and the spectra made of them.

They are made of what the frames' headers say and of nothing that a later reduction could change, so that the same observation
reduced again has the same names, and a spectrum's name is the tail of its identifier in the Virtual Observatory.
"""

from __future__ import annotations

import hashlib
import re

from specola_pipeline.instruments import Kind, LongSlit, instrument
from specola_pipeline.organise import Group

__all__ = ["mask_name", "plain", "slit_name", "spectrum_name"]

_LONGEST = 64
"""Characters of a spectrum's identifier, by the contract of bundles."""


def plain(text: str) -> str:
    """Letters, digits, points and hyphens; the rest becomes a hyphen."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.")


def mask_name(group: Group) -> str:
    """Of an observation: instrument, night, quadrant where there are several, grism, and mask (the object of a long slit)."""
    known = instrument(group.instrument)
    first = group.entries[0].frame
    through = first.object if isinstance(known.geometry, LongSlit) and first is not None else group.mask
    parts = [group.instrument.replace("_", "-"), group.night.replace("-", "")]
    parts += [f"Q{group.quadrant}"] if len(known.detectors) > 1 else []
    parts += [group.grism, through, "standard" if group.kind is Kind.STANDARD else ""]
    return "_".join(part for part in map(plain, parts) if part)


def slit_name(group: Group, number: int) -> str:
    """Of a slit of that observation."""
    return f"{mask_name(group)}_{number:03d}"


def spectrum_name(group: Group, number: int, thing: int) -> str:
    """Of an object in a slit; what is longer than the contract allows keeps its end and a checksum of the whole."""
    name = f"{slit_name(group, number)}_{thing}"
    if len(name) <= _LONGEST:
        return name
    tail = f"_{hashlib.sha256(name.encode()).hexdigest()[:8]}_{number:03d}_{thing}"
    return name[: _LONGEST - len(tail)] + tail

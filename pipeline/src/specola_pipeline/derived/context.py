"""What a bundle knows of its spectra besides their arrays, as far as it matters for automatic redshifts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from specola_bundle.bundle import Bundle, BundleTable
from specola_bundle.carry import batches
from specola_pipeline.errors import SpectrumError

__all__ = ["SCHEMES", "Context", "context_of"]

SCHEMES = ("vipers", "vandels", "zcosmos", "sdss", "desi")
"""Schemes in which an automatic flag can be written."""


@dataclass(frozen=True)
class Context:
    """By identifiers of objects, as many as the bundle has spectra of."""

    scheme: str
    """In which automatic flags are written: one of `SCHEMES`."""
    recommended: Mapping[str, tuple[float | None, str | None]]
    """Redshift and class that the bundle recommends for an object: what people or others measured."""
    photoz: Mapping[str, tuple[float | None, float | None, float | None]]
    """Photometric redshift and the ends of its interval."""
    targets: Mapping[str, str]
    """By slits: the object a slit was put on."""
    sky: frozenset[str]
    """Identifiers of the spectra of blank sky."""
    states: bool
    """Whether redshifts say how far they have come (column z_state): they do where the bundle's do, and where it has none."""


def context_of(bundle: Bundle, manifest: BundleTable, scheme: str | None, prefix: str) -> Context:
    """Read what is to be known; of the parent catalogue only the objects that have a spectrum.

    Parameters
    ----------
    scheme
        Of the flags; without it that of the bundle's own redshifts, else that of the survey's name, else VIPERS'.
    prefix
        Of the method of earlier automatic redshifts, which are not taken for what people found.

    Raises
    ------
    SpectrumError
        No flag can be written in that scheme.
    """
    # One string an identifier, whichever table it was read from: of 100,000 objects four take 20 MB.
    objects: dict[str, str] = {}
    sky: set[str] = set()
    for rows in batches(manifest, ["spectrum_id", "object_id", "target_class"]):
        objects.update((name, name) for name in rows["object_id"].to_pylist() if name not in objects)
        if "target_class" in rows.column_names:
            pairs = zip(rows["spectrum_id"].to_pylist(), rows["target_class"].to_pylist(), strict=True)
            sky.update(name for name, kind in pairs if kind == "SKY")
    recommended: dict[str, tuple[float | None, str | None]] = {}
    own, states = None, False
    if (table := bundle.tables.get("redshifts")) is not None and table.rows:
        for rows in batches(table, ["object_id", "z", "class", "best", "flag_scheme", "method", "z_state"]):
            states = states or ("z_state" in rows.column_names and rows["z_state"].null_count < rows.num_rows)
            for row in rows.to_pylist():
                if str(row.get("method") or "").startswith(prefix):
                    continue
                own = own or row["flag_scheme"]
                if row["best"] and row["object_id"] in objects:
                    kind = row.get("class")
                    recommended[objects[row["object_id"]]] = (row.get("z"), None if kind is None else sys.intern(kind))
    states = states or own is None
    chosen = scheme or (own if own in SCHEMES else None)
    chosen = chosen or (bundle.description["survey"] if bundle.description["survey"] in SCHEMES else "vipers")
    if chosen not in SCHEMES:
        raise SpectrumError(f"{bundle.path}: found flag scheme {chosen}, expected one of {', '.join(SCHEMES)}")
    return Context(chosen, recommended, _photoz(bundle, objects), _targets(bundle, objects), frozenset(sky), states)


def _photoz(bundle: Bundle, objects: dict[str, str]) -> dict[str, tuple[float | None, float | None, float | None]]:
    known: dict[str, tuple[float | None, float | None, float | None]] = {}
    if (table := bundle.tables.get("photometry")) is not None:
        for rows in batches(table, ["object_id", "photoz", "photoz_min", "photoz_max"]):
            if "photoz" in rows.column_names:
                known |= {
                    objects[row["object_id"]]: (row["photoz"], row.get("photoz_min"), row.get("photoz_max"))
                    for row in rows.to_pylist()
                    if row["object_id"] in objects and row["photoz"] is not None
                }
    return known


def _targets(bundle: Bundle, objects: dict[str, str]) -> dict[str, str]:
    known: dict[str, str] = {}
    if (table := bundle.tables.get("slits")) is not None:
        for rows in batches(table, ["slit_id", "object_id"]):
            if "object_id" in rows.column_names:
                pairs = ((row["slit_id"], row["object_id"]) for row in rows.to_pylist())
                known |= {slit: objects.get(name, name) for slit, name in pairs if name is not None}
    return known

"""What was made of what, from the raw frames on: a W3C PROV document (PROV-JSON), as the IVOA's provenance model uses PROV.

Entities are the raw frames and the spectra, with the SHA-256 of their bytes, and the bundle; an activity is the reduction of a
mask's observation, with the parameters it was run with; agents are the programs. Nothing has the time of the clock: the same
reduction gives the same document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specola_pipeline.names import mask_name
from specola_pipeline.reduce.results import MaskResult, Reduction

__all__ = ["provenance"]

_RELATIONS = ("used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith", "hadMember")


def provenance(
    reduction: Reduction, bundle: str, spectra: Mapping[str, Sequence[Mapping[str, Any]]], software: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """The document.

    Parameters
    ----------
    bundle
        Name of the bundle, ``survey_release``.
    spectra
        Rows of the table spectra (with their checksums) by the name of the observation they are from.
    software
        Programs and versions.
    """
    whole = f"specola:{bundle}"
    document: dict[str, Any] = {
        "prefix": {"prov": "http://www.w3.org/ns/prov#", "specola": "urn:specola:"},
        "entity": {whole: {"prov:type": "specola:Bundle", "prov:label": bundle}},
        "activity": {},
        "agent": {
            f"specola:software/{one['name']}": {
                "prov:type": "prov:SoftwareAgent", "prov:label": one["name"], "specola:version": one["version"],
            }
            for one in software
        },
    }  # fmt: skip
    relations: dict[str, list[dict[str, str]]] = {kind: [] for kind in _RELATIONS}
    for mask in reduction.masks:
        rows = spectra.get(mask_name(mask.group), ())
        if rows:
            activity = _activity(document, mask, reduction.parameters)
            relations["wasAssociatedWith"] += [{"prov:activity": activity, "prov:agent": agent} for agent in document["agent"]]
            raw = _raw_frames(document, relations, mask, activity)
            _spectra(document, relations, rows, activity, raw, whole)
    for kind, found in relations.items():
        document[kind] = {f"_:{kind}{number}": one for number, one in enumerate(found)}
    return document


def _activity(document: dict[str, Any], mask: MaskResult, parameters: Mapping[str, Any]) -> str:
    name = mask_name(mask.group)
    document["activity"][f"specola:reduction/{name}"] = {
        "prov:type": "specola:Reduction",
        "prov:label": f"Reduction of {name}",
        **{f"specola:parameter/{key}": str(value) for key, value in parameters.items()},
    }
    return f"specola:reduction/{name}"


def _raw_frames(
    document: dict[str, Any], relations: dict[str, list[dict[str, str]]], mask: MaskResult, activity: str
) -> list[str]:
    """Entities of all raw frames of a mask; returns those of its exposures, of which the spectra are derived."""
    exposures = {one.sha256 for one in mask.exposures}
    derived = []
    for file, sha256 in mask.inputs:
        entity = f"specola:raw/{sha256[:16]}"
        document["entity"][entity] = {"prov:type": "specola:RawFrame", "prov:label": file, "specola:sha256": sha256}
        role = "exposure" if sha256 in exposures else "calibration"
        relations["used"].append({"prov:activity": activity, "prov:entity": entity, "prov:role": role})
        if role == "exposure":
            derived.append(entity)
    return derived


def _spectra(
    document: dict[str, Any],
    relations: dict[str, list[dict[str, str]]],
    rows: Sequence[Mapping[str, Any]],
    activity: str,
    raw: Sequence[str],
    whole: str,
) -> None:
    for row in rows:
        entity = f"specola:spectrum/{row['spectrum_id']}"
        document["entity"][entity] = {
            "prov:type": "specola:Spectrum", "prov:label": row["title"], "specola:file": row["file"],
            "specola:sha256": row["file_sha256"],
        }  # fmt: skip
        relations["wasGeneratedBy"].append({"prov:entity": entity, "prov:activity": activity})
        relations["wasDerivedFrom"] += [{"prov:generatedEntity": entity, "prov:usedEntity": one} for one in raw]
        relations["hadMember"].append({"prov:collection": whole, "prov:entity": entity})

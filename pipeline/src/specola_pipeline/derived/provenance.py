"""Where the measurements come from: a W3C PROV document (PROV-JSON)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from specola_bundle.bundle import Bundle

__all__ = ["provenance"]


def provenance(source: Bundle, description: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """The new bundle is derived from the old one, whose own document is kept as a PROV bundle, by a measurement with templates.

    Parameters
    ----------
    source
        The bundle that was measured.
    description
        Fields of the new one's bundle.json.
    about
        What was measured with what: ``bundle``, the old one's identity, ``method``, ``templates`` with their hashes, options.
    """
    made = f"specola:{description['survey']}_{description['release']}/measured"
    old = f"specola:source/{about['bundle']}"
    templates = {f"specola:templates/{sha256[:16]}": (name, sha256) for name, sha256 in about["templates"].items()}
    used = {"_:used0": {"prov:activity": "specola:measurement", "prov:entity": old}} | {
        f"_:used{number}": {"prov:activity": "specola:measurement", "prov:entity": entity, "prov:role": "templates"}
        for number, entity in enumerate(templates, start=1)
    }
    document: dict[str, Any] = {
        "prefix": {"prov": "http://www.w3.org/ns/prov#", "specola": "urn:specola:"},
        "entity": {
            made: {"prov:type": "specola:Bundle", "prov:label": description["title"]},
            old: {"prov:type": "specola:Bundle", "prov:label": source.schema, "specola:sha256": about["bundle"]},
            **{
                entity: {"prov:type": "specola:Templates", "prov:label": name, "specola:sha256": sha256}
                for entity, (name, sha256) in templates.items()
            },
        },
        "activity": {
            "specola:measurement": {
                "prov:type": "specola:Measurement", "prov:label": "Automatic redshifts, lines and indices",
                "specola:parameter/classes": ",".join(about["classes"]) or "all",
                "specola:parameter/res_power": str(about["res_power"] or "as the bundle says"),
            }
        },
        "agent": {"specola:software": {"prov:type": "prov:SoftwareAgent", "prov:label": about["method"]}},
        "used": used,
        "wasGeneratedBy": {"_:generated": {"prov:entity": made, "prov:activity": "specola:measurement"}},
        "wasDerivedFrom": {"_:derived": {"prov:generatedEntity": made, "prov:usedEntity": old}},
        "wasAssociatedWith": {"_:associated": {"prov:activity": "specola:measurement", "prov:agent": "specola:software"}},
    }  # fmt: skip
    if entry := source.description.get("provenance"):
        document["bundle"] = {old: json.loads((source.path / entry["path"]).read_text("utf-8"))}
    return document

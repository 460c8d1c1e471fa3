"""Where a bundle of a survey comes from: its source files, and the programs that made it (W3C PROV)."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from specola_bundle.survey import Survey

__all__ = ["provenance", "software"]


def software() -> list[dict[str, str]]:
    """The programs that make a bundle, with their versions, for bundle.json and the provenance."""
    names = ("specola", "astropy", "numpy", "pyarrow")
    found = []
    for name in names:
        try:
            found.append({"name": name, "version": metadata.version(name)})
        except metadata.PackageNotFoundError:
            found.append({"name": name, "version": "unknown"})
    return [*found, {"name": "python", "version": platform.python_version()}]


def provenance(survey: Survey, sources: Sequence[Path], hashes: Mapping[Path, str], started: datetime) -> dict[str, Any]:
    """A PROV document (PROV-JSON) of an import: the source files with their hashes, the activity, the programs."""
    bundle = f"specola:{survey.bundle['survey']}_{survey.bundle['release']}"
    entities: dict[str, Any] = {bundle: {"prov:type": "specola:Bundle", "prov:label": survey.bundle["title"]}}
    used = {}
    derivations = {}
    for number, path in enumerate(sources):
        entity = f"specola:source/{hashes[path][:16]}"
        entities[entity] = {
            "prov:type": "prov:Entity",
            "prov:label": path.name,
            "specola:sha256": hashes[path],
            "specola:size": path.stat().st_size,
        }
        used[f"_:used{number}"] = {"prov:activity": "specola:import", "prov:entity": entity}
        derivations[f"_:derived{number}"] = {"prov:generatedEntity": bundle, "prov:usedEntity": entity}
    agents = {
        f"specola:software/{program['name']}": {
            "prov:type": "prov:SoftwareAgent", "prov:label": program["name"], "specola:version": program["version"],
        }
        for program in software()
    }  # fmt: skip
    return {
        "prefix": {"prov": "http://www.w3.org/ns/prov#", "specola": "urn:specola:"},
        "entity": entities,
        "activity": {
            "specola:import": {
                "prov:type": "specola:Import",
                "prov:startTime": started.isoformat(timespec="seconds"),
                "prov:endTime": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        },
        "agent": agents,
        "used": used,
        "wasGeneratedBy": {"_:generated": {"prov:entity": bundle, "prov:activity": "specola:import"}},
        "wasDerivedFrom": derivations,
        "wasAssociatedWith": {
            f"_:associated{number}": {"prov:activity": "specola:import", "prov:agent": agent}
            for number, agent in enumerate(agents)
        },
    }

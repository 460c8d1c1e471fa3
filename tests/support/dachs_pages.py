"""Run under Debian's Python with the settings of an archive: prints, as JSON, the paths of all pages its DaCHS has.

From DaCHS' own lists: what is hung into the root (static folders, short names, redirects), and every service of every RD,
published or not, with each renderer it allows and the three that all services have.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gavo import base, registry, rscdesc  # noqa: F401  (rscdesc makes RDs loadable)
from gavo.web.root import ArchiveService

EVERYWHERE = ("", "info", "availability", "capabilities", "tableMetadata", "rdinfo")


def main() -> None:
    paths = {f"/{name}" for name in (*ArchiveService.statics, *ArchiveService.mappings, *ArchiveService.redirects)}
    builtin = Path(base.__file__).parent.parent / "resources" / "inputs" / "__system__"
    ids = {f"__system__/{path.stem}" for path in builtin.glob("*.rd")} | set(registry.findPublishedRDs()) | set(sys.argv[1:])
    for rd_id in sorted(ids):
        paths.add(f"/browse/{rd_id}")
        for service in base.caches.getRD(rd_id).services:
            renderers = {*EVERYWHERE, *(getattr(service, "allowed", None) or ())}
            paths |= {f"/{rd_id}/{service.id}/{renderer}".rstrip("/") for renderer in renderers}
    sys.stdout.write(json.dumps(sorted(paths)) + "\n")


if __name__ == "__main__":
    main()

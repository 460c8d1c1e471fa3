"""Tell a running DaCHS that what it serves has changed.

DaCHS keeps parsed RDs, and pages made of them, in memory. It looks at an RD's file at most every ten seconds, goes on serving
the RD of a file that is gone, remembers for ever that there was no RD where somebody once asked for one, and never finds
out that a page's list of tables has grown. Its administrator's service ``cacheclear`` makes it forget; ``dachs serve
expireRDs`` uses the same, by way of the public address and at the cost of a second.
"""

from __future__ import annotations

import base64
import itertools
import urllib.parse
import urllib.request
from configparser import ConfigParser

from ops.house import Archive

__all__ = ["announce"]

_LISTS = ("__system__/tap", "__system__/services")
"""RDs with pages that list what the archive has."""


def announce(archive: Archive, rd_id: str) -> bool:
    """Make every DaCHS process of the archive forget an RD and the pages that list all releases.

    Returns
    -------
    False where no server runs (it reads everything anew when it starts), or it does not know us.
    """
    settings = ConfigParser(interpolation=None)
    settings.read(archive.gavorc, "utf-8")
    password = settings.get("web", "adminpasswd", fallback="")
    credentials = base64.b64encode(f"gavoadmin:{password}".encode()).decode()
    # Straight to the server: it is on this machine, whatever proxy the environment names.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    told = True
    for server, one in itertools.product(archive.servers, (rd_id, *_LISTS)):
        query = urllib.parse.urlencode({"rdId": one, "__nevow_form__": "genForm", "submit": "Go"})
        address = f"http://127.0.0.1:{server.port}/__system__/services/cacheclear?{query}"
        request = urllib.request.Request(address, headers={"Authorization": f"Basic {credentials}", **archive.headers})
        try:
            with opener.open(request, timeout=30):
                pass
        except OSError:
            # An ingest that is done does not fail on this.
            told = False
    _empty_cache(archive)
    return told


def _empty_cache(archive: Archive) -> None:
    """Remove what nginx keeps of answers; it takes a missing file for one it never had."""
    if archive.cache is not None:
        for path in archive.cache.glob("*/*/*"):
            path.unlink(missing_ok=True)

"""Who may speak with this DaCHS process at all.

The staging archive listens on a port of loopback, where any account of the machine could ask it past nginx, and so past the
login. Therefore its processes answer nobody but who sends the secret of this installation's nginx in ``X-Specola-Gate``; nginx
takes away what clients send under that name. SPECOLA_GATE is ``open`` (the public archive) or names the file with the secret;
without either, or without the file, the server does not start.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Any

__all__ = ["install"]

HEADER, USER = b"x-specola-gate", b"x-specola-user"
SHORTEST = 32
"""Characters a secret has at least."""


def install() -> None:
    """Guard the server of this process; to be called before it listens.

    Raises
    ------
    RuntimeError
        SPECOLA_GATE is not set, or its file has no secret.
    OSError
        Its file can not be read.
    """
    setting = os.environ.get("SPECOLA_GATE", "")
    if setting == "open":
        return
    if not setting:
        raise RuntimeError("SPECOLA_GATE is not set: 'open', or the file with the secret of nginx")
    secret = Path(setting).read_bytes().strip()
    if len(secret) < SHORTEST:
        raise RuntimeError(f"{setting} has no secret of {SHORTEST} characters or more; run `specola up`")
    _guard(secret)
    _jobs_have_owners()


def _guard(secret: bytes) -> None:
    from gavo.web import root
    from twisted.web import resource

    class RefusedPage(resource.Resource):  # type: ignore[misc]
        isLeaf = True  # noqa: N815 - twisted's name

        def render(self, request: Any) -> bytes:
            request.setResponseCode(403)
            request.setHeader("content-type", "text/plain")
            return b"This server is reached through the portal's login only.\n"

    resource_for = root.site.getResourceFor

    def guarded(request: Any) -> Any:
        given = request.requestHeaders.getRawHeaders(HEADER) or []
        if len(given) == 1 and hmac.compare_digest(given[0], secret):
            return resource_for(request)
        return RefusedPage()

    root.site.getResourceFor = guarded


def _jobs_have_owners() -> None:
    """Asynchronous TAP jobs belong to whom the portal let in: nobody else lists them, or reads their results."""
    from gavo.protocols import uws
    from gavo.web import common

    def user_of(request: Any) -> str | None:
        given = request.requestHeaders.getRawHeaders(USER) or []
        return given[0].decode("ascii") if len(given) == 1 and given[0] else None

    def new_id(self: Any, request: Any) -> Any:
        parameters = self.parameterGrammar.parseStrargs(request.strargs, ensureRequired=False)
        return self.getNewIdFromArgs(request.uwsArgs, parameters, user_of(request))

    common.Request.getAuthUser = user_of
    uws.UWS.getNewIdFromRequest = new_id

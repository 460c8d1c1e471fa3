"""What the portal's own functions raise when something asked of them can not be done."""

from __future__ import annotations

from ops.errors import OpsError

__all__ = ["PortalError"]


class PortalError(OpsError):
    """Something that was asked of the portal can not be done; with what to do about it."""

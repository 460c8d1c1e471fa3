"""Who may see a product under embargo.

Unreleased data are in another database behind another server (docs/decisions/). This is for the case that a row of
dc.products has an owner and an embargo all the same: DaCHS 2.7 then refuses getproduct, but its datalink services
deliver the data.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from gavo import utils
from gavo.protocols import creds

__all__ = ["may_see"]


def may_see(owner: str | None, embargo: date | None) -> bool:
    """May the user of the request that is being answered see a product of this owner, public after this date?

    The request is the one further up in the call stack, which is how DaCHS tells its procedures about it. Without a
    request nobody is asking, and the answer is no.
    """
    if embargo is None or embargo < datetime.now(UTC).date():
        return True
    try:
        meta = utils.stealVar("queryMeta")
    except ValueError:
        return False
    user = meta.get("user")
    return bool(owner and user and creds.hasCredentials(user, meta.get("password"), owner))

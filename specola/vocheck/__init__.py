"""Checks of VO services as the outside world would make them, on any service.

Begin with :func:`check`, which finds out what a service is and runs what there is for it: :mod:`specola.vocheck.ssa` for
SSAP, for which there is no other validator, and :mod:`specola.vocheck.stilts` for TAP, cone search and Datalink, where
STILTS has them. :mod:`specola.vocheck.findings` is what comes out.
"""

from specola.vocheck.documents import Login
from specola.vocheck.findings import Finding, Report
from specola.vocheck.services import KINDS, check

__all__ = ["KINDS", "Finding", "Login", "Report", "check"]

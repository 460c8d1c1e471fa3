"""New log files without taking rights from other threads' files.

Twisted opens a new log, at each rotation, under a umask of 0777. A umask is the whole process's: a folder that another thread
makes for a query in that moment can not be entered by anybody, and the query fails with "Permission denied".
"""

from __future__ import annotations

import os
from typing import Any

from twisted.python import logfile

__all__ = ["install"]


def install() -> None:
    """Have log files made before Twisted opens them; it takes its umask only for those it makes."""
    open_file = logfile.BaseLogFile._openFile  # noqa: SLF001

    def opened(self: Any) -> None:
        os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        open_file(self)

    logfile.BaseLogFile._openFile = opened  # noqa: SLF001

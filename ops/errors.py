"""The one exception of this package and its two children.

::

    OpsError              something the operator can mend; the text says how
    ├── SettingsError     an environment variable or a path that can not be used
    └── CommandError      a program we called failed; holds its output
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

__all__ = ["CommandError", "OpsError", "SettingsError"]


class OpsError(Exception):
    """What is wrong, and how to mend it.

    :param message: what was found and what was expected
    :param remedy: one thing to do about it
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n{self.remedy}" if self.remedy else self.message


class SettingsError(OpsError):
    """A setting of the environment can not be used."""


class CommandError(OpsError):
    """A program ended with an error.

    :param command: the command line
    :param status: its exit status
    :param output: what it printed, standard output and error together
    """

    def __init__(self, command: Sequence[str], status: int, output: str, remedy: str = "") -> None:
        shown = "\n".join(output.strip().splitlines()[-25:]) or "(it printed nothing)"
        super().__init__(f"{shlex.join(command)} ended with status {status}:\n{shown}", remedy)
        self.status = status
        self.output = output

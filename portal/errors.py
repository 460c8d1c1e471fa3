"""What the portal's own functions raise when something asked of them can not be done."""

from __future__ import annotations

__all__ = ["PortalError"]


class PortalError(Exception):
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

"""What a check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Finding", "Level", "Report"]

Level = Literal["error", "warning", "passed"]


@dataclass(frozen=True)
class Finding:
    """One sentence about a service.

    :ivar level: error where the standard says "must", warning where it says "should", or passed
    :ivar check: what was looked at, as in ``metadata`` or ``access``
    :ivar message: what was found and what was expected
    :ivar address: the request that shows it
    """

    level: Level
    check: str
    message: str
    address: str = ""


@dataclass
class Report:
    """All findings about one service."""

    kind: str
    address: str
    findings: list[Finding] = field(default_factory=list)

    def add(self, level: Level, check: str, message: str, address: str = "") -> None:
        """Note something."""
        self.findings.append(Finding(level, check, message, address))

    def expect(self, holds: bool, check: str, message: str, address: str = "", *, level: Level = "error") -> bool:
        """Note a finding of ``level`` unless ``holds``; returns ``holds``."""
        if not holds:
            self.add(level, check, message, address)
        return holds

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(finding.level == "error" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "address": self.address,
            "errors": self.errors,
            "findings": [asdict(finding) for finding in self.findings],
        }

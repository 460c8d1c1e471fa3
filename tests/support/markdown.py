"""Read the manual: code blocks of a page, and what the comments beside them say.

``<!-- needs: NAME -->`` and ``<!-- upload: NAME -->`` stand before a block: the release it needs (a folder of inputs/), the
table to upload with it. ``<!-- check: EXPRESSION -->`` stands after it and must be true once the block has run.
``<!-- not run: WHY -->`` before a block leaves it out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MANUAL", "ROOT", "Block", "blocks", "headings", "links"]

ROOT = Path(__file__).resolve().parents[2]
MANUAL = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
"""Every page of the manual."""

_COMMENT = re.compile(r"<!-- (needs|upload|check|not run): (.*?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    needs: str = ""
    upload: str = ""
    check: str = ""
    not_run: str = ""

    @property
    def name(self) -> str:
        """Where it is, for the name of a test."""
        return f"{self.page}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    """The code blocks of a page, of some languages or of all."""
    found, notes, lines = [], {}, page.read_text("utf-8").splitlines()
    number = 0
    while number < len(lines):
        if comment := _COMMENT.fullmatch(lines[number].strip()):
            notes[comment[1].replace(" ", "_")] = comment[2]
        elif fence := re.match(r"( *)```(\S*)$", lines[number]):
            end = next(i for i in range(number + 1, len(lines)) if lines[i].strip() == "```")
            after = _COMMENT.fullmatch(lines[end + 1].strip()) if end + 1 < len(lines) else None
            if after and after[1] == "check":
                notes["check"] = after[2]
            text = "\n".join(line.removeprefix(fence[1]) for line in lines[number + 1 : end])
            found.append(Block(page.name, number + 1, fence[2], text, **notes))
            notes, number = {}, end + (1 if after else 0)
        elif lines[number].strip():
            notes = {}
        number += 1
    return [block for block in found if not languages or block.language in languages]


def links(page: Path) -> list[str]:
    """Targets of a page's links and pictures, code blocks left out."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}

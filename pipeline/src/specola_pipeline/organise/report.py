"""What was found, for people (tables), for scripts (JSON), and as a tree of symbolic links for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from specola_pipeline.errors import PipelineError
from specola_pipeline.organise.associate import Group, Match, Plan
from specola_pipeline.organise.scan import Entry, Status

__all__ = ["as_json", "link", "print_report"]


def print_report(plan: Plan, folder: Path, console: Console) -> None:
    """Tables of groups, of what is missing, of odd frames, and of files that are no frames."""
    groups = Table(title=f"{len(plan.entries)} files in {folder}", title_justify="left")
    for name in ("night", "Q", "grism", "mask", "what", "n", "calibrations", "reduce"):
        groups.add_column(name, justify="right" if name in {"Q", "n"} else "left", no_wrap=name != "calibrations")
    for group in plan.groups:
        calibrations = ", ".join(f"{len(match.found)} {match.needs}" for match in group.matches)
        verdict = "yes" if group.reducible else "[red]no[/red]"
        cells = (
            group.night,
            str(group.quadrant),
            group.grism,
            group.mask,
            str(group.kind),
            str(len(group.entries)),
            calibrations,
        )
        groups.add_row(*cells, verdict)
    console.print(groups)
    _list(
        console, "Missing", [(_name(group), match.problem) for group in plan.groups for match in group.matches if match.problem]
    )
    _list(console, "Odd", [(_relative(entry, folder), "; ".join(entry.odd)) for entry in plan.entries if entry.odd])
    for status in (Status.BROKEN, Status.UNCLEAR, Status.DUPLICATE, Status.FOREIGN):
        rows = [(_relative(entry, folder), entry.reason) for entry in plan.entries if entry.status is status]
        _list(console, status.capitalize(), rows)
    unused = [entry for entry in plan.unused if not entry.odd]
    if unused:
        console.print(f"{len(unused)} more frames that no science or standard frame needs.")


def _list(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    if not rows:
        return
    table = Table(title=f"{title} ({len(rows)})", title_justify="left", show_header=False)
    table.add_column("file", overflow="fold", ratio=2)
    table.add_column("why", overflow="fold", ratio=3)
    for name, reason in rows:
        table.add_row(*(text.replace("[", r"\[") for text in (name, reason)))
    console.print(table)


def _name(group: Group) -> str:
    return f"{group.night} quadrant {group.quadrant} {group.grism} mask {group.mask or '-'} ({group.kind})"


def _relative(entry: Entry, folder: Path) -> str:
    return str(entry.path.relative_to(folder))


def as_json(plan: Plan, folder: Path) -> dict[str, Any]:
    """The same for scripts. Paths are relative to ``folder``."""

    def match(one: Match) -> dict[str, Any]:
        return {
            "needs": str(one.needs),
            "found": [_relative(entry, folder) for entry in one.found],
            "problem": one.problem,
            "fatal": one.fatal,
        }

    def entry(one: Entry) -> dict[str, Any]:
        said: dict[str, Any] = {
            "file": _relative(one, folder),
            "status": str(one.status),
            "reason": one.reason,
            "sha256": one.content,
        }
        if one.frame is not None:
            said |= {"odd": list(one.odd), "usable": one.usable, "frame": {**vars(one.frame), "kind": str(one.frame.kind)}}
        return said

    return {
        "folder": str(folder),
        "groups": [
            {
                **{key: getattr(group, key) for key in ("instrument", "night", "quadrant", "grism", "filter", "mask")},
                "kind": str(group.kind),
                "frames": [_relative(one, folder) for one in group.entries],
                "calibrations": [match(one) for one in group.matches],
                "reducible": group.reducible,
            }
            for group in plan.groups
        ],
        "files": [entry(one) for one in plan.entries],
        "unused": [_relative(one, folder) for one in plan.unused],
    }


def link(plan: Plan, target: Path) -> int:
    """Make ``target``/night/Qn_grism_mask/kind/file, symbolic links to the frames of each group that can be reduced.

    Links that are there already and point to the same file are kept. Returns how many links there are.

    Raises:
        PipelineError: something else is in the place of a link; nothing is overwritten.
    """
    wanted: dict[Path, Path] = {}
    for group in plan.groups:
        if not group.reducible:
            continue
        place = target / group.night / _plain(f"Q{group.quadrant}_{group.grism}_{group.mask or 'nomask'}")
        for kind, entries in [(group.kind, group.entries), *((match.needs, match.found) for match in group.matches)]:
            for number, entry in enumerate(entries):
                name = place / str(kind) / entry.path.name
                if name in wanted and wanted[name] != entry.path.resolve():
                    name = name.with_name(f"{number}_{entry.path.name}")
                wanted[name] = entry.path.resolve()
    for name, source in wanted.items():
        if name.is_symlink() and name.readlink() == source:
            continue
        if name.is_symlink() or name.exists():
            raise PipelineError(f"{name} is there already and is not a link to {source}; remove it or choose another folder.")
        name.parent.mkdir(parents=True, exist_ok=True)
        name.symlink_to(source)
    return len(wanted)


def _plain(text: str) -> str:
    """A name without slashes and blanks."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in text)

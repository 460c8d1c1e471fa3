"""Groups of frames, and the calibrations each frame needs by the rules of its instrument."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from specola_pipeline.instruments import Association, Frame, Instrument, Kind, instrument
from specola_pipeline.organise.scan import Entry, Status

__all__ = ["Group", "Match", "Plan", "plan"]


@dataclass(frozen=True)
class Match:
    """Calibrations of one kind for one frame. ``problem`` says what is wrong, "" if nothing; ``fatal``: not to be reduced."""

    needs: Kind
    found: tuple[Entry, ...]
    problem: str
    fatal: bool


@dataclass(frozen=True)
class Group:
    """Science and standard frames of one night, quadrant, grism, filter and mask, and what they need."""

    instrument: str
    night: str
    quadrant: int
    grism: str
    filter: str
    mask: str
    kind: Kind
    entries: tuple[Entry, ...]
    matches: tuple[Match, ...]

    @property
    def reducible(self) -> bool:
        """Whether nothing that is needed is missing."""
        return not any(match.fatal for match in self.matches)


@dataclass(frozen=True)
class Plan:
    """Everything that was found: groups to reduce, and entries that are of no use or odd."""

    entries: tuple[Entry, ...]
    groups: tuple[Group, ...]

    @property
    def unused(self) -> tuple[Entry, ...]:
        """Frames that no group needs."""
        used = {entry.path for group in self.groups for entry in group.entries}
        used |= {entry.path for group in self.groups for match in group.matches for entry in match.found}
        return tuple(entry for entry in self.entries if entry.status is Status.FRAME and entry.path not in used)


def plan(entries: list[Entry]) -> Plan:
    """Group science and standard frames and find the calibrations of each group.

    Calibrations are alike in the fields the rule names, not further in time than it allows, and usable; the nearest are taken.
    """
    frames = [(entry, entry.frame) for entry in entries if entry.status is Status.FRAME and entry.frame is not None]
    together: dict[tuple[str, ...], list[tuple[Entry, Frame]]] = {}
    for entry, frame in frames:
        if frame.kind in {Kind.SCIENCE, Kind.STANDARD}:
            key = (
                frame.instrument,
                frame.night,
                str(frame.quadrant),
                frame.grism,
                frame.filter,
                frame.mask,
                frame.kind,
                frame.binning,
            )
            together.setdefault(key, []).append((entry, frame))
    groups = []
    for members in together.values():
        members.sort(key=lambda pair: (pair[1].start, pair[0].path))
        first = members[0][1]
        rules = [rule for rule in instrument(first.instrument).associations if first.kind in rule.of]
        matches = tuple(_match(rule, first, frames, instrument(first.instrument)) for rule in rules)
        groups.append(
            Group(
                first.instrument,
                first.night,
                first.quadrant,
                first.grism,
                first.filter,
                first.mask,
                first.kind,
                tuple(entry for entry, _ in members),
                matches,
            )
        )
    groups.sort(key=lambda group: (group.instrument, group.night, group.quadrant, group.grism, group.mask, group.kind))
    return Plan(tuple(entries), tuple(groups))


def _match(rule: Association, frame: Frame, frames: list[tuple[Entry, Frame]], chosen: Instrument) -> Match:
    of_kind = [(entry, other) for entry, other in frames if other.kind is rule.needs and other.instrument == chosen.name]
    alike = [(entry, other) for entry, other in of_kind if not _differs(rule, frame, other)]
    near = [(entry, other) for entry, other in alike if abs(other.start - frame.start) * 24 <= rule.hours]
    good = sorted((pair for pair in near if pair[0].usable), key=lambda pair: (abs(pair[1].start - frame.start), pair[0].path))
    found = tuple(entry for entry, _ in good[: rule.most])
    problem = ""
    if len(found) < rule.least:
        wanted = f"{rule.least} {rule.needs} frame{'s' if rule.least > 1 else ''}"
        problem = f"{len(found)} of {wanted}" if found else f"no {rule.needs} frame"
        problem += _why(rule, frame, of_kind, alike, near)
    return Match(rule.needs, found, problem, fatal=rule.required and not found)


def _why(
    rule: Association,
    frame: Frame,
    of_kind: list[tuple[Entry, Frame]],
    alike: list[tuple[Entry, Frame]],
    near: list[tuple[Entry, Frame]],
) -> str:
    """Which near misses there are, so that a person knows where to look."""
    refused = [entry for entry, _ in near if not entry.usable]
    if refused:
        return f": {len(refused)} refused ({refused[0].path.name}: {'; '.join(refused[0].odd)})"
    if near:
        return f" within {rule.hours:g} h"
    if alike:
        hours = min(abs(other.start - frame.start) for _, other in alike) * 24
        return f" within {rule.hours:g} h: the nearest is {hours:.0f} h away"
    if of_kind:
        most = Counter(", ".join(_differs(rule, frame, other)) for _, other in of_kind).most_common(1)[0]
        return f": {most[1]} there, but of another {most[0]}"
    return " of this instrument at all"


def _differs(rule: Association, frame: Frame, other: Frame) -> list[str]:
    return [field for field in rule.same if getattr(frame, field) != getattr(other, field)]

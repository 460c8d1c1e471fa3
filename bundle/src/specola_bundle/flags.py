"""Redshift quality flags: a survey's label to components and back.

A label such as ``214.5`` packs four things into one number: a second object in the slit (2), with broad lines (1), a
very secure redshift (4), inside the interval of its photometric redshift (.5). What the decimals mean differs between
surveys, so a label is never kept as a number: it is parsed by its scheme into a `Flag` and rendered from it.

Sources: VIPERS, Garilli et al. 2014 and Scodeggio et al. 2018 (decimals: section 4.2); VANDELS, Garilli et al. 2021;
zCOSMOS, Lilly et al. 2007 and 2009.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["NOT_DETECTED", "SCHEMES", "SECURE", "Flag", "FlagScheme", "components", "parse", "render"]

SECURE = frozenset({2, 3, 4, 8, 9})
"""Confidence classes of the redshifts that a statistical study would use."""

FAKE = -99
NOT_DETECTED = -10


@dataclass(frozen=True)
class Flag:
    """The components of a visual redshift flag, whatever the survey.

    ``confidence`` is the class digit (or -10, -99), ``photoz_agreement`` one of the registry's values or
    None where the label has no decimal, and ``unidentified`` marks the internal labels -2x of a second object in the slit
    that could not be identified (its class digit then says how good the redshift is, not whose it is).
    """

    confidence: int
    broad_line: bool = False
    secondary: bool = False
    photoz_agreement: str | None = None
    unidentified: bool = False

    @property
    def secure(self) -> bool:
        """Whether a statistical study would use the redshift."""
        return self.confidence in SECURE and not self.unidentified


@dataclass(frozen=True)
class FlagScheme:
    """How one survey writes its flags: its class digits and the meaning of its decimals."""

    name: str
    digits: frozenset[int]
    decimals: Mapping[str, str]
    """Decimal digit to agreement with the photometric redshift."""
    within: float | None = None
    """A redshift z this times 1 + z from the photometric one is inside; None where its own interval decides."""
    margin: float = 0.0
    """A redshift this times 1 + the photometric one away is near, though outside of the interval."""

    def agreement(self, z: float | None, photoz: float | None, low: float | None, high: float | None) -> str | None:
        """Agreement with a photometric redshift, one of the values of ``decimals``; None where the scheme has no decimals
        or there is no z.

        Parameters
        ----------
        z
            The spectroscopic redshift.
        photoz
            The photometric one; None or NaN where there is none.
        low, high
            Ends of its interval; where one is not known nothing is inside.
        """
        if not self.decimals or z is None:
            return None
        if photoz is None or math.isnan(photoz):
            return "none"
        if self.within is not None:
            return "inside" if abs(z - photoz) <= self.within * (1 + z) else "incompatible"
        ends = [photoz if end is None or math.isnan(end) else end for end in (low, high)]
        known = not any(end is None or math.isnan(end) for end in (low, high))
        if known and ends[0] <= z <= ends[1]:
            return "inside"
        margin = self.margin * (1 + photoz)
        return "near" if min(photoz - margin, ends[0]) <= z <= max(photoz + margin, ends[1]) else "incompatible"

    def parse(self, label: str) -> Flag:
        """Components of a label; ValueError, with what the scheme allows, where it is no label of the scheme."""
        match = _LABEL.fullmatch(label.strip())
        if match is None:
            raise ValueError(self._complaint(label))
        if match["special"]:
            return Flag(confidence=int(match["special"]))
        digit, decimal = int(match["digit"]), match["decimal"]
        # A column of numbers writes 4 as 4.0, so a decimal of 0 is no decimal.
        if decimal == "0":
            decimal = None
        if digit not in self.digits or (decimal is not None and decimal not in self.decimals):
            raise ValueError(self._complaint(label))
        prefix = match["prefix"] or ""
        if match["sign"] and (prefix != "2" or decimal is not None):
            raise ValueError(self._complaint(label))
        return Flag(
            confidence=digit,
            broad_line=prefix.endswith("1"),
            secondary=prefix.startswith("2"),
            photoz_agreement=None if decimal is None else self.decimals[decimal],
            unidentified=bool(match["sign"]),
        )

    def render(self, flag: Flag) -> str:
        """The label of the components; ValueError where the scheme has no label for them."""
        if flag.confidence in (FAKE, NOT_DETECTED):
            if flag != Flag(confidence=flag.confidence):
                raise ValueError(f"scheme {self.name}: found {flag}, expected nothing beside the class {flag.confidence}")
            return str(flag.confidence)
        if flag.confidence not in self.digits:
            raise ValueError(f"scheme {self.name}: found class {flag.confidence}, expected one of {sorted(self.digits)}")
        label = f"{'2' if flag.secondary else ''}{'1' if flag.broad_line else ''}{flag.confidence}"
        if flag.unidentified:
            if not flag.secondary or flag.broad_line or flag.photoz_agreement is not None:
                raise ValueError(f"scheme {self.name}: found {flag}, expected an unidentified object to be a plain second object")
            return f"-{label}"
        if flag.photoz_agreement is None:
            return label
        for decimal, agreement in self.decimals.items():
            if agreement == flag.photoz_agreement:
                return f"{label}.{decimal}"
        raise ValueError(
            f"scheme {self.name}: found photo-z agreement {flag.photoz_agreement!r}, "
            f"expected one of {', '.join(sorted(self.decimals.values())) or 'none at all'}"
        )

    def _complaint(self, label: str) -> str:
        decimals = "".join(f", .{decimal} {agreement}" for decimal, agreement in self.decimals.items())
        return (
            f"found flag {label!r}, expected a label of scheme {self.name}: prefix 1 (broad lines), 2 (second object) or 21, "
            f"one of the classes {', '.join(map(str, sorted(self.digits)))}{decimals}; or -10, -99, -2x"
        )


_LABEL = re.compile(r"(?P<special>-10|-99)(?:\.0)?|(?P<sign>-)?(?P<prefix>1|21?)?(?P<digit>\d)(?:\.(?P<decimal>\d))?")

SCHEMES: Mapping[str, FlagScheme] = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            FlagScheme(
                "vipers",
                frozenset({0, 1, 2, 3, 4, 9}),
                MappingProxyType({"5": "inside", "4": "near", "2": "incompatible", "1": "none"}),
                margin=0.05,
            ),
            FlagScheme("vandels", frozenset({0, 1, 2, 3, 4, 9}), MappingProxyType({})),
            FlagScheme(
                "zcosmos",
                frozenset({0, 1, 2, 3, 4, 8, 9}),
                MappingProxyType({"5": "inside", "4": "none", "3": "resolved", "1": "incompatible"}),
                within=0.08,
            ),
        )
    }
)
"""The visual schemes by name. The automatic ones (sdss, desi) have bit masks instead, kept in the column warning."""


def parse(scheme: str, label: str) -> Flag:
    """Components of a label of a scheme; ValueError for an unknown scheme or label."""
    return _scheme(scheme).parse(label)


def render(scheme: str, flag: Flag) -> str:
    """Label of the components in a scheme; ValueError where there is none."""
    return _scheme(scheme).render(flag)


def components(scheme: str, label: str) -> dict[str, Any]:
    """The columns of the table redshifts that a label fills: flag_label, flag_scheme, confidence, broad_line, secondary,
    photoz_agreement and secure.
    """
    flag = parse(scheme, label)
    return {
        "flag_label": label.strip(),
        "flag_scheme": scheme,
        "confidence": flag.confidence,
        "broad_line": flag.broad_line,
        "secondary": flag.secondary,
        "photoz_agreement": flag.photoz_agreement,
        "secure": flag.secure,
    }


def _scheme(name: str) -> FlagScheme:
    try:
        return SCHEMES[name]
    except KeyError:
        raise ValueError(f"found flag scheme {name!r}, expected one of {', '.join(SCHEMES)}") from None

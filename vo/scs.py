"""Limits of a cone search's parameters (SCS 1.03, section 2.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gavo import base

__all__ = ["check"]


def check(parameters: Mapping[str, Any]) -> None:
    """Raise ValidationError unless RA, DEC and SR (deg) are a circle on the sphere.

    q3c answers nonsense to a circle of more than a hemisphere, and PostgreSQL's own message to a declination of 95.
    """
    for name, lower, upper in (("RA", -360, 360), ("DEC", -90, 90), ("SR", 0, 180)):
        value = parameters.get(name)
        if value is None:
            continue
        if not (math.isfinite(value) and lower <= value <= upper):
            raise base.ValidationError(f"found {value:g}, expected {lower} to {upper} degrees", name)

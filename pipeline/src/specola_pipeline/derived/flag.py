"""The automatic flag in the scheme of a survey: class digit, prefixes and decimal, or a mask of warnings.

What the class digits mean is in docs/redshifts.md: VIPERS, VANDELS and zCOSMOS tell them by the same shares that are right, so
the calibrated probability gives them (`redshift.confidence`). SDSS (ZWARNING) and DESI (ZWARN, as redrock has it) have bits;
of those whose meaning is the same in both we set four.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specola_bundle.flags import SCHEMES, Flag
from specola_pipeline.redshift.templates import RANGES

__all__ = ["FIT_LIMIT", "NEGATIVE_MODEL", "NO_DATA", "SMALL_GAP", "automatic"]

SMALL_GAP = 1 << 2
"""SMALL_DELTA_CHI2: another redshift fits nearly as well, so that the probability is below 0.8."""
NEGATIVE_MODEL = 1 << 3
"""No template fits with a positive continuum."""
FIT_LIMIT = 1 << 5
"""Z_FITLIMIT: the redshift is at an end of what is searched, or its chi-square has no minimum."""
NO_DATA = 1 << 9
"""NODATA: there is nothing in the spectrum that could be measured."""
_EDGE = 0.002


def automatic(
    record: Mapping[str, Any], scheme: str, *, secondary: bool = False,
    photoz: tuple[float | None, float | None, float | None] = (None, None, None),
) -> dict[str, Any]:  # fmt: skip
    """The columns of the table redshifts that make up the flag.

    Parameters
    ----------
    record
        A summary of a result (`redshift.run.summary`).
    scheme
        A scheme of `specola_bundle.flags`, or sdss or desi.
    secondary
        Whether the object is not the one its slit was put on.
    photoz
        Photometric redshift and the ends of its interval.
    """
    if scheme not in SCHEMES:
        warning = _warning(record)
        return {
            "flag_label": str(warning), "flag_scheme": scheme, "confidence": None, "broad_line": None, "secondary": None,
            "photoz_agreement": None, "warning": warning, "secure": warning == 0,
        }  # fmt: skip
    rules = SCHEMES[scheme]
    confidence, broad = record["confidence"], bool(record["broad_line"])
    if confidence == 9 and broad and 8 in rules.digits:
        # zCOSMOS tells one broad line (18) from one narrow line (9).
        confidence = 8
    # A star has no redshift that a photometric one, which is a galaxy's, could agree with.
    z, kind = record["z"], record["class"]
    agreement = rules.agreement(z, *((None, None, None) if kind == "STAR" else photoz))
    flag = Flag(confidence, broad_line=broad, secondary=secondary, photoz_agreement=agreement)
    return {
        "flag_label": rules.render(flag), "flag_scheme": scheme, "confidence": confidence, "broad_line": broad,
        "secondary": secondary, "photoz_agreement": agreement, "warning": None, "secure": flag.secure,
    }  # fmt: skip


def _warning(record: Mapping[str, Any]) -> int:
    z = record["z"]
    if z is None:
        return NO_DATA if record["snr"] is None else NEGATIVE_MODEL
    warning = SMALL_GAP if record["probability"] < 0.8 else 0
    low, high = RANGES[record["class"]]
    # Stars are searched within the velocities stars have: their ends are no sign of a failure.
    at_end = record["class"] != "STAR" and min(abs(z - low), abs(high - z)) < _EDGE * (1 + z)
    if record["z_err"] is None or (at_end and not abs(z) < _EDGE):
        warning |= FIT_LIMIT
    return warning

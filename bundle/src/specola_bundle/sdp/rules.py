"""What ESO-044286 asks of the keywords of a one-dimensional spectrum, as data, and the check of two headers against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from specola_bundle.errors import Finding

__all__ = ["Breach", "Rule", "check_keywords"]


@dataclass(frozen=True)
class Breach(Finding):
    """A rule of the standard that a file does not hold to."""

    rule: str = ""
    note: bool = False
    """True where it is no fault of the file but worth knowing."""


@dataclass(frozen=True)
class Rule:
    """A keyword: what it must be."""

    kind: type
    expected: str
    test: Callable[[Any], bool] = lambda _value: True
    remedy: str = ""


def _one_of(*words: str) -> Rule:
    return Rule(str, " or ".join(map(repr, words)), lambda value: value in words)


def _between(low: float, high: float, unit: str) -> Rule:
    return Rule(float, f"{low:g} to {high:g} {unit}".rstrip(), lambda value: low <= value <= high)


def _positive(unit: str) -> Rule:
    return Rule(float, f"a positive number {unit}".rstrip(), lambda value: value > 0)


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "-" in text


_TEXT = Rule(str, "some text", lambda value: bool(value.strip()))
_TRUTH = Rule(bool, "T or F")

_PRIMARY: Mapping[str, Rule] = {
    "SIMPLE": _TRUTH, "BITPIX": Rule(int, "8", lambda value: value == 8),
    "NAXIS": Rule(int, "0: the primary HDU has no data", lambda value: value == 0),
    "EXTEND": Rule(bool, "T", lambda value: value is True),
    "DATE": Rule(str, "an ISO 8601 date", _is_date, "give the date the product was made"),
    "PRODCATG": _one_of("SCIENCE.SPECTRUM"), "ORIGIN": _TEXT, "TELESCOP": _TEXT, "INSTRUME": _TEXT, "OBJECT": _TEXT,
    "RA": _between(0, 360, "deg"), "DEC": _between(-90, 90, "deg"), "RADESYS": _one_of("ICRS", "FK5"),
    "EXPTIME": _positive("of seconds"), "TEXPTIME": _positive("of seconds"),
    "MJD-OBS": _between(15000, 100000, "d (MJD)"), "MJD-END": _between(15000, 100000, "d (MJD)"),
    "OBSTECH": _TEXT, "FLUXCAL": _one_of("ABSOLUTE", "UNCALIBRATED"), "PROCSOFT": _TEXT,
    "REFERENC": Rule(str, "a bibcode or DOI, or '' before there is one"),
    "SPECSYS": _one_of("BARYCENT", "HELIOCEN", "TOPOCENT", "LSRK", "LSRD", "GEOCENTR", "GALACTOC", "SOURCE"),
    "CONTNORM": _TRUTH, "TOT_FLUX": _TRUTH,
    "FLUXERR": Rule(float, "0 to 100 per cent, -1 (uncalibrated) or -2 (unknown)", lambda v: 0 <= v <= 100 or v in {-1, -2}),
    "WAVELMIN": _positive("of nm"), "WAVELMAX": _positive("of nm"), "SPEC_BIN": _positive("of nm"),
    "SNR": Rule(float, "a number"), "SPEC_RES": _positive(""), "CHECKSUM": _TEXT, "DATASUM": _TEXT,
}  # fmt: skip

_TABLE: Mapping[str, Rule] = {
    "EXTNAME": _TEXT, "OBJECT": _TEXT, "RA": _between(0, 360, "deg"), "DEC": _between(-90, 90, "deg"),
    "NELEM": Rule(int, "the number of pixels", lambda value: value > 0),
    "VOCLASS": Rule(str, "'SPECTRUM v1.0' or 'SPECTRUM v2.0'", lambda value: value.upper() in {"SPECTRUM V1.0", "SPECTRUM V2.0"}),
    "VOPUB": _one_of("ESO/SAF"), "TITLE": _TEXT,
    "APERTURE": Rule(float, "the slit's width or the fibre's diameter in deg, below 0.1", lambda value: 0 < value < 0.1),
    "TELAPSE": Rule(float, "seconds", lambda value: value >= 0), "TMID": _between(15000, 100000, "d (MJD)"),
    "SPEC_VAL": _positive("of nm"), "SPEC_BW": _positive("of nm"),
    "TFIELDS": Rule(int, "3 columns or more", lambda value: value >= 3), "TDMIN1": _positive(""), "TDMAX1": _positive(""),
    "CHECKSUM": _TEXT, "DATASUM": _TEXT,
}  # fmt: skip

_ESO: Mapping[str, Rule] = {"PROG_ID": _TEXT, "OBID1": Rule(int, "the observation block"), "NCOMBINE": _positive("of exposures"),
                            "PROV1": _TEXT}  # fmt: skip
"""For data of ESO telescopes."""
_EXTERNAL: Mapping[str, Rule] = {"EXT_OBJ": _TRUTH}
"""For all others."""

_FORBIDDEN = re.compile(r"BUNIT|CD\d_\d|CDELT\d+|CONTINUE")
_RESERVED = ("ARCFILE", "ORIGFILE", "P3ORIG")
_PADDED = re.compile(r"(?:PROV|OBID|PROGID|ASSO[NCM])0\d*")
_SAME = ("OBJECT", "RA", "DEC")


def check_keywords(primary: Mapping[str, Any], table: Mapping[str, Any]) -> Iterator[Breach]:
    """Check the keywords of both headers (keyword to value)."""
    eso = str(primary.get("TELESCOP", "")).startswith("ESO")
    yield from _check(0, primary, {**_PRIMARY, **(_ESO if eso else _EXTERNAL)})
    yield from _check(1, table, _TABLE)
    yield from _conditional(primary)
    for hdu, header in enumerate((primary, table)):
        for keyword in header:
            if _FORBIDDEN.fullmatch(keyword):
                yield Breach(f"HDU {hdu}, {keyword}", "the keyword", "none: it is forbidden in spectra", "remove it", "forbidden")
            elif _PADDED.fullmatch(keyword):
                yield Breach(
                    f"HDU {hdu}, {keyword}", "a number with leading zeros", "none", "number them 1, 2, 3 …", "provenance"
                )
    for keyword in _RESERVED:
        if keyword in primary:
            yield Breach(
                f"HDU 0, {keyword}", repr(primary[keyword]), "the keyword in files that come from ESO's archive only",
                "remove it before submitting the file to ESO", "reserved", note=True,
            )  # fmt: skip
    for keyword in _SAME:
        if keyword in primary and keyword in table and primary[keyword] != table[keyword]:
            yield Breach(
                f"HDU 1, {keyword}", repr(table[keyword]), f"{primary[keyword]!r} as in HDU 0", "make them equal", "consistency"
            )


def _check(hdu: int, header: Mapping[str, Any], rules: Mapping[str, Rule]) -> Iterator[Breach]:
    for keyword, rule in rules.items():
        where = f"HDU {hdu}, {keyword}"
        if keyword not in header:
            yield Breach(where, "no such keyword", rule.expected, rule.remedy or "add it, if the value is known", "mandatory")
            continue
        value = header[keyword]
        whole_as_float = rule.kind is float and isinstance(value, int) and not isinstance(value, bool)
        if not isinstance(value, rule.kind) and not whole_as_float:
            yield Breach(where, repr(value), rule.expected, rule.remedy or "write a value of that type", "type")
        elif not rule.test(value):
            yield Breach(where, repr(value), rule.expected, rule.remedy or "correct it", "value")


def _conditional(primary: Mapping[str, Any]) -> Iterator[Breach]:
    if primary.get("RADESYS") == "FK5" and primary.get("EQUINOX") != 2000.0:
        yield Breach("HDU 0, EQUINOX", repr(primary.get("EQUINOX")), "2000.0 beside RADESYS 'FK5'", "add it", "conditional")
    if "TIMESYS" in primary and primary["TIMESYS"] not in {"UTC", "TAI"}:
        yield Breach("HDU 0, TIMESYS", repr(primary["TIMESYS"]), "'UTC' or 'TAI'", "convert the times", "conditional")
    if primary.get("PROG_ID") == "MULTI" and "PROGID1" not in primary:
        yield Breach("HDU 0, PROGID1", "no such keyword", "the programmes behind PROG_ID 'MULTI'", "list them", "conditional")
    for keyword in primary:
        match = re.fullmatch(r"ASSO([NCM])(\d+)", keyword)
        if match and match[1] != "C" and f"ASSOC{match[2]}" not in primary:
            yield Breach(
                f"HDU 0, ASSOC{match[2]}", "no such keyword", f"the category of the file {keyword} names",
                "add it, as in ANCILLARY.2DSPECTRUM", "conditional",
            )  # fmt: skip
    calibration, error = primary.get("FLUXCAL"), primary.get("FLUXERR")
    if calibration == "UNCALIBRATED" and error != -1:
        yield Breach("HDU 0, FLUXERR", repr(error), "-1 beside FLUXCAL 'UNCALIBRATED'", "correct it", "flux")
    if calibration == "ABSOLUTE" and error == -1:
        yield Breach("HDU 0, FLUXERR", repr(error), "0 to 100, or -2, beside FLUXCAL 'ABSOLUTE'", "correct it", "flux")
    if primary.get("TOT_FLUX") is True and calibration != "ABSOLUTE":
        yield Breach("HDU 0, TOT_FLUX", "T", "F where FLUXCAL is not 'ABSOLUTE'", "correct one of them", "flux")

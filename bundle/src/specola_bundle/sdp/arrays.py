"""What ESO-044286 asks of the table of a spectrum: its columns, and the keywords that follow from its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io.votable.ucd import check_ucd

from specola_bundle.fitsio import vounit
from specola_bundle.sdp.columns import FURTHER, is_flux
from specola_bundle.sdp.rules import Breach

__all__ = ["check_columns", "check_numbers"]

_AXES = {"WAVE": ("em.wl", "em.wl;obs.atmos"), "FREQ": ("em.freq",), "ENER": ("em.energy",)}
_TO_NM = {"angstrom": 0.1, "nm": 1.0, "um": 1e3, "micron": 1e3}
_UTYPES = ("Data.SpectralAxis.Value", "Data.FluxAxis.Value", "Data.FluxAxis.Accuracy.StatError")
_FORM = re.compile(r"(\d+)([DEIJKB])")
_SNR_TOLERANCE = 0.01
"""Relative: SNR is rounded by some writers."""
_MIDDLE_TOLERANCE = 1e-4
"""Days: ESO's own files give five decimals."""

Arrays = Mapping[str, npt.NDArray[Any]]


def check_columns(table: Mapping[str, Any]) -> Iterator[Breach]:
    """Check names, order, forms, units, UCDs and utypes of the columns (the table's header, keyword to value)."""
    numbers = range(1, int(table.get("TFIELDS", 0)) + 1)
    names = [str(table.get(f"TTYPE{n}", "")).strip() for n in numbers]
    yield from _order(names)
    for n in numbers:
        for kind in ("TTYPE", "TFORM", "TUNIT", "TUTYP", "TUCD"):
            if f"{kind}{n}" not in table:
                yield Breach(f"HDU 1, {kind}{n}", f"no such keyword for {names[n - 1]}", "it, '' where there is nothing to say",
                             "add it", "mandatory")  # fmt: skip
        form = _FORM.fullmatch(str(table.get(f"TFORM{n}", "")).strip())
        if form is None or int(form[1]) != table.get("NELEM"):
            yield Breach(f"HDU 1, TFORM{n}", repr(table.get(f"TFORM{n}")), f"an array of NELEM = {table.get('NELEM')} numbers",
                         "write all columns with the same number of pixels", "column")  # fmt: skip
        yield from _ucd(n, names[n - 1], str(table.get(f"TUCD{n}", "")).strip())
        unit = str(table.get(f"TUNIT{n}", "")).strip()
        try:
            if unit:
                vounit(unit)
        except ValueError:
            yield Breach(
                f"HDU 1, TUNIT{n}", repr(unit), "a unit that FITS, OGIP or VOUnits know", "write it in base units", "unit"
            )
    if table.get("TUNIT2") != table.get("TUNIT3"):
        yield Breach("HDU 1, TUNIT3", repr(table.get("TUNIT3")), f"that of FLUX, {table.get('TUNIT2')!r}", "convert ERR", "unit")
    yield from _model(table, names)


def _order(names: list[str]) -> Iterator[Breach]:
    wanted = ("WAVE, FREQ or ENER", "FLUX", "ERR")
    for place, expected in enumerate(wanted):
        found = names[place] if place < len(names) else "no column"
        good = found in _AXES if place == 0 else re.fullmatch(rf"{expected}(_\w+)?", found)
        if not good:
            yield Breach(f"HDU 1, TTYPE{place + 1}", repr(found), expected, "order the columns", "column")
    there = [name for name in names if name in FURTHER]
    if there != sorted(there, key=FURTHER.index):
        yield Breach(
            "HDU 1, columns", ", ".join(there), ", ".join(n for n in FURTHER if n in there), "order the columns", "column"
        )
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Breach(f"HDU 1, column {name}", "more than one", "one", "rename the others", "column")


def _ucd(number: int, name: str, ucd: str) -> Iterator[Breach]:
    where = f"HDU 1, TUCD{number}"
    if ucd and not check_ucd(ucd, check_controlled_vocabulary=True):
        yield Breach(where, repr(ucd), "a UCD1+", "choose words of the IVOA's list", "ucd")
    elif name in _AXES and ucd not in _AXES[name]:
        yield Breach(where, repr(ucd), " or ".join(map(repr, _AXES[name])), "say whether air or vacuum", "ucd")
    elif number == 2 and not ucd.startswith("phot."):
        yield Breach(where, repr(ucd), "that of a flux, phot.…", "correct it", "ucd")
    elif number == 3 and not ucd.startswith("stat.error;phot."):
        yield Breach(where, repr(ucd), "that of a flux's error, stat.error;phot.…", "correct it", "ucd")


def _model(table: Mapping[str, Any], names: list[str]) -> Iterator[Breach]:
    ucds = [str(table.get(f"TUCD{n}", "")).strip() for n in range(1, len(names) + 1)]
    several = any(is_flux(name, ucd) for name, ucd in zip(names, ucds, strict=True))
    second = str(table.get("VOCLASS", "")).upper().endswith("V2.0")
    if several and not second:
        yield Breach("HDU 1, VOCLASS", repr(table.get("VOCLASS")), "'SPECTRUM v2.0' for several fluxes", "correct it", "utype")
    prefix = "spec:" if second else "Spectrum."
    for number, utype in enumerate(_UTYPES, start=1):
        found = str(table.get(f"TUTYP{number}", "")).strip()
        if f"TUTYP{number}" in table and found != prefix + utype:
            yield Breach(f"HDU 1, TUTYP{number}", repr(found), repr(prefix + utype), "correct it", "utype")
    if not second:
        return
    for number, (name, ucd) in enumerate(zip(names, ucds, strict=True), start=1):
        wanted = number in {2, 3}
        if ("meta.main" in ucd.split(";")) != wanted:
            expected = f"{'' if wanted else 'no '}meta.main: FLUX and ERR are the main ones"
            yield Breach(f"HDU 1, TUCD{number}", repr(ucd), expected, "correct it", "ucd")
        utype = str(table.get(f"TUTYP{number}", "")).strip()
        if number > 3 and is_flux(name, ucd) and not utype.startswith("eso:Data."):
            yield Breach(
                f"HDU 1, TUTYP{number}", repr(utype), "'eso:Data.…' for what is not the main flux", "correct it", "utype"
            )


def check_numbers(primary: Mapping[str, Any], table: Mapping[str, Any], arrays: Arrays) -> Iterator[Breach]:
    """Check the arrays (by column name, shape (n_pixels,)) and what the headers say of them."""
    yield from _times(primary, table)
    names = list(arrays)
    for name, values in arrays.items():
        infinite = np.flatnonzero(np.isinf(values)) if values.dtype.kind == "f" else np.zeros(0, int)
        if infinite.size:
            yield Breach(f"HDU 1, {name}", f"Inf in pixel {infinite[0] + 1}", "finite numbers or NaN", "write NaN", "numbers")
    factor = _TO_NM.get(str(table.get("TUNIT1", "")).strip().lower())
    if names[0] == "WAVE" and factor is None:
        yield Breach("HDU 1, TUNIT1", repr(table.get("TUNIT1")), f"one of {', '.join(_TO_NM)}", "convert WAVE", "unit")
    elif names[0] == "WAVE" and factor is not None:
        yield from _axis(primary, table, arrays["WAVE"].astype(np.float64), factor)
    yield from _normalised(primary, table)
    if len(names) > 2:
        yield from _noise(primary, arrays, names)


def _times(primary: Mapping[str, Any], table: Mapping[str, Any]) -> Iterator[Breach]:
    start, end = _number(primary, "MJD-OBS"), _number(primary, "MJD-END")
    exposure, total = _number(primary, "EXPTIME"), _number(primary, "TEXPTIME")
    if None not in {exposure, total} and total < exposure:  # type: ignore[operator]
        yield Breach("HDU 0, TEXPTIME", f"{total} s", f"at least EXPTIME, {exposure} s", "sum all exposures", "time")
    if start is None or end is None:
        return
    if end < start:
        yield Breach("HDU 0, MJD-END", repr(end), f"MJD-OBS, {start!r}, or later", "correct one of them", "time")
    elapsed, middle = _number(table, "TELAPSE"), _number(table, "TMID")
    wanted = (end - start) * 86400.0
    if elapsed is not None and abs(elapsed - wanted) > 0.1:
        yield Breach("HDU 1, TELAPSE", f"{elapsed} s", f"MJD-END less MJD-OBS, {wanted:.3f} s", "compute it anew", "time")
    if elapsed is not None and total is not None and elapsed < total - 0.1:
        yield Breach("HDU 1, TELAPSE", f"{elapsed} s", f"at least TEXPTIME, {total} s", "check MJD-OBS and MJD-END", "time")
    if middle is not None and abs(middle - (start + end) / 2.0) > _MIDDLE_TOLERANCE:
        yield Breach("HDU 1, TMID", repr(middle), f"{(start + end) / 2.0!r}", "compute it anew", "time")


def _axis(primary: Mapping[str, Any], table: Mapping[str, Any], wave: npt.NDArray[np.float64], factor: float) -> Iterator[Breach]:
    bad = np.flatnonzero(~np.isfinite(wave))
    falls = np.flatnonzero(np.diff(wave) <= 0)
    if bad.size or falls.size:
        pixel = int(bad[0] if bad.size else falls[0] + 1)
        yield Breach(
            "HDU 1, WAVE",
            f"{wave[pixel]} in pixel {pixel + 1}",
            "finite, strictly increasing numbers",
            "order the pixels",
            "axis",
        )
        return
    low, high = wave[0] * factor, wave[-1] * factor
    slack = 1e-6 * high
    least, most = _number(primary, "WAVELMIN"), _number(primary, "WAVELMAX")
    for keyword, value in (("WAVELMIN", least), ("WAVELMAX", most)):
        if value is not None and not low - slack <= value <= high + slack:
            yield Breach(f"HDU 0, {keyword}", f"{value} nm", f"inside the axis, {low:.6g} to {high:.6g} nm", "correct it", "axis")
    if least is not None and most is not None:
        for keyword, wanted in (("SPEC_VAL", (least + most) / 2), ("SPEC_BW", most - least)):
            value = _number(table, keyword)
            if value is not None and abs(value - wanted) > slack:
                yield Breach(
                    f"HDU 1, {keyword}", f"{value} nm", f"{wanted:.6f} nm", "compute it from WAVELMIN and WAVELMAX", "axis"
                )
    yield from _sampling(primary, table, wave, factor)


def _sampling(
    primary: Mapping[str, Any], table: Mapping[str, Any], wave: npt.NDArray[np.float64], factor: float
) -> Iterator[Breach]:
    for keyword, wanted in (("TDMIN1", wave[0]), ("TDMAX1", wave[-1])):
        value = _number(table, keyword)
        if value is not None and abs(value - wanted) > 1e-6 * wave[-1]:
            yield Breach(f"HDU 1, {keyword}", repr(value), f"{wanted!r} as in WAVE", "correct it", "axis")
    step = _number(primary, "SPEC_BIN")
    if step is not None and wave.size > 1:
        median = float(np.median(np.diff(wave))) * factor
        if not 0.5 * median <= step <= 1.5 * median:
            yield Breach("HDU 0, SPEC_BIN", f"{step} nm", f"about the median step, {median:.6g} nm", "correct it", "axis")


def _normalised(primary: Mapping[str, Any], table: Mapping[str, Any]) -> Iterator[Breach]:
    if primary.get("CONTNORM") is True:
        if str(table.get("TUNIT2", "")).strip():
            yield Breach("HDU 1, TUNIT2", repr(table["TUNIT2"]), "'' for a normalised flux", "correct it", "flux")
        if "arith.ratio" not in str(table.get("TUCD2", "")):
            yield Breach("HDU 1, TUCD2", repr(table.get("TUCD2")), "arith.ratio in it for a normalised flux", "add it", "flux")


def _noise(primary: Mapping[str, Any], arrays: Arrays, names: list[str]) -> Iterator[Breach]:
    flux, err = (arrays[name].astype(np.float64) for name in names[1:3])
    if "QUAL" in arrays:
        quality = arrays["QUAL"]
        if quality.dtype.kind not in "iu":
            yield Breach("HDU 1, QUAL", f"numbers of {quality.dtype}", "whole numbers", "write 0 for good pixels", "numbers")
            return
        good = quality == 0
        wrong = np.flatnonzero(good & ~(np.isfinite(flux) & (err > 0)))
        if wrong.size:
            first = int(wrong[0])
            found = f"flux {flux[first]} and error {err[first]} in pixel {first + 1}, where QUAL is 0"
            yield Breach(f"HDU 1, {names[2]}", found, "a finite flux, a positive error", "mark the pixel in QUAL", "numbers")
            return
    else:
        good = np.isfinite(flux) & (err > 0)
    value = _number(primary, "SNR")
    if value is None or not good.any():
        return
    median = float(np.median(flux[good] / err[good]))
    if abs(value - median) > max(_SNR_TOLERANCE * abs(median), 1e-3):
        yield Breach(
            "HDU 0, SNR",
            f"{value:.6g}",
            f"the median of {names[1]}/{names[2]} where QUAL is 0, {median:.6g}",
            "compute it anew",
            "snr",
        )


def _number(header: Mapping[str, Any], keyword: str) -> float | None:
    value = header.get(keyword)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

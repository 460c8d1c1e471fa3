"""The two headers of a spectrum file, from its row of the manifest.

What the source does not know is left out and never invented: a spectrum without a position has no RA, and `specola validate`
says so. Keywords beyond the standard: SPECID (the identifier), SIMULATE, DISPELEM, WAVEMED (air or vacuum in a word; the UCD of
WAVE says it too), NOISEDEF (what ERR is).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from specola_bundle.fitsbytes import Card
from specola_bundle.sdp.columns import Field

__all__ = ["one_line", "primary_cards", "table_cards"]

_POINTLIKE = {"QSO", "STAR"}
_LONGEST = 68
"""Characters of the longest string that needs no CONTINUE, which the standard forbids."""


def one_line(text: str) -> str:
    """As much of a text as one card holds; a quote in it takes two places."""
    text = text[:_LONGEST]
    while len(text) + text.count("'") > _LONGEST:
        text = text[:-1]
    return text.rstrip()


def _given(*cards: Card) -> Iterator[Card]:
    return (card for card in cards if card[1] is not None)


def primary_cards(row: Mapping[str, Any], cards: Mapping[str, Any]) -> Iterator[Card]:
    """The primary header.

    Parameters
    ----------
    row
        The spectrum's row of the manifest.
    cards
        Further cards, keyword to value or (value, comment); they replace those of the same keyword, and None takes one away.
    """
    get = row.get
    snr = get("snr")
    absolute = get("flux_calib") == "ABSOLUTE"
    frame = get("wave_frame")
    standard: tuple[Card, ...] = (
        ("SIMPLE", True, "conforms to FITS standard"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 0, "number of array dimensions"),
        ("EXTEND", True, ""),
        ("DATE", _iso(get("created")), "Date of the data product"),
        ("PRODCATG", "SCIENCE.SPECTRUM", "Data product category"),
        ("ORIGIN", get("facility"), "Where the data come from"),
        ("TELESCOP", get("facility"), "Telescope"),
        ("INSTRUME", get("instrument"), "Instrument"),
        ("DISPELEM", get("disperser"), "Dispersive element"),
        ("OBJECT", get("target_name"), "Target designation"),
        ("SPECID", get("spectrum_id"), "Identifier of the spectrum in the survey"),
        ("SIMULATE", bool(get("simulated")), "T if the data are simulated"),
        ("RA", get("ra"), "[deg] Right ascension of the target"),
        ("DEC", get("dec"), "[deg] Declination of the target"),
        ("RADESYS", "ICRS", "Frame of RA and DEC"),
        ("EXPTIME", get("exptime"), "[s] Total integration time per pixel"),
        ("TEXPTIME", get("exptime"), "[s] Total integration time of all exposures"),
        ("TIMESYS", "UTC", "Time system"),
        ("MJD-OBS", get("t_min"), "[d] Start of observation (UTC)"),
        ("MJD-END", get("t_max"), "[d] End of observation (UTC)"),
        ("NCOMBINE", get("n_exposures"), "Number of combined exposures"),
        ("OBSTECH", "MOS", "Technique of observation"),
        ("FLUXCAL", "ABSOLUTE" if absolute else "UNCALIBRATED", _calibration(get("flux_calib"))),
        ("FLUXERR", -2.0 if absolute else -1.0, "[percent] Error of the flux scale; -2 unknown, -1 none"),
        ("TOT_FLUX", False, "T if all of the source's flux is captured"),
        ("EXT_OBJ", get("target_class") not in _POINTLIKE, "F if the source is known to be pointlike"),
        ("PROCSOFT", None, "Software that reduced the data"),
        ("REFERENC", get("reference") or "", "Reference"),
        ("SPECSYS", None if frame == "UNKNOWN" else frame, "Frame of the wavelengths"),
        ("CONTNORM", get("flux_calib") == "NORMALIZED", "T if normalised to the continuum"),
        ("WAVELMIN", row["wave_min"] / 10.0, "[nm] Minimum wavelength"),
        ("WAVELMAX", row["wave_max"] / 10.0, "[nm] Maximum wavelength"),
        ("SPEC_BIN", None if get("wave_bin") is None else row["wave_bin"] / 10.0, "[nm] Wavelength bin size"),
        ("SNR", None if snr is None else float(snr), "Median S/N per pixel where QUAL is 0"),
        ("SPEC_RES", get("res_power"), "Spectral resolving power"),
    )
    own = {keyword: value if isinstance(value, tuple) else (value, "") for keyword, value in cards.items()}
    for keyword, value, comment in standard:
        if keyword in own:
            other, text = own.pop(keyword)
            yield from _given((keyword, other, text or comment))
        else:
            yield from _given((keyword, value, comment))
    for keyword, (value, comment) in own.items():
        yield from _given((keyword, value, comment))


def _calibration(kind: str | None) -> str:
    """What the standard's two words do not tell."""
    return {"RELATIVE": "relative fluxes only", "NORMALIZED": "normalised to the continuum"}.get(kind or "", "Flux calibration")


def _iso(value: Any) -> str | None:
    return (
        value.isoformat(timespec="seconds")
        if isinstance(value, datetime)
        else value.isoformat()
        if isinstance(value, date)
        else value
    )


def table_cards(row: Mapping[str, Any], model: str, fields: Sequence[Field], size: int) -> Iterator[Card]:
    """The header of the table.

    Parameters
    ----------
    row
        The spectrum's row of the manifest.
    model, fields
        What `specola_bundle.sdp.columns.marked` gives.
    size
        Bytes of the table's row.
    """
    wave = fields[0].data
    yield from (
        ("XTENSION", "BINTABLE", "binary table extension"),
        ("BITPIX", 8, "array data type"),
        ("NAXIS", 2, "number of array dimensions"),
        ("NAXIS1", size, "length of dimension 1"),
        ("NAXIS2", 1, "length of dimension 2"),
        ("PCOUNT", 0, "number of group parameters"),
        ("GCOUNT", 1, "number of groups"),
        ("TFIELDS", len(fields), "number of table fields"),
    )
    for number, one in enumerate(fields, start=1):
        yield f"TTYPE{number}", one.name, one.description
        yield f"TFORM{number}", one.form, ""
        yield f"TUNIT{number}", one.unit, ""
        yield f"TUTYP{number}", one.utype, ""
        yield f"TUCD{number}", one.ucd, ""
    start, end = row.get("t_min"), row.get("t_max")
    elapsed = middle = None
    if start is not None and end is not None:
        elapsed, middle = (end - start) * 86400.0, (start + end) / 2.0
    yield from _given(
        ("EXTNAME", "SPECTRUM", "extension name"),
        ("VOCLASS", model, "VO data model"),
        ("VOPUB", "ESO/SAF", "VO publishing authority, as ESO-044286 has it"),
        ("TITLE", one_line(row["title"]), "Title of the data set"),
        ("OBJECT", row["target_name"], "Target designation"),
        ("RA", row.get("ra"), "[deg] Right ascension of the target"),
        ("DEC", row.get("dec"), "[deg] Declination of the target"),
        ("APERTURE", row.get("aperture"), "[deg] Slit width or fibre diameter"),
        ("TELAPSE", elapsed, "[s] MJD-END less MJD-OBS"),
        ("TMID", middle, "[d] Middle of the observation (MJD)"),
        ("NELEM", int(wave.size), "Number of pixels"),
        ("WAVEMED", row["wave_medium"], "Medium of the wavelengths: vacuum or air"),
        ("NOISEDEF", "STDDEV", "ERR: 1 sigma a pixel, without covariance"),
        ("SPEC_VAL", (row["wave_min"] + row["wave_max"]) / 20.0, "[nm] Mean wavelength"),
        ("SPEC_BW", (row["wave_max"] - row["wave_min"]) / 10.0, "[nm] Bandwidth"),
        ("TDMIN1", float(wave[0]), "First wavelength"),
        ("TDMAX1", float(wave[-1]), "Last wavelength"),
    )

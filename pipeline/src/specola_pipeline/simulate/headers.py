"""ESO's headers of raw VIMOS frames, as its data interface dictionaries have them; all that ESO's recipes read is there."""

from __future__ import annotations

import datetime as dt
import math

from astropy.io import fits

from specola_pipeline.instruments import Grism, Instrument, Kind
from specola_pipeline.simulate.ccd import GAIN, READ_NOISE
from specola_pipeline.simulate.mask import Mask

__all__ = ["SECONDS", "header", "name"]

DPR = {
    Kind.BIAS: ("CALIB", "BIAS", "IMAGE"),
    Kind.FLAT: ("CALIB", "FLAT,LAMP", "MOS"),
    Kind.ARC: ("CALIB", "WAVE,LAMP", "MOS"),
    Kind.STANDARD: ("CALIB", "STD", "MOS"),
    Kind.SCIENCE: ("SCIENCE", "OBJECT", "MOS"),
}
"""Data product category, type and technique of each kind of frame."""
TEMPLATE = {
    Kind.BIAS: "VIMOS_mos_cal_Bias",
    Kind.FLAT: "VIMOS_mos_cal_NightCalib",
    Kind.ARC: "VIMOS_mos_cal_NightCalib",
    Kind.STANDARD: "VIMOS_mos_cal_Specphot",
    Kind.SCIENCE: "VIMOS_mos_obs_Offset",
}
SECONDS = 86400.0
MM_PER_ARCSEC = 0.578
"""Of VIMOS' focal plane, where the masks are."""
EPOCH = dt.datetime(1858, 11, 17)  # noqa: DTZ001 - the zero of MJD (UTC), without a zone so that it prints as FITS has it


def _iso(mjd: float) -> str:
    return (EPOCH + dt.timedelta(days=mjd)).isoformat(timespec="milliseconds")


def name(mjd: float, quadrant: int) -> str:
    """A file's name as ESO's archive gives it."""
    return f"VIMOS.{_iso(mjd).replace(':', '_')}.Q{quadrant}"


def header(
    instrument: Instrument,
    grism: Grism,
    quadrant: int,
    kind: Kind,
    mask: Mask,
    mjd: float,
    exptime: float,
    *,
    target: str,
    where: tuple[float, float],
    airmass: float,
    seeing: float,
    exposure: tuple[int, int],
) -> fits.Header:
    """The primary header of one frame.

    Args:
        instrument: its site and slit geometry are written.
        grism: in the beam.
        quadrant: 1 to 4.
        kind: of the frame.
        mask: in the focal plane.
        mjd: start, UTC.
        exptime: s.
        target: name of what is observed.
        where: right ascension and declination of the field's centre, degrees.
        airmass: at the start.
        seeing: arcsec, as the DIMM saw it.
        exposure: number of this frame in its template, and of how many.
    """
    catg, dpr_type, tech = DPR[kind]
    cards = fits.Header()
    cards["ORIGIN"], cards["TELESCOP"], cards["INSTRUME"] = "ESO", instrument.telescope, "VIMOS"
    cards["OBJECT"] = target if kind in {Kind.SCIENCE, Kind.STANDARD} else dpr_type
    cards["RA"] = (where[0], "[deg] pointing (J2000.0)")
    cards["DEC"] = (where[1], "[deg] pointing (J2000.0)")
    cards["EQUINOX"], cards["RADESYS"] = 2000.0, "FK5"
    cards["EXPTIME"] = (float(exptime), "[s] integration time")
    cards["MJD-OBS"] = (round(mjd, 8), "start")
    cards["DATE-OBS"], cards["DATE"] = _iso(mjd), _iso(mjd + exptime / SECONDS)
    cards["UTC"] = (mjd % 1) * SECONDS
    cards["LST"] = _sidereal(mjd, instrument.site.longitude)
    cards["PI-COI"], cards["OBSERVER"] = "SIMULATED", "specola-reduce simulate"
    _wcs(cards, where, instrument.detector(quadrant).pixel_scale)
    eso = {
        "OBS ID": 200000000 + mask.identifier,
        "OBS NAME": f"mask_{mask.identifier}",
        "OBS TARG NAME": target,
        "OBS PROG ID": "000.A-0000(A)",
        "DPR CATG": catg,
        "DPR TYPE": dpr_type,
        "DPR TECH": tech,
        "TPL ID": TEMPLATE[kind],
        "TPL EXPNO": exposure[0],
        "TPL NEXP": exposure[1],
        "TPL START": _iso(mjd),
        "OCS CON QUAD": quadrant,
        "OCS DID": "ESO-VLT-DIC.VIMOS_OCS-1.0",
        "DET CHIPS": 1,
        "DET CHIP1 ID": f"CCD44-82-{quadrant}",
        "DET CHIP1 PSZX": 15.0,
        "DET CHIP1 PSZY": 15.0,
        "DET CHIP1 NX": 2048,
        "DET CHIP1 NY": 4096,
        "DET OUTPUTS": 1,
        "DET OUT1 ID": "L",
        "DET OUT1 X": 1,
        "DET OUT1 Y": 1,
        "DET OUT1 NX": 2048,
        "DET OUT1 NY": 4096,
        "DET OUT1 PRSCX": 50,
        "DET OUT1 PRSCY": 0,
        "DET OUT1 OVSCX": 50,
        "DET OUT1 OVSCY": 0,
        "DET OUT1 CONAD": GAIN,
        "DET OUT1 GAIN": 1 / GAIN,
        "DET OUT1 RON": READ_NOISE,
        "DET READ CLOCK": "210Kps/2port/high_gain",
        "DET READ MODE": "normal",
        "DET READ SPEED": "normal",
        "DET WIN1 BINX": 1,
        "DET WIN1 BINY": 1,
        "DET WIN1 NX": 2148,
        "DET WIN1 NY": 4096,
        "DET WIN1 STRX": 1,
        "DET WIN1 STRY": 1,
        "DET WIN1 DIT1": float(exptime),
        "INS MODE": "MOS",
        "INS PIXSCALE": instrument.detector(quadrant).pixel_scale,
        f"INS FOCU{quadrant} TEMP": 11.5,
        "TEL AIRM START": airmass,
        "TEL AIRM END": airmass + 0.01,
        "TEL AMBI FWHM START": seeing,
        "TEL AMBI FWHM END": seeing,
        "TEL AMBI TEMP": 11.5,
        "TEL AMBI PRES START": 743.0,
        "TEL FOCU SCALE": round(1 / MM_PER_ARCSEC, 4),
        "TEL GEOLAT": instrument.site.latitude,
        "TEL GEOLON": instrument.site.longitude,
        "TEL GEOELEV": instrument.site.height,
        "ADA POSANG": 90.0,
    }
    for key, value in eso.items():
        cards[f"HIERARCH ESO {key}"] = value
    _lamps(cards, kind, instrument)
    if kind is not Kind.BIAS:
        cards[f"HIERARCH ESO INS GRIS{quadrant} NAME"] = grism.name
        cards[f"HIERARCH ESO INS GRIS{quadrant} ID"] = f"GR{quadrant}_{grism.name}"
        cards[f"HIERARCH ESO INS FILT{quadrant} NAME"] = grism.filters[0] if grism.filters else "FREE"
        cards[f"HIERARCH ESO INS FILT{quadrant} ID"] = f"FI{quadrant}_{grism.filters[0] if grism.filters else 'FREE'}"
        _slits(cards, mask, quadrant, where)
    return cards


def _sidereal(mjd: float, longitude: float) -> float:
    """Local mean sidereal time, s of sidereal time (IAU 1982, short form)."""
    return float((280.46061837 + 360.98564736629 * (mjd - 51544.5) + longitude) % 360 * 240)


def _wcs(cards: fits.Header, where: tuple[float, float], scale: float) -> None:
    cards["CTYPE1"], cards["CTYPE2"] = "RA---TAN", "DEC--TAN"
    cards["CRVAL1"], cards["CRVAL2"] = where
    cards["CRPIX1"], cards["CRPIX2"] = 1074.5, 2048.5
    cards["CDELT1"], cards["CDELT2"] = -scale / 3600, scale / 3600
    cards["CD1_1"], cards["CD1_2"], cards["CD2_1"], cards["CD2_2"] = -scale / 3600, 0.0, 0.0, scale / 3600
    cards["CUNIT1"], cards["CUNIT2"] = "deg", "deg"


def _lamps(cards: fits.Header, kind: Kind, instrument: Instrument) -> None:
    for lamp in instrument.lamps:
        on = (kind is Kind.ARC and bool(lamp.lines)) or (kind is Kind.FLAT and not lamp.lines)
        if lamp.name_keyword:
            cards[f"HIERARCH {lamp.name_keyword}"] = lamp.name
        cards[f"HIERARCH {lamp.state}"] = "ON" if on else "OFF"


def _slits(cards: fits.Header, mask: Mask, quadrant: int, where: tuple[float, float]) -> None:
    ids = {
        f"MASK{quadrant} ID": mask.identifier,
        "ADF ID": f"ADM_{mask.identifier}_Q{quadrant}",
        "ADF TYPE": "MOS",
        "ADF UNIT": "MM",
    }
    counts = {"REF NO": 0, "ARC NO": 0, "SHU NO": 0, "SLIT NO": len(mask.slits)}
    for key, value in {**ids, **counts}.items():
        cards[f"HIERARCH ESO INS {key}"] = value
    for number, slit in enumerate(mask.slits, 1):
        along = [source.along for source in mask.sources if source.slit == slit.identifier][:1] or [0.0]
        degrees = MM_PER_ARCSEC * 3600
        values = {
            "TYPE": "RECTANGLE",
            "ID": slit.identifier,
            "X": slit.x,
            "Y": slit.y,
            "DIMX": slit.length,
            "DIMY": slit.width,
            "OBJ RA": where[0] - (slit.x / degrees + along[0] / 3600) / math.cos(math.radians(where[1])),
            "OBJ DEC": where[1] + slit.y / degrees,
        }
        for key, value in values.items():
            cards[f"HIERARCH ESO INS SLIT{number} {key}"] = round(value, 6) if isinstance(value, float) else value

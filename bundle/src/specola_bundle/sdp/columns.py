"""The array columns of a Science Data Product spectrum: names, UCDs, utypes, and the version of the data model they need.

One flux with what goes with it is 'SPECTRUM v1.0'. A file with several fluxes (before and after a correction, a model …) is
'SPECTRUM v2.0': the main ones have utypes ``spec:Data.…`` and ``meta.main`` in their UCDs, the others ``eso:Data.…``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FURTHER", "MAIN", "Field", "flux_ucd", "is_flux", "marked", "spectral_ucd", "voclass"]

MAIN = ("WAVE", "FLUX", "ERR")
"""The first three columns, in this order."""
FURTHER = ("QUAL", "BGFLUX", "CONTINUUM", "EXPOSURE")
"""Further columns the standard names, in this order where they are there."""

_MAIN_UTYPES = {
    "WAVE": "Data.SpectralAxis.Value",
    "FLUX": "Data.FluxAxis.Value",
    "ERR": "Data.FluxAxis.Accuracy.StatError",
    "QUAL": "Data.FluxAxis.Accuracy.QualityStatus",
}
_OTHER_UTYPES = {"BGFLUX": "Data.BackgroundModel.Value"}
_CODES = {"f4": "E", "f8": "D", "i2": "I", "i4": "J", "i8": "K", "u1": "B"}


@dataclass(frozen=True)
class Field:
    """A column of the table, shape (n_pixels,): its description and its values."""

    name: str
    data: npt.NDArray[Any]
    unit: str
    """As FITS spells it."""
    ucd: str
    utype: str = ""
    description: str = ""

    @property
    def form(self) -> str:
        """Its TFORM; ValueError for a type that FITS tables do not have."""
        code = _CODES.get(self.data.dtype.str[1:])
        if code is None:
            raise ValueError(f"column {self.name}: found arrays of {self.data.dtype}, expected one of {', '.join(_CODES)}")
        return f"{self.data.size}{code}"


def spectral_ucd(medium: str) -> str:
    """UCD of a wavelength axis: air wavelengths are marked with obs.atmos (SSA 1.1, section 4.2.5.11)."""
    return "em.wl;obs.atmos" if medium == "air" else "em.wl"


def flux_ucd(unit: str, calibration: str = "") -> str:
    """UCD of the flux axis: a ratio where it is normalised, counts where its unit is one, else flux density per wavelength."""
    if calibration == "NORMALIZED":
        return "phot.flux.density;em.wl;arith.ratio"
    return "phot.count" if unit in {"ct", "count", "adu", "electron", ""} else "phot.flux.density;em.wl"


def is_flux(name: str, ucd: str) -> bool:
    """Whether a column is a flux of its own beside the main one (sky and continuum belong to that one)."""
    return name not in {*MAIN, *FURTHER} and ucd.startswith("phot.")


def voclass(columns: Iterable[tuple[str, str]]) -> str:
    """The data model of a file by its columns (name, UCD)."""
    return "SPECTRUM v2.0" if any(is_flux(name, ucd) for name, ucd in columns) else "SPECTRUM v1.0"


def marked(fields: Sequence[Field]) -> tuple[str, list[Field]]:
    """The data model, and the columns in the standard's order with the utypes and UCDs it asks for."""
    model = voclass((one.name, one.ucd) for one in fields)
    several = model.endswith("2.0")
    order = (*MAIN, *FURTHER)
    ranked = sorted(fields, key=lambda one: order.index(one.name) if one.name in order else len(order))
    found = []
    for one in ranked:
        utype, ucd = "", one.ucd
        if one.name in _MAIN_UTYPES:
            utype = f"{'spec:' if several else 'Spectrum.'}{_MAIN_UTYPES[one.name]}"
            if several and one.name in {"FLUX", "ERR"}:
                ucd += ";meta.main"
        elif one.name in _OTHER_UTYPES:
            utype = f"{'eso:' if several else 'Spectrum.'}{_OTHER_UTYPES[one.name]}"
        elif is_flux(one.name, one.ucd):
            utype = "eso:Data.FluxAxis.Value"
        found.append(Field(one.name, np.asarray(one.data), one.unit, ucd, utype, one.description))
    return model, found

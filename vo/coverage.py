"""What a release covers on the sky, in time and in wavelength, for its records in the registry (VODataService 1.2).

`dachs limits` does this, too, but on connections of its own, which do not see what a transaction has not committed yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gavo import base

__all__ = ["MOC_ORDER", "write"]

MOC_ORDER = 8
"""HEALPix order of the spatial coverage: cells of 14 arcminutes, about a quadrant of VIMOS."""
MOST_CELLS = 20000
"""A coverage of more cells than this is written at a lower order: every record of the release carries it."""

_PLACES = (
    "SELECT DISTINCT healpix_nest({order}, spoint(radians(ra), radians(dec))) FROM {table}"
    " WHERE ra IS NOT NULL AND dec IS NOT NULL"
)


def write(rd: Any, tables: Mapping[str, Any], connection: Any) -> None:
    """Put the coverage of the release of an RD where DaCHS looks for it (dc.rdmeta), through ``connection``."""
    values = {"spatial": _spatial(tables, connection), "temporal": None, "spectral": None}
    if "spectra" in tables:
        name = tables["spectra"].tableDef.getQName()
        limits = next(iter(connection.query(f"SELECT min(t_min), max(t_max), min(wave_min), max(wave_max) FROM {name}")))  # noqa: S608
        if limits[0] is not None and limits[1] is not None:
            values["temporal"] = [limits[0], limits[1]]
        if limits[2]:
            # energies in J, of wavelengths in Angstrom
            values["spectral"] = [base.PLANCK_H * base.LIGHT_C / (wave * 1e-10) for wave in (limits[3], limits[2])]
    connection.execute(
        "UPDATE dc.rdmeta SET spatial=%(spatial)s, temporal=%(temporal)s, spectral=%(spectral)s WHERE sourcerd=%(rd)s",
        {**values, "rd": rd.sourceId},
    )


def _spatial(tables: Mapping[str, Any], connection: Any) -> str | None:
    """The MOC (ASCII) of all positions of the spectra, or of the release's other objects where there are no spectra."""
    named = next((n for n in ("spectra", "redshifts", "photometry", "pointings") if n in tables and _placed(tables[n])), None)
    if named is None:
        return None
    for order in range(MOC_ORDER, -1, -1):
        query = _PLACES.format(order=order, table=tables[named].tableDef.getQName())
        cells = sorted(row[0] for row in connection.query(query))
        if len(cells) <= MOST_CELLS:
            break
    if not cells:
        return None
    # PostgreSQL joins the cells to larger ones where it can
    return str(next(iter(connection.query("SELECT smoc(%(moc)s)::text", {"moc": f"{order}/" + ",".join(map(str, cells))})))[0])


def _placed(table: Any) -> bool:
    return "ra" in table.tableDef and "dec" in table.tableDef

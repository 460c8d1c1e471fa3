"""The columns of the mock that the registry does not have, and those of the registry that it leaves out."""

from __future__ import annotations

import functools
from typing import Any

from ingest.mock.parent import KINDS
from ingest.mock.templates import BANDS
from specola_bundle.registry import Column, Table, table_of

__all__ = ["EXTENSIONS", "HEADS", "definition", "present"]

EM_BAND = {"u": "em.opt.U", "g": "em.opt.B", "r": "em.opt.R", "i": "em.opt.I", "z": "em.opt.I"}

EXTENSIONS: dict[str, tuple[Column, ...]] = {
    "photometry": (
        *(
            column
            for band in BANDS
            for column in (
                Column(f"mag_{band}", "real", f"Simulated magnitude in {band} (AB); NULL where not detected.",
                       unit="mag", ucd=f"phot.mag;{EM_BAND[band]}", min=10, max=40),
                Column(f"mag_{band}_err", "real", f"Standard deviation of mag_{band}.",
                       unit="mag", ucd=f"stat.error;phot.mag;{EM_BAND[band]}", min=0, max=2),
            )
        ),
        Column("pointlike", "boolean", "True where the object looks like a point source on the (simulated) image.",
               ucd="meta.code;src.class.starGalaxy"),
    ),
    "truth": (
        Column("spectrum_id", "text", "Spectrum the row is about.", ucd="meta.id;meta.dataset", required=True, unique=True,
               ref="spectra.spectrum_id"),
        Column("object_id", "text", "Simulated object; joins with photometry and redshifts.", ucd="meta.id;src", required=True,
               ref="photometry.object_id"),
        Column("z_true", "double", "Redshift the spectrum was simulated with.", ucd="src.redshift;meta.modelled", required=True,
               min=-0.1, max=20),
        Column("class_true", "text", "Class the spectrum was simulated with.", ucd="src.class;meta.modelled", required=True,
               values=KINDS),
        Column("template", "text", "Template of the object's light; of a galaxy, the one nearest to its type.",
               ucd="meta.id;meta.modelled", required=True),
        Column("galaxy_type", "real", "Type of a galaxy, from 0 (early) to 7 (Lyman-break); its light is a mixture of the two "
               "templates beside it. NULL for stars and quasars.", ucd="src.morph.type;meta.modelled", min=0, max=7),
        Column("mag_i_true", "real", "Magnitude in i (AB) without the error of the photometry.", unit="mag",
               ucd="phot.mag;em.opt.I;meta.modelled", min=10, max=40),
        Column("flux_scale", "real",
               "Flux in the spectrum's file over the true flux: the error of the simulated flux calibration.",
               ucd="arith.factor;meta.modelled", min=0, max=10),
        Column("oii_width", "real",
               "Rest-frame equivalent width of [O II] 3727, positive in emission. NULL for stars and quasars.",
               unit="Angstrom", ucd="spect.line.eqWidth;meta.modelled", min=0, max=1000),
        Column("lost", "boolean", "True where the object missed its slit, so that the spectrum shows the sky alone.",
               ucd="meta.code;meta.modelled", required=True),
    ),
}  # fmt: skip
"""Columns that the registry does not have."""

HEADS: dict[str, dict[str, Any]] = {
    "truth": {
        "title": "Truth of the simulation",
        "description": "What the simulated spectra were made with: the input of the simulation, not a measurement. "
        "Compare with redshifts to see what the flags mean.",
        "primary": "spectrum_id",
        "indexes": ("object_id", "z_true"),
    },
}
"""Heads of the tables that the registry does not have."""

LEFT_OUT = {
    "spectra": {"creator_did", "reference", "work_file", "work_format", "work_size", "work_sha256"},
    "redshifts": {"warning", "reference"},
}
"""Columns of the registry that the mock has nothing for."""


@functools.cache
def definition(name: str) -> Table:
    """Definition of one of the mock's tables."""
    return table_of(name, EXTENSIONS.get(name, ()), **HEADS.get(name, {}))


def present(name: str) -> list[str]:
    """Names of the columns that the mock fills."""
    return [column for column in definition(name).names if column not in LEFT_OUT.get(name, ())]

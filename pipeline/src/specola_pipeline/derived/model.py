"""The file that lays a model over its spectrum: a FITS table with a row a pixel."""

from __future__ import annotations

import numpy as np

from specola_bundle.fitsbytes import Card, hdu_bytes
from specola_bundle.specfile import fits_unit
from specola_pipeline.redshift.result import Result
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.spectral import vacuum_to_air

__all__ = ["model_file"]


def model_file(spectrum: Spectrum, result: Result, method: str) -> bytes:
    """The file of the best candidate; ``result`` must have one (ValueError).

    WAVE is as in the spectrum's own file (its medium is in WAVEMED and the column's UCD), FLUX and ERR are the spectrum, MODEL is
    the model, in the same unit; NaN in MODEL where the pixel took no part in the fit.
    """
    best = result.best
    if best is None:
        raise ValueError(f"{spectrum.name}: found no candidate, expected one to make a model of")
    wave = vacuum_to_air(spectrum.wave) if spectrum.medium == "air" else spectrum.wave
    model = np.full(wave.size, np.nan)
    model[np.searchsorted(spectrum.wave, result.wave)] = best.model
    unit = fits_unit(spectrum.unit)
    columns = (
        ("WAVE", "D", "Angstrom", "em.wl;obs.atmos" if spectrum.medium == "air" else "em.wl", wave),
        ("FLUX", "E", unit, "phot.flux.density;em.wl", spectrum.flux),
        ("ERR", "E", unit, "stat.error;phot.flux.density;em.wl", spectrum.err),
        ("MODEL", "E", unit, "phot.flux.density;em.wl;meta.modelled", model),
    )
    table = np.zeros(wave.size, dtype=[(name, ">f8" if form == "D" else ">f4") for name, form, *_ in columns])
    for name, *_, values in columns:
        table[name] = values
    cards: list[Card] = [
        ("XTENSION", "BINTABLE", "binary table extension"), ("BITPIX", 8, "array data type"), ("NAXIS", 2, ""),
        ("NAXIS1", table.dtype.itemsize, "bytes of a row"), ("NAXIS2", wave.size, "pixels"), ("PCOUNT", 0, ""), ("GCOUNT", 1, ""),
        ("TFIELDS", len(columns), "columns"), ("EXTNAME", "MODEL", "spectrum and the model that gave its redshift"),
    ]  # fmt: skip
    for number, (name, form, units, ucd, _) in enumerate(columns, start=1):
        cards += [(f"TTYPE{number}", name, ""), (f"TFORM{number}", form, "")]
        cards += [(f"TUNIT{number}", units, "")] if units else []
        cards += [(f"TUCD{number}", ucd, "")]
    cards += [
        ("SPECID", spectrum.name, "identifier of the spectrum"),
        ("WAVEMED", spectrum.medium, "medium of the wavelengths"),
        ("Z", best.z, "redshift of the model"),
        ("CLASS", best.spectral_class, "its class"),
        ("TEMPLATE", best.template, "its template"),
        ("CHI2", best.chi2, "chi-square"),
        ("DOF", best.dof, "degrees of freedom"),
        ("PROB", result.probability, "probability that the redshift is right"),
        ("METHOD", method, "program that made the model"),
    ]
    if np.isfinite(best.z_err):
        cards.append(("Z_ERR", best.z_err, "standard deviation of Z"))
    for number, one in enumerate(best.features, start=1):
        cards += [
            (f"FEAT{number}", one.name, "feature of the model, the strongest first"),
            (f"EVID{number}", one.evidence, "what chi-square gains without it"),
        ]
    primary: list[Card] = [
        ("SIMPLE", True, "conforms to FITS standard"), ("BITPIX", 8, "array data type"), ("NAXIS", 0, ""), ("EXTEND", True, ""),
    ]  # fmt: skip
    return hdu_bytes(primary) + hdu_bytes(cards, table.tobytes())

"""One pointing of the mock, from its objects to its files: the unit of work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.mock import columns, masks, tables
from ingest.mock.geometry import Night, Pointing, night
from ingest.mock.instrument import Observed, detector, line_profiles, observe
from ingest.mock.masks import Slits, place_slits
from ingest.mock.parent import (
    FEWEST_PARENTS,
    PARENTS_A_SPECTRUM,
    Objects,
    draw_objects,
    join,
    photoz_of,
    select_targets,
    subset,
)
from ingest.mock.redshifts import Measured, measure
from ingest.mock.setup import FLUX_SCATTER, FLUX_UNIT, Floats, Mock
from ingest.mock.templates import GALAXY_DISPERSION, LINES, library, line_widths
from specola_bundle.bundle import arrow_schema
from specola_bundle.specfile import Extra, SpectrumData, write_spectrum

__all__ = ["Observation", "make_pointing", "simulate"]

SECONDARY_RATE = 0.025
"""Share of the spectra that are second objects of their slits."""
LOST_RATE = 0.012
"""Share of the objects that missed their slits."""
SPIKE_RATE = 0.02
"""Share of the spectra with a cosmic ray that the reduction missed."""


@dataclass
class Observation:
    """All that is known of one pointing. The i-th spectrum shows object ``shown[i]`` through slit ``slit_of[i]``."""

    pointing: Pointing
    night: Night
    objects: Objects
    photoz: tuple[Floats, Floats, Floats]
    targets: npt.NDArray[np.bool_]
    slits: Slits
    shown: npt.NDArray[np.intp]
    slit_of: npt.NDArray[np.intp]
    secondary: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.bool_]
    flux_scale: Floats
    """Factor between the true flux and the one in the file, by the error of the flux calibration."""
    light: Floats
    """Noiseless flux densities, (n, pixels)."""
    observed: Observed
    widths: Floats
    """Rest-frame equivalent widths of the emission lines, Angstrom, (n, lines)."""
    snr: Floats
    measured: Measured


def simulate(mock: Mock, pointing: Pointing) -> Observation:
    """Simulate a pointing, without writing anything."""
    rng = mock.generator(pointing.index)
    when = night(pointing, rng)
    objects = draw_objects(max(PARENTS_A_SPECTRUM * pointing.spectra, FEWEST_PARENTS), rng)
    targets = select_targets(objects)
    n_second = round(SECONDARY_RATE * pointing.spectra)
    slits = place_slits(objects.x, objects.y, np.flatnonzero(targets), pointing.spectra - n_second, rng)
    hosts = rng.permutation(len(slits))[:n_second]
    neighbours = _neighbours(objects, slits, hosts, rng)
    objects, targets = join(objects, neighbours), np.concatenate([targets, select_targets(neighbours)])
    shown = np.concatenate([slits.target, np.arange(len(objects) - len(neighbours), len(objects))])
    slit_of = np.concatenate([np.arange(len(slits)), hosts])
    secondary = np.arange(shown.size) >= len(slits)
    order = np.lexsort((secondary, slit_of))
    shown, slit_of, secondary = shown[order], slit_of[order], secondary[order]
    lost = (rng.random(shown.size) < LOST_RATE) & ~secondary
    photoz = photoz_of(objects, rng)

    seen = subset(objects, shown)
    widths = np.where(np.isnan(seen.galaxy_type)[:, np.newaxis], 0.0, line_widths(np.nan_to_num(seen.galaxy_type), rng))
    scale = np.exp(FLUX_SCATTER * rng.standard_normal(shown.size))
    entering = np.where(lost, 0.01, scale)
    light, line_flux = _light(seen, widths, entering)
    observed = observe(light, when.seeing, _zero_orders(slits)[slit_of], rng)
    _add_spikes(observed, rng)
    snr = _median_snr(observed)
    measured = measure(
        seen,
        lines=line_flux,
        snr=snr,
        err=observed.err,
        photoz=(photoz[0][shown], photoz[1][shown], photoz[2][shown]),
        secondary=secondary,
        lost=lost,
        rng=rng,
    )
    return Observation(
        pointing, when, objects, photoz, targets, slits, shown, slit_of, secondary, lost, scale, light, observed, widths,
        snr, measured,
    )  # fmt: skip


def make_pointing(mock: Mock, pointing: Pointing, folder: Path) -> dict[str, pa.Table]:
    """Simulate a pointing, write its spectrum files below ``folder``/spectra, and return its rows of every table."""
    made = simulate(mock, pointing)
    rows = tables.spectrum_rows(made)
    target = folder / "spectra" / pointing.name
    target.mkdir()
    wave = detector().air
    flux, err, sky = (values.astype(np.float32) for values in (made.observed.flux, made.observed.err, made.observed.sky))
    cards = tables.header_cards(made)
    for i, row in enumerate(rows):
        extra = Extra("BGFLUX", sky[i], FLUX_UNIT, "phot.flux.density;em.wl;instr.background", "Sky that was subtracted")
        data = SpectrumData(wave, flux[i], err[i], made.observed.qual[i], (extra,))
        row["file_size"], row["file_sha256"] = write_spectrum(folder / row["file"], row, data, cards)
    content: dict[str, Any] = {
        "spectra": rows,
        "pointings": tables.pointing_rows(made),
        "slits": tables.slit_rows(made),
        "redshifts": tables.redshift_rows(made),
        "truth": tables.truth_rows(made),
    }
    result = {}
    for name, some in content.items():
        schema = arrow_schema(columns.definition(name), columns.present(name))
        result[name] = pa.Table.from_pylist(some, schema=schema)
    result["photometry"] = tables.photometry(made)
    return result


def _neighbours(objects: Objects, slits: Slits, hosts: npt.NDArray[np.intp], rng: np.random.Generator) -> Objects:
    """New objects that happen to lie in the slits ``hosts``, two to three and a half arcsec from the targets."""
    second = draw_objects(hosts.size, rng)
    target = slits.target[hosts]
    # Towards the slit's longer end, where there is room for it.
    side = np.where(slits.x[hosts] > objects.x[target], 1.0, -1.0)
    second.x = objects.x[target] + side * rng.uniform(2.0, 3.0, hosts.size) / 60
    second.y = objects.y[target] + rng.uniform(-0.25, 0.25, hosts.size) / 60
    return second


def _light(objects: Objects, widths: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Noiseless spectra, erg/s/cm2/A, (n, pixels), and the fluxes of their emission lines, erg/s/cm2, (n, lines)."""
    vacuum = detector().vacuum
    n = len(objects)
    light = np.empty((n, vacuum.size))
    line_flux = np.zeros((n, len(LINES)))
    waves = np.array([line.wave for line in LINES])
    for i in range(n):
        template, share, z = int(objects.template[i]), float(objects.share[i]), float(objects.z[i])
        factor = objects.scale[i] * scale[i]
        light[i] = factor * library().spectrum(template, share, vacuum / (1 + z))
        # A line's flux is its equivalent width times the continuum below it; both stretch with 1 + z.
        line_flux[i] = widths[i] * (1 + z) * factor * library().spectrum(template, share, waves)
    return light + line_profiles(objects.z, line_flux, GALAXY_DISPERSION), line_flux


def _zero_orders(slits: Slits) -> Floats:
    """Pixel at which another slit's zero order falls on each slit's spectrum, NaN where none does."""
    places = np.full(len(slits), np.nan)
    east, north = slits.x * 60, slits.y * 60
    for i in range(len(slits)):
        below = north[i] - north
        hits = np.flatnonzero(
            (slits.quadrant == slits.quadrant[i])
            & (np.abs(east - east[i]) < slits.length / 2)
            & (below > 1.2 * masks.SPECTRUM_LENGTH)
            & (below < 2.1 * masks.SPECTRUM_LENGTH)
        )
        if hits.size:
            places[i] = (below[hits[0]] / masks.SPECTRUM_LENGTH - 1.2) / 0.9 * detector().air.size
    return places


def _add_spikes(observed: Observed, rng: np.random.Generator) -> None:
    for row in np.flatnonzero(rng.random(observed.flux.shape[0]) < SPIKE_RATE):
        pixel = int(rng.integers(40, observed.flux.shape[1] - 40))
        spike = rng.uniform(6, 25) * observed.err[row, pixel] * np.array([1.0, rng.uniform(0.1, 0.8)])
        observed.flux[row, pixel : pixel + 2] += spike
        observed.systematic[row, pixel : pixel + 2] += spike


def _median_snr(observed: Observed) -> Floats:
    with np.errstate(invalid="ignore"):
        ratio = np.where(observed.qual == 0, observed.flux / observed.err, np.nan)
    return np.asarray(np.nanmedian(ratio, axis=1))

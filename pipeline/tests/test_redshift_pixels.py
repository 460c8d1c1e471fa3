"""The compiled sums of a fit on the pixels are those of the formulas, written out with whole arrays."""

import numpy as np
import pytest

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.kernels import TERMS
from specola_pipeline.redshift.lines import groups
from specola_pipeline.redshift.pixels import line_table, sample
from specola_pipeline.redshift.scan import line_profile
from specola_pipeline.redshift.templates import load_library

SIGMA = 7e-4
CUTS = np.log(np.array(igm.CUTS))


@pytest.mark.parametrize("pieces", [1, len(CUTS) + 1])
@pytest.mark.parametrize(("spectral_class", "z"), [("GALAXY", 0.7), ("GALAXY", 5.1), ("QSO", 3.0), ("STAR", 0.0)])
def test_sums_are_those_of_the_formulas(spectral_class: str, z: float, pieces: int) -> None:
    rng = np.random.default_rng(5)
    wave = np.linspace(4800.0, 9800.0, 900)[rng.random(900) > 0.1]
    x, ivar, flux = np.log(wave), rng.uniform(0.5, 2.0, wave.size), rng.normal(1.0, 0.3, wave.size)
    powers = (2 * (x - x[0]) / (x[-1] - x[0]) - 1) ** np.arange(2 * TERMS - 1)[:, np.newaxis]
    library = load_library()
    template = library.of(spectral_class)[0].flux
    used = groups(spectral_class)
    shifts = np.log1p(z) + np.array([-2e-3, 0.0, 1e-3])
    through = igm.transmissions(wave)[:pieces]
    found = sample(
        x, shifts, template, library.first, library.step, CUTS, through, powers, ivar, ivar * flux, *line_table(used, SIGMA)
    )
    rest = x - shifts[:, np.newaxis]
    continuum = np.interp(rest, np.log(library.wave), template, left=0.0, right=0.0)
    piece = (rest[..., np.newaxis] <= CUTS[: pieces - 1]).sum(axis=-1)
    continuum *= through[piece, np.arange(x.size)]
    profiles = np.zeros((shifts.size, len(used), x.size))
    for g, group in enumerate(used):
        for s, row in enumerate(rest):
            profiles[s, g] = line_profile(group, row, SIGMA)
    wanted = (
        continuum,
        profiles,
        (continuum**2 * ivar) @ powers.T,
        (continuum * ivar * flux) @ powers[:TERMS].T,
        profiles**2 @ ivar,
        profiles @ (ivar * flux),
        np.einsum("sgn,sn,n,tn->stg", profiles, continuum, ivar, powers[:TERMS]),
    )
    assert continuum.any()
    for ours, formula in zip(found, wanted, strict=True):
        assert ours.shape == formula.shape
        np.testing.assert_allclose(ours, formula, rtol=1e-9, atol=1e-9 * max(np.abs(formula).max(initial=0.0), 1.0))

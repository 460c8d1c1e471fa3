"""Quasars behind broad absorption: made ones of known redshift, and what counts as a trough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from specola_pipeline.redshift import igm
from specola_pipeline.redshift.absorption import FASTEST, IONS, PRICE, settle, troughs
from specola_pipeline.redshift.confidence import BEHIND_OUTFLOWS
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.prepare import Prepared, prepare, without
from specola_pipeline.redshift.readers import read_spectra
from specola_pipeline.redshift.refine import Fit, Refiner
from specola_pipeline.redshift.scan import Scanner, smoothed
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.redshift.templates import Library, load_library
from specola_pipeline.redshift.widths import SPEED_OF_LIGHT

WAVE = np.exp(np.arange(np.log(3650.0), np.log(10200.0), 3e-4))
LEFT_OUT = "high luminosity"


def absorbed(z: float, speed: float, width: float, depth: float, seed: int = 1, name: str = LEFT_OUT) -> Spectrum:
    """A template at z, S/N 8 a pixel, behind an outflow of a speed and width (km/s) and an optical depth, seen in all ions."""
    library = load_library()
    flux = next(one.flux for one in library.templates if one.name == name)
    x = [np.log(ion / library.wave) * SPEED_OF_LIGHT - speed for ion in (1033.82, 1215.67, 1240.15, 1398.27, 1549.06)]
    light = flux * np.exp(-depth * sum(np.exp(-(np.abs(2 * one / width) ** 3)) for one in x))
    light = np.interp(np.log(WAVE) - np.log1p(z), np.log(library.wave), smoothed(light, 1 / (2.3548 * 1500), library.step))
    light *= igm.transmissions(WAVE)[np.sum(WAVE[:, None] / (1 + z) <= np.array(igm.CUTS), axis=1), np.arange(WAVE.size)]
    light /= np.median(light)
    noise = np.full(WAVE.size, 1 / 8)
    return Spectrum(name, WAVE, light + noise * np.random.default_rng(seed).standard_normal(WAVE.size), noise, 1500.0)


CASES = [(2.5, 5200.0, 5500.0, 2.0), (2.9, 6500.0, 6000.0, 1.6), (2.1, 4800.0, 4500.0, 1.8), (3.3, 5600.0, 5000.0, 2.2)]


def test_quasars_without_lyman_alpha_have_their_redshift() -> None:
    """The trough of N V takes Lyman alpha away; without a second look N V is taken for it, some 5,000 km/s too high.

    Measured with the other templates.
    """

    library = load_library()
    others = replace(library, templates=tuple(one for one in library.templates if one.name != LEFT_OUT))

    def offsets(*, outflows: bool) -> np.ndarray:
        redshifter = Redshifter(others, outflows=outflows)
        best = [redshifter.measure(absorbed(*case, seed=number)).best for number, case in enumerate(CASES)]
        assert all(one is not None and one.spectral_class == "QSO" for one in best)
        return np.array([(one.z - case[0]) / (1 + case[0]) for one, case in zip(best, CASES, strict=True) if one is not None])

    assert np.abs(offsets(outflows=True)).max() < 0.005
    assert offsets(outflows=False).min() > 0.005


@pytest.mark.parametrize("name", ["composite", "high luminosity", "early"])
def test_what_is_not_absorbed_is_measured_as_before(name: str) -> None:
    spectrum = absorbed(0.6 if name == "early" else 2.4, 5000.0, 4000.0, 0.0, name=name)
    found, plain = Redshifter().measure(spectrum), Redshifter(outflows=False).measure(spectrum)
    assert found.probability == plain.probability
    assert [(one.z, one.chi2) for one in found.candidates] == [(one.z, one.chi2) for one in plain.candidates]


def flat(speed: float, width: float, depth: float, ion: float = 1549.06, z: float = 2.5) -> tuple[Prepared, Fit]:
    """Light of 1 with a rectangular trough, S/N 20, and a fit that says 1."""
    rng = np.random.default_rng(4)
    inside = np.abs(np.log(ion * (1 + z) / WAVE) * SPEED_OF_LIGHT - speed) < width / 2
    data = prepare(
        Spectrum("flat", WAVE, np.where(inside, 1 - depth, 1.0) + 0.05 * rng.standard_normal(WAVE.size), 0.05 + 0 * WAVE)
    )
    return data, Fit("QSO", "flat", z, 0.0, 0.0, np.full(data.wave.size, 1 / data.scale), {}, 1)


def test_a_trough_is_found_where_it_is() -> None:
    data, fit = flat(8000.0, 4000.0, 0.5)
    speed = np.log(1549.06 * 3.5 / data.wave[troughs(data, fit)]) * SPEED_OF_LIGHT
    # Windows that reach into the trough by a fifth are a tenth too low.
    assert 5000 < speed.min() < 6000
    assert 10000 < speed.max() < 11000


@pytest.mark.parametrize(
    ("speed", "width", "depth", "ion"),
    [(8000.0, 300.0, 0.9, 1549.06), (8000.0, 4000.0, 0.08, 1549.06), (8000.0, 4000.0, 0.2, 1549.06),
     (-8000.0, 4000.0, 0.5, 1549.06),
     (FASTEST + 4000.0, 4000.0, 0.5, 2799.12), (8000.0, 4000.0, 0.5, 1215.67)],
    ids=["narrow", "shallow", "nowhere deep", "redward of the ion", "too fast", "in the forest alone"],
)  # fmt: skip
def test_what_is_no_trough(speed: float, width: float, depth: float, ion: float) -> None:
    assert not troughs(*flat(speed, width, depth, ion)).any()


def test_where_a_redshift_is_not_certain_troughs_may_be_a_little_redward() -> None:
    data, fit = flat(-1000.0, 3000.0, 0.5)
    assert troughs(data, fit, slack=3000.0).sum() > troughs(data, fit).sum() > 0


def test_chi_square_counts_all_pixels_and_the_price() -> None:
    """Outside of troughs chi-square of the model, within them 1 a pixel, and the price of each."""
    data = prepare(absorbed(2.5, 8000.0, 4000.0, 2.0, name="composite"))
    quasars = [one.name for one in load_library().of("QSO")]
    refiner = Refiner(
        Library(load_library().step, load_library().first, tuple(replace(o, handicap=0.0) for o in load_library().templates))
    )
    start = refiner.refine(data, "QSO", quasars.index("composite"), 2.5)
    found = settle(refiner, data, quasars.index("composite"), 2.5, troughs(data, start))
    number = np.count_nonzero(np.diff(found.mask.astype(int), prepend=0) == 1)
    assert number >= 2
    assert (found.data.ivar[found.mask] == 0).all()
    outside = np.sum((data.ivar * (data.flux - found.fit.model) ** 2)[~found.mask])
    chi2 = np.sum(data.ivar * data.flux**2) - found.fit.gain
    wanted = outside + found.mask.sum() + PRICE * number
    # The prior of the polynomial's coefficients is in chi-square, too.
    assert wanted <= chi2 < wanted + 5
    assert abs(found.fit.z - 2.5) < 0.002


def test_a_spectrum_without_some_pixels() -> None:
    data = prepare(absorbed(2.5, 8000.0, 4000.0, 0.0))
    mask = (data.wave > 5000) & (data.wave < 5100)
    left = without(data, mask)
    grid = np.exp((left.first + np.arange(left.weight.size)) * left.step)
    inside = (grid > 5005) & (grid < 5095)
    far = (grid < 4990) | (grid > 5110)
    assert not left.weight[inside].any()
    np.testing.assert_allclose(left.weight[far], data.weight[far], rtol=1e-6, atol=1e-6 * data.weight.max())
    assert np.array_equal(left.ivar[~mask], data.ivar[~mask])
    assert [one.spectral_class for one in Scanner(load_library()).scan(left, ("QSO",))] == ["QSO"]


def test_other_lines_are_not_where_ions_absorb() -> None:
    """C III] and He II are between what absorbs: a template's line there can not be called a trough."""
    for wave in (1640.4, 1908.7, 4862.7):
        speed = np.log(np.array(IONS) / wave) * SPEED_OF_LIGHT
        assert not ((speed > 0) & (speed < FASTEST)).any()


def test_a_real_one(shared_data: Path) -> None:
    """Of its emission Si IV, C IV, C III] and Mg II say 2.448 (docs/redshifts.md); N V taken for Lyman alpha says 2.508."""
    (spectrum,) = read_spectra(shared_data / "sdss" / "spec-3655-55240-0110.fits.gz")
    result = Redshifter().measure(spectrum)
    best = result.best
    assert best is not None
    assert result.probability == BEHIND_OUTFLOWS
    assert abs(best.z - 2.448) < 0.003 * 3.448
    assert best.spectral_class == "QSO"

"""What is left of the sky is found where it is, and nothing is taken away where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d

from specola_pipeline.instruments.tables import sky
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.scan import smoothed
from specola_pipeline.redshift.skyleft import sky_left
from specola_pipeline.redshift.spectrum import Floats, Spectrum
from specola_pipeline.redshift.templates import load_library

WAVE = np.arange(5500.0, 9500.0, 6.0)
POWER = 300.0
SIGMA = 1 / (2.3548 * POWER)
STEP = 2e-5


def night(moved: float = 0.0) -> Floats:
    """Electrons a pixel of the night sky, many enough that it rules the noise, its lines moved by so many pixels."""
    atlas = sky()
    grid = np.arange(np.log(5000.0), np.log(9990.0), STEP)
    light = smoothed(np.interp(grid, np.log(atlas.wavelength), atlas.flux), SIGMA, STEP)
    seen = np.interp(np.log(WAVE - moved * 6.0), grid, light)
    return 3000.0 * seen / np.median(seen)


def observed(light: Floats, scaled: float, moved: float, seed: int) -> tuple[Floats, Floats, Floats]:
    """Electrons of an object with errors, and what is left of a sky that is subtracted too bright and at the wrong place."""
    err = np.sqrt(night())
    left = night() - (1 + scaled) * night(moved)
    left -= np.median(left)
    return light + left + err * np.random.default_rng(seed).standard_normal(WAVE.size), err, left


@pytest.mark.parametrize(("scaled", "moved"), [(0.03, 0.0), (-0.03, 0.0), (0.0, 0.1), (0.02, -0.08)])
def test_what_is_left_is_found(scaled: float, moved: float) -> None:
    flux, err, left = observed(np.full(WAVE.size, 100.0), scaled, moved, 1)
    found, _ = sky_left(WAVE, flux, err, err, SIGMA)
    # What varies as slowly as a continuum is the polynomial's business.
    wrong, was = (one - uniform_filter1d(one, 43) for one in (found - left, left))
    lines = np.abs(was) > err / 3
    assert lines.sum() > 50
    assert np.std(wrong[lines]) < 0.35 * np.std(was[lines])


def test_the_variance_is_that_of_what_is_found() -> None:
    found = []
    for seed in range(60):
        flux, err, _ = observed(np.full(WAVE.size, 100.0), 0.03, 0.0, seed)
        found.append(sky_left(WAVE, flux, err, err, SIGMA))
    brightest = int(np.argmax(err))
    scatter = np.std([one[brightest] for one, _ in found])
    said = np.sqrt(np.mean([variance[brightest] for _, variance in found]))
    # 60 know it to 9 per cent; that the three parts are taken as independent makes it a little too large or too small.
    assert 0.6 < scatter / said < 1.4


def test_of_nothing_little_is_taken_away() -> None:
    sizes = []
    for seed in range(20):
        flux, err, _ = observed(np.full(WAVE.size, 100.0), 0.0, 0.0, seed)
        found, _ = sky_left(WAVE, flux, err, err, SIGMA)
        sizes.append(np.std(found / err))
    assert np.mean(sizes) < 0.1


def test_an_object_of_bright_lines_is_not_taken_for_sky() -> None:
    """Its own photons make the errors, as for an instrument in space: they show its lines and not the night's."""
    rng = np.random.default_rng(2)
    light = np.full(WAVE.size, 40.0)
    for centre in rng.uniform(5600, 9400, 25):
        light += rng.uniform(20, 400) * np.exp(-0.5 * ((WAVE - centre) / 12) ** 2)
    err = np.sqrt(light)
    flux = light + err * rng.standard_normal(WAVE.size)
    found, variance = sky_left(WAVE, flux, err, err, SIGMA)
    assert not found.any()
    assert not variance.any()


@pytest.mark.parametrize("wave", [WAVE, WAVE + 7000.0, WAVE - 3800.0])
def test_errors_that_show_no_sky_say_nothing(wave: Floats) -> None:
    err = np.full(wave.size, 10.0)
    flux = 20 + err * np.random.default_rng(3).standard_normal(wave.size)
    assert not sky_left(wave, flux, err, err, SIGMA)[0].any()


@pytest.mark.parametrize("few", [0, 1, 2])
def test_a_picture_of_hardly_any_pixels_is_none(few: int) -> None:
    """Errors that follow the sky's contrast in rank, but by nothing that stands out, or in a pixel only."""
    err = 10.0 * (1 + 1e-9 * np.argsort(np.argsort(night())) / WAVE.size)
    err[100 : 100 + few] *= 3
    flux = 20 + err * np.random.default_rng(5).standard_normal(WAVE.size)
    found, variance = sky_left(WAVE, flux, err, err, SIGMA)
    assert np.isfinite(found).all()
    assert np.isfinite(variance).all()
    assert np.abs(found / err).max() < 5


def test_bright_spectra_stay_as_they_are() -> None:
    flux, err, _ = observed(np.full(WAVE.size, 3000.0), 0.03, 0.1, 4)
    assert not sky_left(WAVE, flux, err, err, SIGMA)[0].any()


def test_faint_galaxies_are_right_more_often() -> None:
    """Of galaxies under a sky that is badly subtracted, measured with errors that show it and with errors that hide it."""
    library = load_library()
    redshifter = Redshifter(library.only(("GALAXY",)))
    template = next(one.flux for one in library.templates if one.name == "starburst")
    rest = (library.first + np.arange(template.size)) * library.step
    rng = np.random.default_rng(11)
    right = {"seen": 0, "hidden": 0}
    for seed in range(60):
        z = float(rng.uniform(0.4, 0.9))
        light = np.interp(np.log(WAVE) - np.log1p(z), rest, smoothed(template, SIGMA, library.step))
        flux, err, _ = observed(60.0 * light / np.median(light), *rng.normal(0.0, (0.03, 0.1)), seed)
        for name, errors in (("seen", err), ("hidden", err * rng.uniform(0.5, 1.5, WAVE.size))):
            best = redshifter.measure(Spectrum(name, WAVE, flux, errors, POWER)).best
            right[name] += best is not None and abs(best.z - z) < 0.003 * (1 + z)
    assert right["seen"] > right["hidden"]

"""The numerical kernels against analytic truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from specola_pipeline.reduce import bandmatrix
from specola_pipeline.reduce.combine import average
from specola_pipeline.reduce.cosmic import find_cosmics
from specola_pipeline.reduce.detector import BAD, SATURATED, Frame, subtract_bias
from specola_pipeline.reduce.empirical import empirical_profile
from specola_pipeline.reduce.profiles import Trace
from specola_pipeline.reduce.sky import Prior, Spline, fit_slit, line_shift
from specola_pipeline.reduce.skylines import fit_lines
from specola_pipeline.reduce.traces import Slit, trace_slits


def slit(seed=1, rows=1200, columns=30, flux=80.0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns].astype(float)
    at = y + 0.03 * (x - 15) + 0.002 * (x - 15) ** 2
    lines, heights = rng.uniform(0, rows, 90), 10 ** rng.uniform(1, 3, 90)
    sky = 60 + sum(h * np.exp(-0.5 * ((at - c) / 1.8) ** 2) for c, h in zip(lines, heights, strict=True))
    profile = np.exp(-0.5 * ((x - 13) / 2.0) ** 2)
    profile /= profile.sum(axis=1, keepdims=True)
    variance = sky + flux * profile + 16
    data = sky + flux * profile + rng.normal(size=sky.shape) * np.sqrt(variance)
    return data, variance, at, profile[None], sky, (x - 15) / 15, (y - rows / 2) / (rows / 2)


def test_banded_solution_and_inverse_are_those_of_the_dense_matrix():
    rng = np.random.default_rng(2)
    band, size = 5, 40
    dense = np.zeros((size, size))
    for offset in range(band):
        values = rng.normal(size=size - offset) * 0.3
        dense += np.diag(values, offset) + np.diag(values, -offset)
    dense += 6 * np.eye(size)
    lower = np.array([np.r_[np.diag(dense, -k), np.zeros(k)] for k in range(band)])
    factor = bandmatrix.banded_cholesky(lower)
    right = rng.normal(size=size)
    np.testing.assert_allclose(bandmatrix.banded_solve(factor, right), np.linalg.solve(dense, right), rtol=1e-10)
    inverse, found = np.linalg.inv(dense), bandmatrix.selected_inverse(factor)
    for offset in range(band):
        np.testing.assert_allclose(found[offset, : size - offset], np.diag(inverse, -offset), atol=1e-12)


def test_sky_and_objects_are_fitted_to_the_noise_and_the_errors_say_so():
    data, variance, at, profiles, sky, _, _ = slit()
    fit = fit_slit(data, 1 / variance, at, profiles)
    pull = (fit.flux[0] - 80.0) / np.sqrt(fit.variance[0])
    assert 0.95 < pull.std() < 1.05
    assert abs(pull.mean()) < 0.1
    residual = fit.residual(data) / np.sqrt(variance * (1 - fit.leverage))
    lines = sky > 150
    assert residual[~lines].std() < 1.02
    assert residual[lines].std() < 1.05
    best = 1 / np.sqrt((profiles[0] ** 2 / variance).sum(axis=1))
    excess = np.sqrt(fit.variance[0]) / best
    assert np.median(excess[sky[:, 15] < 150]) < 1.15
    assert np.median(excess[sky[:, 15] > 150]) < 1.35


def test_the_sky_lines_mend_a_tilted_wavelength_map():
    data, variance, at, profiles, sky, across, along = slit(seed=3)
    wrong = at + 0.15 * across
    for _ in range(3):
        fit = fit_slit(data, 1 / variance, wrong, profiles)
        wrong = wrong - line_shift(fit, data, 1 / variance, across, along)
    assert np.std(wrong - at) < 0.01
    residual = fit.residual(data) / np.sqrt(variance * (1 - fit.leverage))
    assert residual[sky > 150].std() < 1.05


def test_a_slit_without_usable_pixels_says_so():
    with pytest.raises(ValueError, match="no usable pixel"):
        fit_slit(np.ones((50, 5)), np.zeros((50, 5)), np.ones((50, 5)), np.zeros((0, 50, 5)))


@settings(max_examples=30, deadline=None)
@given(st.floats(1.2, 4.0), st.floats(-0.5, 0.5), st.floats(1e2, 1e5))
def test_line_centres_are_exact_whatever_the_width_and_height(sigma, shift, height):
    x = np.arange(200.0)
    true = 100 + shift
    spectrum = 50 + height * np.exp(-0.5 * ((x - true) / sigma) ** 2)
    place, error, found = fit_lines(spectrum, 1 / (spectrum + 9), np.array([100.0]), sigma)
    assert abs(place[0] - true) < 1e-3
    assert abs(found[0] / height - 1) < 0.01
    assert error[0] < 0.5


def test_line_errors_have_the_right_width():
    rng = np.random.default_rng(4)
    x = np.arange(4000.0)
    true = np.arange(50, 3950, 40) + rng.uniform(-0.5, 0.5, 98)
    clean = 20 + sum(300 * np.exp(-0.5 * ((x - c) / 2) ** 2) for c in true)
    place, error, _ = fit_lines(rng.normal(clean, np.sqrt(clean + 9)), 1 / (clean + 9), np.rint(true), 2.0)
    pulls = (place - true) / error
    assert 0.8 < pulls.std() < 1.25  # 98 lines know it to 7 per cent
    assert abs(pulls.mean()) < 0.4


def test_cosmic_rays_are_found_and_smooth_light_is_not():
    rng = np.random.default_rng(6)
    pull = rng.normal(size=(1500, 40))
    truth = np.zeros(pull.shape, dtype=bool)
    for y, x in zip(rng.integers(2, 1495, 150), rng.integers(2, 36, 150), strict=True):
        pull[y, x : x + 2] += rng.uniform(15, 80)
        truth[y, x : x + 2] = True
    found = find_cosmics(pull, np.ones_like(truth), np.zeros_like(pull))
    assert found[truth].mean() > 0.98
    assert found[~truth].mean() < 0.001
    y, x = np.mgrid[:200, :40]
    source = 12 * np.exp(-0.5 * (((y - 100) / 3) ** 2 + ((x - 20) / 3) ** 2))
    assert not find_cosmics(source, np.ones(source.shape, bool), np.zeros(source.shape)).any()


def test_a_slit_whose_one_edge_is_off_the_detector_is_placed_by_the_other():
    flat = np.where(np.arange(60) < 30, 1000.0, 10.0) * np.ones((640, 1))
    (slit,) = trace_slits(flat, [Slit(1, (0, 640), Polynomial([-5.0]), Polynomial([28.0]))])
    assert not slit.traced
    assert any("left edge is not seen" in word for word in slit.odd)
    assert abs(slit.right(300.0) - 29.5) < 0.2
    assert abs(slit.left(300.0) - (-5.0 + 1.5)) < 0.2


def test_the_mean_of_exposures_says_where_none_of_them_saw_anything(recwarn):
    rng = np.random.default_rng(1)
    rates = rng.normal(10, 1, (3, 300))
    rates[:, 100:120] = np.nan
    rates[0, 7] = 1e4  # a cosmic ray
    mean, variance, _, _, count = average(rates, np.ones_like(rates), np.zeros_like(rates), rates)
    assert np.flatnonzero(np.isnan(mean)).tolist() == list(range(100, 120))
    assert np.isinf(variance[100:120]).all()
    assert (count[100:120] == 0).all()
    assert (count[7], mean[7]) == (2, pytest.approx(rates[1:, 7].mean()))
    assert not recwarn.list


@pytest.mark.parametrize("objects", [0, 1, 2])
@pytest.mark.parametrize("told", [False, True])
def test_the_joint_fit_is_that_of_the_dense_matrix(objects, told):
    """Sky, fluxes, their variances and leverages, of a fit with and without what is known of the sky beforehand."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:60, :12].astype(float)
    at, gain = y + 0.05 * (x - 6), 1 + 0.02 * rng.normal(size=(60, 12))
    profiles = np.array([np.exp(-0.5 * ((x - c) / 1.5) ** 2) for c in (3.0, 8.0)])[:objects]
    profiles = profiles / profiles.sum(axis=2, keepdims=True)
    weight = np.where(rng.uniform(size=at.shape) < 0.1, 0.0, rng.uniform(0.5, 2, at.shape))
    data = 10 + rng.normal(size=at.shape)
    size = fit_slit(data, weight, at, profiles, gain).spline.coefficients.size
    prior = Prior(np.full(size, 9.0), rng.uniform(0, 3, size)) if told else None
    fit = fit_slit(data, weight, at, profiles, gain, prior=prior)

    design = np.zeros((at.size, size + objects * 60))
    for k in range(size):
        one = Spline(fit.spline.origin, fit.spline.step, np.eye(size)[k], fit.spline.factor)
        design[:, k] = (gain * one.evaluate(one.place(at).ravel()).reshape(at.shape)).ravel()
    for k in range(objects):
        for row in range(60):
            design[:, size + k * 60 + row] = np.where(y == row, profiles[k], 0.0).ravel()
    second = np.diff(np.eye(size), 2, axis=0)
    strength = np.median(weight[weight > 0]) * (weight > 0).sum() / size
    penalty = 3e-4 * strength * second.T @ second + 1e-12 * strength * np.eye(size)
    matrix, right = design.T @ (weight.ravel()[:, None] * design), design.T @ (weight * data).ravel()
    matrix[:size, :size] += penalty
    if prior is not None:
        matrix[:size, :size] += np.diag(prior.precision)
        right[:size] += (penalty + np.diag(prior.precision)) @ prior.mean
    inverse = np.linalg.inv(matrix)
    solution = inverse @ right
    np.testing.assert_allclose(fit.spline.coefficients, solution[:size], rtol=1e-5)
    np.testing.assert_allclose(fit.flux.ravel(), solution[size:], atol=1e-5)
    np.testing.assert_allclose(fit.variance.ravel(), np.diag(inverse)[size:], rtol=1e-5)
    leverage = weight.ravel() * np.einsum("pi,ij,pj->p", design, inverse, design)
    np.testing.assert_allclose(fit.leverage.ravel(), leverage, atol=1e-6)
    values, variances = fit.spline.at_knots()
    knots = np.zeros((size - 2, size))
    for k in range(size - 2):
        knots[k, k : k + 3] = np.array([1, 4, 1]) / 6
    np.testing.assert_allclose(values, knots @ solution[:size], rtol=1e-5)
    remaining = np.linalg.inv(inverse[:size, :size])  # what the coefficients are told, fluxes eliminated
    told = remaining.sum(axis=1)[1:-1]
    inner = told > 1e-3 * told.max()
    np.testing.assert_allclose(fit.spline.broad_variance()[inner], 1 / told[inner], rtol=1e-3)
    if objects == 0:
        np.testing.assert_allclose(variances, np.einsum("ki,ij,kj->k", knots, inverse[:size, :size], knots), rtol=1e-5)


@pytest.mark.parametrize("hole", [False, True])
def test_the_profile_of_a_bright_object_is_the_one_it_has(hole):
    """A Moffat profile, leaning and with a column along its middle that can not be used; a cosmic ray is no part of it."""
    rng, rows = np.random.default_rng(3), np.arange(1200.0)
    position = np.broadcast_to(np.arange(40.0), (1200, 40)) + 0.0
    centre = Polynomial([20.2, 0.6], domain=[0.0, 1199.0])
    away = position - centre(rows)[:, None]
    true = (1 + (away / 3.0) ** 2) ** -2.5
    true /= true.sum(axis=1, keepdims=True)
    flux = 2000 + 500 * np.sin(rows / 90)
    variance = 100 + flux[:, None] * true
    residual = flux[:, None] * true + rng.normal(size=true.shape) * np.sqrt(variance)
    residual[300:303, 24] += 5000
    weight = 1 / variance
    if hole:
        weight[:, 20] = 0.0
    trace = Trace(centre, Polynomial([1.9], domain=[0.0, 1199.0]), 900.0)
    found = empirical_profile(trace, residual, flux, weight, position, rows)
    near = np.abs(away) < 5 * 1.9
    within = np.where(near, true, 0.0)
    assert abs(np.mean(found.sum(axis=1)) - 1) < 0.005
    assert np.max(np.abs(found - within / within.sum(axis=1).mean())) < 0.006
    assert not found[~near].any()


def test_a_bias_is_taken_out_with_its_noise_and_its_bad_pixels():
    shape = (4, 5)
    frame = Frame(np.full(shape, 30.0), np.full(shape, 9.0), np.zeros(shape, np.uint8), 1.0)
    bias = Frame(np.full(shape, 2.0), np.full(shape, 0.5), np.zeros(shape, np.uint8), 0.0)
    frame.mask[0, 0], bias.mask[1, 1], bias.mask[2, 2], bias.variance[1, 1] = SATURATED, BAD, SATURATED, np.inf
    for reuse in (False, True):
        out = subtract_bias(frame, bias, reuse=reuse)
        assert (out.data is frame.data) == reuse
        assert np.all(out.data == 28.0)
        assert out.variance[1, 1] == 9.0
        assert out.variance[0, 1] == 9.5
        assert (out.mask[0, 0], out.mask[1, 1], out.mask[2, 2]) == (SATURATED, BAD, 0)

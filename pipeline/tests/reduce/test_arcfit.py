"""Arc lines named and fitted against analytic truth: blends, curved lines, any shift and stretch, the wrong lamp, and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from specola_pipeline.instruments import Lines, line_list
from specola_pipeline.reduce.arcs import solve_slit
from specola_pipeline.reduce.identify import WrongLampError, identify
from specola_pipeline.reduce.linekernel import SHAPE, normal_equations
from specola_pipeline.reduce.lineoffsets import line_offsets

ROWS, COLUMNS = 1900, 40
LAMPS = line_list("HeI", "NeI", "ArI")
LAMPS = Lines(*(values[(LAMPS.wavelength > 4900) & (LAMPS.wavelength < 9800)] for values in (LAMPS.wavelength, LAMPS.strength)))


def guess(wavelength):
    return ROWS / 2 + (wavelength - 7000.0) / 2.55


def true_rows(wavelength, x):
    """Bent by some rows, lines tilted and curved."""
    delta = (wavelength - 7000.0) / 2.55 / 1000
    return 953.0 + 1001.5 * delta + 9.0 * delta**2 - 2.0 * delta**3 + (0.02 + 0.01 * delta) * (x - 20) + 4e-4 * (x - 20) ** 2


def line_light(at, heights, box=4.9, sigma=1.1):
    """Lines of box and Gaussian, their *heights* electrons in all; shape (ROWS, columns of *at*)."""
    y = np.arange(ROWS, dtype=float)[:, None, None]
    part = ndtr((y - at + box / 2) / sigma) - ndtr((y - at - box / 2) / sigma)
    return (part / box * heights[:, None]).sum(axis=1)


def arc(seed, halo=0.0):
    """A lamp frame and its inverse variance: three in four lines are blends at this resolution. *halo* of their light is wide."""
    rng = np.random.default_rng(seed)
    heights = 60000 * (LAMPS.strength / LAMPS.strength.max()) ** 0.25 * rng.uniform(0.3, 1.7, LAMPS.strength.size)
    at = true_rows(LAMPS.wavelength[:, None], np.arange(COLUMNS)[None, :])
    light = 20 + line_light(at, heights * (1 - halo)) + line_light(at, heights * halo, sigma=3.0)
    variance = light + 12.0
    return light + rng.normal(size=light.shape) * np.sqrt(variance), 1 / variance


def solve(image, weight, lines=LAMPS):
    return solve_slit(image, weight, np.ones(image.shape, bool), (100, 300), lines, guess, sigma=1.9, reach=40.0)


def miss(wave):
    """Rows by which the map is wrong at each line and column (within the frame)."""
    x = np.arange(COLUMNS, dtype=float)[None, :]
    rows = true_rows(LAMPS.wavelength[:, None], x)
    away = (wave(rows + 100, x + 300) - LAMPS.wavelength[:, None]) / wave.slope(rows + 100, x + 300)
    return away[(rows > 0) & (rows < ROWS - 1)]


def test_a_map_from_blended_lines_is_good_to_a_hundredth_of_a_pixel():
    wave = solve(*arc(1))
    assert np.sqrt(np.mean(miss(wave) ** 2)) < 0.01
    assert abs(np.mean(miss(wave))) < 0.003
    assert wave.rms < 0.03
    assert wave.sigma == pytest.approx(np.sqrt(4.9**2 / 12 + 1.1**2), rel=0.03)


def test_wings_that_the_model_lacks_do_not_speak_against_a_true_map():
    wave = solve(*arc(4, halo=0.1))
    assert np.sqrt(np.mean(miss(wave) ** 2)) < 0.01
    assert wave.rms < 0.03


def test_offsets_of_blended_lines_are_those_they_have_and_so_are_their_errors():
    true = np.array([100.0, 103.0, 105.5, 150.0, 152.2, 200.0, 204.0])
    height, apart = np.array([9000.0, 500.0, 3000.0, 700.0, 900.0, 400.0, 20000.0]), 0.03 * np.array([1, -1, 1, -1, 1, -1, 1])
    light = 10 + line_light((true + apart)[:, None] + np.zeros(2), height, 4.0, 1.2)[:260].T
    rng, pulls = np.random.default_rng(7), []
    for _ in range(300):
        seen = light + rng.normal(size=light.shape) * np.sqrt(light)
        shift, error = line_offsets(
            seen, light, np.stack([true, true]), height * rng.uniform(0.98, 1.02, height.size), np.full(3, 10.0),
            np.array([4.0, 1.2, 0.0, 0.0, 0.0]), np.ones(2), 0.0,
        )  # fmt: skip
        pulls.append((shift - apart) / error)
    assert np.all(np.abs(np.mean(pulls, axis=0)) < 0.25)
    assert np.all(np.abs(np.std(pulls, axis=0) - 1) < 0.15)


def test_a_line_that_shows_no_light_has_no_place():
    at = np.array([[30.0, 60.0]])
    light = 10 + line_light(at.T, np.array([900.0, 0.0]), 4.0, 1.2)[:90].T
    widths = np.array([4.0, 1.2, 0.0, 0.0, 0.0])
    shift, error = line_offsets(light, light, at, np.array([900.0, 0.0]), np.full(2, 10.0), widths, np.ones(1), 0.02)
    assert abs(shift[0]) < 1e-6
    assert error[0] < 0.2
    assert error[1] > 1e3


def test_light_of_lines_that_no_list_has_does_not_move_the_map():
    image, weight = arc(2)
    image = image + line_light(np.full((3, 1), [[400.3], [801.8], [1333.1]]), np.full(3, 8000.0))
    assert np.sqrt(np.mean(miss(solve(image, weight)) ** 2)) < 0.02


def test_a_column_without_light_and_a_hole_do_not_matter():
    image, weight = arc(3)
    image[:, 30], weight[:, 30] = 0.0, 0.0
    image[500:520, 3:9], weight[500:520, 3:9] = 1e6, 0.0
    assert np.sqrt(np.mean(miss(solve(image, weight)) ** 2)) < 0.01


def test_an_arc_without_light_says_so():
    image = np.random.default_rng(1).normal(20.0, 4.0, (ROWS, COLUMNS))
    with pytest.raises(WrongLampError, match="is the lamp on"):
        solve(image, np.full(image.shape, 1 / 16))
    with pytest.raises(ValueError, match="no column of its arc"):
        solve(image, np.zeros(image.shape))


FEW = Lines(np.array([4000, 4046, 4120, 4358, 4471, 4678, 4713, 4800, 4921, 5015, 5085, 5460.0]), np.ones(12))


def seen(at):
    y = np.arange(2000.0)[:, None]
    return 50 + (900 * np.exp(-0.5 * ((y - at) / 1.8) ** 2)).sum(axis=1)


@settings(max_examples=20, deadline=None)
@given(st.floats(-35, 35), st.floats(-0.015, 0.015))
def test_lines_are_identified_after_any_shift_and_stretch(shift, stretch):
    true = 1000 + (FEW.wavelength - 4700) * (1 + stretch) + shift
    spectrum = seen(true)
    rows = identify(spectrum, np.sqrt(spectrum), FEW, lambda wave: 1000 + (wave - 4700), 1.8, 40.0, 0.02)
    assert np.max(np.abs(rows - true)) < 1.0


def test_another_lamps_lines_are_refused():
    spectrum = seen(np.random.default_rng(0).uniform(100, 1900, 12))
    with pytest.raises(WrongLampError, match="is it the lamp that the header says"):
        identify(spectrum, np.sqrt(spectrum), FEW, lambda wave: 1000 + (wave - 4700), 1.8, 40.0, 0.02)


def test_the_right_hand_side_is_the_gradient_of_chi_square():
    rng = np.random.default_rng(5)
    place = np.array([[20.35, 24.15, 61.75], [20.55, 24.25, 61.55]])
    gradient, across, degree = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3)), np.array([0, 1, 1])
    data, variance = rng.normal(30, 3, (2, 90)), np.full((2, 90), 9.0)

    def chi(step, right=False):
        found = normal_equations(
            data + light, variance, place + np.einsum("blt,bt,t->bl", gradient[..., degree], across, step[:3]), gradient, across,
            degree, np.ones(3, bool), np.array([300, 150, 500.0]) + step[8:11],
            np.full(3, 30.0) + step[11:], np.array([4.0, 1.2, 0.1, 0.05, -0.02]) + step[3 : 3 + SHAPE], np.array([1.0, 1.1]), 0.0,
            False,
        )  # fmt: skip
        return found[1] if right else found[2]

    light = line_light(place[0][:, None], np.array([300, 150, 500.0]), 4.0, 1.2)[:90, 0]
    steps = 1e-5 * np.eye(14)
    numerical = np.array([(chi(one) - chi(-one)) / 2e-5 for one in steps])
    found = -2 * chi(np.zeros(14), right=True)
    exact = np.r_[0:3, 8:14]
    np.testing.assert_allclose(found[exact], numerical[exact], rtol=1e-3, atol=1e-3 * np.abs(numerical).max())

"""Flexure that the slits of an exposure measured by themselves, drawn together, against analytic truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specola_pipeline.reduce.flexure import shared_flexure

ERROR = 0.0077


def field(count, seed, error=ERROR):
    """Places of slits, the flexure of an instrument that bends, and what each slit measures of it."""
    rng = np.random.default_rng(seed)
    place = np.column_stack([rng.uniform(0, 2048, count), rng.uniform(1000, 3500, count)])
    x, y = (place / [1024, 2048] - 1).T
    true = 0.6 + 0.05 * x - 0.03 * y + 0.02 * x * y - 0.03 * x * x
    return place, true, true + rng.normal(0, error, count), np.full(count, error)


def test_a_smooth_flexure_is_known_several_times_better_than_by_each_slit():
    left, pulls = [], []
    for seed in range(20):
        place, true, offset, error = field(60, seed)
        value, said = shared_flexure(place, offset, error)
        left.append(value - true)
        pulls.append((value - true) / said)
    assert np.std(left) < 0.45 * ERROR
    assert np.max(np.abs(left)) < 2.5 * ERROR  # of 1200 slits; by themselves the worst is some 3.3 off
    assert 0.8 < np.std(pulls) < 1.25  # the errors of a field's slits are those of its six terms


def test_a_slit_that_lies_elsewhere_stays_there_and_moves_no_other():
    place, _, offset, error = field(60, 1)
    plain, _ = shared_flexure(place, offset, error)
    changed = offset.copy()
    changed[[7, 33]] += [0.3, -0.15]
    value, said = shared_flexure(place, changed, error)
    assert value[[7, 33]] == pytest.approx(changed[[7, 33]])
    assert said[[7, 33]] == pytest.approx(ERROR)
    others = np.setdiff1d(np.arange(60), [7, 33])
    assert np.max(np.abs(value - plain)[others]) < 0.5 * ERROR


def test_slits_that_truly_differ_keep_what_they_saw():
    """A map of each slit that is wrong by ten times what the sky lines know: drawing slits together would do harm."""
    rng = np.random.default_rng(3)
    place, true, offset, error = field(60, 2)
    own = rng.normal(0, 10 * ERROR, 60)
    value, said = shared_flexure(place, offset + own, error)
    assert np.std(value - true - own) < 1.1 * ERROR
    assert np.median(said) == pytest.approx(ERROR, rel=0.05)


def test_a_slit_without_sky_lines_is_moved_as_its_neighbours_are():
    place, true, offset, error = field(60, 4)
    offset[5], error[5] = 0.0, np.nan
    value, said = shared_flexure(place, offset, error)
    assert abs(value[5] - true[5]) < 4 * said[5] < 0.05
    place[5] = (2048, 60000)  # far from all others nobody knows it
    value, said = shared_flexure(place, offset, error)
    assert (value[5], np.isnan(said[5])) == (0.0, True)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 40),
    seed=st.integers(0, 100),
    unseen=st.sets(st.integers(0, 39)),
    scale=st.floats(1e-4, 10.0),
    line=st.booleans(),
)
def test_any_exposure_has_an_answer_that_no_order_of_slits_changes(count, seed, unseen, scale, line):
    place, _, offset, error = field(count, seed, scale)
    lost = [number for number in unseen if number < count]
    offset[lost], error[lost] = 0.0, np.nan
    if line:
        place[:, 1] = 1500.0
    value, said = shared_flexure(place, offset, error)
    seen = np.isfinite(error)
    assert np.isfinite(value).all()
    assert np.isfinite(said[seen]).all()
    assert (said[seen] <= 1.5 * error[seen]).all()
    if seen.sum() < 4:
        np.testing.assert_array_equal(value, offset)
    order = np.random.default_rng(seed).permutation(count)
    again, _ = shared_flexure(place[order], offset[order], error[order])
    np.testing.assert_allclose(again, value[order], rtol=1e-6, atol=1e-9 + 1e-6 * scale)

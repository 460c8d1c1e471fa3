"""Slits in flats and exposures: a mask's image bent by the optics, and moved by flexure, against analytic truth."""

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from specola_pipeline.reduce.traces import Slit, slits_moved, trace_slits

ROWS, COLUMNS, LENGTH, STEP = 1600, 1600, 26.0, 31.0
RANGES = ((100, 1100), (350, 1350), (600, 1600))


def mask():
    """Slits side by side as a header says them, their spectra at three heights of the detector."""
    left = np.arange(30.0, COLUMNS - 60.0, STEP)
    return [Slit(n, RANGES[n % 3], Polynomial([at]), Polynomial([at + LENGTH])) for n, at in enumerate(left, start=1)]


def bent(slit, edge, y, moved):
    """Where an edge really is: by up to ten columns from where it is expected, and not upright."""
    x, along = edge(y) / 800 - 1, (y - sum(slit.rows) / 2) / 1000
    return edge(y) + 4 * x**3 + 2.5 * x**2 + 4 * along * x + 2 * along + moved


def light(slits, level, moved=0.0, seed=1):
    """A frame that is lit through the slits, each pixel by the part of it that is within."""
    image = np.zeros((ROWS, COLUMNS))
    x = np.arange(COLUMNS)
    for slit in slits:
        y = np.arange(*slit.rows)
        left, right = (bent(slit, edge, y.astype(float), moved)[:, None] for edge in (slit.left, slit.right))
        part = np.clip(np.minimum(x + 0.5, right) - np.maximum(x - 0.5, left), 0, 1)
        image[y] += level * part
    return np.random.default_rng(seed).poisson(image + 5).astype(float)


@pytest.fixture(scope="module")
def traced():
    return trace_slits(light(mask(), 3000.0), mask())


def test_slits_are_found_where_the_optics_bend_the_mask_further_than_one_slit_is_looked_for(traced):
    furthest = 0.0
    for slit, expected in zip(traced, mask(), strict=True):
        assert slit.traced
        y = np.arange(*slit.rows, dtype=float)
        for found, edge in ((slit.left, expected.left), (slit.right, expected.right)):
            true = bent(expected, edge, y, 0.0)
            assert np.max(np.abs(found(y) - true)) < 0.2
            furthest = max(furthest, float(np.max(np.abs(true - edge(y)))))
    assert furthest > 8


@pytest.mark.parametrize("moved", [-0.6, 0.0, 1.3])
def test_how_far_the_slits_of_an_exposure_moved_is_seen_in_its_sky(traced, moved):
    found, error = slits_moved(light(mask(), 80.0, moved, seed=2), traced, 2.0)
    assert abs(found - moved) < 0.03
    assert error < 0.01


def test_a_sky_too_faint_to_show_its_slits_moves_nothing(traced):
    found, error = slits_moved(np.zeros((ROWS, COLUMNS)), traced, 2.0)
    assert found == 0.0
    assert np.isnan(error)

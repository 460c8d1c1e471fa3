"""Slits in flats and exposures: a mask's image bent by the optics, and moved by flexure, against analytic truth."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from specola_pipeline.reduce.traces import Slit, mask_shift, slits_moved, trace_slits

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


def light(slits, level, moved=0.0, seed=1, blue=1.0):
    """A frame that is lit through the slits, each pixel by the part of it that is within, in the first row by *blue* of it."""
    image = np.zeros((ROWS, COLUMNS))
    x = np.arange(COLUMNS)
    for slit in slits:
        y = np.arange(*slit.rows)
        left, right = (bent(slit, edge, y.astype(float), moved)[:, None] for edge in (slit.left, slit.right))
        part = np.clip(np.minimum(x + 0.5, right) - np.maximum(x - 0.5, left), 0, 1)
        image[y] += level * np.linspace(blue, 1.0, y.size)[:, None] * part
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


def crowded():
    """A mask whose slits lie closer: a neighbour's light is two columns away or reaches into the slit, where both have some."""
    slits = mask()
    for k in range(4, len(slits) - 1, 6):
        slits[k] = replace(slits[k], right=Polynomial([slits[k + 1].left(0.0) + (-1.5 if k % 4 else 2.0)]))
    return slits


def test_edges_are_true_where_a_neighbours_light_meets_them():
    slits = crowded()
    for slit, expected in zip(trace_slits(light(slits, 3000.0, blue=0.05), slits), slits, strict=True):
        assert slit.traced
        y = np.arange(*slit.rows, dtype=float)
        for found, edge in ((slit.left, expected.left), (slit.right, expected.right)):
            assert np.max(np.abs(found(y) - bent(expected, edge, y, 0.0))) < 0.25


def test_a_bright_column_along_an_edge_is_not_the_edge(traced):
    flat = light(mask(), 3000.0)
    chosen = traced[20]
    column = int(np.ceil(float(chosen.left(chosen.rows[0] + 800.0)))) + 2
    flat[chosen.rows[0] + 500 : chosen.rows[1], column] = 9000.0
    (found,) = (slit for slit in trace_slits(flat, mask()) if slit.number == chosen.number)
    y = np.arange(*chosen.rows, dtype=float)
    assert found.traced
    assert np.max(np.abs(found.left(y) - bent(mask()[20], mask()[20].left, y, 0.0))) < 0.25


def test_an_edge_without_light_is_said_and_placed_beside_the_other():
    slits = mask()
    flat = light([slit for slit in slits if slit.number != 12], 3000.0)
    (dark,) = (slit for slit in trace_slits(flat, slits) if slit.number == 12)
    assert not dark.traced
    assert any("left edge" in word for word in dark.odd)


@pytest.mark.parametrize("rows", [(ROWS + 40, ROWS), (ROWS - 2, ROWS)])
def test_a_slit_whose_spectrum_is_not_on_the_detector_takes_no_other_with_it(traced, rows):
    slits = mask()
    slits[7] = replace(slits[7], rows=rows)
    flat = light([slit for slit in slits if slit.number != 8], 3000.0)
    assert mask_shift(flat, slits)[0] == mask_shift(flat, [slit for slit in slits if slit.number != 8])[0]
    found = trace_slits(flat, slits)
    assert not found[7].traced
    assert "not fall on the detector" in found[7].odd[0]
    assert all(slit.traced for slit in found if slit.number != 8)

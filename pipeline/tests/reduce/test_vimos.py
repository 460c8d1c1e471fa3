"""A simulated VIMOS quadrant through the command's own function, against the truth that was written beside it."""

import numpy as np
import pytest

from specola_pipeline.organise import plan, scan
from specola_pipeline.reduce.calibrate import calibrate
from specola_pipeline.reduce.tasks import Calibrate
from specola_pipeline.simulate import Settings, simulate
from specola_pipeline.simulate.truth import read_truth


def map_errors(folder):
    """Rows by which the map of each slit is wrong, over the slit's pixels: (slits, rms) and (slits, mean)."""
    (group,) = plan(scan(folder / "raw")).groups
    setup = Calibrate.of(group).setup
    calibration = calibrate(setup)
    assert calibration.failed == ()
    truth = read_truth(folder).frame(setup.arcs[0].path.name)
    found = []
    for one in calibration.slits:
        window = one.slit.window(truth.wavelength.shape[1])
        wavelength, _ = one.wave.reference_rows(window, one.slit.middle)
        here = truth.slit[window] == one.said.number
        miss = (wavelength - truth.wavelength[window]) / np.gradient(wavelength, axis=0)
        found.append((np.sqrt(np.mean(miss[here] ** 2)), np.mean(miss[here])))
    return np.array(found).T


@pytest.mark.parametrize(("grism", "slits", "seed", "rms"), [("MR", 30, 1, 0.01), ("MR", 3, 3, 0.01), ("HR_red", 8, 7, 0.03)])
def test_wavelength_maps_are_true(tmp_path, grism, slits, seed, rms):
    simulate(Settings(grism=grism, slits=slits, seed=seed, exposures=1, standards=0, flats=1, biases=3), tmp_path)
    error, offset = map_errors(tmp_path)
    assert error.size == slits
    assert np.mean(error <= rms) >= 0.95
    assert np.max(np.abs(offset)) < 0.005

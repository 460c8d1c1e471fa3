"""A simulated VIMOS quadrant through the command's own function, against the truth that was written beside it."""

import numpy as np
import pytest

from specola_pipeline.organise import plan, scan
from specola_pipeline.reduce import exposure
from specola_pipeline.reduce.calibrate import calibrate
from specola_pipeline.reduce.exposure import reduce_exposure
from specola_pipeline.reduce.run import run
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


@pytest.mark.parametrize(
    ("grism", "slits", "seed", "rms"),
    [("MR", 30, 1, 0.01), ("MR", 3, 3, 0.01), ("HR_red", 8, 7, 0.03), ("LR_blue", 3, 7, 0.01), ("LR_red", 5, 7, 0.03)],
)
def test_wavelength_maps_are_true(tmp_path, grism, slits, seed, rms):
    simulate(Settings(grism=grism, slits=slits, seed=seed, exposures=1, standards=0, flats=1, biases=3), tmp_path)
    error, offset = map_errors(tmp_path)
    assert error.size == slits
    assert np.mean(error <= rms) >= 0.95
    assert np.max(np.abs(offset)) < (0.02 if grism == "LR_red" else 0.005)


@pytest.mark.parametrize("seed", [3, 5])
def test_sky_and_wavelengths_of_an_exposure_are_true_after_flexure(tmp_path, seed):
    """The simulator draws its sky from the atlas that the reduction compares with, but varies its bands and its continuum.

    With seed 3 the image moves along the dispersion, with seed 5 also by 0.6 pixel across it.
    """
    simulate(Settings(slits=6, seed=seed, exposures=1, standards=0, flats=1, biases=3), tmp_path)
    reduction = run(tmp_path / "raw", tmp_path / "work")
    assert reduction.problems == ()
    (mask,) = reduction.masks
    (exposure,) = mask.exposures
    frame = read_truth(tmp_path).frame(exposure.entry.path.name)
    (flexure,) = (one["flexure"][1] for one in read_truth(tmp_path).frames if one["file"] == exposure.entry.path.name)
    assert abs(flexure) > 0.3
    for row in exposure.quality:
        images = mask.images(0, row.number)
        here = images.inside & (frame.slit[images.window] == row.number)
        miss = ((images.wavelength - frame.wavelength[images.window]) / np.gradient(images.wavelength, axis=0))[here]
        assert np.sqrt(np.mean(miss**2)) < 0.03
        assert abs(np.mean(miss)) < 0.02
        assert row.sky_lines >= 8
        assert abs(row.sky_offset - flexure) < 0.02
        assert row.sky_chi < 1.02
        assert row.line_chi < 1.05


def test_slits_that_share_their_sky_know_it_better_and_the_same_every_time(tmp_path, monkeypatch):
    simulate(Settings(slits=12, seed=9, exposures=1, standards=0, flats=1, biases=3), tmp_path)
    (group,) = plan(scan(tmp_path / "raw")).groups
    setup = Calibrate.of(group).setup
    calibration, runs, alone = calibrate(setup), ([], []), []
    records = [reduce_exposure(setup.first, calibration, 0.9, 4, kept.append) for kept in runs]
    monkeypatch.setattr(exposure, "share_sky", lambda slits: [None] * len(slits))
    reduce_exposure(setup.first, calibration, 0.9, 4, alone.append)
    assert [one.number for one in runs[0]] == [one.said.number for one in calibration.slits]
    gain = []
    for first, again, by_itself, figures in zip(*runs, alone, records[0].quality, strict=True):
        assert first.sky.tobytes() == again.sky.tobytes()
        assert first.wavelength.tobytes() == again.wavelength.tobytes()
        assert [one.flux.tobytes() for one in first.spectra] == [one.flux.tobytes() for one in again.spectra]
        assert figures.sky_chi < 1.02
        assert figures.line_chi < 1.05
        gain += [np.nanmedian(one.variance / other.variance) for one, other in zip(first.spectra, by_itself.spectra, strict=True)]
    assert max(gain) < 1.0
    assert np.median(gain) < 0.99  # slits of a hundred pixels have little to gain


@pytest.mark.parametrize("grism", ["LR_red", "LR_blue"])
def test_a_slit_that_an_object_fills_is_said_and_no_other(tmp_path, grism):
    """Two of twelve slits see nothing but the middle of a galaxy: its light is in their sky, and only other slits show it."""
    simulate(Settings(grism=grism, slits=12, filled=2, seed=22, exposures=1, standards=0, flats=1, biases=3), tmp_path)
    (group,) = plan(scan(tmp_path / "raw")).groups
    setup, kept = Calibrate.of(group).setup, []
    record = reduce_exposure(setup.first, calibrate(setup), 0.9, 4, kept.append)
    truth = read_truth(tmp_path).frame(setup.first.path.name)
    said = {one.number: any("an object that fills the slit" in words for words in one.odd) for one in record.quality}
    assert said == {number: number in {4, 10} for number in range(1, 13)}
    for images, figures in zip(kept, record.quality, strict=True):
        if not said[images.number]:
            assert abs(figures.sky_excess) < 4 * figures.sky_excess_error
            continue
        here = images.inside & (truth.slit[images.window] == images.number)
        sky, light = truth.diffuse[images.window][here], truth.objects[images.window][here]
        between = sky < np.median(sky)
        true = np.sum(light[between]) / np.sum(sky[between])  # some of it is taken by objects that were found in it
        assert 0.7 * true < figures.sky_excess < 1.1 * true

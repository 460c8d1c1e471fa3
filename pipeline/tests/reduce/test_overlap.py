"""Slits whose light falls on the same pixels: cut too near, and one spectrum over another's end."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.polynomial import Polynomial

from specola_pipeline.reduce.detector import BAD
from specola_pipeline.reduce.overlap import foreign_light, meeting
from specola_pipeline.reduce.run import run
from specola_pipeline.reduce.traces import Slit
from specola_pipeline.simulate import Settings, night, simulate
from specola_pipeline.simulate.truth import read_truth


def slit(number, rows, left, right):
    return Slit(number, rows, Polynomial([left]), Polynomial([right]), traced=True)


def test_pixels_of_another_slits_light_are_those_within_it_and_its_blur():
    window = (slice(100, 200), slice(40, 60))
    lit = foreign_light(window, (slit(2, (150, 400), 50.0, 80.0),), moved=0.25)
    y, x = np.mgrid[100:200, 40:60]
    assert np.array_equal(lit, (y >= 142) & (x > 48.75))


def test_slits_apart_do_not_meet_and_those_that_meet_say_so():
    apart = [slit(1, (0, 900), 10.0, 30.0), slit(2, (0, 900), 33.0, 50.0), slit(3, (920, 1800), 10.0, 30.0)]
    said, beside = meeting(apart, 200)
    assert said == apart
    assert beside == [(), (), ()]
    over = [*apart[:2], replace(apart[2], rows=(600, 1500))]
    said, beside = meeting(over, 200)
    assert [[one.number for one in others] for others in beside] == [[3], [], [1]]
    assert "slit 3 falls on 34%" in said[0].odd[0]
    assert "slit 1 falls on 34%" in said[2].odd[0]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """Ten slits in LR_blue: the light of 4 and 5 meets along their ends, 8 lies over the end of 7's spectrum for 150 rows."""
    folder = tmp_path_factory.mktemp("crowded")
    patch, design = pytest.MonkeyPatch(), night.design

    def crowd(settings, instrument):
        mask = design(settings, instrument)
        slits = {one.identifier: one for one in mask.slits}
        mm = 0.578 * 0.205  # a pixel on the mask
        slits[5] = replace(slits[5], y=slits[4].y, x=slits[4].x + (slits[4].length + slits[5].length) / 2 - 5 * mm)
        slits[8] = replace(slits[8], y=slits[7].y + 420 * mm, x=slits[7].x)
        return replace(mask, slits=tuple(slits.values()))

    patch.setattr(night, "design", crowd)
    simulate(Settings(grism="LR_blue", slits=10, seed=9, exposures=1, standards=0, flats=1, biases=3), folder)
    patch.undo()
    return folder


def test_light_of_two_slits_is_in_neither(crowded, tmp_path):
    reduction = run(crowded / "raw", tmp_path)
    assert reduction.problems == ()
    (mask,) = reduction.masks
    (exposure,) = mask.exposures
    frame = read_truth(crowded).frame(exposure.entry.path.name)
    meets = {4: 5, 5: 4, 7: 8, 8: 7}
    for row in exposure.quality:
        images = mask.images(0, row.number)
        here = images.inside & (frame.slit[images.window] == row.number)
        used = here & (images.mask == 0)
        miss = (images.wavelength - frame.wavelength[images.window]) / np.gradient(images.wavelength, axis=0)
        # Of 8 the bluest 160 rows of 570 are lost, with most of the lines that bend the map: it is marked for its arc.
        assert np.sqrt(np.mean(miss[used] ** 2)) < (0.3 if row.number == 8 else 0.03)
        assert row.sky_chi < 1.02
        assert row.line_chi < 1.05
        assert row.objects == (frame.sources["SLIT"] == row.number).sum()
        said = [word for word in row.odd if "falls on" in word]
        assert [f"slit {meets[row.number]} " in word for word in said] == [True] if row.number in meets else not said
    lost = (mask.images(0, 7).mask & BAD) > 0
    over = frame.slit[mask.images(0, 7).window] == 8
    assert lost[over & mask.images(0, 7).inside].all()
    (spectrum,) = mask.images(0, 7).spectra
    both = over.any(axis=1) & (lost | ~mask.images(0, 7).inside).all(axis=1)
    assert both.sum() > 100
    assert np.isnan(spectrum.flux[both]).all()

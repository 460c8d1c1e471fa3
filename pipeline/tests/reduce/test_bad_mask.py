"""Masks that are not where, or not what, the headers say, in simulated VIMOS frames through the command's own function."""

import shutil

import numpy as np
import pytest
from astropy.io import fits

from specola_pipeline.quality.rows import judge
from specola_pipeline.reduce.run import run
from specola_pipeline.simulate import Settings, simulate
from specola_pipeline.simulate.truth import read_truth

MOVED = 9


@pytest.fixture(scope="module")
def quadrant(tmp_path_factory):
    """Raw frames of a mask of four slits, without flexure."""
    folder = tmp_path_factory.mktemp("mask")
    chosen = Settings(
        grism="LR_blue", slits=4, seed=7, exposures=1, standards=0, flats=1, biases=3, without=frozenset({"flexure"})
    )
    simulate(chosen, folder)
    return folder


def frames(quadrant, kinds):
    """Names of the raw frames of some kinds."""
    return [one["file"] for one in read_truth(quadrant).frames if one["kind"] in kinds]


def copied(quadrant, folder):
    shutil.copytree(quadrant / "raw", folder / "raw")
    return folder / "raw"


def test_a_mask_in_the_beam_that_the_header_does_not_describe_is_refused(quadrant, tmp_path):
    raw = copied(quadrant, tmp_path)
    (science,) = frames(quadrant, {"science"})
    with fits.open(raw / science, mode="update") as hdus:
        header = hdus[0].header
        for number in range(1, 5):
            header[f"ESO INS SLIT{number} X"] += 12.0  # mm: a hundred pixels
    result = run(raw, tmp_path / "work")
    assert result.masks == ()
    (row,) = judge(result).rows
    assert (row["file"], row["state"]) == (science, "rejected")
    assert "was another mask in the beam?" in row["flags"]


def test_a_mask_that_sits_elsewhere_than_the_header_says_is_reduced_all_the_same(quadrant, tmp_path):
    raw = copied(quadrant, tmp_path)
    for name in frames(quadrant, {"science", "flat", "arc"}):
        with fits.open(raw / name, mode="update") as hdus:
            hdus[0].data[:, 50:2098] = np.roll(hdus[0].data[:, 50:2098], MOVED, axis=1)
    (mask,) = run(raw, tmp_path / "work").masks
    (exposure,) = mask.exposures
    assert len(exposure.quality) == 4
    truth = read_truth(quadrant).frame(exposure.entry.path.name)
    for row in exposure.quality:
        images = mask.images(0, row.number)
        rows, columns = images.window
        there = (rows, slice(columns.start - MOVED, columns.stop - MOVED))
        here = images.inside & (truth.slit[there] == row.number)
        assert here.sum() > 0.95 * images.inside.sum()
        miss = (images.wavelength - truth.wavelength[there]) / np.gradient(images.wavelength, axis=0)
        assert np.sqrt(np.mean(miss[here] ** 2)) < 0.03

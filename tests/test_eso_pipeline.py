"""ESO's own recipes take the simulator's frames, and see in them what was put there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import reduction_eso
from bench.reduction_truth import Seen, measure
from specola_pipeline.organise import scan
from specola_pipeline.simulate import Settings, read_truth, simulate

SLITS = 5


@pytest.fixture(scope="module")
def reduced(tmp_path_factory: pytest.TempPathFactory) -> tuple[reduction_eso.Products, Path]:
    """A small night through vmbias, vmmoscalib and vmmosscience."""
    reason = reduction_eso.missing()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("eso")
    simulate(Settings(seed=2, slits=SLITS, exposures=1, biases=3, flats=1, standards=0), folder)
    return reduction_eso.reduce_with_eso(scan(folder / "raw"), folder / "reduced"), folder


@pytest.mark.slow
def test_the_recipes_take_the_frames_without_complaint(reduced: tuple[reduction_eso.Products, Path]) -> None:
    products, _ = reduced
    assert products.complaints == []
    wanted = {
        "master_bias",
        "mos_wavelength_map",
        "mos_disp_coeff",
        "mos_slit_location",
        "mos_science_reduced",
        "object_sci_table",
    }
    assert wanted <= set(products.files)
    assert len(products.table("mos_slit_location")) == SLITS


@pytest.mark.slow
def test_the_recipes_see_what_was_simulated(reduced: tuple[reduction_eso.Products, Path]) -> None:
    """Wavelengths to a fifth of a pixel, the sky to its noise, and objects where they are."""
    products, folder = reduced
    told = read_truth(folder)
    truth = told.frame(next(frame["file"] for frame in told.frames if frame["kind"] == "science"))
    seen = reduction_eso.seen_by_eso(products, truth)
    assert isinstance(seen, Seen)
    figures = measure(seen, truth)
    assert figures["map error, worst of slits, px rms"] < 0.2
    assert figures["sky residual / noise, continuum"] == pytest.approx(1, abs=0.1)
    assert figures["objects found"] >= 0.8
    assert np.isfinite(figures["extracted noise / optimum, clear"])

"""The error of a redshift is its scatter, in faint and bright spectra, of the right template and of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.tests.made_spectra import made
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.templates import Library, load_library


def width_of_pulls(library: Library, name: str, z: float, snr: float, number: int) -> float:
    """Of so many spectra of a template, measured with a library; none may be without redshift."""
    redshifter = Redshifter(library)
    results = [redshifter.measure(made(name, z, snr=snr, seed=seed)).best for seed in range(number)]
    pulls = [(best.z - z) / best.z_err for best in results if best is not None]
    assert len(pulls) == number
    return float(np.std(pulls))


def only(name: str) -> Library:
    """The library with one template."""
    library = load_library()
    return Library(library.step, library.first, tuple(one for one in library.templates if one.name == name))


def test_the_error_of_z_is_its_scatter() -> None:
    """Of so many spectra that the width itself is known to three per cent."""
    assert 0.9 < width_of_pulls(only("early"), "early", 0.6, 6.0, 600) < 1.1


def test_it_holds_in_bright_spectra() -> None:
    """Features of a bright spectrum are not taken for noise."""
    assert 0.85 < width_of_pulls(only("starburst"), "starburst", 0.55, 20.0, 300) < 1.15


def test_it_knows_that_the_template_is_another() -> None:
    """Galaxies that are not among the templates: their own one is left out."""
    library = load_library()
    others = Library(library.step, library.first, tuple(one for one in library.templates if one.name != "Sbc"))
    assert 0.7 < width_of_pulls(others.only(("GALAXY",)), "Sbc", 0.6, 8.0, 150) < 1.2


@pytest.mark.parametrize("factor", [1e-12, 1e30])
def test_errors_out_of_all_proportion(factor: float) -> None:
    """Errors that are far too small are found out by the scatter; with those far too large nothing is certain."""
    one = made("early", 0.62, snr=8.0)
    result = Redshifter().measure(replace(one, err=one.err * factor))
    assert result.best is not None
    assert result.best.z_err < 0.01
    if factor < 1:
        assert abs(result.best.z - 0.62) < 5 * result.best.z_err + 1e-4
        assert result.best.z_err > 1e-5
    else:
        assert result.probability < 0.5

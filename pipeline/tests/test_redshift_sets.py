"""Templates and principal components in redrock's format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pipeline.tests.made_spectra import made
from specola_pipeline.errors import SpectrumError
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.prepare import prepare
from specola_pipeline.redshift.scan import Scanner, smoothed
from specola_pipeline.redshift.templates import load_library, load_redrock


def test_redrock_templates(tmp_path: Path) -> None:
    library = load_library()
    path = write_redrock(tmp_path / "rrtemplate-galaxy.fits", library.of("GALAXY")[0].flux[None], library.step, library.first)
    read = load_redrock((path,))
    assert read.classes == ("GALAXY",)
    inside = library.of("GALAXY")[0].flux > 0.01
    assert np.allclose(read.templates[0].flux[inside], library.of("GALAXY")[0].flux[inside], rtol=1e-3)
    best = Redshifter(read).measure(made("early", 0.6, snr=5.0)).best
    assert best is not None
    assert abs(best.z - 0.6) < 0.003
    negative = write_redrock(tmp_path / "pca.fits", -library.of("GALAXY")[0].flux[None], library.step, library.first)
    with pytest.raises(SpectrumError, match="negative"):
        load_redrock((negative,))


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of principal components in redrock's format, made of the package's galaxies: the mean and four components."""
    library = load_library()
    flux = np.array([one.flux for one in library.of("GALAXY") if not one.sigma])
    full = (flux > 0).all(axis=0)
    flux = np.where(full, flux / np.maximum(np.median(flux[:, full], axis=1), 1e-30)[:, None], 0.0)
    mean = flux.mean(axis=0)
    rest = np.linalg.svd(flux - mean, full_matrices=False)[2][:4]
    path = tmp_path_factory.mktemp("pca") / "rrtemplate-GALAXY-pca.fits"
    # The sign of a component is arbitrary, of the mean too.
    return write_redrock(path, np.vstack([-mean, rest]), library.step, library.first)


def test_principal_components_are_fitted_together(components: Path) -> None:
    library = load_redrock((components,))
    assert library.templates == ()
    (one,) = library.sets
    assert (one.spectral_class, one.vectors.shape[0], one.low, one.high) == ("GALAXY", 5, -0.003, 6.5)
    assert library.classes == ("GALAXY",)
    redshifter = Redshifter(library)
    pulls = []
    for seed in range(24):
        result = redshifter.measure(made("early", 0.62, snr=5.0, seed=seed))
        assert result.best is not None
        assert abs(result.best.z - 0.62) < 0.003 * 1.62
        assert result.best.dof == result.wave.size - 6
        # below one: what templates may be wrong by is in the weights, and these are right
        assert 0.4 < result.best.chi2 / result.best.dof < 1.1
        pulls.append((result.best.z - 0.62) / result.best.z_err)
    assert 0.6 < np.std(pulls) < 1.5


def test_the_scan_of_a_set_is_the_direct_sum(components: Path) -> None:
    library = load_redrock((components,))
    prepared = prepare(made("early", 0.62, snr=8.0))
    (scanned,) = Scanner(library).scan(prepared)
    at = int(scanned.gain[0].argmax())
    assert abs(scanned.z[at] - 0.62) < 0.003
    points = (prepared.first + np.arange(prepared.weight.size)) * prepared.step - np.log1p(scanned.z[at])
    blur = np.hypot(np.round(prepared.sigma, 6), prepared.step / np.sqrt(12))
    grid = np.log(library.wave)
    design = np.array([np.interp(points, grid, smoothed(v, blur, library.step)) for v in library.sets[0].vectors]).T
    root = np.sqrt(prepared.weight)
    target = np.where(prepared.weight > 0, prepared.weighted / np.maximum(root, 1e-30), 0.0)
    fitted = design @ np.linalg.lstsq(design * root[:, None], target, rcond=None)[0] * root
    assert scanned.gain[0, at] == pytest.approx(fitted @ target, rel=1e-5)


def test_a_set_is_used_where_it_is_made_for(components: Path, tmp_path: Path) -> None:
    with fits.open(components) as hdus:
        hdus.append(fits.ImageHDU(np.linspace(0.9, 2.0, 5), name="REDSHIFTS"))
        hdus.writeto(tmp_path / "far.fits")
    library = load_redrock((tmp_path / "far.fits",))
    assert (library.sets[0].low, library.sets[0].high) == (0.9, 2.0)
    result = Redshifter(library).measure(made("early", 0.62, snr=5.0))
    assert result.best is None or 0.89 < result.best.z < 2.01


def test_components_and_templates_together(components: Path, tmp_path: Path) -> None:
    library = load_library()
    star = next(one.flux for one in library.of("STAR") if one.name == "M3")
    path = write_redrock(tmp_path / "star.fits", star[None], library.step, library.first)
    with fits.open(path, mode="update") as hdus:
        hdus["BASIS_VECTORS"].header["RRTYPE"] = "STAR"
    redshifter = Redshifter(load_redrock((components, path)))
    for name, z, expected in (("early", 0.62, "GALAXY"), ("M3", 0.0002, "STAR")):
        best = redshifter.measure(made(name, z, snr=8.0)).best
        assert best is not None
        assert (best.spectral_class, abs(best.z - z) < 0.003) == (expected, True)


def write_redrock(path: Path, vectors: np.ndarray, step: float, first: int) -> Path:
    hdu = fits.ImageHDU(vectors, name="BASIS_VECTORS")
    hdu.header.update(CRVAL1=first * step / np.log(10), CDELT1=step / np.log(10), LOGLAM=1, RRTYPE="GALAXY", RRSUBTYP="")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path

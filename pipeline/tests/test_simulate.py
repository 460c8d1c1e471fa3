"""The simulator against what can be computed on paper."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import label
from typer.testing import CliRunner

from specola_pipeline.cli import app
from specola_pipeline.errors import FrameError, PipelineError
from specola_pipeline.instruments import Kind, instrument, line_list, read_frame, sky, slits, standards
from specola_pipeline.simulate import EFFECTS, Optics, Settings, design, light, read_truth, simulate
from specola_pipeline.simulate.ccd import GAIN, LEVEL, READ_NOISE, Camera
from specola_pipeline.simulate.render import Pointing, Scene, Telescope
from specola_pipeline.simulate.spread import object_kernel, slit_kernel
from specola_pipeline.spectral import vacuum_to_air

VIMOS = instrument("vimos")
SHAPE = (4096, 2048)
PERFECT = Telescope(0.578, 0.205, READ_NOISE, varying_spread=False, slit_errors={})
STILL = Pointing(0.8, 1.2, 0.0, 0.0, 0.35, refraction=False, losses=False)
GEOMETRY = VIMOS.geometry.transform[1]


def _optics(seed: int = 3) -> Optics:
    return Optics.random(GEOMETRY, SHAPE, np.random.default_rng(seed))


def _one_slit(settings: Settings):
    mask = design(settings, VIMOS)
    return mask, min(mask.slits, key=lambda slit: abs(slit.x) + abs(slit.y))


@pytest.fixture(scope="module")
def grid():
    return light.Grid.of(VIMOS.grism("MR"), orders=True)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A small night of real frames, made by the command."""
    folder = tmp_path_factory.mktemp("night")
    arguments = "--slits 20 --exposures 2 --biases 2 --flats 1 --seed 5 --json"
    done = CliRunner().invoke(app, ["simulate", str(folder), *arguments.split()])
    assert done.exit_code == 0, done.output
    return folder, [fits.open(file) for file in json.loads(done.stdout)["raw"]]


def test_the_map_of_a_slit_inverts_the_optics() -> None:
    optics = _optics()
    found = optics.slit_map(-60.0, 30.0, 2.0, (-800.0, 1100.0))
    y, x = np.arange(*found.window(SHAPE)[:2], 97.0), np.arange(*found.window(SHAPE)[2:], 5.0)
    back_x, back_y = optics.detector(-60.0 + found.along(y, x), 30.0, found.offset(y, x))
    np.testing.assert_allclose(back_x, np.broadcast_to(x, back_x.shape), atol=2e-5)
    np.testing.assert_allclose(back_y, np.broadcast_to(y[:, None], back_y.shape), atol=2e-5)


def test_flexure_moves_the_image_by_just_that() -> None:
    optics = _optics()
    (x0, y0), (x1, y1) = optics.detector(10.0, 5.0, 300.0), optics.at(0.7, -1.3).detector(10.0, 5.0, 300.0)
    assert (x1 - x0, y1 - y0) == pytest.approx((0.7, -1.3))


def test_the_diffuse_light_of_a_slit_is_all_on_the_detector(grid) -> None:
    """Photons in = photons out: what is drawn adds up to the cells times the slit's length."""
    _, slit = _one_slit(Settings(slits=10))
    cells = np.zeros(grid.edges.size - 1)
    cells[2000:9000:500] = 1000.0
    scene = Scene(grid, SHAPE)
    scene.add(_optics(), PERFECT, slit, cells, [], STILL)
    assert scene.diffuse.sum() == pytest.approx(cells.sum() * slit.length / 0.578, rel=2e-3)


def test_an_object_is_all_on_the_detector_and_the_truth_counts_it(grid) -> None:
    mask, slit = _one_slit(Settings(slits=10, objects=1))
    source = next(one for one in mask.sources if one.slit == slit.identifier)
    source = dataclasses.replace(source, along=0.0, across=0.0, size=0.0)
    cells = np.where((grid.centres > 5200) & (grid.centres < 9400), 50.0, 0.0)
    scene = Scene(grid, SHAPE)
    scene.add(_optics(), PERFECT, slit, np.zeros_like(cells), [(source, cells)], STILL)
    assert scene.objects.sum() == pytest.approx(cells.sum(), rel=2e-3)
    assert np.nansum(scene.sources[0].electrons) == pytest.approx(cells.sum(), rel=2e-3)


def test_slit_losses_are_those_of_two_gaussians(grid) -> None:
    """Through a slit of 1 arcsec at 5000 Å and zenith: erf of half the width, for the core and the halo."""
    from math import erf

    mask, slit = _one_slit(Settings(slits=10, objects=1))
    source = dataclasses.replace(
        next(one for one in mask.sources if one.slit == slit.identifier), along=0.0, across=0.0, size=0.0
    )
    cells = np.where(abs(grid.centres - 5000) < 5, 1000.0, 0.0)
    totals = []
    for losses in (False, True):
        scene = Scene(grid, SHAPE)
        scene.add(
            Optics(GEOMETRY, SHAPE),
            PERFECT,
            slit,
            np.zeros_like(cells),
            [(source, cells)],
            dataclasses.replace(STILL, losses=losses),
        )
        totals.append(float(scene.objects.sum()))
    sigma = 0.8 / 2.3548
    expected = sum(part * erf(0.5 / (np.sqrt(2) * factor * sigma)) for part, factor in ((0.85, 1.0), (0.15, 2.1)))
    assert totals[1] / totals[0] == pytest.approx(expected, rel=2e-3)


def test_lines_fall_where_the_optics_put_them(grid) -> None:
    """The centroid of every line in every column is at the pixel that the exact forward model names."""
    _, slit = _one_slit(Settings(slits=10))
    cells = np.zeros(grid.edges.size - 1)
    lines = np.arange(1500, 14000, 1200)
    cells[lines] = 1e5
    optics = _optics(8)
    scene = Scene(grid, SHAPE)
    scene.add(optics, PERFECT, slit, cells, [], STILL)
    for cell in lines:
        offset = 0.5 * (grid.edges[cell] + grid.edges[cell + 1])
        for along in (-0.6, 0.0, 0.6):
            x, y = (float(part) for part in optics.detector(slit.x + along * slit.length / 2, slit.y, offset))
            if not 40 < y < SHAPE[0] - 40:
                continue
            column, rows = round(x), np.arange(round(y) - 12, round(y) + 13)
            exact = y + _slope(optics, slit, along, offset) * (column - x)
            part = scene.diffuse[rows, column].astype(float)
            assert (part * rows).sum() / part.sum() == pytest.approx(exact, abs=0.003)


def _slope(optics: Optics, slit, along: float, offset: float) -> float:
    """dy/dx of a line."""
    (xa, xb), (ya, yb) = (
        part for part in optics.detector(slit.x + along * slit.length / 2 + np.array([-0.01, 0.01]), slit.y, offset)
    )
    return float((yb - ya) / (xb - xa))


def test_the_wavelength_map_names_the_line_on_each_pixel(grid) -> None:
    _, slit = _one_slit(Settings(slits=10))
    optics = _optics(4)
    scene = Scene(grid, SHAPE)
    scene.add(optics, PERFECT, slit, np.zeros(grid.edges.size - 1), [], STILL)
    x, y = optics.detector(slit.x, slit.y, grid.grism.offset(7500.0))
    column, row = round(float(x)), int(y)
    low, high = scene.wavelength[row : row + 2, column]
    assert low + (y - row) * (high - low) + 0.0 == pytest.approx(
        7500.0, abs=0.05 * 2.55 + abs(_slope(optics, slit, 0.0, 196.0)) * 1.3
    )
    assert set(np.unique(scene.slit)) == {0, slit.identifier}
    assert np.isnan(scene.wavelength[scene.slit == 0]).all()


@pytest.mark.parametrize(("width", "sigma"), [(4.88, 1.1), (9.8, 1.4), (2.0, 0.8)])
def test_line_profiles_have_the_width_of_box_and_gaussian(width, sigma) -> None:
    for kernel in (slit_kernel(width, sigma), object_kernel(width, sigma, 0.0, 1e3)):
        x = (np.arange(kernel.size) - kernel.size // 2) / light.FRACTION
        assert kernel.sum() == pytest.approx(1)
        assert (kernel * x).sum() == pytest.approx(0, abs=1e-9)
        assert np.sqrt((kernel * x**2).sum()) == pytest.approx(np.hypot(width / np.sqrt(12), sigma), rel=0.03)


def test_an_object_off_the_middle_of_its_slit_is_shifted_in_wavelength() -> None:
    kernel = object_kernel(4.88, 1.1, 0.8, 1.0)
    x = (np.arange(kernel.size) - kernel.size // 2) / light.FRACTION
    assert 0.5 < (kernel * x).sum() < 0.8


def test_cells_hold_the_integral_of_the_spectrum(grid) -> None:
    wave = np.arange(3000.0, 11000.0, 1.0)
    flux = 1.0 + 0.3 * np.sin(wave / 200)
    exact = np.trapezoid(flux * light.throughput(wave, grid.grism), wave)
    assert light.cells(grid, wave, flux, orders=False).sum() == pytest.approx(exact, rel=1e-3)


def test_second_order_is_light_of_half_the_wavelength(grid) -> None:
    wave = np.arange(3000.0, 11000.0, 0.5)
    flux = np.where(abs(wave - 4950) < 5, 1.0, 0.0)
    first, both = (light.cells(grid, wave, flux, orders=orders) for orders in (False, True))
    extra = both - first
    assert extra.sum() == pytest.approx(0.03 * first.sum(), rel=1e-3)
    assert (extra * grid.centres).sum() / extra.sum() == pytest.approx(9900, abs=3)


def test_the_zeroth_order_of_a_low_resolution_grism_is_one_spot() -> None:
    grid = light.Grid.of(VIMOS.grism("LR_red"), orders=True)
    wave = np.arange(3000.0, 11000.0, 1.0)
    first, both = (light.cells(grid, wave, np.ones_like(wave), orders=orders) for orders in (False, True))
    assert np.count_nonzero(both - first) == 1
    assert (both - first).sum() == pytest.approx(0.02 * first.sum(), rel=0.01)


def test_sky_photons_are_those_of_the_sky_table() -> None:
    dark = sky()
    wavelength, photons = light.night_sky(None)
    energy = photons * light.HC / wavelength / light.AREA
    np.testing.assert_allclose(energy, 1e-17 * dark.flux, rtol=1e-9)
    varied = light.night_sky(np.random.default_rng(1))[1]
    assert 0.5 < varied.sum() / photons.sum() < 2
    assert not np.allclose(varied, photons)


def test_refraction_is_that_of_another_formula_for_air() -> None:
    """Ciddor's standard air, thinned to Paranal's pressure and temperature by the gas law, refracted by a plane atmosphere."""
    waves = np.array([4000.0, 5000.0, 9000.0])
    excess = waves / vacuum_to_air(waves) - 1
    thin = (743 / 1013.25) * (288.15 / 284.65)
    expected = 206265 * np.sqrt(1.5**2 - 1) * (excess - excess[1]) * thin
    found = light.refraction(waves, 1.5)
    np.testing.assert_allclose(found - found[1], expected, atol=0.01)
    assert light.refraction(6500.0, 2.0) == pytest.approx(0)


def test_arc_lines_are_put_at_their_wavelengths(grid) -> None:
    cells = light.arc(("HeI",), grid, 1e6)
    for line in line_list("HeI").wavelength:
        if 5000 < line < 9700:
            near = abs(grid.centres - line) < 1.5
            part = cells[near] - np.median(cells)
            assert (part * grid.centres[near]).sum() / part.sum() == pytest.approx(line, abs=0.05)


def test_noise_is_poisson_and_read_noise() -> None:
    settings = Settings(without=frozenset(EFFECTS) - {"noise"})
    camera = Camera.of(settings, VIMOS.detector(1))
    raw = camera.expose(np.full(SHAPE, 900.0, "f4"), np.zeros(SHAPE, "f4"), np.random.default_rng(2)).astype(float)
    lit, dark = raw[:, 60:2090], raw[:, :50]
    assert dark.mean() == pytest.approx(LEVEL, abs=0.02)
    assert dark.std() == pytest.approx(np.hypot(READ_NOISE / GAIN, 1 / np.sqrt(12)), rel=0.01)
    assert (lit.mean() - dark.mean()) * GAIN == pytest.approx(900, rel=1e-3)
    assert lit.std() * GAIN == pytest.approx(np.sqrt(900 + READ_NOISE**2), rel=0.01)


def test_without_noise_the_frame_is_the_expectation() -> None:
    camera = Camera.of(Settings(without=frozenset(EFFECTS)), VIMOS.detector(1))
    raw = camera.expose(np.full(SHAPE, 175.0, "f4"), np.zeros(SHAPE, "f4"), np.random.default_rng(2))
    assert set(np.unique(raw)) == {int(LEVEL), int(LEVEL) + 100}


def test_cosmic_rays_hit_as_often_as_they_should() -> None:
    camera = Camera.of(Settings(), VIMOS.detector(1))
    image = camera.cosmics(3600.0, np.random.default_rng(1))
    hits = label(image > 0, np.ones((3, 3)))[1]
    assert hits == pytest.approx(1.6 * 60 * 18.87, rel=0.15)
    assert 1500 < image.sum() / hits < 4000  # 80 e-/µm through 16 µm, at an angle whose mean secant is 1.5


def test_fringes_grow_to_the_red_and_leave_the_mean() -> None:
    camera = Camera.of(Settings(), VIMOS.detector(1))
    flat = np.full(SHAPE, 1000.0, "f4")
    rms = [camera.fringed(flat, np.full(SHAPE, wave, "f4")).std() / 1000 for wave in (6000.0, 9700.0)]
    assert rms[0] < 1e-3
    assert 0.015 < rms[1] < 0.03


def test_frames_are_what_the_instrument_file_expects(night) -> None:
    _, frames = night
    kinds = []
    for hdus in frames:
        frame = read_frame(hdus[0].header, "x.fits")
        kinds.append(frame.kind)
        assert hdus[0].data.shape == VIMOS.detector(1).shape
        assert hdus[0].data.dtype == np.uint16
        if frame.kind in {Kind.SCIENCE, Kind.FLAT, Kind.ARC}:
            assert (frame.grism, frame.filter) == ("MR", "GG475")
        if frame.kind is Kind.ARC:
            assert frame.lines == ("HeI", "NeI", "ArI")
    assert [kinds.count(kind) for kind in (Kind.SCIENCE, Kind.FLAT, Kind.ARC, Kind.STANDARD, Kind.BIAS)] == [2, 2, 2, 1, 2]


def test_slits_of_the_header_are_near_the_truth(night) -> None:
    folder, frames = night
    truth = read_truth(folder)
    science = frames[0][0].header
    one = truth.frame(truth.frames[0]["file"])
    for slit in slits(VIMOS, science, read_frame(science, "x"), SHAPE):
        rows, columns = np.nonzero(one.slit == int(slit.identifier))
        middle = one.wavelength[rows, columns]
        at = abs(middle - 7000) < 3
        assert abs(columns[at].mean() - slit.centre) < 25
        assert abs(rows[at].mean() - slit.reference) < 25


def test_the_frame_less_the_truth_is_noise(night) -> None:
    folder, frames = night
    truth = read_truth(folder)
    one = truth.frame(truth.frames[0]["file"])
    raw = frames[0][0].data[:, 50:2098].astype(float)
    clean = (one.cosmics == 0) & (one.slit > 0)
    pull = ((raw - LEVEL) * GAIN - (one.diffuse + one.objects)) / np.sqrt(one.diffuse + one.objects + READ_NOISE**2)
    middle = pull[clean] - np.median(pull[clean])
    assert 0.95 < np.subtract(*np.percentile(middle, [84.13, 15.87])) / 2 < 1.2  # response, fringes and bias structure add some


def test_the_truth_of_objects_is_what_was_asked(night) -> None:
    folder, _ = night
    truth = read_truth(folder)
    spectra = truth.sources()
    assert len(truth.mask["sources"]) == len(spectra["flux"]) >= 20
    for source, flux in zip(truth.mask["sources"], spectra["flux"], strict=True):
        near = abs(spectra["wavelength"] - 7500) < 400
        level = np.median(flux[near]) * 7500**2 / 2.99792458e18
        assert -2.5 * np.log10(level / 3.631e-20) == pytest.approx(source["magnitude"], abs=1e-3)
    star = next(one for one in standards() if one.name == "LTT 3218")
    np.testing.assert_allclose(spectra["star_flux"], star.flux)
    with pytest.raises(FrameError, match="only arc, standard and science"):
        truth.frame(next(one["file"] for one in truth.frames if one["kind"] == "bias"))


def test_the_same_seed_gives_the_same_bytes(tmp_path) -> None:
    settings = Settings(slits=5, exposures=1, biases=1, flats=0, arcs=0, standards=0)
    for name in ("a", "b"):
        simulate(settings, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.fits"))
    assert len(files) == 3
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_frames_do_not_depend_on_one_another(tmp_path) -> None:
    """The first science exposure is the same, however many follow."""
    small = {"slits": 5, "biases": 0, "flats": 0, "arcs": 0, "standards": 0, "dither": 0.0}
    first = [simulate(Settings(exposures=count, **small), tmp_path / str(count))[0].read_bytes() for count in (1, 2)]
    data = [fits.HDUList.fromstring(one)[0].data for one in first]
    assert np.array_equal(*data)


@pytest.mark.parametrize(("grism", "multiplex"), [("LR_red", 3), ("MR", 2), ("LR_blue", 4), ("HR_red", 1)])
def test_spectra_of_a_multiplexed_mask_do_not_overlap(grism, multiplex) -> None:
    settings = Settings(grism=grism, multiplex=multiplex, slits=12 * multiplex, without=frozenset({"objects"}))
    mask = design(settings, VIMOS)
    assert len(mask.slits) == 12 * multiplex
    grid = light.Grid.of(VIMOS.grism(grism), orders=False)
    optics, drawn = _optics(), np.zeros(SHAPE, int)
    for slit in mask.slits:
        scene = Scene(grid, SHAPE)
        scene.add(optics, PERFECT, slit, np.zeros(grid.edges.size - 1), [], STILL)
        drawn += scene.slit > 0
    assert drawn.max() == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"without": frozenset({"gravity"})}, "no effect 'gravity'"),
        ({"slits": 0}, "slits is 0"),
        ({"seeing": 40.0}, "seeing is 40"),
        ({"multiplex": 9}, "multiplex is 9"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, said) -> None:
    with pytest.raises(PipelineError, match=said):
        Settings(**change)


def test_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PipelineError, match="multiplex"):
        design(Settings(slits=300), VIMOS)
    with pytest.raises(PipelineError, match="one behind the other"):
        design(Settings(grism="HR_red", multiplex=2), VIMOS)
    with pytest.raises(PipelineError, match="has no masks"):
        design(Settings(instrument="kast_blue"), instrument("kast_blue"))


def test_the_command_says_what_is_wrong(tmp_path) -> None:
    done = CliRunner().invoke(app, ["simulate", str(tmp_path), "--grism", "XX"])
    assert done.exit_code == 1
    assert "no grism 'XX'" in done.output

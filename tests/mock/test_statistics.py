"""What the mock says of itself is true of its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.mock.geometry import CELL, QUADRANT_SIZE, centre, layout, night, on_sky
from ingest.mock.instrument import detector
from ingest.mock.masks import SPECTRUM_LENGTH, place_slits
from ingest.mock.pointing import Observation
from ingest.mock.redshifts import OUTLIER
from ingest.mock.setup import SUCCESS, Z_ERROR, Mock, air_to_vacuum
from ingest.mock.templates import FILE, LINES, library


def _all(large: list[Observation], get) -> np.ndarray:
    return np.concatenate([np.asarray(get(one)) for one in large])


def _measured(large: list[Observation]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, error over 1 + z (NaN where no redshift), true redshift of every spectrum."""
    confidence = _all(large, lambda o: [flag.confidence for flag in o.measured.flags])
    z = _all(large, lambda o: [np.nan if z is None else z for z in o.measured.z])
    true = _all(large, lambda o: o.objects.z[o.shown])
    return confidence, (z - true) / (1 + true), true


@pytest.mark.parametrize(("flag", "rate"), sorted(SUCCESS.items()))
def test_flags_are_right_as_often_as_they_say(large, flag, rate):
    confidence, error, _ = _measured(large)
    some = np.abs(error[confidence == flag]) < OUTLIER
    assert some.size > 100
    tolerance = 3.5 * np.sqrt(rate * (1 - rate) / some.size)
    assert abs(some.mean() - rate) < tolerance


def test_right_redshifts_scatter_as_vipers_do(large):
    confidence, error, _ = _measured(large)
    right = error[(confidence == 4) & (np.abs(error) < OUTLIER)]
    assert right.std() == pytest.approx(Z_ERROR, rel=0.06)
    assert abs(right.mean()) < 4 * Z_ERROR / np.sqrt(right.size)


def test_flags_without_a_redshift_have_none(large):
    confidence, error, _ = _measured(large)
    assert np.isnan(error[(confidence == 0) | (confidence == -10)]).all()
    assert not np.isnan(error[confidence > 0]).any()
    lost = _all(large, lambda o: o.lost)
    assert (confidence[lost] == -10).all()
    assert lost.sum() > 30


def test_confidence_grows_with_signal(large):
    confidence, _, _ = _measured(large)
    snr = _all(large, lambda o: o.snr)
    assert np.median(snr[confidence == 4]) > np.median(snr[confidence == 3]) > np.median(snr[confidence == 2])
    assert np.median(snr[confidence == 2]) > np.median(snr[confidence == 0])
    assert 5 < np.median(snr) < 11
    shares = {flag: np.mean(confidence == flag) for flag in (4, 3, 2, 1, 0, 9)}
    assert all(share > 0.01 for share in shares.values()), shares
    assert shares[4] + shares[3] > 0.5


def test_redshifts_are_those_of_a_colour_selected_survey(large):
    _, _, true = _measured(large)
    kind = _all(large, lambda o: o.objects.kind[o.shown])
    second = _all(large, lambda o: o.secondary)
    galaxies = true[(kind == 0) & ~second]
    assert 0.6 < np.median(galaxies) < 0.8
    assert np.mean(galaxies < 0.4) < 0.12
    assert np.mean(galaxies > 1.2) < 0.15
    parents = _all(large, lambda o: o.objects.z[(o.objects.kind == 0) & (o.objects.mag_i < 22.5)])
    assert np.mean(parents < 0.4) > 0.25, "the cut, not the parent catalogue, takes away low redshifts"
    # z = 0 is a star, and nothing else is one.
    assert np.abs(true[kind == 2]).max() < 0.002
    assert 0.01 < np.mean(kind == 2) < 0.08
    assert 0.005 < np.mean(kind == 1) < 0.06
    assert 0.015 < second.mean() < 0.04


def test_groups_make_redshifts_clustered(large):
    """Neighbours on the sky have the same redshift more often than chance."""
    pairs = same = by_chance = 0
    rng = np.random.default_rng(0)
    for one in large[:6]:
        galaxies = np.flatnonzero(one.objects.kind == 0)
        x, y, z = (getattr(one.objects, name)[galaxies] for name in ("x", "y", "z"))
        near = np.hypot(x[:, None] - x, y[:, None] - y) < 0.7
        near &= np.triu(np.ones_like(near), 1)
        first, second = np.nonzero(near)
        pairs += first.size
        same += np.sum(np.abs(z[first] - z[second]) < 0.01)
        by_chance += np.sum(np.abs(z[first] - rng.permutation(z)[second]) < 0.01)
    assert same > 1.5 * by_chance
    assert pairs > 1000


def test_noise_is_what_err_says(large):
    """The pull of what is neither light nor systematic has mean 0 and width 1 in every part of the spectrum."""
    for part in (slice(0, 139), slice(139, 278), slice(278, 417), slice(417, 557)):
        pulls = np.concatenate(
            [
                ((o.observed.flux - _light(o) - o.observed.systematic) / o.observed.err)[:, part][o.observed.qual[:, part] == 0]
                for o in large
            ]
        )
        assert pulls.std() == pytest.approx(1, abs=0.01)
        assert abs(pulls.mean()) < 0.01


def _light(one: Observation) -> np.ndarray:
    return one.light


def test_systematics_are_where_they_are_said_to_be(large):
    air = detector().air
    ratio = np.concatenate(
        [np.where(o.observed.qual == 0, np.abs(o.observed.systematic) / o.observed.err, np.nan) for o in large[:8]]
    )
    lines = detector().sky_lines / detector().sky
    quiet = (air < 8000) & (lines < 0.02)
    assert np.nanmean(ratio[:, quiet]) < 0.1
    assert np.nanmean(ratio[:, lines > 1]) > 0.2
    fringes = (air > 9000) & (lines < 1)
    assert np.nanmean(ratio[:, fringes]) > 2 * np.nanmean(ratio[:, quiet])


def test_photoz_interval_holds_two_thirds(large):
    inside = catastrophic = total = 0
    for one in large:
        z, (photoz, low, high) = one.objects.z, one.photoz
        some = (one.objects.kind == 0) & np.isfinite(photoz)
        assert (low[some] <= photoz[some]).all()
        assert (high[some] >= photoz[some]).all()
        inside += np.sum((z[some] >= low[some]) & (z[some] <= high[some]))
        catastrophic += np.sum(np.abs(photoz[some] - z[some]) > 0.15 * (1 + z[some]))
        total += some.sum()
    assert 0.6 < inside / total < 0.72
    assert 0.015 < catastrophic / total < 0.06


def test_spectra_do_not_overlap_and_slits_lie_in_their_quadrants(large):
    for one in large:
        slits = one.slits
        for quadrant in (1, 2, 3, 4):
            here = slits.quadrant == quadrant
            x, y, length = slits.x[here] * 60, slits.y[here] * 60, slits.length[here]
            along = np.abs(y[:, None] - y) < SPECTRUM_LENGTH
            across = np.abs(x[:, None] - x) < (length[:, None] + length) / 2
            assert not (along & across)[~np.eye(x.size, dtype=bool)].any()
            x0, y0 = centre(quadrant)
            assert (np.abs(x / 60 - x0) + length / 120 <= QUADRANT_SIZE[0] / 2).all()
            assert (np.abs(y / 60 - y0) <= QUADRANT_SIZE[1] / 2).all()
        target = slits.target
        assert (np.abs(one.objects.x[target] - slits.x) * 60 < slits.length / 2).all(), "the object is in its slit"
        np.testing.assert_allclose(one.objects.y[target], slits.y)


def test_slits_stop_where_masks_are_full():
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-8, 8, (2, 20000))
    slits = place_slits(x, y, np.arange(20000), 10**6, rng)
    assert 4 * 60 < len(slits) < 4 * 190
    assert len(place_slits(x, y, np.arange(0), 10, rng)) == 0


def test_fields_are_apart_and_pointings_tile_them():
    pointings = layout(Mock(spectra=26000))
    assert sum(p.spectra for p in pointings) == 26000
    assert len({p.name for p in pointings}) == len(pointings)
    for first in pointings:
        for second in pointings[first.index + 1 :]:
            if first.field == second.field:
                east = abs(first.ra - second.ra) * np.cos(np.radians(first.dec)) * 60
                north = abs(first.dec - second.dec) * 60
                assert east > CELL[0] - 0.1 or north > CELL[1] - 0.1


def test_positions_turn_back_into_offsets():
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    pointing = layout(Mock(spectra=3000))[-1]
    x, y = np.random.default_rng(2).uniform(-8, 8, (2, 50))
    ra, dec = on_sky(pointing, x, y)
    east, north = SkyCoord(pointing.ra * u.deg, pointing.dec * u.deg).spherical_offsets_to(SkyCoord(ra * u.deg, dec * u.deg))
    np.testing.assert_allclose(east.arcmin, x, atol=2e-3)
    np.testing.assert_allclose(north.arcmin, y, atol=2e-3)


@pytest.mark.parametrize("seed", range(5))
def test_nights_are_dark_and_airmasses_right(seed):
    """Against astropy: the sun is well below the horizon, and the airmass is that of the place and time."""
    from astropy import units as u
    from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_sun
    from astropy.time import Time
    from astropy.utils import iers

    paranal = EarthLocation(lat=-24.6 * u.deg, lon=-70.4 * u.deg, height=2600 * u.m)
    mock = Mock(spectra=3000, seed=seed)
    with iers.conf.set_temp("auto_download", value=False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        for pointing in layout(mock):
            when = night(pointing, mock.generator(pointing.index))
            frame = AltAz(obstime=Time([when.start, when.end], format="mjd"), location=paranal)
            assert get_sun(frame.obstime).transform_to(frame).alt.deg.max() < -15
            target = SkyCoord(pointing.ra * u.deg, pointing.dec * u.deg).transform_to(frame)
            assert when.airmass == pytest.approx(float(target.secz.mean()), abs=0.02)
            assert when.airmass < 1.5
            assert 0.5 <= when.seeing <= 1.3


def test_air_wavelengths_against_published_values():
    # Morton (2000): air and vacuum wavelengths of H alpha and [O III].
    np.testing.assert_allclose(air_to_vacuum(np.array([6562.80, 5006.84])), [6564.61, 5008.24], atol=0.01)


def test_lines_are_where_their_redshift_puts_them(large):
    """The brightest pixel near [O II] of strong emitters, against the redshift they were made with."""
    vacuum = detector().vacuum
    oii = np.mean([line.wave for line in LINES if line.name == "[OII]"])
    offsets = []
    for one in large:
        strong = np.flatnonzero((one.widths[:, 1:3].sum(axis=1) > 40) & (one.snr > 6))
        for i in strong:
            where = oii * (1 + one.objects.z[one.shown[i]])
            if 5600 < where < 9200:
                window = np.abs(vacuum - where) < 40
                light = one.light[i][window] - np.median(one.light[i][np.abs(vacuum - where) < 120])
                offsets.append(np.sum(light * vacuum[window]) / light.sum() - where)
    assert len(offsets) > 50
    assert abs(np.median(offsets)) < 1.5


def test_magnitudes_of_the_templates_are_those_of_their_spectra():
    """A flat f_nu has the same magnitude in every band, whatever the filter."""
    one = library()
    flat = np.array([1.0 / one.wave**2])
    filters = np.load(FILE)
    bands = one._photometry(flat, {band: filters[f"filter:{band}"].astype(float) for band in "ugriz"})[0, 0]
    np.testing.assert_allclose(bands, 1 / 2.99792458e18, rtol=2e-3)

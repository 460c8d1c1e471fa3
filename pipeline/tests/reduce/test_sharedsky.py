"""The sky that slits share, against analytic truth: slits of a known sky, each with its throughput, line width and place."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specola_pipeline.reduce.sharedsky import SlitSky, share_sky
from specola_pipeline.reduce.sky import fit_slit

ROWS, COLUMNS = 700, 14
FIRST, STEP = 6000.0, 2.5
"""Angstrom, of the first row and a row."""


@dataclass
class Made:
    """A slit: *sigma* of its lines in rows, *light* it lets through, *shift* of its rows, *own* lines (row, electrons)."""

    sigma: float = 1.8
    light: float = 1.0
    shift: float = 0.0
    scattered: float = 0.0
    own: tuple[tuple[float, float], ...] = ()
    object_flux: float = 0.0
    object_sigma: float = 1.5
    columns: int = COLUMNS
    filling: float = 0.0
    """Electrons a pixel of an object that fills the slit: a continuum with a step in it."""
    bend: tuple[float, float, float] = (0.0, 1.0, 0.0)
    """Rows by which lines lie where no few numbers have them: amplitude, period over two pi, phase."""
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def __post_init__(self) -> None:
        y, x = np.mgrid[:ROWS, : self.columns].astype(float)
        self.at = y + 0.03 * (x - self.columns / 2)
        self.truth = self.sky(self.at)
        profile = np.exp(-0.5 * ((x - 5) / self.object_sigma) ** 2)
        self.profiles = (profile / profile.sum(axis=1, keepdims=True))[None]
        light = self.truth + self.object_flux * self.profiles[0]
        self.variance = np.maximum(light, 0.0) + 12.0
        self.data = light + self.noise.normal(size=light.shape) * np.sqrt(self.variance)

    def sky(self, at):
        lines = np.random.default_rng(77)
        places, heights = lines.uniform(20, ROWS - 20, 25), 10 ** lines.uniform(1, 3, 25)
        at = at - self.shift
        at = at + self.bend[0] * np.sin(at / self.bend[1] + self.bend[2])
        sky = 60 + 0.02 * at
        for place, height in (*zip(places, heights, strict=True), *self.own):
            sky = sky + height * 1.8 / self.sigma * np.exp(-0.5 * ((at - place) / self.sigma) ** 2)
        object_light = self.filling * np.where(at < 300, 0.6, 1.0)
        return self.light * sky + object_light + self.scattered * (1 + np.sin(at / 300.0))

    def fit(self, prior=None):
        return fit_slit(self.data, 1 / self.variance, self.at, self.profiles, prior=prior)

    def seen(self):
        rows = np.arange(ROWS, dtype=float)
        return SlitSky(self.fit().spline, rows, FIRST + STEP * (rows - self.shift))

    def residual(self, fit, part):
        return (fit.residual(self.data) / np.sqrt(self.variance * (1 - fit.leverage)))[part]


def mask(count=24, seed=5, **changes: object):
    """Slits as they come: throughput by ten per cent, line widths by six, places by a quarter of a row, scattered light."""
    rng = np.random.default_rng(seed)
    return [
        Made(
            **{
                "sigma": 1.8 * (1 + 0.06 * rng.normal()),
                "light": 1 + 0.1 * rng.normal(),
                "shift": 0.25 * rng.normal(),
                "scattered": 3 * rng.normal(),
                "object_flux": 60.0,
                "noise": np.random.default_rng([seed, k]),
                **changes,
            }
        )
        for k in range(count)
    ]


def refitted(slits):
    return [slit.fit(prior) for slit, prior in zip(slits, share_sky([one.seen() for one in slits]), strict=True)]


def line_rows(slit, columns=slice(None)):
    return slit.truth[:, columns] > 2 * slit.light * 70


def test_noise_between_lines_falls_and_errors_say_so():
    slits = mask()
    alone, together = [one.fit() for one in slits], refitted(slits)
    clear = [~line_rows(one) for one in slits]
    miss = [
        [np.std((fit.sky - one.truth)[here]) for fit, one, here in zip(fits, slits, clear, strict=True)]
        for fits in (alone, together)
    ]
    assert np.median(np.divide(*miss[::-1])) < 0.6
    pulls = np.concatenate([(fit.flux[0] - 60) / np.sqrt(fit.variance[0]) for fit in together])
    assert 0.95 < pulls.std() < 1.05
    assert abs(pulls.mean()) < 0.1
    best = [1 / np.sqrt((one.profiles[0] ** 2 / one.variance).sum(axis=1)) for one in slits]
    middle = [~line_rows(one)[:, COLUMNS // 2] for one in slits]
    excess = [
        np.median(
            np.concatenate([(np.sqrt(fit.variance[0]) / one)[here] for fit, one, here in zip(fits, best, middle, strict=True)])
        )
        for fits in (alone, together)
    ]
    assert excess[0] > 1.2
    assert excess[1] < 1.15


def test_residuals_of_the_sky_are_noise_on_lines_and_between():
    slits = mask()
    fits = refitted(slits)
    on = np.concatenate([one.residual(fit, line_rows(one)) for one, fit in zip(slits, fits, strict=True)])
    off = np.concatenate([one.residual(fit, ~line_rows(one)) for one, fit in zip(slits, fits, strict=True)])
    assert off.std() < 1.02
    assert on.std() < 1.05


@pytest.mark.parametrize("bend", [0.0, 0.01, 0.02, 0.04, 0.08])
def test_errors_of_the_sky_on_lines_hold_for_sums_over_a_line(bend):
    """Slits whose lines lie a little, and each otherwise, beside their maps: what is shared is wrong over whole lines at once."""
    rng = np.random.default_rng(3)
    slits = [mask(1, seed=k, columns=30, bend=(bend, rng.uniform(8, 25), rng.uniform(0, 2 * np.pi)))[0] for k in range(100, 140)]
    pulls, in_clear = [], []
    for one, fit in zip(slits, refitted(slits), strict=True):
        on, column = line_rows(one)[:, 15], np.s_[:, 15]
        miss, claimed = (fit.sky - one.truth)[column], (fit.leverage * one.variance)[column]
        total = np.convolve(miss, np.ones(5), "same") / np.sqrt(np.convolve(claimed, np.ones(5), "same"))
        pulls.append(total[on])
        in_clear.append((miss / np.sqrt(claimed))[~on])
    assert 0.8 < np.std(np.concatenate(pulls)) < 1.2
    assert np.std(np.concatenate(in_clear)) < 1.0


@pytest.mark.parametrize("other", [{"sigma": 2.4}, {"shift": 1.5}, {"light": 0.4}, {"scattered": 60.0}])
def test_a_slit_unlike_the_others_is_not_harmed_and_harms_none(other):
    slits = mask()
    odd = mask(1, seed=6, **other)[0]
    fits = refitted([*slits, odd])
    on, alone = line_rows(odd), odd.fit()
    assert np.std((fits[-1].sky - odd.truth)[on]) < 1.1 * np.std((alone.sky - odd.truth)[on])
    assert np.std((fits[-1].sky - odd.truth)[~on]) < np.std((alone.sky - odd.truth)[~on])
    assert odd.residual(fits[-1], on).std() < 1.05
    pull = (fits[-1].flux[0] - 60) / np.sqrt(fits[-1].variance[0])
    assert 0.9 < pull.std() < 1.1
    left, plain, by_itself = (
        np.array([np.std(fit.sky - one.truth) for fit, one in zip(some, slits, strict=False)])
        for some in (fits, refitted(slits), [one.fit() for one in slits])
    )
    assert left.mean() < 1.05 * plain.mean()
    assert np.max(left / by_itself) < 0.8


def test_a_line_that_one_slit_alone_sees_stays_its_own():
    """Emission of a nebula that fills one slit: the sky there is what the slit says, not what the others do."""
    slits = mask()
    lines = ((155.0, 60.0), (420.0, 400.0))
    slits[7] = mask(1, seed=8, own=lines)[0]
    fit = refitted(slits)[7]
    for row, height in lines:
        near = np.abs(slits[7].at - slits[7].shift - row) < 3
        kept = (fit.sky - slits[7].truth)[near].mean()
        assert abs(kept) < 0.1 * height
        assert abs((fit.flux[0] - 60)[int(row) - 3 : int(row) + 4].mean()) < 4 * np.sqrt(fit.variance[0][int(row)] / 7)
    assert slits[7].residual(fit, np.abs(slits[7].at - 420) < 6).std() < 1.15


def test_slits_that_an_object_fills_gain_most():
    slits, filled = mask(), (3, 8, 15, 20)
    for k in filled:
        slits[k] = mask(1, seed=9 + k, object_flux=400.0, object_sigma=4.5)[0]
    fits, pulls = refitted(slits), []
    for k in filled:
        clear = ~line_rows(slits[k])[:, COLUMNS // 2]
        assert np.median(fits[k].variance[0][clear]) < 0.4 * np.median(slits[k].fit().variance[0][clear])
        pulls.append(((fits[k].flux[0] - 400) / np.sqrt(fits[k].variance[0]))[clear])
        assert abs(pulls[-1].mean()) < 0.5
    assert 0.85 < np.std(np.concatenate(pulls)) < 1.05  # their errors are rather too wide


@pytest.mark.parametrize("scattered", [0.0, None])
@pytest.mark.parametrize("part", [0.1, 0.3, 1.0, 3.0])
def test_light_that_fills_a_slit_is_measured_beside_the_others(part, scattered):
    """Also where stray light differs from slit to slit: then less surely, and said so."""
    slits = mask(**({} if scattered is None else {"scattered": scattered}))
    for k, light in ((4, 0.5), (17, 1.3)):
        slits[k] = mask(1, seed=40 + k, filling=60 * part * light, light=light, scattered=0.0)[0]
    shared = share_sky([one.seen() for one in slits])
    excess, error = np.array([(one.excess, one.excess_error) for one in shared]).T
    filled = np.isin(np.arange(len(slits)), (4, 17))
    true = part * 0.85 / (1 + 0.02 * 350 / 60)  # the object's step, the sky's slope
    assert np.all(np.abs(excess[filled] / true - 1) < 4 * error[filled] / true + 0.1)
    assert np.all(np.abs(excess[~filled]) < 4 * error[~filled])
    assert np.all(error < (0.03 if scattered == 0.0 else 0.15))


def test_few_slits_or_no_sky_share_nothing():
    assert share_sky([one.seen() for one in mask(7)]) == [None] * 7
    assert share_sky([]) == []
    assert share_sky([one.seen() for one in mask(9, light=0.0, scattered=0.0, object_flux=0.0)]) == [None] * 9


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 50),
    light=st.lists(st.floats(0.0, 30.0), min_size=8, max_size=12),
    cut=st.lists(st.integers(0, 650), min_size=8, max_size=12),
)
def test_any_mask_has_priors_that_no_order_of_slits_changes(seed, light, cut):
    """Slits of any throughput, cut by the detector's edge anywhere."""
    count = min(len(light), len(cut))
    seen = []
    for k in range(count):
        slit = mask(1, seed=seed + k, light=light[k])[0]
        rows = np.arange(cut[k], ROWS, dtype=float)
        weight = np.where(np.arange(ROWS)[:, None] >= cut[k], 1 / slit.variance, 0.0)
        fit = fit_slit(slit.data, weight, slit.at, slit.profiles, errors=False)
        seen.append(SlitSky(fit.spline, rows, FIRST + STEP * (rows - slit.shift)))
    priors = share_sky(seen)
    for one, prior in zip(seen, priors, strict=True):
        if prior is not None:
            assert prior.mean.shape == prior.precision.shape == one.spline.coefficients.shape
            assert np.isfinite(prior.mean).all()
            assert np.isfinite(prior.precision).all()
            assert (prior.precision >= 0).all()
    order = np.random.default_rng(seed).permutation(count)
    again = share_sky([seen[k] for k in order])
    for k, prior in zip(order, again, strict=True):
        assert (prior is None) == (priors[k] is None)
        if prior is not None:
            np.testing.assert_allclose(prior.mean, priors[k].mean, rtol=1e-5, atol=1e-5)

"""Lines, indices and stacks against analytic truths, and against what SDSS measured on its own spectra."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from scipy.optimize import least_squares
from typer.testing import CliRunner

from specola_pipeline.cli import app
from specola_pipeline.errors import SpectrumError
from specola_pipeline.lines.indices import indices, measure_indices
from specola_pipeline.lines.measure import Cluster, LineMeasurement, measure_lines
from specola_pipeline.lines.stack import Stacker
from specola_pipeline.lines.stacks import stacked
from specola_pipeline.redshift.lines import line_list
from specola_pipeline.redshift.prepare import prepare
from specola_pipeline.redshift.readers import read_spectra
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.spectral import air_to_vacuum

WAVE = np.arange(5500.0, 9500.0, 2.0)
POWER = 1200.0
C = 299792.458
REST = {line.name: line.wave for line in line_list()}
Z = 0.65


def with_lines(fluxes: dict[str, float], noise: float, seed: int, sigma: float = 150.0, velocity: float = 60.0) -> Spectrum:
    """A straight continuum of 1 to 1.4 with Gaussian lines of an intrinsic width and a velocity, observed at POWER."""
    flux = 1.0 + 0.4 * (WAVE - WAVE[0]) / np.ptp(WAVE)
    for name, area in fluxes.items():
        centre = REST[name] * (1 + Z) * (1 + velocity / C)
        width = np.hypot(1 / (2.3548 * POWER), sigma / C) * centre
        flux = flux + area * np.exp(-0.5 * ((WAVE - centre) / width) ** 2) / (np.sqrt(2 * np.pi) * width)
    err = np.full(WAVE.size, noise)
    return Spectrum("made", WAVE, flux + noise * np.random.default_rng(seed).standard_normal(WAVE.size), err, POWER)


def by_name(spectrum: Spectrum) -> dict[str, LineMeasurement]:
    return {one.line: one for one in measure_lines(prepare(spectrum), Z)}


def test_a_doublet_that_is_not_resolved_is_one_line() -> None:
    """[O II] at a resolving power of 300: two lines of strongly correlated fluxes would both be lost in their errors."""
    ratio = {"[O II] 3727": 0.45, "[O II] 3730": 0.55}
    found = []
    for seed in range(12):
        flux = np.ones(WAVE.size)
        for name, share in ratio.items():
            centre = REST[name] * (1 + Z)
            width = np.hypot(1 / (2.3548 * 300), 100 / C) * centre
            flux = flux + 20.0 * share * np.exp(-0.5 * ((WAVE - centre) / width) ** 2) / (np.sqrt(2 * np.pi) * width)
        noisy = flux + 0.05 * np.random.default_rng(seed).standard_normal(WAVE.size)
        spectrum = Spectrum("doublet", WAVE, noisy, np.full(WAVE.size, 0.05), 300.0)
        found.append(by_name(spectrum)["[O II] 3727+3730"])
    assert all(one.detected and one.snr > 8 for one in found)
    assert abs(np.mean([(one.flux - 20.0) / one.flux_err for one in found])) < 0.7
    # where they are resolved they are two
    assert {"[O II] 3727", "[O II] 3730"} <= set(by_name(with_lines({}, 0.05, 1)))


def test_flux_width_velocity_and_their_errors() -> None:
    truth = {"[O III] 5008": 12.0, "[O III] 4960": 4.0, "H beta": 5.0}
    found = [by_name(with_lines(truth, 0.05, seed)) for seed in range(24)]
    for name, area in truth.items():
        seen = [one[name] for one in found]
        assert all(one.detected for one in seen)
        pulls = {
            "flux": [(one.flux - area) / one.flux_err for one in seen],
            "velocity": [
                (one.velocity - 60.0) / one.velocity_err for one in seen if one.velocity is not None and one.velocity_err
            ],
            "sigma": [(one.sigma - 150.0) / one.sigma_err for one in seen if one.sigma is not None and one.sigma_err],
        }
        for quantity, values in pulls.items():
            # 24 pulls of width 1 have a mean within 0.6 and a width within 0.45 of that at three sigma.
            assert abs(np.mean(values)) < 0.6, (name, quantity)
            assert 0.55 < np.std(values) < 1.45, (name, quantity)
        level = 1.0 + 0.4 * (REST[name] * (1 + Z) - WAVE[0]) / np.ptp(WAVE)
        widths = [one.ew for one in seen]
        assert np.mean(widths) == pytest.approx(area / level / (1 + Z), rel=0.05)


def test_velocity_and_width_are_those_of_least_squares() -> None:
    """The compiled fit beside scipy's, on the same pixels from the same start; one line is no wider than the line spread."""
    truth = {"[O III] 5008": 12.0, "[O III] 4960": 4.0}
    names = {line.name: line for line in line_list()}
    for seed, intrinsic in ((1, 150.0), (2, 0.0), (3, 300.0)):
        data = prepare(with_lines(truth, 0.05, seed, sigma=intrinsic))
        one = Cluster(data, Z, [names["[O III] 4960"], names["[O III] 5008"]])

        def left(free: np.ndarray, one: Cluster = one) -> np.ndarray:
            design = one.design(100 * free[0], 100 * free[1])
            return np.asarray((one.flux - design @ one.solve(design)) * one.root)

        best = least_squares(left, (0.0, 1.0), bounds=([-5.0, 0.0], [5.0, 6.0]))
        velocity, sigma = one.shape(100.0, 500.0, 600.0)
        assert np.sum(left(np.array([velocity, sigma]) / 100) ** 2) <= 2 * best.cost * (1 + 1e-6)
        assert velocity == pytest.approx(100 * best.x[0], abs=0.5)
        assert sigma == pytest.approx(100 * best.x[1], abs=0.5 if intrinsic else 25.0)


def test_absorption_is_negative_and_only_where_it_can_be() -> None:
    found = by_name(with_lines({"Ca K": -8.0, "[Ne III]": -8.0}, 0.05, seed=1))
    assert found["Ca K"].detected
    assert found["Ca K"].ew is not None
    assert found["Ca K"].ew < 0
    assert not found["[Ne III]"].detected
    assert found["[Ne III]"].velocity is None


def test_what_is_not_there_has_a_limit_that_holds() -> None:
    seen = total = beyond = 0
    for seed in range(12):
        for one in by_name(with_lines({}, 0.1, seed)).values():
            total += 1
            seen += one.detected
            assert (one.flux_limit is None) == one.detected
            beyond += one.flux_limit is not None and abs(one.flux) > one.flux_limit
    assert total > 100
    # Velocity and width are free, so that noise reaches three sigma more often than in 0.3 per cent of places.
    assert seen / total < 0.08
    assert beyond / total < 0.02


def test_the_limit_is_above_the_flux_of_a_line_too_faint_to_be_seen() -> None:
    """Three standard deviations alone are below the truth of half of the lines that are nearly seen."""
    limits = []
    for seed in range(60):
        one = by_name(with_lines({"[O III] 5008": 1.1}, 0.1, seed, sigma=100.0, velocity=0.0))["[O III] 5008"]
        if one.flux_limit is not None:
            limits.append(one.flux_limit)
            assert one.flux_limit == pytest.approx(max(one.flux, 0.0) + 3 * one.flux_err)
    assert len(limits) > 15
    assert np.mean(np.array(limits) > 1.1) > 0.95


def test_lines_that_overlap_are_seen_though_neither_is_certain_alone() -> None:
    """[O II], hardly resolved: with velocity and width free flux may go from one line to the other."""
    found = []
    for seed in range(20):
        lines = by_name(with_lines({"[O II] 3727": 2.6, "[O II] 3730": 3.2}, 0.1, seed, sigma=100.0, velocity=0.0))
        found += [lines["[O II] 3727"], lines["[O II] 3730"]]
    assert np.mean([one.detected for one in found]) > 0.8
    assert all(one.snr >= 3 for one in found if one.detected)
    assert any(one.detected and one.sigma is None and one.velocity is None for one in found)
    pulls = [(one.flux - truth) / one.flux_err for one, truth in zip(found, [2.6, 3.2] * 20, strict=True)]
    assert abs(np.mean(pulls)) < 0.6


def test_a_width_of_nothing_has_an_error() -> None:
    """Lines no wider than the line spread: the width found is 0 as often as not, and never certain."""
    found = [by_name(with_lines({"[O III] 5008": 3.0}, 0.1, seed, sigma=0.0))["[O III] 5008"] for seed in range(30)]
    widths = [(one.sigma, one.sigma_err) for one in found if one.sigma is not None and one.sigma_err is not None]
    assert len(widths) > 25
    assert sum(sigma < 1.0 for sigma, _ in widths) > 5
    assert all(20.0 < error < 150.0 for sigma, error in widths if sigma < 1.0)
    assert np.std([(one.flux - 3.0) / one.flux_err for one in found]) < 1.3


def test_a_line_at_the_end_or_in_a_gap_is_not_measured() -> None:
    spectrum = with_lines({"[O III] 5008": 10.0}, 0.05, 1)
    err = spectrum.err.copy()
    err[np.abs(WAVE - 5008.24 * (1 + Z)) < 30] = np.nan
    assert "[O III] 5008" not in by_name(Spectrum("gap", WAVE, spectrum.flux, err, POWER))
    cut = WAVE < 5006.0 * (1 + Z)
    assert "[O III] 5008" not in by_name(Spectrum("end", WAVE[cut], spectrum.flux[cut], spectrum.err[cut], POWER))


def test_indices_of_a_straight_line_and_of_a_box() -> None:
    noise = 1e-3
    wave = np.arange(5800.0, 9200.0, 1.0)
    flux = 1.0 + 0.2 * (wave - 5800) / 3400
    random = noise * np.random.default_rng(2).standard_normal(wave.size)
    err = np.full(wave.size, noise)
    plain = {one.name: one for one in measure_indices(prepare(Spectrum("x", wave, flux + random, err, POWER)), Z)}
    assert set(plain) == {one.name for one in indices()}
    for name, one in plain.items():
        if name == "D4000":
            continue
        assert abs(one.value) < 5 * one.value_err + 1e-9, name
    band = next(one for one in indices() if one.name == "Hdelta_A").band
    low, high = air_to_vacuum(np.array(band)) * (1 + Z)
    inside = (wave > low + 5) & (wave < high - 5)
    boxed = np.where(inside, 0.7 * flux, flux)
    found = {one.name: one for one in measure_indices(prepare(Spectrum("x", wave, boxed + random, err, POWER)), Z)}
    assert found["Hdelta_A"].value == pytest.approx(0.3 * inside.sum() / (1 + Z), abs=5 * found["Hdelta_A"].value_err)


def test_d4000_of_a_step() -> None:
    wave = np.arange(5800.0, 9200.0, 1.0)
    per_frequency = np.where(wave < 3975 * (1 + Z), 1.0, 1.7)
    flux = per_frequency / wave**2
    flux /= flux.mean()
    random = 0.01 * np.random.default_rng(3).standard_normal(wave.size)
    spectrum = Spectrum("x", wave, flux + random, np.full(wave.size, 0.01), POWER)
    found = next(one for one in measure_indices(prepare(spectrum), Z) if one.name == "D4000")
    assert found.value == pytest.approx(1.7, abs=4 * found.value_err)
    assert found.value_err < 0.01


def test_a_stack_is_the_mean_and_its_error_the_scatter() -> None:
    stacker = Stacker((3800.0, 4200.0), limits=(3500.0, 5000.0))
    for seed in range(40):
        spectrum = with_lines({"[O II] 3730": 6.0}, 0.3, seed)
        assert stacker.add(prepare(spectrum), Z)
    stack = stacker.result()
    inside = (stack.wave > 3800) & (stack.wave < 4800)
    window = (stack.wave > 3800) & (stack.wave < 4200)
    line = 1.0 + 0.4 * (stack.wave * (1 + Z) - WAVE[0]) / np.ptp(WAVE)
    expected = line / np.median(line[window])
    pulls = (stack.flux - expected)[inside] / stack.err[inside]
    assert abs(np.mean(pulls)) < 0.4
    assert 0.75 < np.std(pulls) < 1.35
    assert np.median(stack.number[inside]) == 40
    assert stack.flux[np.argmin(np.abs(stack.wave - 3729.9))] > 1.15
    again = Stacker((3800.0, 4200.0), limits=(3500.0, 5000.0))
    for seed in range(40):
        again.add(prepare(with_lines({"[O II] 3730": 6.0}, 0.3, seed)), Z)
    assert np.array_equal(again.result().err, stack.err, equal_nan=True)
    assert not again.add(prepare(with_lines({}, 0.3, 1)), 5.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read of a bundle: nine spectra, three without a redshift."""
    folder = tmp_path_factory.mktemp("bundle")
    rows = []
    for number in range(9):
        one = with_lines({"[O III] 5008": 2.0 + number}, 0.1, number)
        table = fits.BinTableHDU.from_columns(
            [
                fits.Column(name, f"{WAVE.size}D", array=[values])
                for name, values in (("WAVE", WAVE), ("FLUX", one.flux), ("ERR", one.err))
            ]
        )
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / f"s{number}.fits")
        rows.append(
            {
                "spectrum_id": f"s{number}", "file": f"s{number}.fits", "wave_medium": "vacuum", "flux_unit": "adu",
                "redshift": Z if number % 3 else None, "mass": float(number), "res_power": POWER,
                "object_id": f"o{number}", "field": "x" if number < 6 else "y",
            }
        )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    (folder / "catalogues").mkdir()
    photometry = [{"object_id": f"o{number}", "mag_i": 24.0 - number, "field": None} for number in range(9)]
    pq.write_table(pa.Table.from_pylist(photometry), folder / "catalogues" / "photometry.parquet")
    several = [{"object_id": "o1", "mag": 1.0}, {"object_id": "o1", "mag": 2.0}]
    pq.write_table(pa.Table.from_pylist(several), folder / "catalogues" / "several.parquet")
    return folder


def test_lines_command(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "lines.jsonl"
    assert CliRunner().invoke(app, ["lines", str(bundle), "--output", str(output)]).exit_code == 0
    rows = {row["spectrum"]: row for row in map(json.loads, output.read_text("utf-8").splitlines())}
    assert len(rows) == 9
    assert rows["s0"]["reason"] == "no redshift is known"
    oiii = next(one for one in rows["s8"]["lines"] if one["line"] == "[O III] 5008")
    assert oiii["flux"] == pytest.approx(10.0, abs=4 * oiii["flux_err"])
    assert rows["s8"]["unit"] == "adu"
    shown = CliRunner().invoke(app, ["lines", str(bundle / "s8.fits"), "--z", str(Z)])
    assert shown.exit_code == 0
    assert "[O III] 5008" in shown.stdout
    wrong = CliRunner().invoke(app, ["lines", str(bundle / "s8.fits")])
    assert wrong.exit_code == 1
    assert "--z" in wrong.output
    # one redshift is not that of nine spectra, and a place that is not there is said in a line
    assert CliRunner().invoke(app, ["lines", str(bundle), "--z", str(Z)]).exit_code == 2
    nowhere = CliRunner().invoke(app, ["lines", str(bundle), "--output", str(tmp_path / "none" / "lines.jsonl")])
    assert (nowhere.exit_code, type(nowhere.exception)) == (1, SystemExit)
    assert "expected a place that can be written to" in nowhere.output


@pytest.mark.parametrize("z", ["NaN", "-3", "-0.5", "1e9", '"0.65"', "[0.65]", "true"])
def test_what_is_no_redshift_is_a_reason(bundle: Path, tmp_path: Path, z: str) -> None:
    """In a file that somebody else wrote there may be anything."""
    known, output = tmp_path / "z.jsonl", tmp_path / "lines.jsonl"
    known.write_text("".join(f'{{"spectrum": "s{number}", "z": {z}}}\n' for number in range(9)), "utf-8")
    arguments = ["lines", str(bundle), "--redshifts", str(known), "--output", str(output)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [(row["z"], row["lines"], "is none between" in row["reason"]) for row in rows] == [(None, [], True)] * 9
    with pytest.raises(SpectrumError, match="no spectrum with a redshift"):
        stacked(bundle, known, (4000.0, 4200.0))


def test_where_no_line_is_covered_there_is_a_reason(bundle: Path) -> None:
    shown = CliRunner().invoke(app, ["lines", str(bundle / "s8.fits"), "--z", "15", "--json"])
    assert shown.exit_code == 0
    assert "is covered at this redshift" in json.loads(shown.stdout)["reason"]


def test_stack_command(bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "stacks.fits"
    arguments = ["stack", str(bundle), str(output), "--window", "4000", "4200", "--by", "mass", "--edges", "0,4.5,9"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    with fits.open(output) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["BIN1", "BIN2"]
        assert [hdu.header["NSPEC"] for hdu in hdus[1:]] == [3, 3]
        peaks = [hdu.data["FLUX"][np.argmin(np.abs(hdu.data["WAVE"] - 5009.2))] for hdu in hdus[1:]]
    assert peaks[1] > peaks[0] > 1
    for column, text in (
        ("nothing", "no column nothing"), ("none.mag", "no table none, expected one of photometry, several"),
        ("photometry.mass", "expected mass"), ("several.mag", "several rows of o1"), ("photometry.field", "a value of"),
    ):  # fmt: skip
        with pytest.raises(SpectrumError, match=text):
            stacked(bundle, None, (4000.0, 4200.0), column)


def test_stacks_by_words_and_by_columns_of_other_tables(bundle: Path, tmp_path: Path) -> None:
    words = stacked(bundle, None, (4000.0, 4200.0), "field")
    assert [(one.label, one.value, one.used) for one in words] == [("field x", "x", 4), ("field y", "y", 2)]
    by_magnitude = stacked(bundle, None, (4000.0, 4200.0), "photometry.mag_i", bins=2)
    by_mass = stacked(bundle, None, (4000.0, 4200.0), "mass", edges=[0, 4.5, 9])
    assert [one.used for one in by_magnitude] == [3, 3]
    # the brighter half by magnitudes is the heavier one, and magnitudes fall with mass here
    assert np.array_equal(by_magnitude[0].stack.flux, by_mass[1].stack.flux, equal_nan=True)
    output = tmp_path / "words.fits"
    arguments = ["stack", str(bundle), str(output), "--window", "4000", "4200", "--by", "field"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    with fits.open(output) as hdus:
        assert [hdu.header["BINVALUE"] for hdu in hdus[1:]] == ["x", "y"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["stacks.fits", "--window", "400", "410"], "no spectrum with light between 400 and 410"),
        (["none/stacks.fits", "--window", "4000", "4200"], "found no folder"),
        (["stacks.fits", "--window", "4000", "4200", "--by", "mass", "--edges", "5,2"], "found edges 5, 2, expected"),
    ],
)
def test_stack_command_without_a_stack_writes_nothing(bundle: Path, tmp_path: Path, arguments: list[str], text: str) -> None:
    output, *rest = arguments
    result = CliRunner().invoke(app, ["stack", str(bundle), str(tmp_path / output), *rest])
    assert result.exit_code == 1
    assert text in result.output
    assert list(tmp_path.iterdir()) == []


def test_lines_of_sdss_galaxies_agree_with_sdss(shared_data: Path) -> None:
    """Fluxes of H alpha, [N II] and [S II] against the line fits that SDSS delivers with the spectra (HDU 3)."""
    files = sorted(shared_data.glob("sdss/spec-0266-*.fits.gz"))
    assert files
    compared = 0
    for path in files:
        with fits.open(path) as hdus:
            theirs = {row["LINENAME"].strip(): row for row in hdus[3].data}
        z = float(theirs["H_alpha"]["LINEZ"])
        spectrum = next(iter(read_spectra(path)))
        ours = {one.line: one for one in measure_lines(prepare(spectrum), z)}
        for name, other in (("H alpha", "H_alpha"), ("[N II] 6585", "[N_II] 6583"), ("[S II] 6718", "[S_II] 6716")):
            row = theirs[other]
            if ours[name].detected and row["LINEAREA_ERR"] > 0 and row["LINEAREA"] > 5 * row["LINEAREA_ERR"]:
                difference = abs(ours[name].flux - row["LINEAREA"])
                assert difference < 0.15 * row["LINEAREA"] + 3 * np.hypot(ours[name].flux_err, row["LINEAREA_ERR"]), name
                compared += 1
    assert compared >= 2

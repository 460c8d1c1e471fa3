"""``organise``: frames known by their headers, calibrations found or missed with a reason, bad files listed, nothing moved."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from specola_pipeline.cli import app
from specola_pipeline.errors import PipelineError
from specola_pipeline.instruments import Kind, instrument, read_frame
from specola_pipeline.organise import Status, link, plan, scan
from specola_pipeline.organise.scan import Entry
from specola_pipeline.simulate import Settings
from specola_pipeline.simulate.headers import header
from specola_pipeline.simulate.mask import design

VIMOS = instrument("vimos")
MASK = design(Settings(slits=4, without=frozenset({"objects"})), VIMOS)
PIXELS = np.random.default_rng(1).integers(190, 210, VIMOS.detector(1).shape).astype("u2")
NIGHT = ((Kind.BIAS, 0.30, 3), (Kind.FLAT, 0.20, 1), (Kind.ARC, 0.21, 1), (Kind.STANDARD, 0.25, 1), (Kind.SCIENCE, 0.05, 2))


def _cards(kind: Kind, mjd: float, quadrant: int = 1, grism: str = "MR") -> fits.Header:
    exptime = 0.0 if kind is Kind.BIAS else 60.0
    return header(
        VIMOS,
        VIMOS.grism(grism),
        quadrant,
        kind,
        MASK,
        mjd,
        exptime,
        target="x",
        where=(53.1, -27.8),
        airmass=1.1,
        seeing=0.8,
        exposure=(1, 1),
    )


def _write(path: Path, cards: fits.Header, pixels: np.ndarray = PIXELS) -> Path:
    fits.PrimaryHDU(pixels, header=cards).writeto(path)
    return path


FRAMES = {kind: read_frame(_cards(kind, 57000.0), "x") for kind, _, _ in NIGHT}


@pytest.fixture
def night(tmp_path) -> Path:
    """Seven frames that belong together (standard through the same mask), under names that say nothing."""
    folder = tmp_path / "raw"
    folder.mkdir()
    number = 0
    for kind, start, count in NIGHT:
        for repeat in range(count):
            number += 1
            _write(folder / f"{number:02d}.fits", _cards(kind, 57000 + start + repeat * 0.002))
    return folder


def _plan(folder: Path):
    return plan(scan(folder))


def test_a_whole_night_is_grouped_and_complete(night) -> None:
    found = _plan(night)
    assert {entry.status for entry in found.entries} == {Status.FRAME}
    science, standard = found.groups
    assert (science.kind, science.night, science.quadrant, science.grism, len(science.entries)) == (
        Kind.SCIENCE,
        "2014-12-08",
        1,
        "MR",
        2,
    )
    assert [(str(match.needs), len(match.found), match.problem) for match in science.matches] == [
        ("bias", 3, ""),
        ("flat", 1, ""),
        ("arc", 1, ""),
        ("standard", 1, ""),
    ]
    assert science.reducible
    assert standard.reducible
    assert not found.unused


@pytest.mark.parametrize(
    ("take", "put", "problem", "fatal"),
    [
        ("05", None, "no arc frame of this instrument at all", True),
        ("05", {"mjd": 57030.0}, "no arc frame within 168 h: the nearest is 71", True),
        ("05", {"grism": "LR_red"}, "no arc frame: 1 there, but of another grism, filter", True),
        ("05", {"quadrant": 2}, "1 there, but of another quadrant", True),
        ("01", None, "2 of 3 bias frames", False),
    ],
)
def test_what_is_missing_is_said_with_the_near_miss(night, take, put, problem, fatal) -> None:
    (night / f"{take}.fits").unlink()
    if put:
        _write(night / "other.fits", _cards(Kind.ARC, **{"mjd": 57000.2, **put}))
    science = _plan(night).groups[0]
    said = [match for match in science.matches if match.problem]
    assert len(said) == 1
    assert problem in said[0].problem
    assert said[0].fatal is fatal
    assert science.reducible is not fatal


def test_the_nearest_calibration_comes_first(night) -> None:
    _write(night / "later.fits", _cards(Kind.ARC, 57001.0))
    _write(night / "sooner.fits", _cards(Kind.ARC, 57000.06))
    arcs = next(match for match in _plan(night).groups[0].matches if match.needs is Kind.ARC)
    assert [entry.path.name for entry in arcs.found] == ["sooner.fits", "05.fits", "later.fits"]


def test_a_saturated_flat_is_odd_and_not_used(night) -> None:
    (night / "04.fits").unlink()
    _write(night / "flat.fits", _cards(Kind.FLAT, 57000.2), np.full(PIXELS.shape, 65535, "u2") - PIXELS // 200)
    found = _plan(night)
    flat = next(entry for entry in found.entries if entry.path.name == "flat.fits")
    assert "100% of the pixels are saturated" in flat.odd
    said = next(match for match in found.groups[0].matches if match.needs is Kind.FLAT)
    assert "1 refused (flat.fits: 100% of the pixels are saturated)" in said.problem
    assert not found.groups[0].reducible


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ESO INS FILT1 NAME": "OS_red"}, "filter OS_red with grism MR"),
        ({"ESO INS LAMP4 STATE": "ON"}, "lamps were on: QTH50"),
        ({"EXPTIME": 0.0}, "exposed for 0 s"),
        ({"ESO INS SLIT NO": 9}, "no 'ESO INS SLIT5 X'"),
    ],
)
def test_odd_headers_are_said(tmp_path, change, said) -> None:
    cards = _cards(Kind.SCIENCE, 57000.0)
    for key, value in change.items():
        cards[f"HIERARCH {key}" if key.startswith("ESO") else key] = value
    _write(tmp_path / "a.fits", cards)
    (entry,) = scan(tmp_path)
    assert entry.status is Status.FRAME
    assert any(said in odd for odd in entry.odd), entry.odd


def test_an_empty_frame_and_a_dark_arc_are_odd(tmp_path) -> None:
    cards = _cards(Kind.ARC, 57000.0)
    for number in (1, 2, 3):
        cards[f"ESO INS LAMP{number} STATE"] = "OFF"
    _write(tmp_path / "a.fits", cards, np.full(PIXELS.shape, 200, "u2"))
    (entry,) = scan(tmp_path)
    assert {"every pixel is 200: an empty frame", "an arc with no arc lamp on"} <= set(entry.odd)
    assert not entry.usable


def test_bad_files_are_listed_with_reasons_and_the_rest_is_found(night) -> None:
    whole = (night / "01.fits").read_bytes()
    (night / "cut.fits").write_bytes(whole[: len(whole) // 2])
    (night / "cut.fits.gz").write_bytes(gzip.compress(whole)[:-50000])
    (night / "empty.fits").write_bytes(b"")
    (night / "text.fits").write_text("not a FITS file")
    shutil.copy(night / "02.fits", night / "copy.fits")
    (night / "packed.fits.gz").write_bytes(gzip.compress((night / "03.fits").read_bytes(), 1))
    _write(night / "foreign.fits", fits.Header({"INSTRUME": "MUSE"}))
    fits.PrimaryHDU().writeto(night / "table.fits")
    _write(night / "window.fits", _cards(Kind.BIAS, 57000.4), PIXELS[:100])
    lost = _cards(Kind.BIAS, 57000.41)
    del lost["MJD-OBS"], lost["DATE-OBS"]
    _write(night / "lost.fits", lost)
    (night / ".hidden.fits").write_text("")
    found = {entry.path.name: entry for entry in scan(night)}
    expected = {
        "cut.fits": (Status.BROKEN, "fetch it again"),
        "cut.fits.gz": (Status.BROKEN, "fetch it again"),
        "empty.fits": (Status.BROKEN, "fetch it again"),
        "text.fits": (Status.BROKEN, "fetch it again"),
        "copy.fits": (Status.DUPLICATE, "02.fits"),
        "packed.fits.gz": (Status.DUPLICATE, "03.fits"),
        "foreign.fits": (Status.FOREIGN, "MUSE"),
        "table.fits": (Status.FOREIGN, "no image"),
        "window.fits": (Status.UNCLEAR, "2148 by 100 pixels"),
        "lost.fits": (Status.UNCLEAR, "MJD-OBS or DATE-OBS"),
    }
    assert {name: entry.status for name, entry in found.items() if entry.status is not Status.FRAME} == {
        name: status for name, (status, _) in expected.items()
    }
    for name, (_, reason) in expected.items():
        assert reason in found[name].reason
    assert plan(list(found.values())).groups[0].reducible


def test_nothing_is_written_unless_asked(night) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in night.parent.rglob("*"))
    done = CliRunner().invoke(app, ["organise", str(night)], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    assert "3 bias, 1 flat, 1 arc, 1 standard" in done.stdout
    assert sorted((path, path.stat().st_mtime_ns) for path in night.parent.rglob("*")) == before


def test_links_are_made_when_asked_and_again_without_harm(night, tmp_path) -> None:
    target = tmp_path / "sorted"
    for _ in range(2):
        done = CliRunner().invoke(app, ["organise", str(night), "--link", str(target), "--json"])
        assert done.exit_code == 0, done.output
    made = sorted(str(path.relative_to(target)) for path in target.rglob("*.fits"))
    assert len(made) == 2 + 3 + 1 + 1 + 1
    assert f"2014-12-08/Q1_MR_{MASK.identifier}/science/07.fits" in made
    assert (target / made[0]).resolve().parent == night.resolve()
    (target / made[0]).unlink()
    (target / made[0]).write_text("mine")
    with pytest.raises(PipelineError, match="is there already"):
        link(_plan(night), target)
    assert (target / made[0]).read_text() == "mine"


def test_scripts_get_json_and_a_status(night) -> None:
    (night / "05.fits").unlink()
    done = CliRunner().invoke(app, ["organise", str(night), "--json"])
    assert done.exit_code == 1
    said = json.loads(done.stdout)
    arc = next(one for one in said["groups"][0]["calibrations"] if one["needs"] == "arc")
    assert arc == {"needs": "arc", "found": [], "problem": "no arc frame of this instrument at all", "fatal": True}
    assert {one["frame"]["kind"] for one in said["files"]} == {"bias", "flat", "standard", "science"}
    assert CliRunner().invoke(app, ["organise", str(night / "nowhere")]).exit_code == 2


def test_kast_is_organised_by_the_same_code(shared_data: Path) -> None:
    found = _plan(shared_data / "raw" / "kast_pypeit")
    assert [(str(group.kind), len(group.entries), group.reducible) for group in found.groups] == [
        ("science", 1, True),
        ("standard", 1, True),
    ]
    assert [len(match.found) for match in found.groups[0].matches] == [3, 2, 1, 1]
    assert [entry.status for entry in found.entries if entry.status is not Status.FRAME] == [Status.FOREIGN]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(NIGHT), st.floats(57000, 57020), st.integers(1, 4), st.sampled_from(["MR", "LR_red"])),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_plans_keep_the_rules_and_do_not_depend_on_order(made, random) -> None:
    entries = []
    for number, ((kind, _, _), mjd, quadrant, grism) in enumerate(made):
        path = Path(f"/raw/{number}.fits")
        frame = dataclasses.replace(FRAMES[kind], file=path.name, start=mjd, night=f"{mjd:.0f}", quadrant=quadrant, grism=grism)
        entries.append(Entry(path, Status.FRAME, frame=frame))
    found = plan(entries)
    mixed = entries.copy()
    random.shuffle(mixed)
    assert {group.entries: group.reducible for group in plan(mixed).groups} == {
        group.entries: group.reducible for group in found.groups
    }
    rules = {(kind, rule.needs): rule for rule in VIMOS.associations for kind in rule.of}
    for group in found.groups:
        first = group.entries[0].frame
        for match in group.matches:
            rule = rules[group.kind, match.needs]
            for entry in match.found:
                assert entry.frame.kind is match.needs
                assert all(getattr(entry.frame, field) == getattr(first, field) for field in rule.same)
                assert abs(entry.frame.start - first.start) * 24 <= rule.hours
            assert bool(match.problem) == (len(match.found) < rule.least)
    told = {entry.path for group in found.groups for entry in group.entries} | {entry.path for entry in found.unused}
    told |= {entry.path for group in found.groups for match in group.matches for entry in match.found}
    assert told == {entry.path for entry in entries}

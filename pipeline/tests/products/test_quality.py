"""Quality control: every figure beyond a limit is said, what failed comes first, and files agree with one another."""

import json
import re
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy import units
from astropy.io.votable.ucd import check_ucd

from specola_pipeline.errors import QualityError
from specola_pipeline.quality.report import write_report
from specola_pipeline.quality.rows import column_definitions, judge
from specola_pipeline.quality.thresholds import read_thresholds
from specola_pipeline.reduce.results import Problem

from .conftest import exposure, mask, quality, reduction, slit


def one_slit(**changes: object):
    """Rows of a reduction of one slit whose figures are good but for *changes*."""
    return judge(reduction([mask([slit(1)], [exposure("a.fits", [quality(1, **changes)])])])).rows


def test_a_good_slit_is_accepted_without_a_word():
    (row,) = one_slit()
    assert (row["state"], row["flags"]) == ("accepted", "")


BEYOND = {
    "wavelength_rms": (0.1, 0.5),
    "arc_lines": (6, 2),
    "sky_offset": (-3.0, 9.0),
    "sky_offset_error": (0.1, 1.0),
    "sky_chi": (1.2, 2.0),
    "line_chi": (1.5, 3.0),
    "map_correction": (0.5, 1.5),
    "cosmic_part": (0.1, 0.5),
    "bad_part": (0.2, 0.8),
    "flat_signal": (500.0, 5.0),
    "slit_variation": (0.5, 0.9),
    "photon_limit": (1.5, 4.0),
    "response_scatter": (0.1, 0.3),
}


@pytest.mark.parametrize("figure", [limit.figure for limit in read_thresholds()])
def test_every_limit_is_said_with_value_and_limit(figure):
    for value, state in zip(BEYOND[figure], ("unsure", "rejected"), strict=True):
        if figure == "response_scatter":
            one = mask([slit(1)], [exposure("a.fits", [quality(1)])], response=("LTT 3218", value))
            rows = judge(reduction([one])).rows
        elif figure == "arc_lines":
            rows = one_slit(arc_wavelengths=np.linspace(5600, 8000, value))
        elif figure == "slit_variation":
            rows = one_slit(slit_function=np.array([1.0] * 30 + [1.0 - value]))
        else:
            rows = one_slit(**{figure: value})
        assert rows[0]["state"] == state
        limit = next(one for one in read_thresholds() if one.figure == figure)
        assert f"(limit {getattr(limit, state):g})" in rows[0]["flags"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sky_lines": 0, "sky_offset": 0.0, "sky_offset_error": np.nan}, "the zero point of the wavelengths is that of the arc"),
        ({"sky_lines": 0}, "the zero point of the wavelengths is that of the other slits' sky lines"),
        ({"sky_chi": np.nan}, "residuals of the sky could not be measured"),
        ({"wavelength_rms": np.nan}, "scatter of the arc lines"),
        ({"traced": False}, "an edge of the slit was not seen"),
        ({"odd": ("amplifier 1 is dead",)}, "amplifier 1 is dead"),
    ],
)
def test_what_could_not_be_measured_is_not_silent(changes, words):
    (row,) = one_slit(**changes)
    assert row["state"] == "unsure"
    assert words in row["flags"]


def test_light_that_fills_a_slit_is_a_figure_and_without_other_slits_it_is_none():
    (row,) = one_slit(sky_excess=0.4, sky_excess_error=0.01)
    assert (row["sky_excess"], row["sky_excess_error"]) == (0.4, 0.01)
    (row,) = one_slit()
    assert row["sky_excess"] is row["sky_excess_error"] is None


def test_what_failed_is_a_row_and_the_rest_is_judged(small):
    found = judge(small)
    said = {(row["file"], row["slit"]): (row["state"], row["flags"]) for row in found.rows}
    assert said["first.fits", "GAL1"] == ("accepted", "")
    assert said["first.fits", "GAL3"][0] == "unsure"
    assert said["second.fits", "GAL9"] == ("rejected", "slit GAL9: 12% of its flat is saturated: take a shorter flat")
    assert said["cut.fits", None][0] == "rejected"
    assert found.failed
    assert len({row["quality_id"] for row in found.rows}) == len(found.rows) == 9
    states = {row["slit"]: found.of_slit(row["slit_id"]) for row in found.rows if row["slit_id"]}
    assert states == {"GAL1": "accepted", "GAL3": "unsure", "GAL4": "accepted", "GAL9": "unsure"}


def test_a_problem_alone_is_a_failure():
    good = reduction([mask([slit(1)], [exposure("a.fits", [quality(1)])])])
    assert not judge(good).failed
    assert judge(replace(good, problems=(Problem("x.fits", "", "x.fits: broken"),))).failed


def test_a_frame_that_was_lost_on_the_way_is_a_failure():
    one = mask([slit(1)], [exposure("a.fits", [quality(1)]), exposure("b.fits", [quality(1)], number=1)])
    lost = replace(reduction([one]), masks=(replace(one, exposures=one.exposures[:1]),))
    found = judge(lost)
    assert found.failed
    assert [(row["file"], row["state"]) for row in found.rows] == [("a.fits", "accepted"), ("b.fits", "rejected")]
    assert judge(replace(lost, masks=())).count("rejected") == 2


def test_json_parquet_and_page_say_the_same_and_twice_the_same_bytes(small, tmp_path):
    found = judge(small)
    write_report(found, small, tmp_path / "one")
    write_report(judge(small), small, tmp_path / "two")
    names = ["qc.json", "qc.parquet", "report.html"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    said = json.loads((tmp_path / "one/qc.json").read_text())
    table = pq.read_table(tmp_path / "one/qc.parquet")
    assert [row["state"] for row in said["rows"]] == table["state"].to_pylist()
    assert np.allclose([row["sky_chi"] or 0 for row in said["rows"]], [value or 0 for value in table["sky_chi"].to_pylist()])
    assert table.schema.field("sky_offset").metadata[b"unit"] == b"pixel"
    page = (tmp_path / "one/report.html").read_text()
    first, second = page.index("What failed, and why"), page.index("What to look at")
    assert first < page.index("12% of its flat is saturated") < second
    assert first < page.index("cut.fits: can not be read") < second < page.index("sky residuals between lines are 1.30 times")
    assert not re.search(r'(src|href)="(?!data:|#)', page), "the page is to need no other file"
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page


def test_names_from_headers_can_not_break_the_page(tmp_path):
    nasty = '<script>alert("1")</script>'
    one = mask([slit(1, identifier=nasty)], [exposure("a.fits", [quality(1, identifier=nasty, odd=(nasty,))])])
    write_report(judge(reduction([one])), reduction([one]), tmp_path)
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_columns_are_documented_with_valid_units_and_ucds():
    table, columns = column_definitions()
    assert table["primary"] == columns[0]["name"]
    for column in columns:
        assert check_ucd(column["ucd"], check_controlled_vocabulary=True), column["ucd"]
        units.Unit(column.get("unit", ""), format="vounit")
    (row,) = one_slit()
    assert list(row) == [column["name"] for column in columns]


def test_own_thresholds_replace_those_they_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[sky_chi]\nunsure = 1.0\nrejected = 1.005\n")
    limits = read_thresholds(path)
    one = reduction([mask([slit(1)], [exposure("a.fits", [quality(1)])])])
    assert judge(one, limits).rows[0]["state"] == "rejected"
    assert len(limits) == len(read_thresholds())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sky_chii]\nunsure = 1", "expected one of"),
        ("[sky_chi]\nunsure = 'much'", "unsure = 'much'"),
        ("[sky_chi]\nunsure = nan", "unsure = nan"),
        ("[sky_chi]\nlimit = 1", "limit = 1"),
        ("sky_chi = 1", "expected a table"),
        ("[sky_chi]\nunsure = 9", "exchange the two"),
        ("[sky_chi", "can not be read as TOML"),
    ],
)
def test_a_wrong_thresholds_file_says_what_is_wrong(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(QualityError, match=re.escape(words)):
        read_thresholds(path)

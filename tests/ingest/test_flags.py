"""Flag schemes: labels to components and back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specola_bundle.flags import SCHEMES, Flag, components, parse, render
from specola_bundle.registry import standard_tables

schemes = st.sampled_from(sorted(SCHEMES))


def parsed(scheme: str, label: str) -> tuple[Flag | None, str]:
    """The flag, or None and why not."""
    try:
        return parse(scheme, label), ""
    except ValueError as error:
        return None, str(error)


@st.composite
def flags(draw, scheme: str) -> Flag:
    known = SCHEMES[scheme]
    if draw(st.booleans()) and draw(st.booleans()):
        return Flag(draw(st.sampled_from([-10, -99])))
    digit = draw(st.sampled_from(sorted(known.digits)))
    if draw(st.booleans()) and draw(st.booleans()):
        return Flag(digit, secondary=True, unidentified=True)
    agreement = draw(st.sampled_from([None, *known.decimals.values()]))
    return Flag(digit, draw(st.booleans()), draw(st.booleans()), agreement)


@given(schemes.flatmap(lambda scheme: st.tuples(st.just(scheme), flags(scheme))))
def test_components_to_label_and_back(case):
    scheme, flag = case
    assert parse(scheme, render(scheme, flag)) == flag


@given(schemes, st.integers(-299, 299), st.sampled_from(["", ".1", ".2", ".3", ".4", ".5"]))
def test_label_to_components_and_back(scheme, number, decimal):
    label = f"{number}{decimal}"
    flag, complaint = parsed(scheme, label)
    if flag is None:
        assert repr(label) in complaint
        assert f"scheme {scheme}" in complaint
    else:
        assert render(scheme, flag) == label


@given(schemes, st.text(max_size=8))
def test_any_text_is_a_label_or_is_refused_with_a_reason(scheme, text):
    flag, complaint = parsed(scheme, text)
    if flag is None:
        assert "expected a label" in complaint
    else:
        assert flag.confidence in {*SCHEMES[scheme].digits, -10, -99}


@pytest.mark.parametrize(
    ("scheme", "label", "flag"),
    [
        ("vipers", "4.5", Flag(4, photoz_agreement="inside")),
        ("vipers", "3.4", Flag(3, photoz_agreement="near")),
        ("vipers", "2.2", Flag(2, photoz_agreement="incompatible")),
        ("vipers", "9.1", Flag(9, photoz_agreement="none")),
        ("vipers", "14.5", Flag(4, broad_line=True, photoz_agreement="inside")),
        ("vipers", "219.4", Flag(9, broad_line=True, secondary=True, photoz_agreement="near")),
        ("vipers", "22", Flag(2, secondary=True)),
        ("vipers", "-10", Flag(-10)),
        ("vipers", "-99", Flag(-99)),
        ("vipers", "-23", Flag(3, secondary=True, unidentified=True)),
        ("vipers", "4.0", Flag(4)),
        ("vandels", "9", Flag(9)),
        ("vandels", "14", Flag(4, broad_line=True)),
        ("zcosmos", "4.4", Flag(4, photoz_agreement="none")),
        ("zcosmos", "3.1", Flag(3, photoz_agreement="incompatible")),
        ("zcosmos", "9.3", Flag(9, photoz_agreement="resolved")),
        ("zcosmos", "18.5", Flag(8, broad_line=True, photoz_agreement="inside")),
        ("zcosmos", "13.5", Flag(3, broad_line=True, photoz_agreement="inside")),
    ],
)
def test_labels_of_the_papers(scheme, label, flag):
    assert parse(scheme, label) == flag


@pytest.mark.parametrize(
    ("scheme", "label"),
    [
        ("vipers", "4.3"),
        ("zcosmos", "4.2"),
        ("vandels", "4.5"),
        ("vipers", "5"),
        ("vipers", "8.5"),
        ("vipers", "34"),
        ("vipers", "-14"),
        ("vipers", ""),
        ("vipers", "4,5"),
        ("vipers", "-23.5"),
    ],
)
def test_what_is_no_label(scheme, label):
    with pytest.raises(ValueError, match="expected a label of scheme"):
        parse(scheme, label)


def test_the_same_decimal_means_different_things():
    assert parse("vipers", "4.4").photoz_agreement == "near"
    assert parse("zcosmos", "4.4").photoz_agreement == "none"
    assert parse("vipers", "4.1").photoz_agreement == "none"
    assert parse("zcosmos", "4.1").photoz_agreement == "incompatible"


def test_what_can_not_be_rendered():
    with pytest.raises(ValueError, match="'resolved'"):
        render("vipers", Flag(4, photoz_agreement="resolved"))
    with pytest.raises(ValueError, match="class 8"):
        render("vipers", Flag(8))
    with pytest.raises(ValueError, match="nothing beside"):
        render("vipers", Flag(-10, secondary=True))
    with pytest.raises(ValueError, match="plain second object"):
        render("vipers", Flag(3, broad_line=True, secondary=True, unidentified=True))
    with pytest.raises(ValueError, match="flag scheme 'nothing'"):
        render("nothing", Flag(4))


def test_secure():
    assert [Flag(digit).secure for digit in (4, 3, 2, 9, 8, 1, 0, -10, -99)] == [True] * 5 + [False] * 4
    assert not Flag(4, secondary=True, unidentified=True).secure


def test_components_are_columns_of_the_registry_within_its_values():
    table = standard_tables()["redshifts"]
    for scheme in SCHEMES.values():
        for digit in scheme.digits:
            for decimal in ["", *(f".{d}" for d in scheme.decimals)]:
                for column, value in components(scheme.name, f"{digit}{decimal}").items():
                    allowed = table.column(column).values
                    assert value is None or not allowed or value in allowed, (scheme.name, digit, decimal, column)


@pytest.mark.parametrize(
    ("scheme", "z", "photoz", "low", "high", "said"),
    [
        ("vipers", 0.70, 0.68, 0.65, 0.71, "inside"),
        ("vipers", 0.75, 0.68, 0.65, 0.71, "near"),  # 0.68 + 0.05 * 1.68 = 0.764
        ("vipers", 0.77, 0.68, 0.65, 0.71, "incompatible"),
        ("vipers", 0.60, 0.68, 0.65, 0.71, "near"),
        ("vipers", 0.90, 0.68, 0.65, 0.95, "inside"),
        ("vipers", 0.96, 0.68, 0.65, 0.95, "incompatible"),  # the wide side is not widened further
        ("vipers", 0.70, math.nan, math.nan, math.nan, "none"),
        ("vipers", 0.70, None, None, None, "none"),
        ("vipers", 0.70, 0.70, None, None, "near"),  # without an interval nothing is inside it
        ("vipers", 0.80, 0.70, None, None, "incompatible"),
        ("vipers", None, 0.70, 0.6, 0.8, None),
        ("zcosmos", 0.70, 0.84, 0.83, 0.85, "incompatible"),  # 0.08 * 1.7 = 0.136
        ("zcosmos", 0.70, 0.83, 0.82, 0.84, "inside"),
        ("zcosmos", 0.70, None, None, None, "none"),
        ("vandels", 0.70, 0.70, 0.6, 0.8, None),
    ],
)
def test_agreement_with_the_photometric_redshift(scheme, z, photoz, low, high, said):
    assert SCHEMES[scheme].agreement(z, photoz, low, high) == said
    if said is not None:
        assert parse(scheme, render(scheme, Flag(4, photoz_agreement=said))).photoz_agreement == said

"""The automatic flag in every scheme."""

import pytest

from specola_bundle.flags import SCHEMES, parse
from specola_pipeline.derived.context import SCHEMES as WRITTEN
from specola_pipeline.derived.flag import FIT_LIMIT, NEGATIVE_MODEL, NO_DATA, SMALL_GAP, automatic

INSIDE, NEAR, FAR, NONE = (0.7, 0.6, 0.8), (0.75, 0.74, 0.78), (2.0, 1.9, 2.1), (None, None, None)


def record(**changes: object) -> dict:
    return {
        "z": 0.7, "z_err": 1e-4, "class": "GALAXY", "confidence": 4, "broad_line": False, "probability": 0.995, "snr": 5.0,
        **changes,
    }  # fmt: skip


QUASAR = {"class": "QSO", "broad_line": True, "z": 2.0}


@pytest.mark.parametrize(
    ("scheme", "changes", "secondary", "photoz", "label"),
    [
        ("vipers", {}, False, INSIDE, "4.5"),
        ("vipers", {}, False, NEAR, "4.4"),
        ("vipers", {}, False, FAR, "4.2"),
        ("vipers", {}, False, NONE, "4.1"),
        ("vipers", {"confidence": 3}, False, INSIDE, "3.5"),
        ("vipers", {"confidence": 9}, False, FAR, "9.2"),
        ("vipers", {"confidence": 1}, True, NONE, "21.1"),
        ("vipers", QUASAR, False, FAR, "14.5"),
        ("vipers", QUASAR | {"confidence": 9}, True, FAR, "219.5"),
        ("vipers", {"z": None, "confidence": 0, "class": "UNKNOWN"}, False, INSIDE, "0"),
        ("vipers", {"class": "STAR", "z": 0.0002}, False, INSIDE, "4.1"),
        ("vandels", {}, False, INSIDE, "4"),
        ("vandels", QUASAR, False, NONE, "14"),
        ("vandels", {"confidence": 2}, True, NONE, "22"),
        ("zcosmos", {}, False, INSIDE, "4.5"),
        ("zcosmos", {}, False, (0.83, None, None), "4.5"),  # within 0.08 (1 + z)
        ("zcosmos", {}, False, FAR, "4.1"),
        ("zcosmos", {}, False, NONE, "4.4"),
        ("zcosmos", QUASAR | {"confidence": 9}, False, NONE, "18.4"),
        ("zcosmos", {"confidence": 9}, False, NONE, "9.4"),
    ],
)
def test_labels(scheme: str, changes: dict, secondary: bool, photoz: tuple, label: str) -> None:
    columns = automatic(record(**changes), scheme, secondary=secondary, photoz=photoz)
    assert columns["flag_label"] == label
    flag = parse(scheme, label)
    assert (flag.confidence, flag.broad_line, flag.secondary) == (columns["confidence"], columns["broad_line"], secondary)
    assert (flag.photoz_agreement, flag.secure) == (columns["photoz_agreement"], columns["secure"])
    assert columns["warning"] is None


@pytest.mark.parametrize("scheme", ["sdss", "desi"])
@pytest.mark.parametrize(
    ("changes", "bits"),
    [
        ({}, 0),
        ({"probability": 0.79, "confidence": 1}, SMALL_GAP),
        ({"probability": 0.6, "confidence": 9}, SMALL_GAP),
        ({"z": 6.4999}, FIT_LIMIT),
        ({"z_err": None}, FIT_LIMIT),
        (QUASAR | {"z": 0.051}, FIT_LIMIT),
        ({"class": "STAR", "z": 0.0039}, 0),
        ({"z": 0.0}, 0),
        ({"z": None, "class": "UNKNOWN", "confidence": 0, "probability": 0.0, "snr": 2.0}, NEGATIVE_MODEL),
        ({"z": None, "class": "UNKNOWN", "confidence": 0, "probability": 0.0, "snr": None}, NO_DATA),
    ],
)
def test_masks(scheme: str, changes: dict, bits: int) -> None:
    columns = automatic(record(**changes), scheme, photoz=INSIDE)
    assert (columns["warning"], columns["flag_label"], columns["secure"]) == (bits, str(bits), bits == 0)
    assert columns["confidence"] is None


def test_every_scheme_is_written() -> None:
    assert set(SCHEMES) | {"sdss", "desi"} == set(WRITTEN)

"""From an instrument's TOML file to an :class:`~.model.Instrument`. Every error names the file and the key."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from specola_pipeline.errors import InstrumentError
from specola_pipeline.instruments.detector import Amplifier, Detector, Section, Value
from specola_pipeline.instruments.model import (
    Association,
    Condition,
    Flexure,
    Grism,
    Instrument,
    Lamp,
    LongSlit,
    MaskSlits,
    Order,
    Rule,
    Site,
    Transform,
)
from specola_pipeline.instruments.tomltable import TomlTable

__all__ = ["instrument", "instruments", "load"]

FOLDER = Path(__file__).parent
FIELDS = (
    "quadrant",
    "grism",
    "filter",
    "mask",
    "object",
    "ra",
    "dec",
    "exptime",
    "start",
    "airmass",
    "program",
    "block",
    "binning",
)
"""Fields of a frame that an instrument maps to keywords."""
NEEDED = ("grism", "exptime", "start")


@cache
def instruments() -> tuple[Instrument, ...]:
    """Every instrument that comes with the package, by name."""
    return tuple(load(file) for file in sorted(FOLDER.glob("*.toml")))


def instrument(name: str) -> Instrument:
    """The instrument of that name.

    Raises:
        InstrumentError: there is none.
    """
    for one in instruments():
        if one.name == name:
            return one
    raise InstrumentError(f"there is no instrument '{name}'; known are {', '.join(one.name for one in instruments())}.")


def load(file: Path) -> Instrument:
    """Parse one instrument file.

    Raises:
        InstrumentError: the file can not be read, or a key is missing, unknown, or of a wrong kind or value.
    """
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InstrumentError(f"{file}: can not be read as TOML: {error}.") from error
    top = TomlTable(file, "", values)
    found = Instrument(
        name=file.stem,
        title=top.text("title"),
        file=file.name,
        telescope=top.text("telescope"),
        site=_site(top.table("site")),
        identify=tuple(_condition(one) for one in top.tables("identify")),
        keywords=_keywords(top.table("keywords")),
        sexagesimal_ra_hours=bool(top.take("sexagesimal_ra_hours", bool, default=True)),
        detectors=tuple(detector for one in top.tables("detector") for detector in _detectors(one)),
        grisms=tuple(_grism(one) for one in top.tables("grism")),
        lamps=tuple(_lamp(one) for one in top.tables("lamp", [])),
        rules=tuple(_rule(one) for one in top.tables("rule")),
        associations=tuple(_association(one) for one in top.tables("associate", [])),
        geometry=_geometry(top.table("slits")),
        flexure=_flexure(top.table("flexure")),
        sky_lines=top.text("sky_lines", "night_sky"),
    )
    top.done()
    for kind in ("identify", "detectors", "grisms", "rules"):
        if not getattr(found, kind):
            raise InstrumentError(f"{file.name}: it has no [[{kind.rstrip('s')}]].")
    return found


def _site(table: TomlTable) -> Site:
    found = Site(
        table.text("name"), table.number("longitude"), table.number("latitude"), table.number("height"), table.text("extinction")
    )
    table.done()
    return found


def _keywords(table: TomlTable) -> dict[str, tuple[str, ...]]:
    found = {field: table.texts(field) for field in FIELDS if field in table.values or field in NEEDED}
    table.done()
    return found


def _value(table: TomlTable) -> Value:
    found = Value(table.text("keyword", None), table.number("default", None), table.number("scale", 1.0))
    if found.keyword is None and found.default is None:
        raise table.fail("keyword", "is missing, and there is no default")
    table.done()
    return found


def _section(table: TomlTable, key: str, text: str) -> Section:
    try:
        return Section.parse(text)
    except ValueError as error:
        raise table.fail(key, str(error)) from None


def _detectors(table: TomlTable) -> Iterator[Detector]:
    """One CCD, or several alike (``quadrants = [1, 2, 3, 4]``)."""
    shape = table.numbers("shape", 2)
    axis, sign = table.text("dispersion_axis"), table.number("dispersion_sign")
    if axis not in {"x", "y"}:
        raise table.fail("dispersion_axis", f"is '{axis}', expected x or y")
    if sign not in {-1.0, 1.0}:
        raise table.fail("dispersion_sign", f"is {sign}, expected 1 or -1")
    amplifiers = []
    for one in table.tables("amplifier"):
        amplifiers.append(
            Amplifier(
                one.text("name"),
                _section(one, "data", one.text("data")),
                tuple(_section(one, "bias", text) for text in one.texts("bias", [])),
                _value(one.table("gain")),
                _value(one.table("read_noise")),
            )
        )
        one.done()
    if not amplifiers:
        raise table.fail("amplifier", "is empty")
    name, scale, saturation = table.text("name"), table.number("pixel_scale"), table.number("saturation")
    quadrants = table.numbers("quadrants", default=[1])
    table.done()
    for quadrant in quadrants:
        yield Detector(
            int(quadrant),
            name,
            (int(shape[1]), int(shape[0])),
            0 if axis == "y" else 1,
            int(sign),
            scale,
            saturation,
            tuple(amplifiers),
        )


def _grism(table: TomlTable) -> Grism:
    low, high = table.numbers("range", 2)
    dispersion = table.numbers("dispersion")
    if len(dispersion) < 2 or dispersion[1] <= 0:
        raise table.fail("dispersion", "needs two coefficients at least, the second (Å a pixel) above zero")
    if not low < high:
        raise table.fail("range", f"begins at {low} and ends at {high}")
    orders = []
    for one in table.tables("order", []):
        orders.append(Order(int(one.number("number")), one.number("relative"), one.number("from_wavelength")))
        one.done()
    found = Grism(
        name=table.text("name"),
        filters=table.texts("filters", []),
        reference=dispersion[0],
        reference_pixel=table.number("reference_pixel", None),
        dispersion=dispersion,
        range=(low, high),
        resolution=table.number("resolution"),
        resolution_slit=table.number("resolution_slit", 1.0),
        multiplex=int(table.number("multiplex", 1)),
        orders=tuple(orders),
    )
    table.done()
    return found


def _lamp(table: TomlTable) -> Lamp:
    on = table.texts("on", ["on", "T", "True"])
    found = Lamp(
        table.text("name"),
        table.text("state"),
        tuple(one.upper() for one in on),
        table.texts("lines", []),
        table.text("name_keyword", None),
    )
    table.done()
    return found


def _condition(table: TomlTable) -> Condition:
    found = Condition(
        key=table.text("key", None),
        equals=tuple(one.upper() for one in table.texts("equals", [])),
        matches=table.text("matches", None),
        least=table.number("least", None),
        most=table.number("most", None),
        present=table.take("present", bool, None),
        lamps=table.text("lamps", None),
        near_standard=table.number("near_standard", None),
    )
    if found.lamps not in {None, "lines", "continuum", "none"}:
        raise table.fail("lamps", f"is '{found.lamps}', expected lines, continuum or none")
    tests = (found.equals or None, found.matches, found.least, found.most, found.present)
    if found.key is None and (found.lamps is None and found.near_standard is None):
        raise table.fail("key", "is missing")
    if found.key is not None and all(test is None for test in tests):
        raise table.fail("key", "nothing is asked of it: give equals, matches, least, most or present")
    table.done()
    return found


def _rule(table: TomlTable) -> Rule:
    found = Rule(table.kind("kind", table.text("kind")), tuple(_condition(one) for one in table.tables("when")))
    table.done()
    return found


def _association(table: TomlTable) -> Association:
    same = table.texts("same")
    for field in same:
        if field not in {*FIELDS, "night", "lamps"}:
            raise table.fail("same", f"'{field}' is no field of a frame")
    found = Association(
        tuple(table.kind("of", one) for one in table.texts("of")),
        table.kind("needs", table.text("needs")),
        same,
        table.number("hours"),
        int(table.number("least", 1)),
        int(table.number("most", 20)),
        bool(table.take("required", bool, default=True)),
    )
    table.done()
    return found


def _transform(table: TomlTable) -> Transform:
    parts = []
    for key in ("x", "y"):
        rows = table.take(key, list)
        if not rows or not all(isinstance(row, list) and row and all(isinstance(c, int | float) for c in row) for row in rows):
            raise table.fail(key, "expected a list of rows of coefficients: row i, column j is of Xⁱ Yʲ")
        parts.append(tuple(tuple(float(c) for c in row) for row in rows))
    table.done()
    return Transform(parts[0], parts[1])


def _geometry(table: TomlTable) -> MaskSlits | LongSlit:
    kind = table.text("kind")
    found: MaskSlits | LongSlit
    if kind == "long":
        found = LongSlit(table.text("width"))
    elif kind == "mask":
        transforms = {}
        for one in table.tables("transform"):
            quadrants = one.numbers("quadrants", default=[1])
            transforms.update(dict.fromkeys((int(quadrant) for quadrant in quadrants), _transform(one)))
        found = MaskSlits(
            **{key: table.text(key) for key in ("count", "identifier", "x", "y", "length", "width")},
            ra=table.text("ra", None),
            dec=table.text("dec", None),
            mm_per_arcsec=table.number("mm_per_arcsec"),
            transform=transforms,
        )
    else:
        raise table.fail("kind", f"is '{kind}', expected mask or long")
    table.done()
    return found


def _flexure(table: TomlTable) -> Flexure:
    found = Flexure(table.number("along"), table.number("across"))
    table.done()
    return found

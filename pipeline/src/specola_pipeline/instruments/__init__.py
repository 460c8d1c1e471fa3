"""Instruments as data: a TOML file each in this folder, parsed once into frozen dataclasses.

- :mod:`.model`: what an instrument is (begin here);
- :mod:`.detector`: its part about detectors and their headers' numbers;
- :mod:`.load`: from TOML to the model, with errors that name file and key;
- :mod:`.frame`: from a FITS header to a :class:`Frame`, through an instrument: its kind, quadrant, grism, mask, lamps;
- :mod:`.slits`: from a FITS header to the :class:`Slit` s of its mask, and where they fall on the detector;
- :mod:`.tables`: line lists, sky, extinction and standard stars that come with the package.

Nothing elsewhere in the package knows the name of an instrument or of a header keyword.
"""

from specola_pipeline.instruments.detector import Amplifier, Detector, Section, Value
from specola_pipeline.instruments.frame import Frame, identify, read_frame
from specola_pipeline.instruments.load import instrument, instruments, load
from specola_pipeline.instruments.model import (
    Association,
    Condition,
    Flexure,
    Grism,
    Instrument,
    Kind,
    Lamp,
    LongSlit,
    MaskSlits,
    Order,
    Rule,
    Site,
    Transform,
)
from specola_pipeline.instruments.slits import Slit, slits
from specola_pipeline.instruments.tables import Lines, Sky, Standard, extinction, line_list, sky, standards

__all__ = [
    "Amplifier",
    "Association",
    "Condition",
    "Detector",
    "Flexure",
    "Frame",
    "Grism",
    "Instrument",
    "Kind",
    "Lamp",
    "Lines",
    "LongSlit",
    "MaskSlits",
    "Order",
    "Rule",
    "Section",
    "Site",
    "Sky",
    "Slit",
    "Standard",
    "Transform",
    "Value",
    "extinction",
    "identify",
    "instrument",
    "instruments",
    "line_list",
    "load",
    "read_frame",
    "sky",
    "slits",
    "standards",
]

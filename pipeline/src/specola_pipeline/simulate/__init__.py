"""Raw VIMOS frames that never were: physics in, FITS files with ESO's headers out, and the truth beside them.

Read in this order: :mod:`.settings` (what can be asked for, and each effect that can be switched off), :mod:`.mask` (slits and
objects), :mod:`.optics` (where light of a wavelength from a point of a slit falls), :mod:`.light` (how many electrons, of which
wavelength), :mod:`.spread` (line spread), :mod:`.render` (electrons on the detector), :mod:`.ccd` (from electrons to ADU),
:mod:`.headers`, :mod:`.truth` (what is written beside) and :mod:`.night`, which makes a whole night.

All of it is seeded: the same settings give the same bytes, frame by frame, whatever else is simulated.
"""

from specola_pipeline.simulate.mask import Mask, Source, design
from specola_pipeline.simulate.night import simulate
from specola_pipeline.simulate.optics import Optics, SlitMap
from specola_pipeline.simulate.settings import EFFECTS, Settings
from specola_pipeline.simulate.truth import Truth, read_truth

__all__ = ["EFFECTS", "Mask", "Optics", "Settings", "SlitMap", "Source", "Truth", "design", "read_truth", "simulate"]

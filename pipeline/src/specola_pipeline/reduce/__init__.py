"""The reduction: raw frames to spectra on the detector's own rows. Begin with :func:`.run.run`.

In the order of the light: :mod:`.raw` and :mod:`.detector` (electrons with a variance), :mod:`.plan` (what is reduced with what),
:mod:`.traces`, :mod:`.arcs` and :mod:`.flats` (put together by :mod:`.calibrate`), :mod:`.sky` on :mod:`.banded` (sky and objects
in one fit), :mod:`.profiles`, :mod:`.cosmic`, :mod:`.exposure`, :mod:`.skylines` (flexure), :mod:`.fluxcal`, :mod:`.products`,
:mod:`.qc`; :mod:`.steps` keeps results under the hash of what they were made from.
"""

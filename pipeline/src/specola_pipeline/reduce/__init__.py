"""The reduction: raw frames to spectra. Begin with :func:`.run.run`; :mod:`.results` is what it gives.

:mod:`.run` asks ``organise`` what belongs together and has :mod:`.tasks` done, which keep what they made (:mod:`.steps`). In the
order of the light: :mod:`.raw` and :mod:`.detector` (electrons with a variance), :mod:`.traces`, :mod:`.arcs` and :mod:`.flats`
(put together by :mod:`.calibrate`), :mod:`.slitfit` on :mod:`.sky` and :mod:`.banded` (sky and objects in one fit),
:mod:`.profiles`, :mod:`.cosmic`, :mod:`.skylines` (flexure; put together by :mod:`.exposure`), :mod:`.combine` on
:mod:`.resample`, :mod:`.fluxcal`.
"""

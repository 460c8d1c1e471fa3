"""Redshifts, classes and lines of one-dimensional spectra, without a person.

Begin with :func:`specola_pipeline.redshift.measure.Redshifter.measure`: it takes a
:class:`~specola_pipeline.redshift.spectrum.Spectrum` and gives a :class:`~specola_pipeline.redshift.result.Result`.
The steps are modules of their own, in the order in which they run:
``prepare`` (errors made honest, one resampling on log wavelength), ``scan`` (all redshifts of all templates at once, by FFT),
``refine`` (fits on the pixels as they were observed), ``confidence`` (probability and flag).
"""

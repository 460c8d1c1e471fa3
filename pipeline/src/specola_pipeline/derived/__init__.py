"""What programs measure on the spectra of a bundle (redshifts, lines, indices, models), as a new bundle for an archive.

Begin with :func:`.write.measure_bundle`. Its steps are modules of their own: ``context`` (what the bundle knows of its spectra
besides their arrays), ``measure`` (one spectrum, in a worker), ``journal`` (what was measured, kept until all is), ``flag`` (the
automatic flag in a survey's scheme), ``rows`` (rows of the contract's tables), ``model`` (the file with spectrum and model).
"""

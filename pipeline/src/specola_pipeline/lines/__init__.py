"""What a spectrum shows at a redshift that is known: lines, indices, and stacks of many.

Begin with :func:`specola_pipeline.lines.measure.measure_lines`; ``indices`` has D4000 and indices on Lick's bands, ``stack`` the
mean spectra of bins of a column. Method and limits are in docs/lines.md.
"""

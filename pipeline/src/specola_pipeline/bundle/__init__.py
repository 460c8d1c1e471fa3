"""From a reduction to a bundle that ``specola ingest`` takes as it is. Begin with :func:`.write.write_bundle`.

:mod:`.spectra` makes the two files of a spectrum (PANDORA's work format, ESO's Science Data Product) and its row, :mod:`.tables`
the rows of observations, slits and quality, :mod:`.provenance` says what was made of what, from the raw frames on. The formats
themselves are in the package ``specola_bundle``, which the archive uses, too.
"""

"""ESO's Science Data Product standard for one-dimensional spectra (ESO-044286, version 8).

Read `columns` first (what the arrays are called), then `cards` (the two headers as we write them), then `rules`
(what the standard asks for, as data) and `validate` (whether a file holds to it).
"""

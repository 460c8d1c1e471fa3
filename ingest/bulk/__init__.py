"""A release as files for those who want all of it: catalogues, tars of spectra, how to cite it, and a page about it.

Read `export` first: `export_release` makes everything from a bundle, `publish.publish_bulk` puts it where nginx serves it.
"""

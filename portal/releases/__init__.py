"""The life of a release: candidate, frozen, internal, embargo, public, obsolete or deprecated.

Read first: :mod:`.states`, the table of what may follow what; then :mod:`.life`, the functions that a manager calls (from
Python, from ``specola release``, from the site). :mod:`.history` writes what happened, :mod:`.archives` does what touches an
archive, :mod:`.recovery` settles what was interrupted. docs/releases.md is the page for a manager.
"""

"""Code that runs inside DaCHS, under Debian's own Python. It imports nothing of Specola's other packages.

`load` is the other half of ingest: it makes a release's tables and fills them from a pipe, in one transaction.
`datalink`, `spectrum`, `votable` and `ssap` are called from the procedures in resdir/streams.rd.
"""

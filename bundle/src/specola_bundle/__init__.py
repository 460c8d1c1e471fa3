"""The bundle: what a reduction, a survey or a reader hands to an archive, and how its files are written.

Used by whoever writes bundles (`ingest.readers`, `ingest.mock`, the reduction) and by `ingest`, which takes them. It knows
no database, no server and no reduction. Read `registry` first (what the columns mean, as data), then `bundle` (the folder),
`specfile` (the final-user file) with `sdp`, `workfile` (the work format), and `build` (from a spectrum to both, with its row).
"""

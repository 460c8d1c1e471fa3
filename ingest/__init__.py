"""Bundle in, archive tables out. Read `specola_bundle` first (what a bundle is), then `check.py`, then `load.py`."""

"""Bundle in, archive tables out. Read `bundle.py` first, then `check.py`, then `load.py`."""

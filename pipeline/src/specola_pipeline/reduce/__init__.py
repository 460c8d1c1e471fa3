"""The reduction: raw frames to spectra. :mod:`.results` is what it gives, and what everything after it is written against."""

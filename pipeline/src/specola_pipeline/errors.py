"""What can go wrong, one tree::

PipelineError                    every error a user can mend; its message names the file, what was found, and what to do
├── InstrumentError              an instrument file is wrong, or there is none for a frame
├── FrameError                   a raw frame can not be read, or its header lacks what is needed
├── QualityError                 a file of thresholds for quality control is wrong
├── SpectrumError                a file of spectra can not be read, or is of a kind that is not known
└── TableError                   a table that comes with the package (lines, sky, extinction, standards) is not there
"""

from __future__ import annotations

__all__ = ["FrameError", "InstrumentError", "PipelineError", "QualityError", "SpectrumError", "TableError"]


class PipelineError(Exception):
    """An error that names the file, what was found, what was expected, and what to do."""


class InstrumentError(PipelineError):
    """An instrument file is wrong, or no instrument fits."""


class FrameError(PipelineError):
    """A frame can not be read, or its header lacks what is needed."""


class QualityError(PipelineError):
    """A file of thresholds for quality control is wrong."""


class SpectrumError(PipelineError):
    """A file of spectra can not be read, or is of a kind that is not known."""


class TableError(PipelineError):
    """A table of the package is not there or not as expected."""

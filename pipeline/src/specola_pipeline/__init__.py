"""From raw frames to science spectra and redshifts: frames in, bundle out. Knows nothing of databases, Django or the VO.

Begin with :mod:`specola_pipeline.cli`: each command is a module of :mod:`specola_pipeline.commands` and a thin face of a
package of the same concern.
"""

__version__ = "0.1.0"

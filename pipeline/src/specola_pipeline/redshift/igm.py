"""Mean transmission of the intergalactic medium in the Lyman series, as a function of observed wavelength.

Inoue et al. 2014 (MNRAS 442, 1805), section 4, equations 21 and 22, coefficients of their Table 2. The optical depth of a
line of the series at an observed wavelength does not depend on the source, only whether there is gas of the line in
front of it does: a template can
therefore be cut at the series' lines at rest, and each piece is multiplied by a function of observed wavelength. That makes
absorption that depends on redshift possible in a scan of all redshifts at once.
"""

from __future__ import annotations

import numpy as np

from specola_pipeline.redshift.spectrum import Floats

__all__ = ["CUTS", "transmissions"]

_SERIES = (
    # rest wavelength, A1, A2, A3 of the Lyman-alpha forest, A1, A2 of damped systems
    (1215.67, 1.690e-2, 2.354e-3, 1.026e-4, 1.617e-4, 5.390e-5),
    (1025.72, 4.692e-3, 6.536e-4, 2.849e-5, 1.545e-4, 5.151e-5),
    (972.537, 2.239e-3, 3.119e-4, 1.360e-5, 1.498e-4, 4.992e-5),
    (949.743, 1.319e-3, 1.837e-4, 8.010e-6, 1.460e-4, 4.868e-5),
)

CUTS = tuple(line[0] for line in _SERIES)
"""Rest wavelengths (Angstrom) at which templates are cut, from red to blue."""


def transmissions(wave: Floats) -> Floats:
    """Transmission of the pieces at observed vacuum wavelengths (Angstrom); shape (len(CUTS) + 1, len(wave)).

    Row 0 belongs to what is redward of Ly alpha (1 everywhere), row i to what lies between cuts i and i+1.
    """
    depth = np.zeros((len(_SERIES) + 1, wave.size))
    for number, (rest, a1, a2, a3, d1, d2) in enumerate(_SERIES, start=1):
        x = wave / rest
        forest = np.select([x < 2.2, x < 5.7], [a1 * x**1.2, a2 * x**3.7], a3 * x**5.5)
        damped = np.where(x < 3.0, d1 * x**2, d2 * x**3)
        depth[number] = depth[number - 1] + np.where(x >= 1.0, forest + damped, 0.0)
    return np.exp(-depth)

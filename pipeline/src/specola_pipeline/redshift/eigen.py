"""Sets of eigen-spectra: all redshifts at once by FFT, and the fit on the pixels.

The model of a spectrum d with weights w at shift s is a sum of the set's vectors with coefficients of any sign, the first one
positive:

    d(x) = t(x) sum_k c_k V_k(x - s),    x = ln(wavelength), s = ln(1 + z)

with the transmission t of the intergalactic medium (`igm`). Its normal equations are correlations of w t^2 with the
products V_k V_l, and of w d t with V_k. There is no polynomial: the vectors have the continua.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy import fft

from specola_pipeline.redshift.kernels import add_pieces, cholesky_solve
from specola_pipeline.redshift.spectrum import Floats

__all__ = ["SetBank", "fit_set", "scan_set"]

_LEAST = 1e-4
"""Share of its largest weight below which hardly any of a set falls on data."""


@dataclass(frozen=True)
class SetBank:
    """A set transformed, for one grid."""

    products: npt.NDArray[np.complex128]
    """(pieces, k (k + 1) / 2, frequencies): of V_k V_l, l up to k, row by row."""
    plain: npt.NDArray[np.complex128]
    """(pieces, k, frequencies)."""
    size: int
    outside: npt.NDArray[np.bool_]
    """Lags of redshifts the set is not made for."""

    @classmethod
    def of(cls, cut: Floats, size: int, outside: npt.NDArray[np.bool_]) -> SetBank:
        """Of vectors cut into pieces at the Lyman series, shape (pieces, k, points)."""
        pairs = [(k, j) for k in range(cut.shape[1]) for j in range(k + 1)]
        products = np.stack([cut[:, k] * cut[:, j] for k, j in pairs], axis=1)
        return cls(fft.rfft(products, size), fft.rfft(cut, size), size, outside)


def scan_set(bank: SetBank, weight: Floats, weighted: Floats, through: Floats) -> Floats:
    """Reduction of chi-square from a model of zero, shape (lags,).

    Parameters
    ----------
    weight, weighted
        Inverse variance of the grid's points, and that times the flux; (points,).
    through
        Transmission of the pieces, (pieces, points).
    """
    lags = bank.outside.size
    of_weight = np.conj(fft.rfft(weight * through**2, bank.size))[:, np.newaxis]
    of_flux = np.conj(fft.rfft(weighted * through, bank.size))[:, np.newaxis]
    products = fft.irfft(add_pieces(of_weight, bank.products)[:, 0], bank.size)[:, :lags]
    right = fft.irfft(add_pieces(of_flux, bank.plain)[:, 0], bank.size)[:, :lags]
    gain = np.asarray(_solve_all(np.ascontiguousarray(products), np.ascontiguousarray(right), _LEAST * products[0].max()))
    gain[bank.outside] = 0.0
    return gain


@numba.njit(cache=True)
def _solve_all(products, right, least):  # type: ignore[no-untyped-def]
    """Gain at each lag: products (k (k + 1) / 2, lags), right (k, lags)."""
    count, lags = right.shape
    gain = np.zeros(lags)
    a, b, reduced = np.empty((count, count)), np.empty(count), np.empty(count)
    for lag in range(lags):
        if products[0, lag] <= least:
            continue
        place = 0
        for k in range(count):
            for j in range(k + 1):
                a[k, j] = products[place, lag]
                place += 1
            # A component that does not fall on data has nothing to say.
            a[k, k] += 1e-8 * a[k, k] + 1e-12 * products[0, lag]
            b[k] = reduced[k] = right[k, lag]
        if cholesky_solve(a, b, count) and b[0] > 0.0:
            for k in range(count):
                gain[lag] += reduced[k] * b[k]
    return gain


def fit_set(vectors: Floats, flux: Floats, ivar: Floats) -> tuple[float, Floats]:
    """Gain and coefficients on pixels; vectors (k, pixels). Nothing where the first coefficient would be negative."""
    root = np.sqrt(ivar)
    design = (vectors * root).T
    coefficients = np.asarray(np.linalg.lstsq(design, flux * root, rcond=1e-7)[0])
    if coefficients[0] <= 0:
        return 0.0, np.zeros_like(coefficients)
    model = design @ coefficients
    return float(2 * model @ (flux * root) - model @ model), coefficients

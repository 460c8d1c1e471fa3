"""Make a spectrum ready for the scan: honest errors, what is left of the sky taken away, one resampling in log wavelength."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, median_filter

from specola_pipeline.redshift.skyleft import sky_left
from specola_pipeline.redshift.spectrum import Floats, Spectrum

__all__ = ["MINIMUM_PIXELS", "Prepared", "UnmeasurableError", "prepare", "without"]

MINIMUM_PIXELS = 30
"""Fewer valid pixels than this have no redshift."""
WAVELENGTHS = (1000.0, 30000.0)
"""Angstrom; what lies outside is most likely in another unit."""
MODEL_ERROR = 0.05
"""Templates are not better than this, as a share of the smooth flux; keeps bright spectra from being ruled by their continuum."""
ATMOSPHERE = ((5571.0, 5585.0, 0.5), (6868.0, 6960.0, 0.1), (7590.0, 7710.0, 0.2), (8130.0, 8350.0, 0.03), (9300.0, 9800.0, 0.1))
"""Vacuum wavelengths (Angstrom) between which the atmosphere leaves errors that the source does not tell of, as a share
of the flux: [O I] 5577 and the bands of O2 and H2O."""
LINE_ERROR = 0.15
"""The same for what rises above the smooth flux: profiles and ratios of strong lines differ from the model's by that much."""
_BLOCK = 64
_LAG = 3


class UnmeasurableError(ValueError):
    """The spectrum can not have a redshift; the message says why."""


@dataclass(frozen=True)
class Prepared:
    """What the scan and the fits work on; flux is divided by ``scale``."""

    wave: Floats
    """Vacuum wavelength of valid pixels, shape (n,), Angstrom."""
    flux: Floats
    ivar: Floats
    """Inverse variance with noise, correlation, atmosphere and template errors in it."""
    noise_ivar: Floats
    """Inverse variance of the noise alone: rescaled errors, and correlation where it is significant."""
    err: Floats
    """Standard deviation of the noise as it was given, but for pixels that had hardly any."""
    uncertain: Floats
    """Variance of what was taken away as left of the sky."""
    scale: float
    noise_factor: float
    """Median factor by which the errors given were too small."""
    snr: float
    """Median signal-to-noise ratio per pixel with the rescaled errors."""
    sigma: float
    """Standard deviation of the line spread function in ln(wavelength)."""
    step: float
    """Step of the grid in ln(wavelength); grid points are multiples of it."""
    first: int
    """Number of the grid's first point, ln(wavelength) / step."""
    weight: Floats
    """Inverse variance of the grid's points, shape (m,); 0 where there are no data."""
    weighted: Floats
    """weight times flux."""


def prepare(spectrum: Spectrum) -> Prepared:
    """Clean, rescale and resample; `UnmeasurableError` says why a spectrum can have no redshift.

    Errors as given are rarely right. Differences of pixels three apart, which neither smooth features nor the correlation of
    resampled neighbours enter, give the true noise in blocks of 64 pixels (median absolute deviation); differences of
    neighbours, relative to that, give the correlation, by which a feature of several pixels is less certain than its
    pixels say.
    """
    wave, flux, err = _valid(spectrum)
    scale = float(np.median(np.abs(flux)))
    if scale == 0.0:
        scale = float(np.mean(np.abs(flux)))
    flux, err = flux / scale, err / scale
    # Where resampling or sky subtraction left single pixels with hardly any error they would rule the fit.
    err = np.maximum(err, 0.5 * median_filter(err, 31, mode="nearest"))
    keep = ~_spikes(flux, err)
    wave, flux, err = wave[keep], flux[keep], err[keep]
    if wave.size < MINIMUM_PIXELS:
        raise UnmeasurableError(f"{wave.size} pixels are left without spikes, fewer than {MINIMUM_PIXELS}")
    sigma = _resolution(spectrum, wave)
    factor, inflation = _noise(flux, err)
    left, uncertain = sky_left(wave, flux, err, err * factor * np.sqrt(inflation), sigma)
    flux = flux - left
    factor, inflation = _noise(flux, err)
    noise = np.sqrt(inflation * (err * factor) ** 2 + uncertain)
    smooth = _smooth(flux)
    share = np.full(wave.size, MODEL_ERROR)
    for low, high, part in ATMOSPHERE:
        share[(wave > low) & (wave < high)] = part
    ivar = 1.0 / (noise**2 + (share * smooth) ** 2 + (LINE_ERROR * _excess(flux - smooth, noise)) ** 2)
    step = _step(sigma)
    first, weight, weighted = _resample(wave, flux, ivar, step)
    return Prepared(
        wave=wave, flux=flux, ivar=ivar, noise_ivar=1.0 / (_significant(inflation, wave.size) * (err * factor) ** 2 + uncertain),
        err=err, uncertain=uncertain,
        scale=scale, noise_factor=float(np.median(factor)),
        snr=float(np.median(flux / (err * factor))), sigma=sigma, step=step, first=first, weight=weight, weighted=weighted,
    )  # fmt: skip


def noise_of(data: Prepared, model: Floats) -> Floats:
    """Inverse variance of the noise alone as the residuals of a fit show it, (n,).

    In differences of pixels of a bright spectrum its own features count as noise, too.
    """
    factor, inflation = _noise(data.flux - model, data.err)
    return 1.0 / (_significant(inflation, data.err.size) * (data.err * factor) ** 2 + data.uncertain)


def _significant(inflation: float, pixels: int) -> float:
    """The inflation is never below 1: of white noise its own scatter, some 13 / sqrt(n) at two sigma, would make it too large."""
    return inflation if inflation - 1 > 13 / np.sqrt(pixels) else 1.0


def without(data: Prepared, mask: npt.NDArray[np.bool_]) -> Prepared:
    """The same spectrum, with no weight where ``mask``, shape (n,), is true."""
    ivar = np.where(mask, 0.0, data.ivar)
    first, weight, weighted = _resample(data.wave, data.flux, ivar, data.step)
    return replace(data, ivar=ivar, first=first, weight=weight, weighted=weighted)


def _valid(spectrum: Spectrum) -> tuple[Floats, Floats, Floats]:
    wave, flux, err = (np.asarray(one, dtype=float) for one in (spectrum.wave, spectrum.flux, spectrum.err))
    if not wave.ndim == flux.ndim == err.ndim == 1 or not wave.shape == flux.shape == err.shape:
        raise UnmeasurableError(
            f"wavelength, flux and error have the shapes {wave.shape}, {flux.shape}, {err.shape}, not one and the same"
        )
    if wave.size < MINIMUM_PIXELS:
        raise UnmeasurableError(f"{wave.size} pixels, fewer than {MINIMUM_PIXELS}")
    if not np.isfinite(wave).all() or not (np.diff(wave) > 0).all():
        raise UnmeasurableError("wavelengths are not finite and increasing")
    if not np.isfinite(flux).any():
        raise UnmeasurableError("no pixel has a finite flux")
    covered = np.isfinite(err) & (err > 0)
    if not covered.any():
        raise UnmeasurableError("no pixel has a positive, finite error")
    if np.ptp(flux[covered & np.isfinite(flux)]) <= 1e-12 * np.max(np.abs(flux[covered & np.isfinite(flux)])):
        raise UnmeasurableError("the flux is constant")
    good = _inner(covered & np.isfinite(flux) & ~_repeated(flux))
    if good.sum() < MINIMUM_PIXELS:
        raise UnmeasurableError(f"{good.sum()} valid pixels, fewer than {MINIMUM_PIXELS}")
    wave, flux, err = wave[good], flux[good], err[good]
    if wave[-1] < WAVELENGTHS[0] or wave[0] > WAVELENGTHS[1]:
        raise UnmeasurableError(
            f"wavelengths from {wave[0]:.6g} to {wave[-1]:.6g} do not overlap with what templates cover "
            f"({WAVELENGTHS[0]:.0f} to {WAVELENGTHS[1]:.0f} Angstrom); are they in another unit?"
        )
    inside = (wave >= WAVELENGTHS[0]) & (wave <= WAVELENGTHS[1])
    wave, flux, err = wave[inside], flux[inside], err[inside]
    if wave.size < MINIMUM_PIXELS:
        raise UnmeasurableError(
            f"{wave.size} valid pixels between {WAVELENGTHS[0]:.0f} and {WAVELENGTHS[1]:.0f} Angstrom, "
            f"fewer than {MINIMUM_PIXELS}"
        )
    return wave, flux, err


def _inner(good: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Without the two pixels at either end of the coverage, which resampling has half filled."""
    inside = np.flatnonzero(good)
    result = good.copy()
    result[inside[:2]] = result[inside[-2:]] = False
    return result


def _spikes(flux: Floats, err: Floats) -> npt.NDArray[np.bool_]:
    """Pixels that no source of light makes: far below zero, or far above both neighbours (detectors and cosmic rays).

    A spectrograph spreads a line over more than two pixels; one that stands alone above 8 sigma, with neighbours below a third
    of it, is none.
    """
    middle = median_filter(flux, 5, mode="nearest")
    sigma = err * max(1.0, 1.4826 * float(np.median(np.abs(flux - middle) / err)))
    beside = np.maximum(np.append(flux[1:] - middle[:-1], 0.0), np.append(0.0, flux[:-1] - middle[1:]))
    alone = (flux - middle > 8 * sigma) & (beside < (flux - middle) / 3)
    return np.asarray((flux < -8 * sigma) | alone)


def _repeated(flux: Floats) -> npt.NDArray[np.bool_]:
    """Pixels in runs of five or more of one and the same value, or of eight or more on a straight line: no detector gives those,
    they fill what was not covered.

    Resampling leaves the same value with different last digits, of single precision at the worst.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        step = np.diff(flux)
        close = np.abs(step) <= 1e-6 * np.maximum(np.abs(flux[1:]), np.abs(flux[:-1]))
        straight = np.abs(np.diff(step)) <= 1e-4 * np.abs(step[1:])
    return _run(np.concatenate([[False], close]), 5) | _run(np.concatenate([[False, False], straight]), 8)


def _run(as_before: npt.NDArray[np.bool_], least: int) -> npt.NDArray[np.bool_]:
    """Members of runs of at least so many that go on as before."""
    start = np.flatnonzero(~as_before)
    length = np.diff(np.append(start, as_before.size))
    return np.repeat(length >= least, length)


def _noise(flux: Floats, err: Floats) -> tuple[Floats, float]:
    """Factor of the errors, shape of flux, and the inflation of the variance by correlated noise."""
    far = _differences(flux, err, _LAG)
    blocks = max(1, far.size // _BLOCK)
    parts = np.array_split(far, blocks)
    centres = np.cumsum([0] + [part.size for part in parts])
    middle = (centres[:-1] + centres[1:]) / 2 + _LAG / 2
    size = np.array([1.4826 * np.median(np.abs(part)) for part in parts])
    factor = np.interp(np.arange(flux.size), middle, np.maximum(size, 0.5))
    spread = max(np.median(np.abs(far)), 1e-30)
    rho = [1 - (np.median(np.abs(_differences(flux, err, lag))) / spread) ** 2 for lag in (1, 2)]
    return factor, float(np.clip(1 + 2 * max(rho[0], 0.0) + 2 * max(rho[1], 0.0), 1.0, 4.0))


def _differences(flux: Floats, err: Floats, lag: int) -> Floats:
    return np.asarray((flux[lag:] - flux[:-lag]) / np.hypot(err[lag:], err[:-lag]))


def _smooth(flux: Floats) -> Floats:
    """A rough continuum: medians of blocks, joined by straight lines."""
    parts = np.array_split(flux, max(2, flux.size // 40))
    edges = np.cumsum([0] + [part.size for part in parts])
    return np.interp(np.arange(flux.size), (edges[:-1] + edges[1:]) / 2, [np.median(part) for part in parts])


def _excess(above: Floats, noise: Floats) -> Floats:
    """What stands significantly above the smooth flux, spread over neighbouring pixels; 0 elsewhere."""
    strong = np.where(above > 4 * noise, above, 0.0)
    return np.asarray(maximum_filter1d(strong, 5))


def _resolution(spectrum: Spectrum, wave: Floats) -> float:
    if spectrum.res_power and spectrum.res_power > 1:
        return float(1 / (2.3548 * spectrum.res_power))
    # A well sampled spectrum has three pixels in the full width at half maximum.
    return float(3 * np.median(np.diff(np.log(wave))) / 2.3548)


def _step(sigma: float) -> float:
    """Some 2.5 points in the FWHM, on a ladder so that many spectra share their templates."""
    return float(2e-4 * 2 ** np.clip(np.round(2 * np.log2(sigma * 2.3548 / 2.5 / 2e-4)) / 2, -0.5, 4))


def _resample(wave: Floats, flux: Floats, ivar: Floats, step: float) -> tuple[int, Floats, Floats]:
    """Weights and weighted flux summed over the grid's points; a pixel is shared among the points it overlaps.

    No interpolation takes place: both sums are conserved, and gaps get no weight.
    """
    x = np.log(wave)
    gaps = np.diff(x)
    width = np.minimum(np.append(gaps, gaps[-1]), np.append(gaps[0], gaps))
    left, right = x - width / 2, x + width / 2
    # Neighbours of unequal width may overlap a little; edges must not decrease.
    right[:-1] = np.minimum(right[:-1], left[1:])
    first = int(np.floor(left[0] / step + 0.5))
    count = int(np.ceil(right[-1] / step + 0.5)) - first + 1
    count += -count % 64
    edges = (np.arange(count + 1) + first - 0.5) * step
    knots = np.column_stack([left, right]).ravel()
    sums = []
    for values in (ivar, ivar * flux):
        total = np.column_stack([np.concatenate([[0.0], np.cumsum(values)[:-1]]), np.cumsum(values)]).ravel()
        sums.append(np.diff(np.interp(edges, knots, total)))
    return first, sums[0], sums[1]

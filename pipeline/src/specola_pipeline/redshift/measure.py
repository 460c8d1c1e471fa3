"""Measure the redshift and class of a spectrum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from specola_pipeline.redshift.absorption import SLACK, Absorbed, settle, troughs
from specola_pipeline.redshift.confidence import BEHIND_OUTFLOWS, flag_digit, probability
from specola_pipeline.redshift.lines import line_list
from specola_pipeline.redshift.prepare import Prepared, UnmeasurableError, prepare, without
from specola_pipeline.redshift.refine import SEPARATION, Fit, Refiner
from specola_pipeline.redshift.result import Candidate, Feature, Result
from specola_pipeline.redshift.scan import WITHIN, Scan, Scanner
from specola_pipeline.redshift.spectrum import Floats, Spectrum
from specola_pipeline.redshift.templates import Library, load_library

__all__ = ["BAD", "SEPARATION", "Redshifter"]

_PEAKS = {"GALAXY": 4, "QSO": 2, "STAR": 1}
"""How many maxima of each class' scan are looked at on the pixels."""

BAD = 1.5
"""Chi-square per pixel from which a fit is a bad one: what is seen is none of the templates, unless some of it is absorbed."""
_LOOKS = 2
_OTHERS = 2
"""How many other templates are asked how certain the best redshift is."""
_AS_GOOD = 8.0
"""They may be worse by this in chi-square."""


class Redshifter:
    """Measures spectra one after the other; what templates need is computed once for spectra alike.

    Without ``outflows`` quasars are not looked at behind broad absorption: to see what that is worth.
    """

    def __init__(self, library: Library | None = None, *, outflows: bool = True) -> None:
        self._outflows = outflows
        self.library = library or load_library()
        self._scanner = Scanner(self.library)
        self._refiner = Refiner(self.library)

    def measure(self, spectrum: Spectrum) -> Result:
        """The result; never an exception for what is in the spectrum, but a result with a reason."""
        try:
            data = prepare(spectrum)
        except UnmeasurableError as reason:
            return _none(spectrum.name, str(reason))
        return self.measure_prepared(spectrum.name, data)

    def measure_prepared(self, name: str, data: Prepared) -> Result:
        """The result of a spectrum that is prepared."""
        scans = self._scanner.scan(data)
        starts = sorted((start for scan in scans for start in _peaks(scan)), key=lambda start: -start[0])
        if not starts or starts[0][0] <= 0:
            return _none(name, "no template fits the spectrum with a positive continuum", data)
        top = starts[0][0]
        # However far behind it is, the best of all others is looked at: without it nothing says by how much the first is better.
        second = next((start for start in starts if abs(start[3] - starts[0][3]) > SEPARATION * (1 + starts[0][3])), starts[0])
        fits = [
            (self._refiner.refine(data, spectral_class, template, z), template)
            for gain, spectral_class, template, z in starts
            if gain > top - WITHIN or gain >= second[0]
        ]
        total = float(np.sum(data.ivar * data.flux**2))
        seen = [Absorbed(fit, np.zeros(data.wave.size, dtype=bool), data) for fit, _ in fits]
        absorbed = self._behind_outflows(data, fits, starts, total) if self._outflows else []
        if absorbed:
            seen += absorbed
            least = max(one.fit.gain for one in seen) - WITHIN
            seen = [one for one in seen if one.fit.gain > least]
        chosen: list[Absorbed] = []
        for one in sorted(seen, key=lambda one: -one.fit.gain):
            if all(abs(one.fit.z - other.fit.z) > SEPARATION * (1 + other.fit.z) for other in chosen):
                chosen.append(one)
        best = chosen[0].fit.gain
        first = self._refiner.with_others(chosen[0].data, chosen[0].fit, _others(scans, chosen[0].fit, self.library))
        chosen[0] = replace(chosen[0], fit=first)
        candidates = tuple(
            Candidate(
                rank, fit.z, fit.z_err, fit.spectral_class, fit.template, total - fit.gain, best - fit.gain,
                data.wave.size - fit.parameters, _features(one.data, fit), fit.model * data.scale,
            )
            for rank, (one, fit) in enumerate(((one, one.fit) for one in chosen), start=1)
        )  # fmt: skip
        featureless = self._refiner.featureless(data)
        chance = probability([one.delta_chi2 for one in candidates[1:]] or [WITHIN])
        if chosen[0].mask.any():
            chance = min(chance, BEHIND_OUTFLOWS)
        return Result(
            name=name, candidates=candidates, probability=chance, confidence=flag_digit(chance, candidates[0].features),
            broad_line=candidates[0].spectral_class == "QSO", reason="", wave=data.wave, chi2_featureless=total - featureless,
            snr=data.snr, noise_factor=data.noise_factor,
        )  # fmt: skip

    def _behind_outflows(
        self, data: Prepared, fits: list[tuple[Fit, int]], starts: list[tuple[float, str, int, float]], total: float
    ) -> list[Absorbed]:
        """Quasars behind broad absorption, if the best fit is a quasar's with troughs, or a bad one.

        fits are with the number of their template; starts as of `_peaks`, total is chi-square of a model of zero.
        """
        best, template = max(fits, key=lambda one: one[0].gain)
        if best.spectral_class != "QSO":
            quasars = [start for start in starts if start[1] == "QSO"]
            if not quasars or total - best.gain < BAD * data.wave.size:
                return []
            _, _, template, z = quasars[0]
            best = self._refiner.refine(data, "QSO", template, z)
        mask = troughs(data, best, SLACK)
        found: list[Absorbed] = []
        if mask.any():
            found.append(settle(self._refiner, data, template, best.z, mask))
            for _ in range(_LOOKS):
                # Without the troughs other redshifts fit; with the best of them, other troughs.
                for scan in self._scanner.scan(without(data, mask), ("QSO",)):
                    found += [settle(self._refiner, data, one, z, mask) for _, _, one, z in _peaks(scan)]
                before, mask = mask, max(found, key=lambda one: one.fit.gain).mask
                if np.array_equal(mask, before):
                    break
        return found


def _none(name: str, reason: str, data: Prepared | None = None) -> Result:
    return Result(
        name=name, candidates=(), probability=0.0, confidence=0, broad_line=False, reason=reason,
        wave=data.wave if data else np.zeros(0), chi2_featureless=np.nan,
        snr=data.snr if data else np.nan, noise_factor=data.noise_factor if data else np.nan,
    )  # fmt: skip


def _peaks(scan: Scan) -> list[tuple[float, str, int, float]]:
    """The highest maxima as gain, class, number of the template, and redshift; no two of them are one solution."""
    curve = scan.gain.max(axis=0)
    padded = np.concatenate([[-np.inf], curve, [-np.inf]])
    tops = np.flatnonzero((curve >= padded[:-2]) & (curve > padded[2:]))
    found: list[int] = []
    for top in tops[np.argsort(-curve[tops])]:
        if all(abs(scan.z[top] - scan.z[one]) > SEPARATION * (1 + scan.z[one]) for one in found):
            found.append(int(top))
            if len(found) == _PEAKS[scan.spectral_class]:
                break
    return [(float(curve[i]), scan.spectral_class, int(scan.gain[:, i].argmax()), float(scan.z[i])) for i in found]


def _others(scans: list[Scan], fit: Fit, library: Library) -> list[int]:
    """Numbers of the templates of the fit's class that at its redshift are about as good by the scan."""
    scan = next(one for one in scans if one.spectral_class == fit.spectral_class)
    gain = scan.gain[:, int(np.argmin(np.abs(scan.z - fit.z)))]
    names = [one.name for one in library.of(fit.spectral_class)] + [one.name for one in library.sets_of(fit.spectral_class)]
    alike = [int(i) for i in np.argsort(-gain) if names[i] != fit.template and gain[i] > fit.gain - _AS_GOOD]
    return alike[:_OTHERS]


def _features(data: Prepared, fit: Fit) -> tuple[Feature, ...]:
    """Evidence of each listed line that the model shows: chi-square against the model with the line smoothed away."""
    speed = 2.5 * max(data.sigma, 400 / 299792.458) * (4 if fit.spectral_class == "QSO" else 1)
    step = float(np.median(np.diff(np.log(data.wave))))
    width = 2 * int(3 * speed / step) + 1
    plain = uniform_filter1d(fit.model, width, mode="nearest")
    change: Floats = data.ivar * ((data.flux - plain) ** 2 - (data.flux - fit.model) ** 2)
    height = np.abs(fit.model - plain)
    change = np.where(height > 0.02 * np.abs(plain), change, 0.0)
    waves = [(line.name, line.wave * (1 + fit.z)) for line in line_list()]
    covered = [(name, wave) for name, wave in waves if data.wave[0] < wave < data.wave[-1]]
    features = {}
    # Of lines that are blended the one at which the model shows most has the pixels: no evidence counts twice.
    for name, wave in sorted(covered, key=lambda one: -np.interp(one[1], data.wave, height)):
        low, high = np.searchsorted(data.wave, [wave * np.exp(-speed), wave * np.exp(speed)])
        evidence = float(np.sum(change[low:high]))
        change[low:high] = 0.0
        if evidence != 0.0:
            features[name] = Feature(name, wave, evidence)
    return tuple(sorted(features.values(), key=lambda one: -one.evidence)[:8])

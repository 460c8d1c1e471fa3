"""What people would have measured on the spectra: redshifts, right and wrong, with VIPERS' flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ingest.mock.instrument import detector
from ingest.mock.parent import KINDS, Objects
from ingest.mock.setup import RESOLVING_POWER, SUCCESS, WAVE_STEP, Z_ERROR, Floats
from ingest.mock.templates import LINES
from specola_bundle.flags import NOT_DETECTED, SCHEMES, Flag, render

__all__ = ["Measured", "measure"]

Ints = npt.NDArray[np.intp]

BREAK_STRENGTH = (0.95, 0.90, 0.70, 0.42, 0.24, 0.14, 0.10, 0.35)
"""How much the continuum of each galaxy type shows its redshift (4000 Angstrom break, Ca H and K; Lyman break)."""
EYE = 0.22
"""Scatter, in dex, of what different people see in the same spectrum."""
LIMITS = ((4, 38.0), (3, 18.0), (2, 10.5), (1, 6.3))
"""Weight of evidence from which on a confidence class is given, before the scatter."""
OUTLIER = 0.0066
"""Difference over 1 + z beyond which a redshift counts as wrong (Scodeggio et al. 2018, section 5.2)."""
SEEN = 4.0
"""Signal-to-noise ratio from which on a line is noticed."""
SWAPS = {"[OII]": 3728.5, "Hb": 4862.68, "[OIII]": 5008.24, "Ha": 6564.61}
"""The lines that are taken for one another."""


@dataclass
class Measured:
    """One measurement a spectrum, lists of n elements; None where there is none."""

    z: list[float | None]
    z_err: list[float | None]
    kind: list[str]
    flags: list[Flag]
    labels: list[str]


def measure(
    objects: Objects, *, lines: Floats, snr: Floats, err: Floats, photoz: tuple[Floats, Floats, Floats],
    secondary: npt.NDArray[np.bool_], lost: npt.NDArray[np.bool_], rng: np.random.Generator,
) -> Measured:  # fmt: skip
    """Measure the redshifts of n spectra.

    The confidence class grows with the evidence in the spectrum; whether the redshift is right is then drawn with the success
    rate of the class, so that the flags mean what VIPERS says they mean.

    Parameters
    ----------
    objects
        The objects observed.
    lines
        Fluxes of their emission lines, erg/s/cm2, shape (n, lines).
    snr
        Median signal-to-noise ratio a pixel.
    err
        Noise of the spectra, (n, pixels).
    photoz
        Photometric redshifts with the ends of their intervals.
    secondary
        Which are second objects of their slits.
    lost
        Which missed the slit.
    """
    n = len(objects)
    line_snr = _line_snr(objects.z, lines, err)
    confidence, strongest = _confidence(objects, line_snr, snr, rng)
    right = rng.random(n) < np.array([SUCCESS.get(int(c), 0.0) for c in confidence])
    found = objects.z + Z_ERROR * (1 + objects.z) * rng.standard_normal(n)
    wrong = _wrong(objects.z, strongest, rng)
    measured = Measured([], [], [], [], [])
    for i in range(n):
        z: float | None = float(found[i] if right[i] else wrong[i])
        if lost[i] or confidence[i] == 0:
            z = None
        flag = Flag(confidence=NOT_DETECTED if lost[i] else int(confidence[i]))
        kind = "UNKNOWN"
        if z is not None:
            kind = KINDS[objects.kind[i]] if right[i] else "GALAXY"
            flag = Flag(
                confidence=int(confidence[i]),
                broad_line=kind == "QSO",
                secondary=bool(secondary[i]),
                photoz_agreement=SCHEMES["vipers"].agreement(z, photoz[0][i], photoz[1][i], photoz[2][i]),
            )
        elif not lost[i]:
            flag = Flag(confidence=0, secondary=bool(secondary[i]))
        measured.z.append(None if z is None else round(z, 4))
        measured.z_err.append(None if z is None else round(Z_ERROR * (1 + z), 5))
        measured.kind.append(kind)
        measured.flags.append(flag)
        measured.labels.append(render("vipers", flag))
    return measured


def _line_snr(z: Floats, lines: Floats, err: Floats) -> Floats:
    """Signal-to-noise ratio of each line of each object, (n, lines); 0 outside the spectrum."""
    air = detector().vacuum
    noise = np.where(np.isfinite(err), err, np.inf)
    result = np.zeros_like(lines)
    for number, line in enumerate(LINES):
        centre = line.wave * (1 + z)
        pixel = np.searchsorted(air, centre)
        inside = (pixel > 5) & (pixel < air.size - 5)
        at = noise[np.arange(z.size), np.clip(pixel, 0, air.size - 1)]
        width = centre / RESOLVING_POWER
        # Noise of a weighted sum over a Gaussian line: 1.5 FWHM is its effective width.
        result[:, number] = np.where(inside, lines[:, number] / (at * np.sqrt(1.5 * width * WAVE_STEP)), 0.0)
    return result


def _confidence(objects: Objects, line_snr: Floats, snr: Floats, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Confidence classes, and the index of each object's strongest line."""
    kind, z = objects.kind, objects.z
    visible = np.where((z > 0.42) & (z < 1.28) | (z > 2.6), 1.0, 0.35)
    shape = np.interp(np.nan_to_num(objects.galaxy_type), np.arange(len(BREAK_STRENGTH)), BREAK_STRENGTH) * visible
    continuum = np.clip(snr, 0, None) * np.choose(kind, (4.2 * shape, 4.5 * np.ones(z.size), 4.0 * np.ones(z.size)))
    capped = np.minimum(line_snr, 25.0)
    evidence = np.hypot(continuum, np.sqrt((capped**2).sum(axis=1)))
    evidence = evidence * 10 ** (EYE * rng.standard_normal(z.size))
    confidence = np.zeros(z.size, dtype=np.intp)
    for value, limit in reversed(LIMITS):
        confidence[evidence >= limit] = value
    names = [line.name for line in LINES]
    oii = line_snr[:, [k for k, name in enumerate(names) if name == "[OII]"]].sum(axis=1)
    others = line_snr[:, [k for k, name in enumerate(names) if name != "[OII]"]].max(axis=1)
    single = (kind == 0) & (oii > 1.6 * SEEN) & (others < SEEN) & (continuum < 5.0) & (confidence < 4) & (confidence > 0)
    confidence[single] = 9
    return confidence, np.argmax(line_snr, axis=1)


def _wrong(z: Floats, strongest: Ints, rng: np.random.Generator) -> Floats:
    """A wrong redshift for each object: its strongest line taken for another, or anything."""
    swaps = np.array(list(SWAPS.values()))
    taken = np.array([line.wave for line in LINES])[strongest] * (1 + z)
    swapped = taken / swaps[rng.integers(0, swaps.size, z.size)] - 1
    anything = rng.uniform(0.3, 1.3, z.size)
    plausible = (rng.random(z.size) < 0.6) & (swapped > 0.05) & (swapped < 1.6)
    result = np.where(plausible, swapped, anything)
    # A guess that is right by accident would spoil the success rates.
    close = np.abs(result - z) < 3 * OUTLIER * (1 + z)
    return np.asarray(np.where(close, z + (0.1 + 0.2 * rng.random(z.size)) * (1 + z), result))

"""What is known of a spectrum when its redshift has been measured."""

from __future__ import annotations

from dataclasses import dataclass, field

from specola_pipeline.redshift.spectrum import Floats

__all__ = ["Candidate", "Feature", "Result"]


@dataclass(frozen=True)
class Feature:
    """A spectral feature of the model and how much the data like it."""

    name: str
    wave: float
    """Observed vacuum wavelength, Angstrom."""
    evidence: float
    """Chi-square of the model without the feature minus chi-square with it; negative where the data contradict."""


@dataclass(frozen=True)
class Candidate:
    """A redshift that explains the spectrum; candidates come in the order of their chi-square."""

    rank: int
    """1 is the best."""
    z: float
    z_err: float
    """Standard deviation; nan where the minimum has no width."""
    spectral_class: str
    template: str
    chi2: float
    delta_chi2: float
    """chi2 minus that of the best candidate, 0 for the best itself."""
    dof: int
    """Pixels less the parameters of the fit: the polynomial's and the lines' that are in the model, and the redshift."""
    features: tuple[Feature, ...]
    """The strongest first."""
    model: Floats = field(repr=False)
    """Flux in the spectrum's unit at the result's ``wave``."""


@dataclass(frozen=True)
class Result:
    """The answer: candidates, or the reason why there is none."""

    name: str
    candidates: tuple[Candidate, ...]
    probability: float
    """Calibrated probability that the first candidate is right; 0 where there is none."""
    confidence: int
    """Class digit of the automatic flag: 4, 3, 2, 1, 9, or 0 for no redshift; see `confidence`."""
    broad_line: bool
    reason: str
    """Why there is no redshift; empty where there is one."""
    wave: Floats = field(repr=False)
    """Vacuum wavelengths of the pixels that were used, Angstrom."""
    chi2_featureless: float
    snr: float
    noise_factor: float

    @property
    def best(self) -> Candidate | None:
        """The first candidate."""
        return self.candidates[0] if self.candidates else None

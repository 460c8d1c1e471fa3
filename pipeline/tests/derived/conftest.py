"""A bundle of a few made spectra, in which all happens that a bundle of spectra can bring."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specola_bundle.bundle import BundleWriter
from specola_bundle.specfile import SpectrumData, write_spectrum
from specola_pipeline.redshift.scan import smoothed
from specola_pipeline.redshift.templates import load_library
from specola_pipeline.spectral import vacuum_to_air

WAVE = np.arange(5500.0, 9500.0, 4.0)
UNIT = "10**-17 erg.s**-1.cm**-2.Angstrom**-1"
NEAR, FAR = 0.62, 1.9


def light(template: str, z: float, snr: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A template at z, vacuum, at a resolving power of 600, of median 2, with white noise; and the errors."""
    library = load_library()
    flux = next(one.flux for one in library.templates if one.name == template)
    rest = (library.first + np.arange(flux.size)) * library.step
    seen = np.interp(np.log(WAVE) - np.log1p(z), rest, smoothed(flux, 1 / (2.3548 * 600), library.step))
    seen *= 2 / np.median(seen)
    noise = np.full(WAVE.size, 2 / snr)
    return seen + noise * np.random.default_rng(seed).standard_normal(WAVE.size), noise


def _row(name: str, object_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "spectrum_id": name, "object_id": object_id, "target_name": object_id, "title": f"Spectrum {name}", "ra": 150.1,
        "dec": 2.2, "snr": 8.0, "wave_min": float(WAVE[0]), "wave_max": float(WAVE[-1]), "wave_bin": 4.0, "wave_medium": "vacuum",
        "wave_frame": "BARYCENT", "n_pixels": WAVE.size, "n_valid": WAVE.size, "res_power": 600.0, "flux_unit": UNIT,
        "flux_calib": "ABSOLUTE", "simulated": True, "slit_id": f"S-{object_id}", "redshift": None, "target_class": "UNKNOWN",
        **changes,
    }  # fmt: skip


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Path]:
    """Writes a bundle of seven spectra:

    GAL: a galaxy; GAL2: the same object again, fainter, in air; SEC: another galaxy in GAL's slit; QSO: a quasar that people
    measured (their redshift is a little off, to be told from ours); SKY: blank sky; BAD: no error is positive; CNT: the galaxy in
    counts.
    """

    def write(path: Path, *, measured: bool = True, **head: Any) -> Path:
        spectra = {
            "GAL": (_row("GAL", "O1"), "early", NEAR, 9.0),
            "GAL2": (_row("GAL2", "O1", wave_medium="air"), "early", NEAR, 3.0),
            "SEC": (_row("SEC", "O2", slit_id="S-O1"), "starburst", 0.55, 9.0),
            "QSO": (_row("QSO", "O3", redshift=FAR + 0.001, target_class="QSO"), "composite", FAR, 9.0),
            "SKY": (_row("SKY", "O4", target_class="SKY"), "M3", 0.0, 5.0),
            "BAD": (_row("BAD", "O5"), "early", NEAR, 9.0),
            "CNT": (_row("CNT", "O6", flux_unit="ct", flux_calib="UNCALIBRATED"), "early", NEAR, 9.0),
        }
        words = {
            "survey": "made", "release": "one", "kind": "spectra", "simulated": True, "title": "Made", "description": "Made.",
            "creators": ["Nobody, N."], "rights": "CC0", "software": [{"name": "tests", "version": "1"}],
            "created": "2026-01-02T03:04:05Z", **head,
        }  # fmt: skip
        with BundleWriter(path, overwrite=True, **words) as writer:
            rows = []
            for seed, (name, (row, template, z, snr)) in enumerate(spectra.items()):
                flux, err = light(template, z, snr, seed)
                wave = vacuum_to_air(WAVE) if row["wave_medium"] == "air" else WAVE
                qual = np.full(WAVE.size, 1 if name == "BAD" else 0, np.int32)
                file = f"spectra/{name}.fits"
                size, sha = write_spectrum(writer.folder / file, row, SpectrumData(wave, flux, err, qual))
                rows.append({**row, "file": file, "file_size": size, "file_sha256": sha})
            writer.write_table("spectra", rows)
            writer.write_table("slits", [
                {"slit_id": f"S-O{n}", "pointing_id": "P1", "object_id": f"O{n}"} for n in range(1, 7)
            ])  # fmt: skip
            writer.write_table("photometry", [
                {"object_id": "O1", "photoz": 0.60, "photoz_min": 0.55, "photoz_max": 0.65},
                {"object_id": "O2", "photoz": 0.95, "photoz_min": 0.90, "photoz_max": 1.00},
                {"object_id": "elsewhere", "photoz": 0.2, "photoz_min": 0.1, "photoz_max": 0.3},
            ])  # fmt: skip
            if measured:
                writer.write_table("redshifts", [{
                    "redshift_id": "QSO_v", "object_id": "O3", "spectrum_id": "QSO", "z": FAR + 0.001, "class": "QSO",
                    "flag_label": "14.1", "flag_scheme": "vipers", "confidence": 4, "broad_line": True, "secondary": False,
                    "photoz_agreement": "none", "secure": True, "best": True, "method": "visual",
                }])  # fmt: skip
            writer.provenance({"prefix": {"prov": "http://www.w3.org/ns/prov#"}, "entity": {"specola:x": {"prov:label": "x"}}})
        return path

    return write

"""Redshifts by redrock, for `bench.redshift`; runs with the Python of an environment that has redrock and nothing of ours.

    python redrock_worker.py SPECTRA.npz TEMPLATES.npz RESULTS.jsonl

SPECTRA has wave_i, flux_i, err_i (vacuum Angstrom) and power_i for i = 0, 1, …; TEMPLATES has wave, and CLASS:name arrays.
Galaxies and quasars are one set of vectors each, with non-negative coefficients, as redrock's own recent sets are; each star
is one of its own. With ``-`` for TEMPLATES the sets in the folder RR_TEMPLATE_DIR are taken instead.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import redrock.targets
import redrock.templates
import redrock.zfind
import scipy.sparse

RANGES = {"GALAXY": (-0.003, 6.5), "QSO": (0.05, 6.5)}


def resolution(wave: np.ndarray, power: float) -> scipy.sparse.dia_matrix:
    """Gaussian line spread of a constant resolving power, as redrock wants it."""
    step = np.gradient(wave)
    width = wave / power / 2.3548 / step
    reach = int(np.ceil(4 * width.max()))
    offsets = np.arange(-reach, reach + 1)
    rows = np.exp(-0.5 * (offsets[:, None] / width[None, :]) ** 2)
    rows /= rows.sum(axis=0)
    return scipy.sparse.dia_matrix((rows, offsets), shape=(wave.size, wave.size))


def converted(path: str) -> list[redrock.templates.Template]:
    """The templates of the project, as redrock's."""
    found = []
    with np.load(path) as arrays:
        wave = arrays["wave"]
        names = [key for key in arrays.files if ":" in key]
        for spectral_class, (low, high) in RANGES.items():
            flux = np.array([arrays[key] for key in names if key.startswith(spectral_class)], dtype=float)
            redshifts = 10 ** np.arange(np.log10(1 + low), np.log10(1 + high), 3e-4) - 1
            found.append(redrock.templates.Template(None, spectral_class, redshifts, wave, flux, "", "NMF"))
        for key in names:
            if key.startswith("STAR"):
                flux = np.array([arrays[key]], dtype=float)
                grid = np.arange(-0.004, 0.00401, 4e-5)
                found.append(
                    redrock.templates.Template(None, "STAR", grid, wave, flux, key.partition(":")[2], "NMF", igm_model="None")
                )
    return found


def target(number: int, arrays: np.lib.npyio.NpzFile) -> redrock.targets.Target:
    """A spectrum as redrock wants it: without what is not covered, near 1, with its resolution."""
    wave, flux, err = (arrays[f"{name}_{number}"] for name in ("wave", "flux", "err"))
    good = np.isfinite(flux) & np.isfinite(err) & (err > 0)
    inside = slice(np.flatnonzero(good)[0], np.flatnonzero(good)[-1] + 1)
    wave, flux, err, good = wave[inside], flux[inside], err[inside], good[inside]
    scale = np.median(np.abs(flux[good]))
    ivar = np.where(good, (scale / np.where(good, err, 1.0)) ** 2, 0.0)
    spectrum = redrock.targets.Spectrum(
        wave, np.where(good, flux / scale, 0.0), ivar, resolution(wave, float(arrays[f"power_{number}"]))
    )
    return redrock.targets.Target(number, [spectrum])


def main(spectra: str, templates: str, results: str) -> None:
    """Write a line of JSON a spectrum, as it is done."""
    use = converted(templates) if templates != "-" else redrock.templates.load_templates()
    with np.load(spectra) as arrays, Path(results).open("w", encoding="utf-8") as stream:
        count = sum(name.startswith("wave_") for name in arrays.files)
        groups: dict[str, list[redrock.targets.Target]] = {}
        for number in range(count):
            one = target(number, arrays)
            groups.setdefault(one.spectra[0].wavehash, []).append(one)
        for members in groups.values():
            # Templates are brought to each wavelength grid once; a survey has one, so that time is not a spectrum's.
            grids = redrock.targets.DistTargetsCopy(members).wavegrids()
            distributed = [redrock.templates.DistTemplate(one, grids) for one in use]
            for one in members:
                begun = time.process_time()
                _, found = redrock.zfind.zfind(redrock.targets.DistTargetsCopy([one]), distributed, mp_procs=1)
                best = found[0]
                row = {
                    "number": one.id, "z": float(best["z"]), "z_err": float(best["zerr"]), "class": str(best["spectype"]),
                    "warning": int(best["zwarn"]), "gap": float(best["deltachi2"]), "seconds": time.process_time() - begun,
                }  # fmt: skip
                stream.write(json.dumps(row) + "\n")
                stream.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

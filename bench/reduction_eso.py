"""ESO's VIMOS pipeline on frames of one mask: vmbias, vmmoscalib, vmmosscience by esorex. Begin with :func:`reduce_with_eso`.

Wants esorex and the recipes of VIMOS (Debian: ``esorex``, ``cpl-plugin-vimos``), GPL programs that run on their own. ESO's own
tables of lines are not in those packages, so line catalogues are made here: lines as the grism shows them, blends where there
are blends, in vacuum wavelengths, so that the recipes' maps are in vacuum as the simulator's truth is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.signal import find_peaks

from bench.reduction_truth import Extracted, Seen
from specola_pipeline.instruments import Grism, Kind, Lines, instrument, line_list
from specola_pipeline.organise import Entry
from specola_pipeline.simulate.ccd import GAIN
from specola_pipeline.simulate.truth import FrameTruth

__all__ = ["FAINTEST", "PACKAGES", "EsoError", "Products", "bent", "missing", "reduce_with_eso", "seen_by_eso", "shown"]

PACKAGES = ("esorex", "cpl-plugin-vimos")
RECIPES = ("vmbias", "vmmoscalib", "vmmosscience")
TAGS = {Kind.BIAS: "BIAS", Kind.FLAT: "MOS_SCREEN_FLAT", Kind.ARC: "MOS_ARC_SPECTRUM", Kind.SCIENCE: "MOS_SCIENCE"}
"""What the recipes call raw frames of a kind."""
CALIBRATIONS = ("MOS_MASTER_SCREEN_FLAT", "MOS_DISP_COEFF", "MOS_CURV_COEFF", "MOS_SLIT_LOCATION")
"""Products of vmmoscalib that vmmosscience takes."""
FAINTEST = 0.1
"""Of the strongest line of the bent lamps: lines weaker than that are not in the catalogue."""
HALF_A_PIXEL = 0.5
"""By which the recipes' maps are early in every slit of every frame. Taken out here: it is their convention, and no error."""
ITS_OWN = ("Unable to open directory", "Non-unique FITS key")
"""Warnings that are about esorex's folders and the recipes' own products, whatever frames they are given."""
LONGEST = "1800"
"""Seconds that a recipe may take."""


class EsoError(RuntimeError):
    """A recipe failed, or did not make what it should."""


@dataclass
class Products:
    """What the recipes made: *files* by their names without ending; processor seconds and peak memory by recipe."""

    files: dict[str, Path] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    memory_gib: dict[str, float] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    """Lines of the logs that are warnings or errors about the frames, each after its recipe's name."""

    def image(self, name: str, hdu: int = 0) -> NDArray[np.float32]:
        """An image by the name of its product. Raises EsoError where it was not made."""
        return np.asarray(fits.getdata(self._file(name), hdu), np.float32)

    def header(self, name: str) -> fits.Header:
        """The header of an image by the name of its product. Raises EsoError where it was not made."""
        return fits.getheader(self._file(name))

    def table(self, name: str) -> fits.FITS_rec:
        """A table by the name of its product. Raises EsoError where it was not made."""
        return fits.getdata(self._file(name), 1)

    def _file(self, name: str) -> Path:
        if name not in self.files:
            raise EsoError(f"the recipes made no {name}.fits; they made {', '.join(sorted(self.files))}")
        return self.files[name]


def missing() -> str:
    """Why ESO's pipeline can not be run here; empty where it can."""
    wanted = f"Debian: apt install {' '.join(PACKAGES)}"
    if shutil.which("esorex") is None:
        return f"there is no esorex ({wanted})"
    with tempfile.TemporaryDirectory() as folder:  # esorex writes a log where it stands
        done = subprocess.run(["esorex", "--recipes"], cwd=folder, capture_output=True, text=True, check=False)
    listed = done.stdout.split()
    absent = [recipe for recipe in RECIPES if recipe not in listed]
    return f"esorex has no {', '.join(absent)} ({wanted})" if absent else ""


def reduce_with_eso(entries: Sequence[Entry], folder: Path) -> Products:
    """Reduce biases, flats, arcs and a science exposure of one mask in *folder*, which is made.

    Raises:
        EsoError: a recipe ended with an error.
    """
    folder.mkdir(parents=True)
    known = [entry.frame for entry in entries if entry.frame is not None]
    science = next(frame for frame in known if frame.kind is Kind.SCIENCE)
    chosen = instrument(science.instrument)
    grism = chosen.grism(science.grism)
    lamps = line_list(*(name for lamp in chosen.lamps for name in lamp.lines))
    configuration = (_write_configuration(grism, folder / "configuration.fits"), "CONFIG_TABLE")
    catalogue = (_write_lines(bent(lamps), FAINTEST, grism, folder / "lamps.fits"), "LINE_CATALOG")
    sky = (_write_lines(line_list(chosen.sky_lines), 0.004, grism, folder / "sky.fits"), "SKY_LINE_CATALOG")
    raw = [(entry.path, TAGS[entry.frame.kind]) for entry in entries if entry.frame and entry.frame.kind in TAGS]
    products = Products()
    _run("vmbias", [one for one in raw if one[1] == "BIAS"], folder, products)
    bias = (products.files["master_bias"], "MASTER_BIAS")
    lit = [one for one in raw if one[1] in {"MOS_SCREEN_FLAT", "MOS_ARC_SPECTRUM"}]
    _run("vmmoscalib", [*lit, bias, catalogue, configuration], folder, products, "--slit_ident=false")
    made = [(products.files[tag.lower()], tag) for tag in CALIBRATIONS]
    seen = [one for one in raw if one[1] == "MOS_SCIENCE"]
    _run("vmmosscience", [*seen, bias, *made, sky, configuration], folder, products, "--skyalign=0", "--time_normalise=false")
    return products


def seen_by_eso(products: Products, truth: FrameTruth) -> Seen:
    """What the recipes made, on the simulated detector; *truth* says only which slit is where."""
    shifted = products.image("mos_sci_wavelength_map_sky").astype(float)
    shifted[shifted <= 0] = np.nan
    wavelength = shifted + HALF_A_PIXEL * np.gradient(shifted, axis=0)
    residual = np.where(np.isfinite(wavelength), products.image("mos_unmapped_science") * GAIN, np.nan)
    return Seen(
        wavelength,
        residual,
        tuple(_objects(products, truth)),
        products.seconds["vmbias"] + products.seconds["vmmoscalib"],
        products.seconds["vmmosscience"],
        max(products.memory_gib.values()),
    )


def _objects(products: Products, truth: FrameTruth) -> Iterator[Extracted]:
    """Spectra with the places of their objects; rectified slits lie upside down, so that places count from their far end."""
    flux, header = products.image("mos_science_reduced") * GAIN, products.header("mos_science_reduced")
    axis = header["CRVAL1"] + header["CD1_1"] * (np.arange(flux.shape[1]) + 1 - header["CRPIX1"] + HALF_A_PIXEL)
    table = products.table("object_sci_table")
    most = sum(name.startswith("object_") for name in table.columns.names)
    for slit in table:
        row = int(slit["ytop"])
        for number in range(1, most + 1):
            if not np.isfinite(slit[f"object_{number}"]) or slit[f"row_{number}"] < 0:
                continue
            from_left = slit["length"] - (slit[f"object_{number}"] - slit["position"])
            column = float(slit["xtop"] + from_left)
            at = int(truth.slit[row, int(np.clip(round(column), 0, truth.slit.shape[1] - 1))])
            yield Extracted(at, row, column, axis, flux[slit[f"row_{number}"]])


def _run(recipe: str, frames: Sequence[tuple[Path, str]], folder: Path, products: Products, *options: str) -> None:
    """Run a recipe and add what it made to *products*."""
    sof = folder / f"{recipe}.sof"
    sof.write_text("".join(f"{path.resolve()} {tag}\n" for path, tag in frames), "utf-8")
    log = folder / f"{recipe}.log"
    before = set(folder.glob("*.fits"))
    command = [
        "timeout",
        LONGEST,
        "esorex",
        "--log-dir=.",
        f"--log-file={log.name}",
        "--output-dir=.",
        recipe,
        *options,
        sof.name,
    ]
    environment: Mapping[str, str] = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / f"{recipe}.out").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)  # not process.wait(): this gives what the recipe itself used
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    loud = (line for line in lines if "[WARNING]" in line or "[ ERROR ]" in line)
    products.complaints += [f"{recipe}: {line.strip()}" for line in loud if not any(words in line for words in ITS_OWN)]
    if process.returncode:
        raise EsoError(f"{recipe} ended with {process.returncode}: {' / '.join(lines[-8:])} ({log})")
    products.seconds[recipe] = usage.ru_utime + usage.ru_stime
    products.memory_gib[recipe] = usage.ru_maxrss / 1024**2
    products.files |= {path.stem: path for path in sorted(set(folder.glob("*.fits")) - before)}


def _write_configuration(grism: Grism, path: Path) -> Path:
    columns = {
        "dispersion": ("D", grism.angstrom_per_pixel),
        "peakdetection": ("D", 150.0),
        "wdegree": ("J", 4),
        "cdegree": ("J", 3),
        "reference": ("D", grism.reference),
        "startwavelength": ("D", grism.range[0]),
        "endwavelength": ("D", grism.range[1]),
        "resp_fit_nknots": ("J", -1),
        "resp_fit_degree": ("J", -1),
    }
    table = [fits.Column(name, form, array=[value]) for name, (form, value) in columns.items()]
    fits.BinTableHDU.from_columns(table).writeto(path)
    return path


def bent(lamps: Lines) -> Lines:
    """Strengths of many lamps and decades, bent: what an exposure shows is nearer to this."""
    return Lines(lamps.wavelength, lamps.strength**0.25)


def shown(lines: Lines, faintest: float, grism: Grism) -> NDArray[np.float64]:
    """Lines as the grism shows them: peaks of their sum, each as wide as the grism makes it, down to a part of the highest."""
    sigma = grism.reference / grism.resolution / 2.3548
    inside = (lines.wavelength > grism.range[0]) & (lines.wavelength < grism.range[1])
    grid = np.arange(*grism.range, sigma / 50)
    seen = np.zeros_like(grid)
    for wavelength, strength in zip(lines.wavelength[inside], lines.strength[inside], strict=True):
        seen += strength * np.exp(-0.5 * ((grid - wavelength) / sigma) ** 2)
    peaks, _ = find_peaks(seen, height=faintest * seen.max(), prominence=faintest * seen.max())
    found: NDArray[np.float64] = grid[peaks]
    return found


def _write_lines(lines: Lines, faintest: float, grism: Grism, path: Path) -> Path:
    wavelengths = shown(lines, faintest, grism)
    table = [
        fits.Column("WLEN", "D", unit="Angstrom", array=wavelengths),
        fits.Column("LINE_SET", "12A", array=np.full(wavelengths.size, "standard")),
    ]
    fits.BinTableHDU.from_columns(table).writeto(path)
    return path

"""Our redshifts beside redrock's, on the same real spectra with the same templates, in one run: ``make bench-redshift``.

Prints time, success by flag and by signal-to-noise ratio, confusion of classes, scatter and pulls, and how honest the
probability is; writes bench/results/redshift.json, two pictures of the manual, and a page with every spectrum that we got wrong
(spectrum, our model, the best model at the redshift people found). Our figures of VANDELS are cross-validated: each fifth with
stacks of the others among the templates. redrock gets the stacks of all, which is in its favour; so a second set of our
figures is with the stacks of all, too. redrock is installed by name into an environment of its own, outside the project. The
real data are those of the tests (SPECOLA_SHARED_DATA). redrock sees VANDELS only, because it brings its templates to each
wavelength grid anew, a minute each, and every other file has one of its own; ``--redrock-every 8`` gives it an eighth of them,
and ``--reuse`` takes what it found in an earlier run where spectra and templates are the same. Then both measure made spectra
in the manner of VIPERS (`bench.redshift_vipers`; ``--vipers`` these alone).
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import itertools
import json
import os
import tarfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench import redshift_vipers
from bench.redshift_cases import Case, mad, measured, share
from bench.redshift_figures import draw_figures
from bench.redshift_gallery import write_gallery
from bench.redshift_redrock import redrock, start_redrock
from ops.house import House
from specola_pipeline.redshift.measure import Redshifter
from specola_pipeline.redshift.readers import read_spectra
from specola_pipeline.redshift.spectrum import Spectrum
from specola_pipeline.redshift.templates import Library
from specola_pipeline.spectral import air_to_vacuum

RESULTS = Path(__file__).with_name("results") / "redshift.json"
FIGURES = Path(__file__).parents[1] / "docs" / "images"
LEARN = Path(__file__).parents[1] / "pipeline" / "tools" / "learn_lyman_break_templates.py"
FOLDS = 5
SNR_BINS = ((0.0, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 1e9))
PROBABILITIES = (0.0, 0.5, 0.8, 0.95, 1.0001)


def vandels(data: Path) -> list[tuple[Case, Spectrum]]:
    """The VANDELS spectra."""
    rows = [line.split() for line in (data / "vandels" / "sample.info").read_text("utf-8").splitlines()[1:]]
    wanted = {row[0]: (float(row[1]), row[2]) for row in rows}
    found = []
    with tarfile.open(data / "vandels" / "spectra.tar.xz") as archive:
        for member in archive:
            name = Path(member.name).name.removesuffix(".dat")
            stream = archive.extractfile(member) if name in wanted else None
            if stream is not None:
                wave, flux, err = np.loadtxt(stream).T
                found.append((Case(name, *wanted[name]), Spectrum(name, air_to_vacuum(wave), flux, err, 580.0)))
    return found


def others(data: Path) -> list[tuple[Case, Spectrum]]:
    """SDSS, BOSS, DESI and single VIMOS files with a known redshift."""
    truth = {Path(row["path"]).name: row for row in csv.DictReader((data / "truth.csv").read_text("utf-8").splitlines())}
    found = []
    for pattern in ("sdss/spec-*", "desi/coadd-4-*", "formats/*.fits"):
        for path in sorted(data.glob(pattern)):
            row = truth[path.name]
            z, spectral_class = float(row["z"]), row["class"].partition("(")[0]
            found += [(Case(one.name, z, spectral_class), one) for one in read_spectra(path)]
    return found


def fold_of(name: str) -> int:
    """To which of the cross-validation's parts a VANDELS spectrum belongs."""
    return zlib.crc32(name.encode()) % FOLDS


def cross_validated(survey: list[tuple[Case, Spectrum]]) -> list[Redshifter]:
    """For each part a redshifter whose stacks were learnt from the other parts."""
    specification = importlib.util.spec_from_file_location("learn", LEARN)
    assert specification is not None
    assert specification.loader is not None
    learn = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(learn)
    plain = learn.plain()
    found = []
    for fold in range(FOLDS):
        items = [(s, case.z_true, int(case.flag)) for case, s in survey if fold_of(case.name) != fold and case.flag in {"3", "4"}]
        found.append(Redshifter(Library(plain.step, plain.first, plain.templates + learn.stacks(items, plain))))
    return found


def ours(
    survey: list[tuple[Case, Spectrum]], further: list[tuple[Case, Spectrum]], console: Console
) -> tuple[list[Case], list[Case]]:
    """What we find: cross-validated (and of ``further``, from which nothing was learnt), and of the survey with all stacks.

    Spectra of the survey that the stacks among the templates were learnt from are measured with stacks of the others.
    """
    with console.status("learning stacks for cross-validation"):
        parts = cross_validated(survey)
    shipped = Redshifter()
    order = [(parts[fold_of(case.name)], case, spectrum) for case, spectrum in survey]
    order += [(shipped, case, spectrum) for case, spectrum in further]
    for redshifter in (*parts, shipped):
        redshifter.measure(survey[0][1])
    return measured(order, "ours", console), measured([(shipped, *one) for one in survey], "ours, all stacks", console)


def figures(cases: list[Case]) -> dict[str, Any]:
    """What is known of a program from its cases."""
    real = [one for one in cases if one.flag in {"3", "4"}]
    good = [one for one in real if one.right and one.z is not None]
    shift = np.array([(one.z - one.z_true) / (1 + one.z_true) for one in good if one.z is not None])
    pulls = np.array([(one.z - one.z_true) / one.z_err for one in good if one.z is not None and one.z_err])
    return {
        "flags 3 and 4": share(real),
        "flag 4": share([one for one in cases if one.flag == "4"]),
        "flag 3": share([one for one in cases if one.flag == "3"]),
        "flag 9": share([one for one in cases if one.flag == "9"]),
        **{
            f"S/N {low:g} to {high:g}" if high < 1e8 else f"S/N from {low:g}": share([o for o in real if low <= o.snr < high])
            for low, high in SNR_BINS
        },
        "others": share([one for one in cases if not one.flag.isdigit()]),
        "class": {f"{a} as {b}": n for (a, b), n in _confusion(cases).items()},
        "nmad": mad(shift - np.median(shift)) if shift.size else None,
        "offset": float(np.median(shift)) if shift.size else None,
        "pull width": mad(pulls - np.median(pulls)) if pulls.size else None,
        "milliseconds": float(np.mean([one.seconds for one in real]) * 1e3) if real else None,
    }


def _confusion(cases: list[Case]) -> dict[tuple[str, str], int]:
    table: dict[tuple[str, str], int] = {}
    for one in cases:
        key = ("GALAXY" if one.flag.isdigit() else one.flag, one.spectral_class)
        table[key] = table.get(key, 0) + 1
    return table


def reliability(cases: list[Case]) -> list[dict[str, float]]:
    """Mean probability said, and share that is right, of the VANDELS spectra in bins of the probability."""
    rows = []
    for low, high in itertools.pairwise(PROBABILITIES):
        inside = [o for o in cases if o.flag.isdigit() and o.probability is not None and low <= o.probability < high]
        if inside:
            said = float(np.mean([one.probability for one in inside if one.probability is not None]))
            rows.append({"from": low, "said": said, "right": float(np.mean([o.right for o in inside])), "spectra": len(inside)})
    return rows


def print_table(result: dict[str, Any], console: Console) -> None:
    """Show what was measured."""
    programs = [name for name in ("ours", "ours, of redrock's", "ours, all stacks", "redrock") if name in result]
    table = Table("what", *programs, title="Redshifts of real spectra", title_justify="left")
    for key, value in result["ours"].items():
        if key == "class":
            continue
        cells = [result[name][key] for name in programs]
        if isinstance(value, list):
            texts = [f"{a} of {b}" + (f" ({100 * a / b:.1f} %)" if b else "") for a, b in cells]
        else:
            texts = ["" if cell is None else f"{cell:.5g}" for cell in cells]
        table.add_row(key, *texts)
    console.print(table)
    for name in programs:
        console.print(f"{name}, classes: " + ", ".join(f"{key} {value}" for key, value in result[name]["class"].items()))
    table = Table("probability from", "mean said", "right", "spectra", title="Is the probability honest?", title_justify="left")
    for row in result["reliability"]:
        table.add_row(f"{row['from']:g}", f"{row['said']:.3f}", f"{row['right']:.3f}", str(row["spectra"]))
    console.print(table)


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redrock-every", type=int, default=1, help="give redrock each so many-th VANDELS spectrum")
    parser.add_argument("--reuse", action="store_true", help="take what redrock found in an earlier run of the same")
    parser.add_argument("--no-redrock", action="store_true", help="measure ours alone")
    parser.add_argument("--vipers", action="store_true", help="only the made spectra; what is known of the others stays")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPECOLA_SHARED_DATA", "../shared/data")))
    options = parser.parse_args()
    console = Console(width=max(Console().width, 110))
    if not (options.data / "truth.csv").exists():
        parser.error(f"no real data in {options.data}: set SPECOLA_SHARED_DATA to their folder")
    folder = House.from_environment().var / "bench" / "redshift"
    folder.mkdir(parents=True, exist_ok=True)
    RESULTS.parent.mkdir(exist_ok=True)
    result: dict[str, Any] = {}
    if options.vipers:
        result = json.loads(RESULTS.read_text("utf-8"))
    else:
        _real(options, folder, result, console)
    made = redshift_vipers.compare(options.data, folder, console, beside=not options.no_redrock, reuse=options.reuse)
    redshift_vipers.print_table(made, console)
    result["VIPERS' set-up"] = made
    draw_figures(result, FIGURES)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"written to {RESULTS}")


def _real(options: argparse.Namespace, folder: Path, result: dict[str, Any], console: Console) -> None:
    """Measure the real spectra; fills ``result``."""
    survey = vandels(options.data)
    spectra = survey + others(options.data)
    part = slice(0, len(survey), options.redrock_every)
    process = None if options.no_redrock else start_redrock(folder, survey[part], console, reuse=options.reuse)
    cases, all_stacks = ours(survey, spectra[len(survey) :], console)
    result |= {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "ours": figures(cases),
        "reliability": reliability(cases),
    }  # fmt: skip
    if not options.no_redrock:
        result["ours, of redrock's"] = figures(cases[part])
        result["ours, all stacks"] = figures(all_stacks[part])
        result["redrock"] = figures(redrock(folder, process, cases[part], console))
        finished = datetime.fromtimestamp((folder / "results.jsonl").stat().st_mtime, UTC)
        result["redrock's date"] = finished.strftime("%Y-%m-%dT%H:%M:%SZ")
    print_table(result, console)
    wrong = [(one, spectrum) for one, (_, spectrum) in zip(cases, spectra, strict=True) if not one.right]
    page = folder / "gallery.html"
    write_gallery(page, [(one.name, one.z_true, one.flag, spectrum) for one, spectrum in wrong])
    console.print(f"{len(wrong)} failures are shown in {page}")


if __name__ == "__main__":
    main()

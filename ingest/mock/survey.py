"""The whole mock survey as a bundle. `write_mock` is the function to call."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest.mock import columns
from ingest.mock.geometry import Pointing, layout
from ingest.mock.pointing import make_pointing
from ingest.mock.setup import CREATED, FACILITY, INSTRUMENT, RELEASE, SURVEY, Mock
from specola_bundle.bundle import BundleWriter

__all__ = ["describe", "write_mock"]

TABLES = ("spectra", "pointings", "slits", "photometry", "redshifts", "truth")
Progress = Callable[[int, int], None]


def write_mock(
    path: Path, mock: Mock | None = None, *, workers: int | None = None, overwrite: bool = False, progress: Progress | None = None
) -> dict[str, int]:
    """Write a mock survey as a bundle.

    Parameters
    ----------
    path
        Where the bundle is to be; it appears there whole.
    mock
        Size and seed, by default 2000 spectra and 1.
    workers
        Processes to use, by default one a core. The result does not depend on it.
    overwrite
        Replace what is at ``path``.
    progress
        Called with the number of spectra made and of all.

    Returns
    -------
    Rows of each table.

    Raises
    ------
    BundleError
        Something is at ``path`` already and is not to be overwritten.
    """
    mock = mock or Mock()
    pointings = layout(mock)
    counts = dict.fromkeys(TABLES, 0)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with BundleWriter(path, overwrite=overwrite, **describe(mock)) as writer, contextlib.ExitStack() as stack:
        sinks = {
            name: stack.enter_context(
                writer.open_table(
                    name, columns.present(name), extensions=columns.EXTENSIONS.get(name, ()), **columns.HEADS.get(name, {})
                )
            )
            for name in TABLES
        }
        for rows in _made(mock, pointings, writer.folder, workers):
            for name in TABLES:
                sinks[name].append(rows[name])
                counts[name] += rows[name].num_rows
            if progress is not None:
                progress(counts["spectra"], mock.spectra)
        writer.provenance(_provenance(mock))
    return counts


def _made(mock: Mock, pointings: list[Pointing], folder: Path, workers: int | None) -> Iterator[dict[str, pa.Table]]:
    """The pointings' rows in the order of the pointings, whoever makes them."""
    count = min(workers or os.cpu_count() or 1, len(pointings))
    if count == 1:
        for pointing in pointings:
            yield make_pointing(mock, pointing, folder)
        return
    context = multiprocessing.get_context("spawn" if os.name == "nt" else "fork")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        # A window of a few tasks a worker: results wait in memory only as long as the one before them is being made.
        waiting = []
        for pointing in pointings:
            waiting.append(pool.submit(make_pointing, mock, pointing, folder))
            if len(waiting) > 3 * count:
                yield waiting.pop(0).result()
        for task in waiting:
            yield task.result()


def describe(mock: Mock) -> dict[str, Any]:
    """What bundle.json says of the mock."""
    return {
        "survey": SURVEY,
        "release": RELEASE,
        "kind": "spectra",
        "simulated": True,
        "created": CREATED,
        "title": "Specola demonstration survey (simulated)",
        "description": (
            f"A simulated survey of {mock.spectra:,} spectra in the manner of VIPERS, made from templates with seed {mock.seed} "
            "to try the archive with. Nothing in it was observed: objects, positions, magnitudes, spectra and redshifts are all "
            "drawn at random."
        ),
        "creators": ["Specola developers"],
        "subjects": ["redshift-surveys", "galaxy-spectroscopy", "astronomical-simulations"],
        "facility": FACILITY,
        "instrument": INSTRUMENT,
        "references": ["10.1051/0004-6361/201630114", "10.1051/0004-6361/201321489"],
        "rights": "CC0 1.0: the simulated data may be used for anything. The templates behind them keep their own licences "
        "(inputs/demo/templates/README.md).",
        "rights_uri": "https://creativecommons.org/publicdomain/zero/1.0/",
        "citation": "No citation is needed. Do not cite it as data of VIPERS: it is not.",
        "notes": [
            "Everything in this survey is simulated. The references describe the real survey whose set-up it imitates.",
            (
                "Flags follow VIPERS: 4 (99 per cent right), 3 (97), 2 and 9 (90), 1 (50), 0 (none), -10 (not detected); prefix "
                "1 for broad lines, prefix 2 for a second object in the slit; decimals .5, .4, .2, .1 for the agreement with the "
                "photometric redshift."
            ),
            (
                "ERR is the true standard deviation of the noise. Residuals of sky lines, fringes beyond 8000 Angstrom, missed "
                "cosmic rays and the error of the flux calibration (10 per cent) are not in it, as in real data."
            ),
            "The table truth holds what the simulation was made with.",
            "Wavelengths are in air, heliocentric. FLUX and ERR are NaN where QUAL has bit 1 (no data); bit 2 marks zero orders.",
        ],
        "software": [{"name": "specola", "version": _version()}],
    }


def _version() -> str:
    try:
        return version("specola")
    except PackageNotFoundError:
        return "0"


def _provenance(mock: Mock) -> dict[str, Any]:
    """PROV-JSON: the survey came from the templates by a simulation."""
    return {
        "prefix": {"prov": "http://www.w3.org/ns/prov#", "voprov": "http://www.ivoa.net/documents/ProvenanceDM/voprov/",
                   "specola": "urn:specola:"},
        "entity": {
            "specola:demo/r1": {"prov:label": "Demonstration survey, simulated", "prov:generatedAtTime": CREATED},
            "specola:demo/templates": {"prov:label": "Templates, filter curves and sky lines (inputs/demo/templates)"},
        },
        "activity": {
            "specola:mock": {"prov:label": "Simulation of a survey", "specola:spectra": mock.spectra, "specola:seed": mock.seed},
        },
        "agent": {"specola:software": {"prov:type": "prov:SoftwareAgent", "prov:label": f"specola {_version()}"}},
        "used": {"_:u1": {"prov:activity": "specola:mock", "prov:entity": "specola:demo/templates"}},
        "wasGeneratedBy": {"_:g1": {"prov:entity": "specola:demo/r1", "prov:activity": "specola:mock"}},
        "wasAssociatedWith": {"_:a1": {"prov:activity": "specola:mock", "prov:agent": "specola:software"}},
    }  # fmt: skip

"""What all readers of spectra have in common: from one spectrum as read to a file and a row of the bundle."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from specola_bundle.bundle import BundleWriter, TableWriter, safe_name, sha256_of
from specola_bundle.errors import SourceError
from specola_bundle.provenance import provenance, software
from specola_bundle.registry import Column, table_of
from specola_bundle.sdp.cards import one_line
from specola_bundle.sdp.validate import LONGEST_NAME
from specola_bundle.specfile import NO_DATA, AnyArray, SpectrumData, write_spectrum
from specola_bundle.survey import Survey

__all__ = [
    "Attachment",
    "Progress",
    "Reading",
    "Report",
    "SpectraBuilder",
    "file_name",
    "no_data",
    "own_columns",
    "spectra_bundle",
]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and how many there are (0 where that is not known)."""

SHARD_ABOVE = 1000
"""With more spectra than this, files go into 256 subfolders."""

_FLUSH = 500


@dataclass(frozen=True)
class Attachment:
    """A further file of a spectrum: a row of the table files, and its content."""

    kind: str
    """One of those the registry has."""
    title: str
    content: bytes
    file_format: str
    """Media type."""
    ending: str
    """Of its name in the bundle, as in ``.fits``."""


@dataclass
class Reading:
    """One spectrum as a reader has it."""

    source: str
    """Name of the file it was read from, for messages."""
    row: dict[str, Any]
    """What the source says of the columns of the table spectra; wave_min to n_valid and the file columns are filled in."""
    data: SpectrumData
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Rows of other tables that belong to the spectrum. A row whose primary key was there before is not written again."""
    work: bytes | None = None
    """The file the spectrum was made from, uncompressed; None where it is not to be served."""
    work_name: str = ""
    work_format: str = ""
    cards: dict[str, Any] = field(default_factory=dict)
    """Further cards of the spectrum file's primary header."""
    attachments: Sequence[Attachment] = ()
    """Further files, of different kinds; the table files must be among those that are written."""


@dataclass
class Report:
    """What an import did."""

    path: Path
    counts: dict[str, int] = field(default_factory=dict)
    """Rows of each table."""
    skipped: list[str] = field(default_factory=list)
    """Messages of the sources that were left out as broken."""


def no_data(flux: AnyArray, err: AnyArray) -> AnyArray:
    """QUAL of shape (n_pixels,), int32: NO_DATA where flux is not finite or err not positive and finite."""
    with np.errstate(invalid="ignore"):
        good = np.isfinite(flux) & np.isfinite(err) & (err > 0)
    return np.where(good, 0, NO_DATA).astype(np.int32)


def derived(data: SpectrumData) -> dict[str, Any]:
    """The columns of the table spectra that follow from the arrays.

    snr is the median of flux/err over the pixels with QUAL 0; wave_min and wave_max (Angstrom) span these pixels, or the
    whole axis where there is none.
    """
    good = np.flatnonzero(data.qual == 0)
    wave = data.wave.astype(np.float64)
    snr = None
    if good.size:
        with np.errstate(all="ignore"):
            median = float(np.median(data.flux[good].astype(np.float64) / data.err[good].astype(np.float64)))
        snr = median if np.isfinite(median) else None
    first, last = (good[0], good[-1]) if good.size > 1 else (0, wave.size - 1)
    return {
        "snr": snr,
        "wave_min": float(wave[first]),
        "wave_max": float(wave[last]),
        "wave_bin": float(np.median(np.diff(wave))) if wave.size > 1 else None,
        "n_pixels": int(wave.size),
        "n_valid": int(good.size),
    }


def own_columns(survey: Survey, table: str) -> list[Column]:
    """The columns a survey.toml documents for a table beyond the registry's: ``[[reader.columns.TABLE]]``."""
    return [Column.from_mapping(column) for column in survey.options.get("columns", {}).get(table, ())]


def file_name(identifier: str, ending: str = ".fits") -> str:
    """Name of a file: an identifier, cut short and made unique again where the standard of spectrum files has no room for it."""
    name = identifier + ending
    if len(name) <= LONGEST_NAME:
        return name
    tail = f"_{hashlib.sha256(identifier.encode()).hexdigest()[:8]}{ending}"
    return identifier[: LONGEST_NAME - len(tail)] + tail


def survey_cards(survey: Survey) -> dict[str, Any]:
    """Header cards that all files of a survey have: the programs that reduced its data, and ``[reader.cards]``."""
    programs = ", ".join(f"{program['name']} {program['version']}" for program in survey.bundle.get("software", ()))
    return {"PROCSOFT": one_line(programs) or None, **survey.option("cards", dict, {})}


class SpectraBuilder:
    """Takes spectra one by one, writes their files and gathers their rows; made by `spectra_bundle`."""

    def __init__(self, folder: Path, survey: Survey, tables: Mapping[str, TableWriter], *, sharded: bool) -> None:
        self._folder = folder
        self._survey = survey
        self._tables = tables
        self._sharded = sharded
        self._waiting: dict[str, list[dict[str, Any]]] = {name: [] for name in tables}
        self._seen: dict[str, set[str]] = {name: set() for name in tables}
        self._recommended: set[str] = set()
        self._keys = {name: table_of(name, own_columns(survey, name), **head_of(survey, name)).primary for name in tables}
        self._cards = survey_cards(survey)
        self._identifier = re.compile(table_of("spectra").column("spectrum_id").pattern)
        self.provenance: Mapping[str, Any] | None = None
        """A PROV document (PROV-JSON), where the writer knows more than that it read some files."""

    def add(self, reading: Reading) -> dict[str, Any]:
        """Write the spectrum's files and keep its rows; returns its row of the table spectra, checksums included.

        Raises
        ------
        SourceError
            The spectrum's identifier was there before, or its wavelengths are not finite and increasing.
        """
        row: dict[str, Any] = {"simulated": False, **self._survey.constants}
        row |= {name: value for name, value in reading.row.items() if value is not None}
        identifier = row["spectrum_id"]
        if not self._identifier.fullmatch(identifier):
            raise SourceError(
                f"{reading.source}: found spectrum identifier {identifier!r}, expected {self._identifier.pattern}; rename it"
            )
        if identifier in self._seen["spectra"]:
            raise SourceError(f"{reading.source}: found spectrum {identifier} a second time, expected it once; remove one")
        check_axis(reading)
        row |= derived(reading.data)
        shard = f"{zlib.crc32(identifier.encode()) % 256:02x}/" if self._sharded else ""
        row["file"] = f"spectra/{shard}{file_name(identifier)}"
        path = self._folder / row["file"]
        path.parent.mkdir(exist_ok=True)
        row["file_size"], row["file_sha256"] = write_spectrum(path, row, reading.data, {**self._cards, **reading.cards})
        if reading.work is not None:
            row["work_file"] = f"work/{shard}{safe_name(reading.work_name)}"
            work = self._folder / row["work_file"]
            if work.exists():
                # Files of one name from several folders.
                row["work_file"] = f"work/{shard}{identifier}_{work.name}"
                work = self._folder / row["work_file"]
            work.parent.mkdir(exist_ok=True)
            work.write_bytes(reading.work)
            row["work_format"] = reading.work_format
            row["work_size"] = len(reading.work)
            row["work_sha256"] = hashlib.sha256(reading.work).hexdigest()
        self.add_row("spectra", row)
        for attachment in reading.attachments:
            self._attach(identifier, shard, attachment)
        for name, rows in reading.tables.items():
            for one in rows:
                self.add_row(name, one)
        return row

    def _attach(self, spectrum_id: str, shard: str, attachment: Attachment) -> None:
        """Write a further file of a spectrum and keep its row."""
        file_id = f"{spectrum_id}_{attachment.kind}"
        path = self._folder / "files" / shard / f"{file_id}{attachment.ending}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(attachment.content)
        row = {
            "file_id": file_id, "spectrum_id": spectrum_id, "kind": attachment.kind, "title": attachment.title,
            "file": path.relative_to(self._folder).as_posix(), "file_format": attachment.file_format,
            "file_size": len(attachment.content), "file_sha256": hashlib.sha256(attachment.content).hexdigest(),
        }  # fmt: skip
        self.add_row("files", row)

    def add_row(self, table: str, row: dict[str, Any]) -> None:
        """Keep a row of another table, unless one with its primary key was kept before."""
        key = self._keys[table]
        if row[key] in self._seen[table]:
            return
        self._seen[table].add(row[key])
        if table == "redshifts" and row["best"]:
            # An object observed twice has one recommended redshift: the first that was read.
            row = {**row, "best": row["object_id"] not in self._recommended}
            self._recommended.add(row["object_id"])
        self._waiting[table].append(row)
        if len(self._waiting[table]) >= _FLUSH:
            self.flush(table)

    def flush(self, table: str) -> None:
        """Hand the waiting rows of a table to its writer."""
        self._tables[table].append(self._waiting[table])
        self._waiting[table] = []


def check_axis(reading: Reading) -> None:
    """Wavelengths must be finite and strictly increasing; SourceError names the first pixel where they are not."""
    wave = reading.data.wave
    if wave.size == 0:
        raise SourceError(f"{reading.source}: found no pixels, expected a spectrum; leave the file out")
    bad = np.flatnonzero(~np.isfinite(wave))
    if bad.size:
        raise SourceError(f"{reading.source}: found wavelength {wave[bad[0]]} in pixel {bad[0] + 1}, expected a finite number")
    bad = np.flatnonzero(np.diff(wave) <= 0)
    if bad.size:
        pixel = int(bad[0])
        raise SourceError(
            f"{reading.source}: found wavelength {wave[pixel + 1]} after {wave[pixel]} in pixel {pixel + 2}, "
            "expected strictly increasing wavelengths"
        )


def head_of(survey: Survey, table: str) -> dict[str, Any]:
    """Title, description, key and indexes of a table the registry does not have: ``[reader.tables.TABLE]``."""
    return dict(survey.options.get("tables", {}).get(table, {}))


@contextmanager
def spectra_bundle(
    target: Path,
    survey: Survey,
    sources: Sequence[Path],
    tables: Sequence[str],
    *,
    expected: int,
    overwrite: bool,
    report: Report,
) -> Iterator[SpectraBuilder]:
    """Write a bundle of spectra: yields a `SpectraBuilder`; the bundle is there when the block ends without an error.

    Parameters
    ----------
    sources
        The files that are read, for the provenance (unless ``builder.provenance`` is set in the block).
    tables
        Names of the tables written beside spectra.
    expected
        About how many spectra there will be.
    """
    started = datetime.now(UTC)
    description = {"kind": "spectra", **survey.bundle}
    description["software"] = [*survey.bundle.get("software", ()), *software()]
    with BundleWriter(target, overwrite=overwrite, **description) as writer:
        with ExitStack() as stack:
            writers = {
                name: stack.enter_context(writer.open_table(name, extensions=own_columns(survey, name), **head_of(survey, name)))
                for name in ("spectra", *tables)
            }
            builder = SpectraBuilder(writer.folder, survey, writers, sharded=expected > SHARD_ABOVE)
            yield builder
            for name in writers:
                builder.flush(name)
        report.counts = {name: table.rows for name, table in writers.items()}
        if not report.counts["spectra"]:
            raise SourceError(
                f"{', '.join(path.name for path in sources[:5])}: found no spectrum that can be read, expected at least one"
            )
        if builder.provenance is None:
            builder.provenance = provenance(survey, sources, {path: sha256_of(path) for path in sources}, started)
        writer.provenance(builder.provenance)

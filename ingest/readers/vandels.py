"""VANDELS spectra as text (``wl flam flam_err``) with a sample table and ancillary tables.

Read from a folder that has ``sample.info``, ``spectra.tar.xz`` (or a folder ``spectra``) and, if they are there, the
ancillary tables that survey.toml describes. Wavelengths are in air, Angstrom; fluxes in erg/s/cm²/Angstrom; an error
of zero marks pixels without coverage, whose numbers are kept as they are. The object, masks, quadrants, slit and
object number are in the name of a spectrum::

    CDFS231493_P4M4Q2_P4M3Q2_002_2    field and number, one pointing-mask-quadrant for each mask, slit, object in the slit

The centres of the masks are not known, so there is no table of pointings; pointing_id is kept as text.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ingest.errors import SourceError
from specola_bundle.build import Progress, Reading, Report, no_data, own_columns, spectra_bundle
from specola_bundle.flags import components
from specola_bundle.specfile import SpectrumData
from specola_bundle.survey import Survey

__all__ = ["parse_name", "parse_spectrum", "read"]

NAME = re.compile(r"(?P<field>[A-Z]+)(?P<number>\d+)(?P<masks>(?:_P\d+M\d+Q\d)+)_(?P<slit>\d+)_(?P<object>\d+)")

_TRIPLE = 3
_TEXT = "text/plain"


def parse_name(name: str) -> dict[str, Any]:
    """What the name of a spectrum says, as columns of the table spectra; SourceError where it is no such name."""
    match = NAME.fullmatch(name)
    if match is None:
        raise SourceError(f"{name}: found this name, expected one such as CDFS231493_P4M4Q2_P4M3Q2_002_2")
    pointing = f"{match['field']}{match['masks']}"
    return {
        "spectrum_id": name,
        "object_id": f"{match['field']}{match['number']}",
        "target_name": f"{match['field']}_{match['number']}",
        "pointing_id": pointing,
        "slit_id": f"{pointing}_{match['slit']}",
    }


def parse_spectrum(name: str, content: bytes) -> SpectrumData:
    """The arrays (float64) of a text file; SourceError names the line that is not three numbers."""
    with warnings.catch_warnings():
        # An empty file is told of below.
        warnings.simplefilter("ignore", UserWarning)
        try:
            table = np.loadtxt(io.BytesIO(content), ndmin=2)
        except ValueError:
            table = np.empty((0, 0))
    if table.shape[0] == 0 or table.shape[1] != _TRIPLE:
        raise SourceError(f"{name}: {_broken_line(content)}, expected three numbers a line: wl flam flam_err")
    wave, flux, err = np.ascontiguousarray(table.T)
    return SpectrumData(wave=wave, flux=flux, err=err, qual=no_data(flux, err))


def read(
    source: Path,
    target: Path,
    survey: Survey,
    *,
    overwrite: bool = False,
    skip_broken: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Make a bundle of a folder of VANDELS text spectra.

    Raises
    ------
    SourceError
        A file is not there or not what it should be, or spectra and sample table do not hold the same names.
    """
    sample_path = source / survey.option("sample", str)
    sample = _sample(sample_path, survey)
    ancillary, used = _ancillary(source, survey)
    spectra = source / survey.option("spectra", str)
    if not spectra.exists():
        raise SourceError(f"{spectra}: found nothing, expected an archive or a folder of spectra")
    report = Report(target)
    sources = [sample_path, *used, *([spectra] if spectra.is_file() else sorted(spectra.glob("*.dat")))]
    slits: dict[str, list[dict[str, Any]]] = {}
    waiting = dict(sample)
    with spectra_bundle(
        target, survey, sources, ("redshifts", "slits", "properties"), expected=len(sample), overwrite=overwrite, report=report
    ) as builder:
        for done, (file, content) in enumerate(_files(spectra), start=1):
            name = file.removesuffix(".dat")
            try:
                row = parse_name(name)
                about = _row_of(waiting, name, file, sample_path) | {"ancillary": ancillary.get(name, {})}
                builder.add(_reading(file, content, row, about, survey))
            except SourceError as error:
                if not skip_broken:
                    raise
                report.skipped.append(str(error))
            else:
                slits.setdefault(row["slit_id"], []).append(row)
            waiting.pop(name, None)
            if progress:
                progress("spectra", done, len(sample))
        if waiting and not skip_broken:
            raise SourceError(
                f"{spectra.name}: found no spectrum {next(iter(waiting))} (and {len(waiting) - 1} more), "
                f"expected one for each row of {sample_path.name}"
            )
        report.skipped.extend(f"{spectra.name}: found no spectrum {name}, which {sample_path.name} lists" for name in waiting)
        for slit_id, rows in slits.items():
            builder.add_row("slits", _slit(slit_id, rows, survey))
    return report


def _reading(file: str, content: bytes, row: dict[str, Any], sample: dict[str, Any], survey: Survey) -> Reading:
    name, ancillary = row["spectrum_id"], sample.pop("ancillary")
    row["ra"], row["dec"] = ancillary.pop("ra", None), ancillary.pop("dec", None)
    row["target_name"] = survey.option("target_name", str, "{target_name}").format_map(row)
    row["title"] = survey.option("title", str).format_map(row)
    row["redshift"] = sample["z"]
    try:
        flag = components(survey.option("flag_scheme", str), sample["redshift_flag"])
    except ValueError as error:
        raise SourceError(f"{survey.option('sample', str)} row {name}: {error}") from error
    row["target_class"] = "QSO" if flag["broad_line"] else "GALAXY"
    redshift = {
        "redshift_id": f"{name}_v", "object_id": row["object_id"], "spectrum_id": name, "ra": row["ra"], "dec": row["dec"],
        "z": sample["z"], "class": row["target_class"], **flag, "best": True, "method": "visual",
        "reference": survey.constants.get("reference"),
    }  # fmt: skip
    properties = {"spectrum_id": name, "object_id": row["object_id"], **sample, **ancillary}
    properties = {key: value for key, value in properties.items() if key not in {"z", "redshift_flag"}}
    return Reading(
        source=file, row=row, data=parse_spectrum(file, content), work=content, work_name=file, work_format=_TEXT,
        tables={"redshifts": [redshift], "properties": [properties]},
    )  # fmt: skip


def _row_of(waiting: dict[str, dict[str, Any]], name: str, file: str, table: Path) -> dict[str, Any]:
    if name not in waiting:
        raise SourceError(f"{file}: found no row {name} in {table.name}, expected one for each spectrum")
    return waiting[name]


def _slit(slit_id: str, rows: list[dict[str, Any]], survey: Survey) -> dict[str, Any]:
    """A slit from the spectra that came out of it. With two objects in it the sample does not tell which was the target."""
    return {
        "slit_id": slit_id,
        "pointing_id": rows[0]["pointing_id"],
        "object_id": rows[0]["object_id"] if len(rows) == 1 else None,
        "slit_number": int(slit_id.rsplit("_", 1)[1]),
        "width": survey.option("slit_width", float),
    }


def _files(spectra: Path) -> Iterator[tuple[str, bytes]]:
    if spectra.is_dir():
        for path in sorted(spectra.glob("*.dat")):
            yield path.name, path.read_bytes()
        return
    try:
        with tarfile.open(spectra) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() and member.name.endswith(".dat") else None
                if stream is not None:
                    # Only the last part of the name is used: nothing an archive says can leave the bundle's folder.
                    yield Path(member.name).name, stream.read()
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise SourceError(f"{spectra.name}: found {error}, expected a whole tar archive; fetch it again") from error


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a text table whose first line, after #, names the columns, with their line numbers."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise SourceError(f"{path}: found {error.strerror}, expected a text table") from error
    if not lines or not lines[0].startswith("#"):
        raise SourceError(f"{path.name} line 1: found no column names, expected a line such as '# spectrum z redshift_flag'")
    names = lines[0].lstrip("#").split()
    for number, line in enumerate(lines[1:], start=2):
        values = line.split()
        if not values:
            continue
        if len(values) != len(names):
            raise SourceError(f"{path.name} line {number}: found {len(values)} values, expected {len(names)}: {' '.join(names)}")
        yield number, dict(zip(names, values, strict=True))


def _number(path: Path, line: int, column: str, text: str, missing: list[float]) -> float | None:
    try:
        value = float(text)
    except ValueError:
        raise SourceError(f"{path.name} line {line}, column {column}: found {text!r}, expected a number") from None
    return None if value in missing else value


def _sample(path: Path, survey: Survey) -> dict[str, dict[str, Any]]:
    rename = survey.option("sample_columns", dict)
    sample: dict[str, dict[str, Any]] = {}
    for line, raw in _rows(path):
        name = raw.get("spectrum", "")
        if name in sample:
            raise SourceError(f"{path.name} line {line}: found {name} a second time, expected one row a spectrum")
        missing = sorted({"spectrum", "z", "redshift_flag"} - set(raw))
        if missing:
            raise SourceError(f"{path.name} line 1: found no column {', '.join(missing)}, expected them")
        sample[name] = {"redshift_flag": raw["redshift_flag"]}
        for column in ("z", *rename):
            sample[name][rename.get(column, column)] = _number(path, line, column, raw[column], [])
    return sample


def _ancillary(source: Path, survey: Survey) -> tuple[dict[str, dict[str, Any]], list[Path]]:
    """Values of the ancillary tables by spectrum, and the tables that were there."""
    known = {column.name for column in own_columns(survey, "properties")} | {"ra", "dec"}
    values: dict[str, dict[str, Any]] = {}
    used = []
    for table in survey.option("ancillary", list, []):
        path = source / table["file"]
        if not path.exists():
            continue
        used.append(path)
        for line, raw in _rows(path):
            name = raw[table["key"]].removeprefix("sc_").removesuffix(".fits")
            row = values.setdefault(name, {})
            row.update(table.get("constants", {}))
            for column, target in table["columns"].items():
                if column not in raw or target not in known:
                    raise SourceError(
                        f"{path.name}: found no column {column} for {target}, expected both to be known; see {survey.path}"
                    )
                row[target] = _number(path, line, column, raw[column], table.get("missing", []))
    return values, used


def _broken_line(content: bytes) -> str:
    text = content.decode("utf-8", "replace").splitlines()
    for number, line in enumerate(text, start=1):
        values = line.split("#")[0].split()
        try:
            numbers = [float(value) for value in values]
        except ValueError:
            return f"found {line[:60]!r} in line {number}"
        if values and len(numbers) != _TRIPLE:
            return f"found {len(numbers)} numbers in line {number}"
    return "found no numbers"

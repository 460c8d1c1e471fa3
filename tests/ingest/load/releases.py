"""Small releases for the tests of loading, and what an archive looks like before and after."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2

from ops.house import Archive
from specola_bundle.bundle import BundleWriter
from specola_bundle.registry import Column
from specola_bundle.specfile import SpectrumData, fits_bytes

SURVEY = "loadtest"
PIXELS = 41
CREATED = datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - the contract: UTC, without a zone
UNIT = "10**-17 erg.s**-1.cm**-2.Angstrom**-1"


def description(release: str, **changes: Any) -> dict[str, Any]:
    return {
        "survey": SURVEY, "release": release, "kind": "spectra", "simulated": True, "title": f"Load test {release}",
        "description": "Simulated spectra for the tests of loading.", "creators": ["Nobody, N."], "rights": "CC0",
        "created": "2026-01-02T03:04:05Z", "software": [{"name": "tests", "version": "1"}], **changes,
    }  # fmt: skip


def spectrum_row(number: int) -> dict[str, Any]:
    return {
        "spectrum_id": f"L{number:06d}", "object_id": f"O{number}", "target_name": f"Target {number}",
        "title": f"Spectrum {number}", "ra": 10.0 + (number % 1000) / 500, "dec": -5.0 + (number % 777) / 500,
        "redshift": 0.1 + (number % 50) / 100, "snr": 5.0, "wave_min": 5000.0, "wave_max": 9000.0, "wave_bin": 100.0,
        "wave_medium": "vacuum", "wave_frame": "BARYCENT", "n_pixels": PIXELS, "n_valid": PIXELS, "res_power": 500.0,
        "flux_unit": UNIT, "flux_calib": "ABSOLUTE", "aperture": 1 / 3600, "exptime": 600.0, "t_min": 60000.0, "t_max": 60000.01,
        "n_exposures": 3, "facility": "Telescope", "instrument": "Spectrograph", "created": CREATED, "simulated": True,
        "file": f"spectra/{number % 100:02d}/L{number:06d}.fits",
    }  # fmt: skip


def spectrum_file(row: Mapping[str, Any]) -> bytes:
    wave = np.linspace(row["wave_min"], row["wave_max"], PIXELS)
    # The median of its signal-to-noise is the row's snr.
    flux = (2.5 + np.sin(np.linspace(-np.pi, np.pi, PIXELS))).astype(np.float32)
    return fits_bytes(row, SpectrumData(wave, flux, np.full(PIXELS, 0.5, np.float32), np.zeros(PIXELS, np.int32)))


def redshift_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "redshift_id": row["spectrum_id"], "object_id": row["object_id"], "spectrum_id": row["spectrum_id"], "ra": row["ra"],
        "dec": row["dec"], "z": row["redshift"], "flag_scheme": "truth", "secure": True, "best": True,
    }  # fmt: skip


def write_release(
    path: Path,
    release: str,
    spectra: int = 12,
    *,
    changes: Mapping[int, Mapping[str, Any]] | None = None,
    extensions: Sequence[Column] = (),
    tables: Mapping[str, tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]] | None = None,
    files: Mapping[str, bytes] | None = None,
    provenance: Mapping[str, Any] | None = None,
    **head: Any,
) -> Path:
    """Write a bundle of simulated spectra and their redshifts.

    ``changes`` are values by row number that go over the made-up ones, ``extensions`` columns of spectra, ``tables`` further
    tables: rows, and what `BundleWriter.write_table` wants to know of them, ``files`` further files by their paths.
    """
    with BundleWriter(path, overwrite=True, **description(release, **head)) as writer:
        rows = []
        for number in range(spectra):
            row = {**spectrum_row(number), **(changes or {}).get(number, {})}
            content = spectrum_file(row)
            file = writer.folder / row["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            row["file_size"], row["file_sha256"] = len(content), hashlib.sha256(content).hexdigest()
            rows.append(row)
        writer.write_table("spectra", rows, extensions=extensions)
        writer.write_table("redshifts", [redshift_row(row) for row in rows])
        for place, content in (files or {}).items():
            (writer.folder / place).write_bytes(content)
        if provenance is not None:
            writer.provenance(provenance)
        for name, (content_rows, words) in (tables or {}).items():
            writer.write_table(name, content_rows, **words)
    return path


def query(archive: Archive, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Ask the archive's database directly."""
    connection = psycopg2.connect(archive.dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall()
    finally:
        connection.close()


_CHANGING = ("pg_catalog", "information_schema", "uws", "tap_upload", "pg_toast")
"""Schemas of PostgreSQL, and those that queries write to."""


def snapshot(archive: Archive) -> dict[str, Any]:
    """All an archive consists of: rows and checksum of every table and view, names of the files below inputs and products."""
    found: dict[str, Any] = {}
    connection = psycopg2.connect(archive.dsn)
    try:
        with connection, connection.cursor() as cursor:
            # A loader whose ingest was killed may still be rolling back.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('specola ingest'))")
            cursor.execute("SELECT table_schema, table_name FROM information_schema.tables")
            for schema, table in cursor.fetchall():
                if schema in _CHANGING:
                    continue
                cursor.execute(
                    f'SELECT count(*), md5(string_agg(md5(t::text), \'\' ORDER BY md5(t::text))) FROM "{schema}"."{table}" t'
                )
                found[f"{schema}.{table}"] = cursor.fetchone()
    finally:
        connection.close()
    found["files"] = {
        str(path.relative_to(archive.root.parent.parent)): path.stat().st_size if path.is_file() else 0
        for folder in (archive.products, archive.inputs)
        for path in sorted(folder.rglob("*"))
        # What an interrupted run prepared is hidden, and nobody's.
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }
    return found


def footprint(archive: Archive, schema: str) -> dict[str, int]:
    """What there is of a release in each place that knows of it; all zero for a release that is not there."""
    counts = {
        "schema": "SELECT count(*) FROM pg_namespace WHERE nspname=%(schema)s",
        "releases": "SELECT count(*) FROM specola.releases WHERE schema_name=%(schema)s",
        "tables": "SELECT count(*) FROM information_schema.tables WHERE table_schema=%(schema)s",
        "tablemeta": "SELECT count(*) FROM dc.tablemeta WHERE sourcerd=%(rd)s OR tablename LIKE %(like)s",
        "tap tables": "SELECT count(*) FROM tap_schema.tables WHERE table_name LIKE %(like)s",
        "tap columns": "SELECT count(*) FROM tap_schema.columns WHERE table_name LIKE %(like)s",
        "tap keys": "SELECT count(*) FROM tap_schema.keys WHERE from_table LIKE %(like)s OR target_table LIKE %(like)s",
        "tap schemas": "SELECT count(*) FROM tap_schema.schemas WHERE schema_name=%(schema)s",
        "resources": "SELECT count(*) FROM dc.resources WHERE sourcerd=%(rd)s AND NOT deleted",
        "interfaces": "SELECT count(*) FROM dc.interfaces WHERE sourcerd=%(rd)s",
        "subjects": "SELECT count(*) FROM dc.subjects WHERE sourcerd=%(rd)s",
        "products": "SELECT count(*) FROM dc.products WHERE accref LIKE %(path)s OR sourcetable LIKE %(like)s",
        "obscore sources": "SELECT count(*) FROM ivoa._obscoresources WHERE tablename LIKE %(like)s",
        "obscore": "SELECT count(*) FROM ivoa.obscore WHERE obs_publisher_did LIKE %(did)s",
    }
    words = {
        "schema": schema, "rd": f"{schema}/q", "like": f"{schema}.%", "path": f"{schema}/%",
        "did": f"ivo://{archive.authority}/{schema}/%",
    }  # fmt: skip
    connection = psycopg2.connect(archive.dsn)
    found = {}
    try:
        with connection, connection.cursor() as cursor:
            for name, statement in counts.items():
                cursor.execute(statement, words)
                row = cursor.fetchone()
                assert row is not None
                found[name] = row[0]
    finally:
        connection.close()
    found["files"] = len(list((archive.products / schema).rglob("*.fits")))
    found["download"] = len(list((archive.products / schema / "bulk").rglob("*.*")))
    listing = archive.products / "bulk.html"
    found["listed for download"] = int(listing.exists() and f'href="{schema}/"' in listing.read_text())
    found["rd"] = int((archive.inputs / schema / "q.rd").exists())
    found["hidden files"] = len(list(archive.products.glob(f".{schema}.*"))) + (archive.root / "incoming" / schema).exists()
    return found

"""The other ways into the database: DaCHS' own import of FITS files, and a bare COPY."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psycopg2

from bench.clock import Clock, Spent
from ingest.rows import copy_columns, copy_stream
from ops.house import Archive
from specola_bundle.bundle import Bundle

__all__ = ["bare_copy", "dachs_imp"]

NAME = "bench_imp"

# What somebody who publishes such files with DaCHS writes, after the tutorial's chapter on products: a table with the product
# interface, one row a file, its columns from the primary header, the outline as SSAP tables have it, indexes like a release's.
COLUMNS: Sequence[tuple[str, str, str]] = (
    ("spectrum_id", "text", "@SPECID"),
    ("target_name", "text", "@OBJECT"),
    ("ra", "double precision", "vars.get('RA')"),
    ("dec", "double precision", "vars.get('DEC')"),
    ("snr", "real", "vars.get('SNR')"),
    ("wave_min", "double precision", "@WAVELMIN*10"),
    ("wave_max", "double precision", "@WAVELMAX*10"),
    ("wave_bin", "double precision", "@SPEC_BIN*10"),
    ("wave_frame", "text", "@SPECSYS"),
    ("res_power", "real", "vars.get('SPEC_RES')"),
    ("flux_calib", "text", "@FLUXCAL"),
    ("exptime", "double precision", "vars.get('EXPTIME')"),
    ("t_min", "double precision", "vars.get('MJD_OBS')"),
    ("t_max", "double precision", "vars.get('MJD_END')"),
    ("n_exposures", "integer", "vars.get('NCOMBINE')"),
    ("facility", "text", "@TELESCOP"),
    ("instrument", "text", "@INSTRUME"),
    ("disperser", "text", "@DISPELEM"),
)


def _rd() -> str:
    columns = "\n".join(
        f'<column name="{name}" type="{kind}" description="{name}">'
        + ('<values nullLiteral="-1"/>' if kind == "integer" else "")
        + "</column>"
        for name, kind, _ in COLUMNS
    )
    maps = "\n".join(f'<map key="{name}">{source}</map>' for name, _, source in COLUMNS)
    return f"""<resource schema="{NAME}" resdir="{NAME}">
  <meta name="title">Files for a benchmark</meta><meta name="description">Read by fitsProdGrammar.</meta>
  <meta name="creationDate">2026-01-01T00:00:00Z</meta><meta name="subject">spectroscopy</meta>
  <table id="main" onDisk="True" adql="True" primary="spectrum_id">
    <mixin>//products#table</mixin>
    {columns}
    <column name="coverage" type="spoly" unit="deg" description="coverage"/>
    <index columns="target_name"/><index columns="t_min"/><index columns="coverage" method="GIST"/>
    <index name="location" columns="ra,dec" method="GIST">spoint(radians(ra), radians(dec))</index>
  </table>
  <data id="import">
    <sources pattern="data/*.fits"/>
    <fitsProdGrammar qnd="True">
      <rowfilter procDef="//products#define">
        <bind key="table">"{NAME}.main"</bind><bind key="mime">"application/fits"</bind>
      </rowfilter>
    </fitsProdGrammar>
    <make table="main"><rowmaker idmaps="accref,owner,embargo,mime,accsize">
      <FEED source="//products#mapUserItems"/>
      <apply procDef="//ssap#fill-plainlocation">
        <bind key="ra">vars["RA"]</bind><bind key="dec">vars["DEC"]</bind><bind key="aperture">1/3600.</bind>
      </apply>
      <map key="coverage">@ssa_region</map>
      {maps}
    </rowmaker></make>
  </data>
</resource>"""


def dachs_imp(archive: Archive, files: Sequence[Path], cluster: Path) -> Spent:
    """Time of ``dachs imp`` of the files."""
    folder = archive.inputs / NAME
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for old in (folder / "data").iterdir():
        old.unlink()
    for file in files:
        os.link(file, folder / "data" / file.name)
    (folder / "q.rd").write_text(_rd())
    clock = Clock(cluster)
    archive.dachs("imp", f"{NAME}/q")
    spent = clock.spent()
    (rows,) = _ask(archive, f"SELECT count(*) FROM {NAME}.main")  # noqa: S608
    assert rows == len(files), f"dachs imp took {rows} of {len(files)} files"
    archive.dachs("drop", "--all", f"{NAME}/q")
    return spent


def bare_copy(archive: Archive, bundle: Bundle, scratch: Path, cluster: Path) -> Spent:
    """Time of COPY of a bundle's prepared rows into plain tables without keys or indexes, all in one transaction."""
    prepared = {}
    for name, table in bundle.tables.items():
        path = scratch / f"{name}.csv"
        with path.open("wb") as stream:
            for piece in copy_stream(bundle, table, archive.authority, previews=False):
                stream.write(piece)
        prepared[name] = path
    connection = psycopg2.connect(archive.dsn)
    cursor = connection.cursor()
    cursor.execute("CREATE SCHEMA bench_copy")
    for name, table in bundle.tables.items():
        # The types of the columns are those of the release, which is in the archive.
        columns = ", ".join(f'"{column}"' for column in copy_columns(table))
        cursor.execute(f"CREATE TABLE bench_copy.{name} AS SELECT {columns} FROM {bundle.schema}.{name} LIMIT 0")  # noqa: S608
    connection.commit()
    clock = Clock(cluster)
    for name, path in prepared.items():
        with path.open("rb") as stream:
            cursor.copy_expert(f"COPY bench_copy.{name} FROM STDIN WITH (FORMAT csv, NULL '')", stream, 1 << 18)
    connection.commit()
    spent = clock.spent()
    cursor.execute("DROP SCHEMA bench_copy CASCADE")
    connection.commit()
    connection.close()
    for path in prepared.values():
        path.unlink()
    return spent


def _ask(archive: Archive, query: str) -> tuple[int, ...]:
    connection = psycopg2.connect(archive.dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone()
            assert row is not None
            return tuple(row)
    finally:
        connection.close()

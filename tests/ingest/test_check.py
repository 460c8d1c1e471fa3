"""Every kind of bad bundle is refused, and the message names file and row."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.check import check_bundle
from ingest.errors import BundleError
from tests.support.bundles import refused


def test_a_good_bundle_is_opened(small):
    for read_files in (True, "headers", False):
        bundle = check_bundle(small(), read_files=read_files)
        assert bundle.schema == "small_r1"
        assert {name: table.rows for name, table in bundle.tables.items()} == {"spectra": 5, "redshifts": 5}


def test_progress_is_told(small):
    told = []
    check_bundle(small(), progress=lambda what, done, total: told.append((what, done, total)))
    assert told[-1] == ("files", 5, 5)
    assert ("table spectra", 5, 5) in told


# -- bundle.json ------------------------------------------------------------------------------------------------------------


def test_no_bundle(tmp_path):
    refused(tmp_path, "bundle.json", "No such file")


def test_bundle_json_is_not_json(small):
    path = small()
    (path / "bundle.json").write_text('{"contract": ')
    refused(path, "bundle.json", "expected JSON")


@pytest.mark.parametrize("version", ["1.2", "2.0", "10.0"])
def test_newer_contract(small, version):
    refused(small(contract=version), "bundle.json, contract", f"version {version}", "1.1 at most", "newer")


def test_bundle_json_breaks_its_schema(small):
    refused(small(title=""), "bundle.json, title", "bundle.schema.json")
    refused(small(survey="Small Survey"), "bundle.json, survey", "Small Survey")
    refused(small(colour="red"), "bundle.json", "colour")


@pytest.mark.parametrize("path", ["../manifest.parquet", "/etc/passwd", "catalogues/../../manifest.parquet"])
def test_table_path_leaves_the_bundle(small, path):
    bundle = small()
    description = json.loads((bundle / "bundle.json").read_text())
    description["tables"][0]["path"] = path
    (bundle / "bundle.json").write_text(json.dumps(description))
    refused(bundle, "bundle.json, tables[0].path", path)


def test_changed_table(small):
    path = small()
    table = path / "catalogues" / "redshifts.parquet"
    table.write_bytes(table.read_bytes() + b"x")
    refused(path, "catalogues/redshifts.parquet", "another content", "SHA-256")


def test_table_is_missing(small):
    path = small()
    (path / "catalogues" / "redshifts.parquet").unlink()
    refused(path, "table redshifts, path", "a file inside the bundle")


def test_kind_and_manifest_disagree(small):
    refused(small(kind="catalogue"), "bundle.json, kind", "table spectra")


def test_counts_are_wrong(small):
    path = small()
    description = json.loads((path / "bundle.json").read_text())
    description["counts"]["spectra"] = 6
    (path / "bundle.json").write_text(json.dumps(description))
    refused(path, "table spectra, counts", "found 6, expected 5")


def test_a_table_with_fewer_rows_than_told(small):
    path = small()
    description = json.loads((path / "bundle.json").read_text())
    description["tables"][1]["rows"] = description["counts"]["redshifts"] = 7
    (path / "bundle.json").write_text(json.dumps(description))
    refused(path, "catalogues/redshifts.parquet", "found 5 rows, expected 7")


@pytest.mark.parametrize(
    ("column", "part"),
    [
        ({"name": "mass", "type": "real", "description": "Mass", "unit": "furlong"}, "'furlong'"),
        ({"name": "mass", "type": "real", "description": "Mass", "ucd": "phys.massive"}, "'phys.massive'"),
    ],
)
def test_new_columns_need_right_units_and_ucds(small, column, part):
    path = small()
    description = json.loads((path / "bundle.json").read_text())
    description["tables"][1]["columns"] = [column]
    (path / "bundle.json").write_text(json.dumps(description))
    refused(path, "bundle.json, table redshifts, column mass", part)


def test_registry_columns_can_not_be_redefined(small):
    path = small()
    description = json.loads((path / "bundle.json").read_text())
    description["tables"][1]["columns"] = [{"name": "z", "type": "real", "description": "Another z"}]
    (path / "bundle.json").write_text(json.dumps(description))
    refused(path, "bundle.json, tables", "columns z are in the registry")


# -- tables -----------------------------------------------------------------------------------------------------------------

ROWS = [
    ("ra", 512.3, "found 512.3, expected 0 to 360 deg"),
    ("dec", -90.5, "found -90.5, expected -90 to 90 deg"),
    ("ra", float("nan"), "found nan, expected a finite number or NULL"),
    ("redshift", float("inf"), "found inf, expected a finite number"),
    ("wave_medium", "water", "found 'water', expected one of vacuum, air"),
    ("spectrum_id", "a b", "found 'a b', expected a match of"),
    ("n_pixels", 0, "found 0, expected 1 to 1e+07"),
    ("wave_min", 9999.0, "found 9999.0 beside wave_max 9000.0, expected a value below wave_max"),
    ("t_max", 59999.0, "column t_min: found 60000.0 beside t_max 59999.0"),
    ("file", "../../etc/passwd", "found '../../etc/passwd', expected a relative path inside the bundle"),
    ("file", "/etc/passwd", "found '/etc/passwd', expected a relative path inside the bundle"),
    ("flux_unit", "furlong", "found 'furlong', expected a VOUnit string"),
    ("file_sha256", "0" * 63, "expected a match of [0-9a-f]{64}"),
]


@pytest.mark.parametrize(("column", "value", "message"), ROWS)
def test_a_value_out_of_range(small, column, value, message):
    path = small(spectra=lambda rows: rows[3].update({column: value}))
    identifier = value if column == "spectrum_id" else "S3"
    refused(path, f"manifest.parquet row 4 ({identifier})", message, read_files=False)


def test_a_required_value_is_null(small, rewrite):
    path = small()

    def edit(table: pa.Table) -> pa.Table:
        index = table.column_names.index("target_name")
        return table.set_column(index, table.field("target_name").with_nullable(True), pa.array(["a", "b", "c", None, "e"]))

    rewrite(path, "spectra", edit)
    refused(path, "manifest.parquet row 4 (S3), column target_name: found NULL, expected a value", read_files=False)


def test_the_writer_refuses_null_in_a_required_column(small, tmp_path):
    with pytest.raises(BundleError, match="table spectra row 4, column target_name: found NULL"):
        small(spectra=lambda rows: rows[3].update(target_name=None))
    assert not (tmp_path / "bundle").exists()


def test_the_message_in_full(small):
    path = small(spectra=lambda rows: rows[2].update(ra=512.3))
    error = refused(path, "manifest.parquet row 3 (S2), column ra: found 512.3, expected 0 to 360 deg", read_files=False)
    assert str(error).startswith("1 problem in the bundle\n  manifest.parquet row 3 (S2), column ra")


def test_all_findings_at_once_and_not_too_many(small, rewrite):
    path = small()
    many = 120

    def edit(table: pa.Table) -> pa.Table:
        table = pa.concat_tables([table] * (many // 5))
        table = table.set_column(0, table.field("redshift_id"), pa.array([f"r{i}" for i in range(many)]))
        return table.set_column(table.column_names.index("z"), table.field("z"), pa.array([99.0] * many))

    rewrite(path, "redshifts", edit)
    error = refused(path, "catalogues/redshifts.parquet row 1 (r0), column z", "found 99.0, expected -0.1 to 20")
    assert (len(error.findings), error.more) == (50, 70)
    assert str(error).startswith("120 problems in the bundle")
    assert str(error).endswith("and 70 more")


def test_duplicate_identifiers(small):
    path = small(spectra=lambda rows: rows[4].update(spectrum_id="S1"))
    refused(path, "manifest.parquet row 5 (S1), column spectrum_id", "'S1' in rows 2, 5", "every value once", read_files=False)


def test_reference_to_nothing(small):
    path = small(redshifts=lambda rows: rows[1].update(spectrum_id="S9"))
    refused(
        path, "catalogues/redshifts.parquet row 2 (S1_t), column spectrum_id: found 'S9', expected a value of spectra.spectrum_id"
    )


def test_required_column_is_missing(small, rewrite):
    path = small()
    rewrite(path, "spectra", lambda table: table.drop_columns(["wave_medium"]))
    refused(path, "manifest.parquet, column wave_medium: found no such column", read_files=False)


def test_undocumented_column(small, rewrite):
    path = small()
    rewrite(path, "spectra", lambda table: table.append_column("colour", pa.array([1.0] * 5)))
    refused(path, "manifest.parquet, column colour: found a column without documentation", read_files=False)


def test_wrong_type(small, rewrite):
    path = small()
    index = pq.read_schema(path / "manifest.parquet").names.index("ra")
    rewrite(path, "spectra", lambda table: table.set_column(index, table.field("ra").with_type(pa.string()), pa.array(["1"] * 5)))
    refused(path, "manifest.parquet, column ra: found type string, expected double", read_files=False)


def test_wrong_unit_of_a_column(small, rewrite):
    path = small()
    index = pq.read_schema(path / "manifest.parquet").names.index("ra")
    rewrite(path, "spectra", lambda table: table.set_column(index, table.field("ra").with_metadata({"unit": "h"}), table["ra"]))
    refused(path, "manifest.parquet, column ra: found unit 'h', expected unit 'deg'", read_files=False)


@pytest.mark.parametrize(
    ("footprint", "part"),
    [
        ([10.0, 5.0, 11.0, 5.0], "three corners"),
        ([10.0, 5.0, 11.0, 5.0, 11.0, 6.0, 1.0], "pairs"),
        ([1.0, 5.0, 11.0, 95.0, 11.0, 6.0], "-90 to 90"),
    ],
)
def test_footprints(tmp_path, small, footprint, part):
    from specola_bundle.bundle import BundleWriter

    path = tmp_path / "pointings"
    good = {"pointing_id": "P1", "ra": 10.0, "dec": 5.0, "footprint": [10.0, 5.0, 11.0, 5.0, 11.0, 6.0]}
    head = json.loads((small() / "bundle.json").read_text())
    head = {
        key: head[key] for key in ("survey", "release", "simulated", "title", "description", "creators", "rights", "software")
    }
    with BundleWriter(path, kind="catalogue", **head) as writer:
        writer.write_table(
            "pointings",
            [good, {**good, "pointing_id": "P2", "footprint": footprint}, {**good, "pointing_id": "P3", "footprint": None}],
        )
    error = refused(path, "catalogues/pointings.parquet row 2 (P2), column footprint", part)
    assert len(error.findings) == 1


def test_truncated_parquet(small):
    path = small()
    table = path / "catalogues" / "redshifts.parquet"
    content = table.read_bytes()
    table.write_bytes(content[: len(content) // 2])
    description = json.loads((path / "bundle.json").read_text())
    import hashlib

    description["tables"][1]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    (path / "bundle.json").write_text(json.dumps(description))
    refused(path, "catalogues/redshifts.parquet", "expected a whole Parquet file")

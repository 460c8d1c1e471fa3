"""Every kind of bad bundle is refused, and the message names file and row."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.check import check_bundle
from ingest.errors import BundleError
from specola_bundle.specfile import SpectrumData


def refused(path: Path, *wanted: str, read_files: bool = True) -> BundleError:
    """Check that the bundle is refused and that one finding has all the wanted parts."""
    with pytest.raises(BundleError) as caught:
        check_bundle(path, read_files=read_files)
    findings = [str(finding) for finding in caught.value.findings]
    assert any(all(part in finding for part in wanted) for finding in findings), findings
    return caught.value


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


# -- spectrum files ---------------------------------------------------------------------------------------------------------


def test_file_is_missing(small):
    path = small()
    (path / "spectra" / "S2.fits").unlink()
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "no such file inside the bundle")


def test_file_is_truncated(small):
    path = small()
    file = path / "spectra" / "S2.fits"
    file.write_bytes(file.read_bytes()[:6000])
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "found 6000 bytes", "truncated")


def test_file_was_truncated_before_it_was_recorded(small):
    path = small(content=lambda number, content: content[:-5760] if number == 2 else content)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "truncated")
    path = small(content=lambda number, content: content[:1000] if number == 2 else content)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "no END of the header")


def test_file_has_another_content(small):
    path = small()
    file = path / "spectra" / "S2.fits"
    content = bytearray(file.read_bytes())
    content[-3000] ^= 1
    file.write_bytes(content)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "another content", "SHA-256")


def test_file_is_a_link_out_of_the_bundle(small, tmp_path):
    path = small()
    file = path / "spectra" / "S2.fits"
    outside = tmp_path / "outside.fits"
    outside.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(outside)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "no such file inside the bundle")


def test_a_folder_is_a_link_out_of_the_bundle(small, tmp_path):
    path = small()
    check_bundle(path)
    (path / "spectra").rename(tmp_path / "outside")
    (path / "spectra").symlink_to(tmp_path / "outside")
    refused(path, "manifest.parquet row 1 (S0), file spectra/S0.fits", "no such file inside the bundle")


def test_a_link_inside_the_bundle_is_all_right(small):
    path = small()
    (path / "spectra" / "S2.fits").rename(path / "spectra" / "other.fits")
    (path / "spectra" / "S2.fits").symlink_to("other.fits")
    check_bundle(path)


def test_file_is_no_fits_file(small):
    path = small(content=lambda number, content: b"<html>" * 3000 if number == 2 else content)
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "expected")


def changed(number: int, data: SpectrumData, **arrays: np.ndarray) -> SpectrumData:
    return SpectrumData(**{**vars(data), **arrays}) if number == 2 else data


def test_wavelength_is_not_a_number(small):
    wave = np.linspace(5000.0, 9000.0, 300)
    wave[7] = np.nan
    path = small(data=lambda number, data: changed(number, data, wave=wave))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "found wavelength nan in pixel 8", "finite")


def test_wavelengths_do_not_increase(small):
    wave = np.linspace(5000.0, 9000.0, 300)
    wave[8] = wave[7]
    path = small(data=lambda number, data: changed(number, data, wave=wave))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "in pixel 9", "strictly increasing")


def test_wrong_n_pixels(small):
    path = small(spectra=lambda rows: rows[2].update(n_pixels=301))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "NELEM = 300", "n_pixels = 301")


def test_wrong_n_valid(small):
    path = small(spectra=lambda rows: rows[2].update(n_valid=300))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "297 pixels with QUAL 0", "n_valid = 300")


def test_wavelength_range_beyond_the_axis(small):
    path = small(spectra=lambda rows: rows[2].update(wave_max=9500.0))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "wavelengths from 5000.0 to 9000.0", "wave_max 9500.0")


def test_wrong_flux_unit(small):
    path = small(spectra=lambda rows: rows[2].update(flux_unit="erg.s**-1.cm**-2.Angstrom**-1"))
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "of column FLUX", "10**-17")


@pytest.mark.parametrize(
    ("column", "value", "part"),
    [
        ("target_name", "another", 'OBJECT = "Small\'s 2"'),
        ("ra", 11.0, "RA = 10.28"),
        ("dec", None, "DEC = -4.33"),
        ("spectrum_id", "S7", "SPECID = 'S2'"),
    ],
)
def test_header_and_row_disagree(small, column, value, part):
    path = small(spectra=lambda rows: rows[2].update({column: value}), redshifts=lambda rows: rows.pop(2))
    identifier = value if column == "spectrum_id" else "S2"
    refused(path, f"manifest.parquet row 3 ({identifier}), file spectra/S2.fits", part)
    with pytest.raises(BundleError, match=re.escape(part)):
        check_bundle(path, read_files="headers")


def test_two_rows_in_the_table(small):
    path = small(
        content=lambda number, content: (
            re.sub(rb"NAXIS2  =                    1", b"NAXIS2  =                    2", content) if number == 2 else content
        )
    )
    refused(path, "manifest.parquet row 3 (S2), file spectra/S2.fits", "2 rows in HDU 1")


def test_long_names_and_apostrophes(small):
    name = "An object's very long name that does not fit on one card of a FITS header, and isn't meant to"

    def rename(rows):
        for row in rows:
            row["target_name"] = name

    from specola_bundle.specfile import fits_bytes

    def content(number, original):
        row = {"spectrum_id": f"S{number}", "target_name": name, "title": "x", "ra": 10.0 + number / 7, "dec": -5.0 + number / 3,
               "wave_medium": "vacuum", "wave_frame": "BARYCENT", "flux_calib": "ABSOLUTE", "wave_min": 5040.0,
               "wave_max": 9000.0,
               "flux_unit": "10**-17 erg.s**-1.cm**-2.Angstrom**-1"}  # fmt: skip
        wave, qual = np.linspace(5000.0, 9000.0, 300), np.zeros(300, dtype=np.int32)
        qual[:3] = 1
        return fits_bytes(row, SpectrumData(wave, wave, wave, qual))

    check_bundle(small(spectra=rename, content=content))


def test_of_many_files_each_is_checked(tmp_path):
    from specola_bundle.build import Reading, Report, spectra_bundle
    from specola_bundle.survey import load_survey

    number, pixels, path = 1100, 300, tmp_path / "many"
    rng = np.random.default_rng(1)
    wave, flux = np.linspace(5000.0, 9000.0, pixels), rng.normal(size=pixels)
    survey = load_survey(Path("vandels"))
    with spectra_bundle(path, survey, [], (), expected=number, overwrite=False, report=Report(path)) as builder:
        for index in range(number):
            row = {"spectrum_id": f"S{index}", "object_id": "x", "target_name": "x", "title": "x"}
            builder.add(Reading("x", row, SpectrumData(wave, flux, np.ones(pixels), np.zeros(pixels, np.int32))))
    files = sorted((path / "spectra").rglob("*.fits"))
    assert (len(files), len({file.parent for file in files})) == (number, 256)
    check_bundle(path)
    changed = bytearray(files[777].read_bytes())
    changed[-2880] ^= 1
    files[777].write_bytes(changed)
    refused(path, files[777].name, "another content")

"""The rows of each of the mock's tables."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ingest.mock import setup
from ingest.mock.columns import definition, present
from ingest.mock.geometry import QUADRANTS, centre, on_sky, outline
from ingest.mock.instrument import detector
from ingest.mock.parent import KINDS
from ingest.mock.templates import BANDS, GALAXIES, LINES, library
from specola_bundle.bundle import arrow_schema

if TYPE_CHECKING:
    from ingest.mock.pointing import Observation

__all__ = ["header_cards", "photometry", "pointing_rows", "redshift_rows", "slit_rows", "spectrum_rows", "truth_rows"]

Row = dict[str, Any]

SECOND = " (second object in the slit)"


def _pointing_id(made: Observation, quadrant: int) -> str:
    return f"{made.pointing.name}Q{quadrant}"


def _slit_ids(made: Observation) -> list[str]:
    numbers: dict[int, int] = {}
    ids = []
    for quadrant in made.slits.quadrant.tolist():
        numbers[quadrant] = numbers.get(quadrant, 0) + 1
        ids.append(f"{_pointing_id(made, quadrant)}S{numbers[quadrant]:03d}")
    return ids


def _object_id(made: Observation, index: int) -> str:
    return made.pointing.object_id(index + 1)


def _spectrum_ids(made: Observation) -> list[str]:
    slits = _slit_ids(made)
    return [f"{slits[slit]}-{2 if second else 1}" for slit, second in zip(made.slit_of, made.secondary, strict=True)]


def header_cards(made: Observation) -> Row:
    """Primary header cards that all files of a pointing have."""
    return {
        "ORIGIN": ("Specola simulation", "These data are simulated"),
        "PROCSOFT": f"specola {setup.RELEASE} simulation",
        "FLUXERR": (100.0 * setup.FLUX_SCATTER, "[percent] Error of the flux scale"),
        "SEEING": (made.night.seeing, "[arcsec] Seeing (FWHM)"),
        "AIRMASS": (made.night.airmass, "Mean airmass"),
    }


def spectrum_rows(made: Observation) -> list[Row]:
    """Rows of the manifest, but for the size and checksum of the files."""
    ra, dec = on_sky(made.pointing, made.objects.x, made.objects.y)
    slit_ids, air = _slit_ids(made), detector().air
    created = datetime.fromisoformat(setup.CREATED).replace(tzinfo=None)
    rows = []
    for i, spectrum_id in enumerate(_spectrum_ids(made)):
        index, quality = int(made.shown[i]), made.observed.qual[i]
        object_id = _object_id(made, index)
        covered = air[np.isfinite(made.observed.flux[i])]
        rows.append(
            {
                "spectrum_id": spectrum_id,
                "object_id": object_id,
                "pointing_id": _pointing_id(made, int(made.slits.quadrant[made.slit_of[i]])),
                "slit_id": slit_ids[made.slit_of[i]],
                "target_name": f"DEMO {object_id}",
                "target_class": made.measured.kind[i],
                "title": f"Simulated spectrum of DEMO {object_id}{SECOND if made.secondary[i] else ''}",
                "ra": round(float(ra[index]), 7),
                "dec": round(float(dec[index]), 7),
                "redshift": made.measured.z[i],
                "snr": float(np.float32(made.snr[i])),
                "wave_min": float(covered[0]),
                "wave_max": float(covered[-1]),
                "wave_bin": setup.WAVE_STEP,
                "wave_medium": "air",
                "wave_frame": "HELIOCEN",
                "n_pixels": air.size,
                "n_valid": int((quality == 0).sum()),
                "res_power": setup.RESOLVING_POWER,
                "flux_unit": setup.FLUX_UNIT,
                "flux_calib": "ABSOLUTE",
                "aperture": setup.SLIT_WIDTH / 3600,
                "exptime": setup.EXPOSURES * setup.EXPOSURE_TIME,
                "t_min": made.night.start,
                "t_max": made.night.end,
                "n_exposures": setup.EXPOSURES,
                "facility": setup.FACILITY,
                "instrument": setup.INSTRUMENT,
                "disperser": setup.DISPERSER,
                "created": created,
                "simulated": True,
                "file": f"spectra/{made.pointing.name}/{spectrum_id}.fits",
            }
        )
    return rows


def pointing_rows(made: Observation) -> list[Row]:
    """A row for each quadrant of the pointing."""
    rows = []
    for quadrant in QUADRANTS:
        ra, dec = on_sky(made.pointing, *(np.array(offset) for offset in centre(quadrant)))
        name = _pointing_id(made, quadrant)
        rows.append(
            {
                "pointing_id": name,
                "field": f"DEMO-{made.pointing.field}",
                "quadrant": quadrant,
                "mask_id": f"{name}-M1",
                "ra": float(ra),
                "dec": float(dec),
                "footprint": outline(made.pointing, quadrant),
                "position_angle": 90.0,
                "facility": setup.FACILITY,
                "instrument": setup.INSTRUMENT,
                "disperser": setup.DISPERSER,
                "t_min": made.night.start,
                "t_max": made.night.end,
                "exptime": setup.EXPOSURES * setup.EXPOSURE_TIME,
                "seeing": made.night.seeing,
                "airmass": made.night.airmass,
                "n_slits": int((made.slits.quadrant == quadrant).sum()),
            }
        )
    return rows


def slit_rows(made: Observation) -> list[Row]:
    """A row for each slit."""
    ra, dec = on_sky(made.pointing, made.slits.x, made.slits.y)
    return [
        {
            "slit_id": slit_id,
            "pointing_id": _pointing_id(made, int(made.slits.quadrant[i])),
            "object_id": _object_id(made, int(made.slits.target[i])),
            "slit_number": int(slit_id[-3:]),
            "ra": float(ra[i]),
            "dec": float(dec[i]),
            "length": round(float(made.slits.length[i]), 2),
            "width": setup.SLIT_WIDTH,
            "position_angle": 90.0,
        }
        for i, slit_id in enumerate(_slit_ids(made))
    ]


def redshift_rows(made: Observation) -> list[Row]:
    """A row for each spectrum, with what "people" measured."""
    ra, dec = on_sky(made.pointing, made.objects.x, made.objects.y)
    return [
        {
            "redshift_id": spectrum_id,
            "object_id": _object_id(made, int(index)),
            "spectrum_id": spectrum_id,
            "ra": round(float(ra[index]), 7),
            "dec": round(float(dec[index]), 7),
            "z": made.measured.z[i],
            "z_err": made.measured.z_err[i],
            "class": made.measured.kind[i],
            "flag_label": made.measured.labels[i],
            "flag_scheme": "vipers",
            "confidence": flag.confidence,
            "broad_line": flag.broad_line,
            "secondary": flag.secondary,
            "photoz_agreement": flag.photoz_agreement,
            "secure": flag.secure,
            "best": True,
            "method": "simulation of visual measurement",
        }
        for i, (spectrum_id, index, flag) in enumerate(zip(_spectrum_ids(made), made.shown, made.measured.flags, strict=True))
    ]


def truth_rows(made: Observation) -> list[Row]:
    """A row for each spectrum, with what it was made with."""
    objects, names = made.objects, library().names
    oii = [number for number, line in enumerate(LINES) if line.name == "[OII]"]
    rows = []
    for i, spectrum_id in enumerate(_spectrum_ids(made)):
        index = int(made.shown[i])
        galaxy = objects.kind[index] == 0
        kind = float(objects.galaxy_type[index])
        rows.append(
            {
                "spectrum_id": spectrum_id,
                "object_id": _object_id(made, index),
                "z_true": float(objects.z[index]),
                "class_true": KINDS[objects.kind[index]],
                "template": GALAXIES[round(kind)] if galaxy else names[objects.template[index]],
                "galaxy_type": kind if galaxy else None,
                "mag_i_true": float(objects.mag_i[index]),
                "flux_scale": float(made.flux_scale[i]),
                "oii_width": float(made.widths[i, oii].sum()) if galaxy else None,
                "lost": bool(made.lost[i]),
            }
        )
    return rows


def photometry(made: Observation) -> pa.Table:
    """The parent catalogue of the pointing's cell."""
    objects, count = made.objects, len(made.objects)
    ra, dec = on_sky(made.pointing, objects.x, objects.y)
    observed = np.zeros(count, dtype=bool)
    observed[made.shown] = True
    columns: dict[str, Any] = {
        "object_id": [_object_id(made, index) for index in range(count)],
        "ra": np.round(ra, 7),
        "dec": np.round(dec, 7),
        "mag_selection": objects.mags[:, BANDS.index("i")],
        "band_selection": ["i"] * count,
        "photoz": made.photoz[0],
        "photoz_min": made.photoz[1],
        "photoz_max": made.photoz[2],
        "target": made.targets,
        "observed": observed,
        "pointlike": objects.pointlike,
    }
    for number, band in enumerate(BANDS):
        columns[f"mag_{band}"] = objects.mags[:, number]
        columns[f"mag_{band}_err"] = objects.mag_errors[:, number]
    schema = arrow_schema(definition("photometry"), present("photometry"))
    return pa.table([pa.array(columns[f.name], type=f.type, from_pandas=True) for f in schema], schema=schema)

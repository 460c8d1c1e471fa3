"""A mask of VIMOS reduced by PypeIt, for `bench.reduction`; runs with the Python of an environment that has PypeIt, not ours.

    python pypeit_worker.py JOB.json

JOB has ``frames`` (paths by PypeIt's frame types), ``template`` (arc spectrum as the grism shows it), ``lamps``, ``fwhm``
(pixels) and ``folder`` (made into). Writes ``seconds.json`` into the folder: processor seconds of calibrations and science, peak
memory in GiB. PypeIt has no VIMOS: :class:`Vimos` is what it needs to know of one quadrant, beside its defaults and the choices
of its VLT/FORS2.
"""

import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

from astropy.coordinates import EarthLocation
from astropy.io.fits import HDUList
from astropy.utils import iers

iers.conf.auto_download = False
SITE = EarthLocation.from_geodetic(-70.4045, -24.6276, 2635.0)
# At import every telescope of PypeIt asks for its site by name, from a list in the net. Paranal's is the only one used.
EarthLocation.of_site = lambda *_args, **_options: SITE

import numpy as np  # noqa: E402
from pypeit import log, spectrographs, telescopes  # noqa: E402
from pypeit.images.detector_container import DetectorContainer  # noqa: E402
from pypeit.metadata import PypeItMetaData  # noqa: E402
from pypeit.par.pypeitpar import PypeItPar  # noqa: E402
from pypeit.pypeit import PypeIt  # noqa: E402
from pypeit.spectrographs.spectrograph import Spectrograph  # noqa: E402


class Vimos(Spectrograph):
    """One quadrant of VLT/VIMOS with the detectors of 2010 on, unbinned."""

    name = "vlt_vimos"
    camera = "VIMOS"
    header_name = "VIMOS"
    ndet = 1
    telescope = telescopes.VLTTelescopePar()
    url = "https://www.eso.org/sci/facilities/paranal/decommissioned/vimos.html"
    supported = False

    @classmethod
    def default_pypeit_par(cls) -> PypeItPar:
        """The parameters that differ from PypeIt's own."""
        par = super().default_pypeit_par()
        calibrations = par["calibrations"]
        calibrations["slitedges"]["edge_thresh"] = 50.0  # as FORS2
        calibrations["slitedges"]["fit_order"] = 3
        calibrations["slitedges"]["fit_min_spec_length"] = 0.3  # a spectrum covers less than half of the detector
        calibrations["slitedges"]["sync_predict"] = "nearest"
        calibrations["tilts"]["tracethresh"] = 25.0  # as FORS2
        calibrations["tilts"]["spat_order"] = 3
        calibrations["tilts"]["spec_order"] = 4
        calibrations["wavelengths"]["method"] = "full_template"
        calibrations["wavelengths"]["nsnippet"] = 1  # a half of the detector may have no light
        calibrations["wavelengths"]["sigdetect"] = 10.0
        calibrations["wavelengths"]["n_final"] = 5
        calibrations["wavelengths"]["refframe"] = "observed"
        calibrations["flatfield"]["tweak_slits_thresh"] = 0.90
        calibrations["flatfield"]["tweak_slits_maxfrac"] = 0.10
        par["flexure"]["spec_method"] = "slitcen"  # FORS2's boxcar shifts spectra of objects, and no map
        return par

    def init_meta(self) -> None:
        """Header cards."""
        self.meta = {
            "ra": {"ext": 0, "card": "RA"},
            "dec": {"ext": 0, "card": "DEC"},
            "target": {"ext": 0, "card": "OBJECT"},
            "mjd": {"ext": 0, "card": "MJD-OBS"},
            "exptime": {"ext": 0, "card": "EXPTIME"},
            "airmass": {"ext": 0, "card": "HIERARCH ESO TEL AIRM START", "required_ftypes": ["science", "standard"]},
            "idname": {"ext": 0, "card": "HIERARCH ESO DPR TYPE"},
            "instrument": {"ext": 0, "card": "INSTRUME"},
            "binning": {"card": None, "default": "1,1"},
            "decker": {"card": None, "default": "mask"},
            "dispname": {"card": None, "default": "MR"},
        }

    def configuration_keys(self) -> list[str]:
        """All frames of a job are of one mask."""
        return []

    def get_detector_par(self, det: int, hdu: HDUList | None = None) -> DetectorContainer:
        """The detector. *det* is 1; *hdu*, whose header has gain and read noise, is None for PypeIt's own manual only."""
        header = {} if hdu is None else hdu[0].header
        return DetectorContainer(
            binning="1,1", det=det, dataext=0, specaxis=0, specflip=False, spatflip=False, platescale=0.205, darkcurr=0.0,
            saturation=60000.0, nonlinear=0.95, mincounts=-1e10, numamplifiers=1,
            gain=np.atleast_1d(header.get("ESO DET OUT1 CONAD", 1.75)),
            ronoise=np.atleast_1d(header.get("ESO DET OUT1 RON", 3.5)),
            datasec=np.atleast_1d("[:,51:2098]"), oscansec=np.atleast_1d("[:,1:50]"),
        )  # fmt: skip

    def check_frame_type(self, ftype: str, fitstbl: PypeItMetaData, exprng: object = None) -> np.ndarray:  # noqa: ARG002
        """Types are written into PypeIt's file."""
        return np.zeros(len(fitstbl), dtype=bool)


def pypeit_file(job: dict[str, Any]) -> Path:
    """Write what to reduce, and how, as PypeIt's users do."""
    folder = Path(job["folder"])
    types: dict[str, list[str]] = {}
    for kind, paths in job["frames"].items():
        for path in paths:
            types.setdefault(path, []).append(kind)
    rows = [f"{Path(path).name} | {','.join(kinds)} | all" for path, kinds in types.items()]
    lines = [
        "[rdx]",
        f"  spectrograph = {Vimos.name}",
        f"  redux_path = {folder}",
        "[calibrations]",
        "  [[wavelengths]]",
        f"    lamps = {', '.join(job['lamps'])}",
        f"    reid_arxiv = {job['template']}",
        f"    fwhm = {job['fwhm']}",
        "setup read",
        "Setup A:",
        "  dispname: MR",
        "setup end",
        "data read",
        f"path {Path(next(iter(types))).parent}",
        "filename | frametype | calib",
        *rows,
        "data end",
    ]
    path = folder / "vimos.pypeit"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def main(file: str) -> None:
    """Reduce calibrations, then the science exposure."""
    spectrographs.available_spectrographs.append(Vimos.name)
    job = json.loads(Path(file).read_text("utf-8"))
    written = pypeit_file(job)
    log.init(level=logging.INFO, log_file=str(written.with_suffix(".log")))
    begun = time.process_time()
    PypeIt(str(written), overwrite=True, calib_only=True).calib_all()
    calibrated = time.process_time()
    PypeIt(str(written), overwrite=True, reuse_calibs=True).reduce_all()
    seconds = {
        "calibrations": calibrated - begun,
        "science": time.process_time() - calibrated,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
    }
    (written.parent / "seconds.json").write_text(json.dumps(seconds), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

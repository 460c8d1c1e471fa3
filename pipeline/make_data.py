"""Make the tables of ``specola_pipeline/data`` again from the packages they come from.

::

    pip download --no-deps pypeit==2.0.1 && apt-get download iraf-noao && dpkg-deb -x iraf-noao_*.deb iraf
    python pipeline/make_data.py pypeit-2.0.1-py3-none-any.whl iraf

Not needed to install or to run: its output is in the repository, with the licences of both sources in ``data/licences``.
"""

# ruff: noqa: INP001 - a script beside the package, not part of it

from __future__ import annotations

import csv
import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from astropy.io import fits

DATA = Path(__file__).parent / "src" / "specola_pipeline" / "data"
IONS = ("ArI", "CdI", "HeI", "HgI", "KrI", "NeI", "XeI", "ZnI")
SKY_STEP = 0.2
"""Å of the shipped sky spectrum: a fifteenth of the narrowest line spread of the shipped grisms."""
FORBIDDEN = ((5578.887, 1500.0), (5891.583, 60.0), (5897.558, 30.0), (6302.046, 1180.0), (6365.536, 390.0))
"""[O I] and Na D night-sky lines, vacuum Å (NIST), and their strength in the Paranal spectrum: OH lists do not have them."""
BLENDS = {
    "CdI": ((3468.6477, 800.0), (3613.9033, 800.0), (3615.4837, 60.0)),
    "HgI": ((3655.883, 3000.0), (3663.930, 500.0), (4340.4431, 50.0), (4348.7166, 150.0)),
}
"""Lines beside brighter ones, vacuum Å and intensity (NIST): PypeIt's lists of single lines leave them out, and what is fitted as
a whole is moved by their light."""
NIST = {"CdI": 2.64, "HgI": 0.8231}
"""What NIST's intensities are to be multiplied with: 3611.5375 and 3651.198 are in both, and brightest where blends are."""
STARS = {
    "EG 21": ("ctionewcal/eg21", "03:10:30.98", "-68:36:02.2"),
    "EG 274": ("ctionewcal/eg274", "16:23:33.75", "-39:13:47.5"),
    "Feige 66": ("spec50cal/feige66", "12:37:23.52", "+25:03:59.9"),
    "Feige 110": ("ctionewcal/f110", "23:19:58.40", "-05:09:56.2"),
    "Hiltner 600": ("ctionewcal/h600", "06:45:13.37", "+02:08:14.7"),
    "HZ 44": ("spec50cal/hz44", "13:23:35.26", "+36:07:59.5"),
    "LTT 3218": ("ctionewcal/l3218", "08:41:32.43", "-32:56:32.9"),
    "LTT 3864": ("ctionewcal/l3864", "10:32:13.62", "-35:37:41.7"),
    "LTT 4364": ("ctionewcal/l4364", "11:45:42.92", "-64:50:29.5"),
    "LTT 7379": ("ctionewcal/l7379", "18:36:25.95", "-44:18:36.9"),
    "LTT 7987": ("ctionewcal/l7987", "20:10:56.85", "-30:13:06.6"),
}
"""Name: (file of IRAF's onedstds, right ascension, declination), positions of SIMBAD, J2000."""


def write(path: Path, comment: str, columns: list[str], rows: list[list[object]]) -> None:
    """Write a CSV table whose first lines, marked ``#``, say what it is."""
    text = io.StringIO()
    text.writelines(f"# {line}\n" for line in comment.splitlines())
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), "utf-8")


def line_list(wheel: zipfile.ZipFile, name: str) -> list[list[object]]:
    """One of PypeIt's line lists: (vacuum Å, relative strength), in order of wavelength."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in wheel.read(f"pypeit/data/arc_lines/lists/{name}_lines.dat").decode().splitlines()
        if line.lstrip().startswith("|")
    ]
    wave, strength = rows[0].index("wave"), rows[0].index("amplitude")
    return [
        [round(float(row[wave]), 4), round(float(row[strength]), 4)] for row in sorted(rows[1:], key=lambda row: float(row[wave]))
    ]


def main(wheel_path: Path, iraf: Path) -> None:
    """Write every table."""
    wheel = zipfile.ZipFile(wheel_path)
    for ion in IONS:
        write(
            DATA / "lines" / f"{ion}.csv",
            f"{ion} lines of PypeIt 2.0.1 ({ion}_lines.dat), BSD-3, licences/pypeit.rst"
            + ("; those beside brighter ones of NIST.\n" if ion in BLENDS else ".\n")
            + "wavelength: vacuum, Angstrom; strength: relative",
            ["wavelength", "strength"],
            sorted(line_list(wheel, ion) + [[wave, round(NIST[ion] * light)] for wave, light in BLENDS.get(ion, ())]),
        )
    night = line_list(wheel, "OH_GMOS")
    scale = max(float(str(row[1])) for row in night)
    night = sorted([[row[0], round(300 * float(str(row[1])) / scale, 4)] for row in night] + [list(row) for row in FORBIDDEN])
    write(
        DATA / "lines" / "night_sky.csv",
        "OH lines of PypeIt 2.0.1 (OH_GMOS_lines.dat, blended at R=1300), BSD-3, licences/pypeit.rst; [O I] and Na D of NIST.\n"
        "wavelength: vacuum, Angstrom; strength: relative",
        ["wavelength", "strength"],
        night,
    )
    for site, source in (("paranal", "paranal"), ("lick", "mtham")):
        text = wheel.read(f"pypeit/data/extinction/{source}extinct.dat").decode().splitlines()
        pairs = [
            [float(word) for word in line.split()[:2]] for line in text if line.strip() and not line.lstrip().startswith("#")
        ]
        scale = 1e4 if pairs[-1][0] < 100 else 1.0
        write(
            DATA / "extinction" / f"{site}.csv",
            f"Atmospheric extinction, PypeIt 2.0.1 ({source}extinct.dat), BSD-3, licences/pypeit.rst.\n"
            + ("Paranal: Patat et al. 2011, A&A 527, A91.\n" if site == "paranal" else "")
            + "wavelength: Angstrom; extinction: mag/airmass",
            ["wavelength", "extinction"],
            [[round(wave * scale, 3), value] for wave, value in pairs],
        )
    with fits.open(io.BytesIO(wheel.read("pypeit/data/sky_spec/paranal_sky.fits"))) as hdus:
        flux, wave = np.asarray(hdus[0].data, float), np.asarray(hdus[1].data, float)
    edges = np.arange(wave[0], wave[-1], SKY_STEP)
    running = np.concatenate([[0.0], np.cumsum(0.5 * (flux[1:] + flux[:-1]) * np.diff(wave))])
    binned = np.diff(np.interp(edges, wave, running)) / SKY_STEP
    (DATA / "sky").mkdir(parents=True, exist_ok=True)
    np.savez_compressed(DATA / "sky" / "paranal.npz", start=edges[0] + SKY_STEP / 2, step=SKY_STEP, flux=binned.astype("f4"))
    for name, (source, ra, dec) in STARS.items():
        lines = (iraf / "usr/lib/iraf/noao/lib/onedstds" / f"{source}.dat").read_text("latin-1").splitlines()
        points = [[float(word) for word in line.split()[:3]] for line in lines if line.strip() and not line.startswith("#")]
        write(
            DATA / "standards" / f"{name.replace(' ', '').lower()}.csv",
            f"{name}\nra: {ra}\ndec: {dec}\n{source}.dat of IRAF 2.17 (Debian iraf-noao), licences/iraf.txt.\n"
            "wavelength: Angstrom, air; magnitude: AB; width: of the band, Angstrom",
            ["wavelength", "magnitude", "width"],
            [list(point) for point in points],
        )
    licences = DATA / "licences"
    licences.mkdir(exist_ok=True)
    (licences / "pypeit.rst").write_bytes(wheel.read("pypeit-2.0.1.dist-info/licenses/LICENSE.rst"))
    (licences / "iraf.txt").write_bytes((iraf / "usr/share/doc/iraf-noao/copyright").read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""The barycentric factor of a frame beside astropy's."""

from dataclasses import replace
from pathlib import Path

import astropy.units as u
import pytest
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time
from astropy.utils import iers

from specola_pipeline import instruments
from specola_pipeline.reduce.fluxcal import barycentric_factor
from specola_pipeline.reduce.raw import Raw

FRAME = instruments.Frame(
    instrument="vimos",
    file="VIMOS.fits",
    kind=instruments.Kind.SCIENCE,
    quadrant=1,
    grism="MR",
    filter="",
    mask="",
    object="",
    program="",
    block="",
    binning="1x1",
    ra=None,
    dec=None,
    exptime=1200.0,
    start=56999.1,
    airmass=1.0,
    night="2014-12-08",
    lamps=(),
    lines=(),
)


@pytest.mark.parametrize(("ra", "dec", "start"), [(10.0, -20.0, 56000.3), (150.0, 2.2, 57000.1), (300.0, 60.0, 58111.5)])
def test_it_is_that_of_astropy_to_a_metre_a_second(ra, dec, start):
    site = instruments.instrument("vimos").site
    where = EarthLocation.from_geodetic(site.longitude * u.deg, site.latitude * u.deg, site.height * u.m)
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        when = Time(start + 600 / 86400, format="mjd", scale="utc", location=where)
        velocity = SkyCoord(ra * u.deg, dec * u.deg).radial_velocity_correction("barycentric", obstime=when)
    ours = barycentric_factor(Raw(Path("VIMOS.fits"), "", replace(FRAME, ra=ra, dec=dec, start=start)))
    assert abs((ours - 1) * 299792458.0 - velocity.to_value(u.m / u.s)) < 1.0


def test_without_a_position_it_is_one():
    assert barycentric_factor(Raw(Path("VIMOS.fits"), "", FRAME)) == 1.0

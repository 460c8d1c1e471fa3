"""Outlines of fields of view on the sky."""

from __future__ import annotations

import numpy as np

__all__ = ["circle"]


def circle(ra: float, dec: float, radius: float, corners: int = 48) -> list[float]:
    """A circle on the sky as a polygon: longitude and latitude of its corners in turn, anticlockwise as seen from inside.

    Parameters
    ----------
    ra, dec, radius
        Centre and radius, deg. The corners are on the circle, so the polygon is smaller than it by less than
        0.3 per cent in area with 48 corners.
    """
    angle = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)
    centre, distance = np.radians(dec), np.radians(radius)
    sine = np.sin(centre) * np.cos(distance) + np.cos(centre) * np.sin(distance) * np.cos(angle)
    latitude = np.arcsin(np.clip(sine, -1.0, 1.0))
    east = np.arctan2(np.sin(angle) * np.sin(distance) * np.cos(centre), np.cos(distance) - np.sin(centre) * sine)
    longitude = (ra + np.degrees(east)) % 360.0
    longitude[longitude == 360.0] = 0.0  # what a tiny negative number comes to
    return [float(value) for value in np.column_stack([longitude, np.degrees(latitude)]).ravel()]

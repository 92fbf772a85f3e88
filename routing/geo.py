"""Positions on the earth and the local metric frame of a region."""

from __future__ import annotations

import math
from dataclasses import dataclass

EARTH_RADIUS_M = 6_371_008.8
"""Mean earth radius, IUGG (2a + b) / 3 for WGS 84."""


@dataclass(frozen=True, slots=True)
class Position:
    """A WGS 84 position with its altitude above mean sea level."""

    lat: float
    lon: float
    alt_amsl_m: float = 0.0


def distance_m(a: Position, b: Position) -> float:
    """Great-circle distance in metres, altitude ignored (haversine, mean earth radius)."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    half_lat = (lat_b - lat_a) / 2
    half_lon = math.radians(b.lon - a.lon) / 2
    chord = math.sin(half_lat) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin(half_lon) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(min(1.0, chord)))


def bearing_deg(a: Position, b: Position) -> float:
    """Initial great-circle bearing from ``a`` to ``b``, degrees clockwise from north in [0, 360)."""
    lat_a, lat_b = math.radians(a.lat), math.radians(b.lat)
    d_lon = math.radians(b.lon - a.lon)
    east = math.sin(d_lon) * math.cos(lat_b)
    north = math.cos(lat_a) * math.sin(lat_b) - math.sin(lat_a) * math.cos(lat_b) * math.cos(d_lon)
    return math.degrees(math.atan2(east, north)) % 360.0


@dataclass(frozen=True, slots=True)
class LocalFrame:
    """East-north plane tangent at an origin.

    An equirectangular projection on the WGS 84 ellipsoid's radii of curvature at the origin: within
    10 km of it distances are true to better than 0.1 %.
    """

    origin: Position

    def _metres_per_degree(self) -> tuple[float, float]:
        # WGS 84: a, e^2. Radii of curvature in the meridian (M) and the prime vertical (N).
        a, e2 = 6_378_137.0, 6.694379990141e-3
        sin_lat = math.sin(math.radians(self.origin.lat))
        w2 = 1.0 - e2 * sin_lat * sin_lat
        meridian = a * (1.0 - e2) / w2**1.5
        prime_vertical = a / math.sqrt(w2)
        return (
            math.radians(1.0) * prime_vertical * math.cos(math.radians(self.origin.lat)),
            math.radians(1.0) * meridian,
        )

    def to_local(self, position: Position) -> tuple[float, float]:
        """Return ``(east_m, north_m)`` of a position."""
        per_lon, per_lat = self._metres_per_degree()
        return ((position.lon - self.origin.lon) * per_lon, (position.lat - self.origin.lat) * per_lat)

    def to_global(self, east_m: float, north_m: float, alt_amsl_m: float = 0.0) -> Position:
        """Return the position at ``(east_m, north_m)`` with the altitude given."""
        per_lon, per_lat = self._metres_per_degree()
        return Position(self.origin.lat + north_m / per_lat, self.origin.lon + east_m / per_lon, alt_amsl_m)

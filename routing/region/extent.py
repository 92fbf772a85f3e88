"""The part of the earth that an import takes: a box of latitudes and longitudes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routing.errors import BadInput
from routing.geo import LocalFrame, Position

MAX_SIDE_M = 30_000.0
"""Longest side of a region: a local frame stays true to 0.2 % within it, and a plan for it fits a morning."""

MIN_SIDE_M = 200.0


@dataclass(frozen=True, slots=True)
class Extent:
    """A box in degrees, WGS 84."""

    south: float
    west: float
    north: float
    east: float

    def __str__(self) -> str:
        return f"{self.south:.4f},{self.west:.4f},{self.north:.4f},{self.east:.4f}"

    @property
    def frame(self) -> LocalFrame:
        """The local frame at the middle of the box."""
        return LocalFrame(Position((self.south + self.north) / 2, (self.west + self.east) / 2))

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height."""
        east, north = self.frame.to_local(Position(self.north, self.east))
        return 2 * east, 2 * north

    def contains(self, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which points lie inside."""
        return (lon >= self.west) & (lon <= self.east) & (lat >= self.south) & (lat <= self.north)

    def widened(self, metres: float) -> Extent:
        """The box, larger by ``metres`` on every side."""
        corner = self.frame.to_global(metres, metres)
        d_lat, d_lon = corner.lat - self.frame.origin.lat, corner.lon - self.frame.origin.lon
        return Extent(self.south - d_lat, self.west - d_lon, self.north + d_lat, self.east + d_lon)


def parse_bbox(text: str) -> Extent:
    """Read ``south,west,north,east`` in degrees; raises ``BadInput`` saying what is wrong with it."""
    shape = "write --bbox south,west,north,east in degrees, such as 42.48,1.45,42.60,1.60"
    try:
        south, west, north, east = (float(part) for part in text.split(","))
    except ValueError:
        raise BadInput(f"--bbox {text!r}: four numbers are needed; {shape}") from None
    if not all(map(math.isfinite, (south, west, north, east))):
        raise BadInput(f"--bbox {text!r}: a number is not finite; {shape}")
    if not (-85 <= south <= 85 and -85 <= north <= 85 and -180 <= west <= 180 and -180 <= east <= 180):
        raise BadInput(f"--bbox {text!r}: latitudes reach from -85 to 85, longitudes from -180 to 180; {shape}")
    if south >= north or west >= east:
        raise BadInput(f"--bbox {text!r}: south must be less than north, and west less than east; {shape}")
    return checked(Extent(south, west, north, east), f"--bbox {text!r}")


def checked(extent: Extent, what: str) -> Extent:
    """Return an extent of a size that can be a region's; raises ``BadInput`` otherwise."""
    width_m, height_m = extent.size_m
    # A hair of tolerance, so that a box that was printed with this size is taken.
    if max(width_m, height_m) > MAX_SIDE_M * 1.01:
        raise BadInput(
            f"{what} is {width_m / 1000:.0f} x {height_m / 1000:.0f} km; at most {MAX_SIDE_M / 1000:.0f} km a side"
        )
    if min(width_m, height_m) < MIN_SIDE_M:
        raise BadInput(f"{what} is {width_m:.0f} x {height_m:.0f} m; at least {MIN_SIDE_M:.0f} m a side")
    return extent

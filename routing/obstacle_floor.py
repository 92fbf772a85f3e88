"""Obstacles as planning sees them: short pieces, to be overflown at a height, or flown around if too tall."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import CEILING_AGL_M, OBSTACLE_OVER_M
from routing.region.model import Obstacle, Region

PIECE_M = 25.0
"""Longest piece of a line between pylons: over a slope the height of its top changes along it."""

_QUARTER = 2
"""Corners in a quarter of a circle: few, since those of blocked areas are waypoints of ways around."""

_OUTSIDE = 1.0 / math.cos(math.pi / (4 * _QUARTER))
"""A buffer is a polygon within its circle; widened by this it holds the circle."""

Array = npt.NDArray[np.float64]


class ObstacleFloor:
    """The least altitude over and near obstacles, and the areas around those that cannot be overflown.

    ``extra_m`` is added to every margin, horizontally and vertically.
    """

    def __init__(self, region: Region, *, extra_m: float) -> None:
        pieces = [piece for obstacle in region.obstacles for piece in _pieces(region, obstacle)]
        margins = np.array([(margin + extra_m) * _OUTSIDE for _, _, margin in pieces])
        lines = np.array([line for line, _, _ in pieces], dtype=object)
        self._areas: npt.NDArray[np.object_] = np.asarray(shapely.buffer(lines, margins, quad_segs=_QUARTER))
        self._floors = np.array([top + OBSTACLE_OVER_M + extra_m for _, top, _ in pieces], dtype=np.float64)
        self._tree = shapely.STRtree(self._areas)
        tall = self._floors > self._ceilings(region, extra_m)
        self.blocked: npt.NDArray[np.object_] = self._areas[tall]

    def _ceilings(self, region: Region, extra_m: float) -> Array:
        """Highest altitude allowed everywhere over each piece's area."""
        if not len(self._areas):
            return np.empty(0)
        west, south, east, north = shapely.bounds(self._areas).T
        across = [(x, y) for x in (west, (west + east) / 2, east) for y in (south, (south + north) / 2, north)]
        ground = np.min([region.terrain.height_m(x, y) for x, y in across], axis=0)
        return np.asarray(ground + CEILING_AGL_M - extra_m)

    def raised(self, low: Array, track: Array) -> Array:
        """``low`` (altitudes along a track of points in the local frame), raised over the obstacles under it."""
        if not len(self._areas) or not len(self._tree.query(shapely.LineString(track))):
            return low
        at, piece = self._tree.query(shapely.points(track), predicate="intersects")
        raised = low.copy()
        np.maximum.at(raised, at, self._floors[piece])
        return raised

    def standing_near(self, east_m: float, north_m: float) -> bool:
        """Whether a place lies within the margin of any obstacle: no vehicle may come down there."""
        return bool(len(self._areas) and len(self._tree.query(shapely.Point(east_m, north_m), predicate="intersects")))


def _pieces(region: Region, obstacle: Obstacle) -> list[tuple[shapely.Geometry, float, float]]:
    """Parts of an obstacle, each with the height of its top and the margin."""
    points = np.array([(*region.frame.to_local(top), top.alt_amsl_m) for top in obstacle.line])
    if len(points) == 1:
        return [(shapely.Point(points[0, :2]), float(points[0, 2]), obstacle.margin_m)]
    found: list[tuple[shapely.Geometry, float, float]] = []
    for a, b in itertools.pairwise(points):
        count = max(1, math.ceil(math.hypot(*(b - a)[:2]) / PIECE_M))
        cuts = a + (b - a) * np.linspace(0.0, 1.0, count + 1)[:, None]
        lines = np.asarray(shapely.linestrings(np.stack((cuts[:-1, :2], cuts[1:, :2]), axis=1)), dtype=object)
        tops = np.maximum(cuts[:-1, 2], cuts[1:, 2])
        found += [(line, float(top), obstacle.margin_m) for line, top in zip(lines, tops, strict=True)]
    return found

"""Obstacles as planning sees them: short pieces, to be overflown at a height, or flown around if too tall."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import CEILING_AGL_M, OBSTACLE_OVER_M
from routing.region.model import Region

PIECE_M = 25.0
"""Longest piece of a line between pylons: over a slope the height of its top changes along it."""

_QUARTER = 2
"""Corners in a quarter of a circle: few, since those of blocked areas are waypoints of ways around."""

_OUTSIDE = 1.0 / math.cos(math.pi / (4 * _QUARTER))
"""A buffer is a polygon within its circle; widened by this it holds the circle."""

Array = npt.NDArray[np.float64]


class ObstacleFloor:
    """Pieces of obstacles, each with the least altitude near it, and the areas around those too tall to fly over.

    ``pieces`` are rows of (x, y, x, y), each with a radius and a floor AMSL. ``extra_m`` is added to every margin,
    horizontally and vertically.
    """

    def __init__(self, region: Region, *, extra_m: float) -> None:
        rows = _pieces(region)
        self.pieces: Array = np.ascontiguousarray(rows[:, :4])
        self.radius_m: Array = rows[:, 5] + extra_m
        self.floor_m: Array = rows[:, 4] + OBSTACLE_OVER_M + extra_m
        lines = np.asarray(shapely.linestrings(self.pieces.reshape(-1, 2, 2)), dtype=object)
        points = (self.pieces[:, :2] == self.pieces[:, 2:]).all(axis=1)
        shapes = np.where(points, np.asarray(shapely.points(self.pieces[:, :2]), dtype=object), lines)
        self.areas: npt.NDArray[np.object_] = np.asarray(
            shapely.buffer(shapes, self.radius_m * _OUTSIDE, quad_segs=_QUARTER), dtype=object
        )
        self._tree = shapely.STRtree(self.areas)
        tall = self.floor_m > self._ceilings(region, extra_m)
        self.blocked: npt.NDArray[np.object_] = self.areas[tall]

    def _ceilings(self, region: Region, extra_m: float) -> Array:
        """Highest altitude allowed everywhere over each piece's area."""
        if not len(self.areas):
            return np.empty(0)
        west, south, east, north = shapely.bounds(self.areas).T
        across = [(x, y) for x in (west, (west + east) / 2, east) for y in (south, (south + north) / 2, north)]
        ground = np.min([region.terrain.height_m(x, y) for x, y in across], axis=0)
        return np.asarray(ground + CEILING_AGL_M - extra_m)

    def standing_near(self, places: Array) -> npt.NDArray[np.bool_]:
        """Whether places, rows of (x, y), lie within the margin of any obstacle: no vehicle may come down there."""
        near = np.zeros(len(places), dtype=bool)
        near[self._tree.query(shapely.points(places), predicate="intersects")[0]] = True
        return near


def _pieces(region: Region) -> Array:
    """Rows of (x, y, x, y, top AMSL, margin): parts of lines at most ``PIECE_M`` long, and masts."""
    if not region.obstacles:
        return np.empty((0, 6))
    counts = np.array([len(obstacle.line) for obstacle in region.obstacles])
    points = np.array(
        [(*region.frame.to_local(top), top.alt_amsl_m) for obstacle in region.obstacles for top in obstacle.line]
    )
    owner = np.repeat(np.arange(len(counts)), counts)
    last = np.append(owner[1:] != owner[:-1], True)
    # A mast is a line from its point to itself.
    begin = np.flatnonzero(~last | (counts[owner] == 1))
    end = np.where(counts[owner[begin]] == 1, begin, begin + 1)
    a, b = points[begin], points[end]
    parts = np.maximum(1, np.ceil(np.hypot(*(b - a)[:, :2].T) / PIECE_M)).astype(int)
    of = np.repeat(np.arange(len(parts)), parts)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(parts) - parts, parts)
    step = (b - a)[of] / parts[of, None]
    first, second = a[of] + step * nth[:, None], a[of] + step * (nth[:, None] + 1)
    margins = np.array([obstacle.margin_m for obstacle in region.obstacles])[owner[begin][of]]
    return np.column_stack((first[:, :2], second[:, :2], np.maximum(first[:, 2], second[:, 2]), margins))

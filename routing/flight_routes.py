"""Tracks over the map to choose a flight path from: around closed areas, straight, or keeping to low ground."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import shapely
from scipy.ndimage import uniform_filter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from routing.errors import NoWay
from routing.region.model import Terrain

CRUISE_MPS, CLIMB_MPS, DESCENT_MPS = 10.0, 3.0, 1.5
"""Speeds of a typical multirotor: they weigh ways against one another, whatever flies them."""

CLIMB_ENERGY_S = 0.2
"""Energy of a metre of climb in seconds of cruise: ``m g / 0.6`` at 9 kg over 750 W."""

GRID_M = 250.0
FINEST_GRID_M = 50.0
MOST_CELLS = 60
"""Spacing of the grid on which ways along low ground are searched: at most so many cells across."""

CHORD_SAMPLES = 24
"""Points at which the ground under a straight piece of a way is read when it is weighed."""

WORTH_IT = 1.03
"""A straight way that costs at most this much more than over flat ground is taken without a search."""

Array = npt.NDArray[np.float64]
Point = tuple[float, float]


def climb_and_cruise_s(stations: Array, altitudes: Array) -> float:
    """What a line costs: its time at typical speeds, and the energy of its climbs as time."""
    return float(_cost_s(np.diff(stations), np.diff(altitudes)).sum())


def _cost_s(level: Array, up: Array) -> Array:
    climb, descent = np.maximum(up, 0.0), np.maximum(-up, 0.0)
    seconds = np.maximum(level / CRUISE_MPS, climb / CLIMB_MPS + descent / DESCENT_MPS)
    return np.asarray(seconds + CLIMB_ENERGY_S * climb)


class FlightRoutes:
    """Finds tracks in the local frame that meet no closed area."""

    def __init__(
        self, terrain: Terrain, areas: Sequence[shapely.Geometry], *, corners_of: Sequence[shapely.Geometry]
    ) -> None:
        self._terrain = terrain
        self._smooth = uniform_filter(
            terrain.heights.astype(np.float64), max(1, round(150.0 / terrain.step_m)), mode="nearest"
        )
        self._areas = shapely.union_all(np.array(areas, dtype=object))
        shapely.prepare(self._areas)
        outer = shapely.union_all(np.array(corners_of, dtype=object))
        corners = np.unique(np.round(shapely.get_coordinates(outer), 3), axis=0)
        inside = shapely.intersects_xy(self._areas, corners) if len(corners) else np.empty(0, dtype=bool)
        self._corners: Array = corners[~inside].reshape(-1, 2)
        self._between: dict[int, list[tuple[int, float]]] = {}
        self._grid: _Grid | None = None

    def free(self, track: Array) -> bool:
        """Whether a polyline meets no closed area."""
        return not shapely.intersects(self._areas, shapely.LineString(track))

    def tracks(self, start: Point, end: Point) -> list[Array]:
        """Return the shortest track, and one that keeps to low ground if it may be better.

        Raises ``NoWay`` when closed areas leave none.
        """
        shortest = self._around(start, end)
        length = float(np.hypot(*np.diff(shortest, axis=0).T).sum())
        level_s = climb_and_cruise_s(np.array([0.0, length]), self._heights(np.array([start, end])))
        if float(self._weigh(shortest[:-1], shortest[1:]).sum()) <= WORTH_IT * level_s:
            return [shortest]
        low = self._low_ground(start, end)
        return [shortest] if low is None else [shortest, low]

    def _heights(self, points: Array) -> Array:
        """Heights of the smoothed terrain: what a path in its band follows."""
        terrain, grid = self._terrain, self._smooth
        x = (points[..., 0] - terrain.west_m) / terrain.step_m
        y = (points[..., 1] - terrain.south_m) / terrain.step_m
        rows = np.clip(np.rint(y).astype(int), 0, grid.shape[0] - 1)
        return np.asarray(grid[rows, np.clip(np.rint(x).astype(int), 0, grid.shape[1] - 1)])

    def _weigh(self, starts: Array, ends: Array) -> Array:
        """Costs of straight pieces, from the ground under them."""
        share = np.linspace(0.0, 1.0, CHORD_SAMPLES)[:, None, None]
        heights = self._heights(starts + (ends - starts) * share)
        level = np.hypot(*(ends - starts).T) / (CHORD_SAMPLES - 1)
        return np.asarray(_cost_s(np.broadcast_to(level, heights[1:].shape), np.diff(heights, axis=0)).sum(axis=0))

    def _visible(self, point: Point) -> list[tuple[int, float]]:
        """Corners that a straight flight from ``point`` reaches, with their distances."""
        if not len(self._corners):
            return []
        starts = np.broadcast_to(np.array(point), self._corners.shape)
        free = ~shapely.intersects(self._areas, shapely.linestrings(np.stack((starts, self._corners), axis=1)))
        lengths = np.hypot(*(self._corners - np.array(point)).T)
        return [(int(i), float(lengths[i])) for i in np.flatnonzero(free & (lengths > 0.0))]

    def _around(self, start: Point, end: Point) -> Array:
        """Shortest polyline that meets no area (A* in the visibility graph)."""
        if not shapely.intersects(self._areas, shapely.LineString([start, end])):
            return np.array([start, end])
        goal = np.array(end)
        to_end = dict(self._visible(end))
        best: dict[int, float] = {}
        came_from: dict[int, int] = {}
        target = len(self._corners)
        ahead = np.append(np.hypot(*(self._corners - goal).T), 0.0)
        queue = [(length + ahead[corner], corner, -1, length) for corner, length in self._visible(start)]
        heapq.heapify(queue)
        while queue:
            _, corner, previous, length = heapq.heappop(queue)
            if corner in best:
                continue
            best[corner], came_from[corner] = length, previous
            if corner == target:
                return np.array([start, *self._corners[_backwards(came_from, target)], end])
            steps = [*self._from_corner(corner), *([(target, to_end[corner])] if corner in to_end else [])]
            for other, step in steps:
                if other not in best:
                    heapq.heappush(queue, (length + step + ahead[other], other, corner, length + step))
        raise NoWay("no-fly zones and obstacles close every way")

    def _from_corner(self, corner: int) -> list[tuple[int, float]]:
        """Corners seen from a corner: looked for when a search comes there, since few ever do."""
        if corner not in self._between:
            self._between[corner] = self._visible((float(self._corners[corner, 0]), float(self._corners[corner, 1])))
        return self._between[corner]

    def _low_ground(self, start: Point, end: Point) -> Array | None:
        """The cheapest way over the grid with its detours cut off, or ``None`` where the grid has none."""
        if self._grid is None:
            self._grid = _Grid(self._terrain, self._areas, self._weigh)
        inner = self._grid.way(start, end)
        return None if inner is None else self._cut(np.array([start, *inner, end]))

    def _cut(self, points: Array) -> Array:
        """Choose among the points of a way those between which straight pieces cost least in all."""
        count = len(points)
        first, second = np.triu_indices(count, 1)
        costs = self._weigh(points[first], points[second])
        lines = shapely.linestrings(np.stack((points[first], points[second]), axis=1))
        costs[shapely.intersects(self._areas, lines)] = math.inf
        table = np.full((count, count), math.inf)
        table[first, second] = costs
        best, came_from = np.full(count, math.inf), np.zeros(count, dtype=int)
        best[0] = 0.0
        for i in range(1, count):
            total = best[:i] + table[:i, i]
            came_from[i] = int(np.argmin(total))
            best[i] = total[came_from[i]]
        chosen = [count - 1]
        while chosen[-1] > 0:
            chosen.append(int(came_from[chosen[-1]]))
        return points[chosen[::-1]]


def _backwards(came_from: dict[int, int], target: int) -> list[int]:
    corners = []
    corner = came_from[target]
    while corner >= 0:
        corners.append(corner)
        corner = came_from[corner]
    return corners[::-1]


class _Grid:
    """Points over the region that may be flown over, and what it costs from each to its neighbours."""

    def __init__(self, terrain: Terrain, areas: shapely.Geometry, weigh: Callable[[Array, Array], Array]) -> None:
        self._areas = areas
        width, height = terrain.east_m - terrain.west_m, terrain.north_m - terrain.south_m
        step = max(FINEST_GRID_M, min(GRID_M, max(width, height) / MOST_CELLS))
        east = np.arange(terrain.west_m, terrain.east_m + 1e-6, step)
        north = np.arange(terrain.south_m, terrain.north_m + 1e-6, step)
        self.points: Array = np.stack([axis.ravel() for axis in np.meshgrid(east, north)], axis=1)
        index = np.arange(len(self.points)).reshape(len(north), len(east))
        pairs = [
            (index[:, :-1], index[:, 1:]),
            (index[:-1], index[1:]),
            (index[:-1, :-1], index[1:, 1:]),
            (index[1:, :-1], index[:-1, 1:]),
        ]
        a = np.concatenate([one.ravel() for one, _ in pairs])
        b = np.concatenate([other.ravel() for _, other in pairs])
        lines = shapely.linestrings(np.stack((self.points[a], self.points[b]), axis=1))
        free = ~shapely.intersects(areas, lines)
        a, b = a[free], b[free]
        there, back = weigh(self.points[a], self.points[b]), weigh(self.points[b], self.points[a])
        shape = (len(self.points), len(self.points))
        self._costs = csr_array(
            (np.concatenate((there, back)), (np.concatenate((a, b)), np.concatenate((b, a)))), shape=shape
        )
        self._trees: dict[int, npt.NDArray[np.int32]] = {}

    def way(self, start: Point, end: Point) -> list[Array] | None:
        """Grid points of the cheapest way from near ``start`` to near ``end``."""
        first, last = self._nearest(start), self._nearest(end)
        if first is None or last is None:
            return None
        if first not in self._trees:
            self._trees[first] = dijkstra(self._costs, indices=first, return_predecessors=True)[1]
        came_from = self._trees[first]
        chosen = [last]
        while chosen[-1] != first:
            if came_from[chosen[-1]] < 0:
                return None
            chosen.append(int(came_from[chosen[-1]]))
        return [self.points[i] for i in chosen[::-1]]

    def _nearest(self, place: Point) -> int | None:
        """The nearest point that a straight flight reaches."""
        away = np.hypot(*(self.points - np.array(place)).T)
        for i in np.argsort(away, kind="stable")[:12]:
            if not shapely.intersects(self._areas, shapely.LineString([place, self.points[i]])):
                return int(i)
        return None

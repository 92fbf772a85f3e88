"""Ways that keep to low ground and away from people: cheapest ways over a coarse grid, with their detours cut off."""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np
import shapely
from scipy.ndimage import uniform_filter

from routing.cells import Floats, Ints
from routing.compiled import compiled
from routing.region.model import Terrain
from routing.sight import Bools, Edges, clear

CRUISE_MPS, CLIMB_MPS, DESCENT_MPS = 10.0, 3.0, 1.5
"""Speeds of a typical multirotor: they weigh ways against one another, whatever flies them."""

CLIMB_ENERGY_S = 0.2
"""Energy of a metre of climb in seconds of cruise: ``m g / 0.6`` at 9 kg over 750 W."""

GRID_M = 250.0
FINEST_GRID_M = 50.0
MOST_CELLS = 60
"""Spacing of the grid on which ways along low ground are searched: at most so many cells across."""

CHORD_SAMPLE_M, MOST_SAMPLES = 80.0, 24
"""Spacing at which the ground under a straight piece of a way is read when it is weighed, and how often at most."""

PEOPLE_SAMPLE_M = 100.0
"""Spacing at which the people under a flight are counted when it is weighed."""

LONGEST_RUN = 6
"""Points of the grid between which a way along it is straight, at most, before it may be cut there too."""

_NEAREST = 12
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, -1), (-1, 0), (-1, -1), (-1, 1))


class Ground(NamedTuple):
    """What ways are weighed by: heights of the smoothed terrain, and what flying over people adds, as a share."""

    west_m: float
    south_m: float
    step_m: float
    heights: Floats
    extra: Floats


class _Grid(NamedTuple):
    """Points over the region; ``costs[k, i]`` is that from point i to its neighbour by ``_STEPS[k]``."""

    west_m: float
    south_m: float
    step_m: float
    columns: int
    rows: int
    costs: Floats


def ground_of(terrain: Terrain, extra: Floats | None = None) -> Ground:
    """``extra``: on the terrain's grid, by how much more a second of flight costs there."""
    smooth = uniform_filter(terrain.heights.astype(np.float64), max(1, round(150.0 / terrain.step_m)), mode="nearest")
    return Ground(
        float(terrain.west_m),
        float(terrain.south_m),
        float(terrain.step_m),
        smooth,
        np.zeros_like(smooth) if extra is None else extra,
    )


def level_s(ground: Ground, starts: Floats, ends: Floats, lengths: Floats) -> Floats:
    """What ways of these lengths would cost if the ground rose or fell evenly from their starts to their ends."""
    rows, columns = ground.heights.shape

    def heights(places: Floats) -> Floats:
        column, row = np.rint((places - (ground.west_m, ground.south_m)) / ground.step_m).astype(int).T
        return np.asarray(ground.heights[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)])

    up = heights(ends) - heights(starts)
    climb, descent = np.maximum(up, 0.0), np.maximum(-up, 0.0)
    seconds = np.maximum(lengths / CRUISE_MPS, climb / CLIMB_MPS + descent / DESCENT_MPS)
    return np.asarray(seconds + CLIMB_ENERGY_S * climb)


@compiled
def _cost_s(level: float, up: float, extra: float) -> float:
    climb, descent = max(up, 0.0), max(-up, 0.0)
    seconds = max(level / CRUISE_MPS, climb / CLIMB_MPS + descent / DESCENT_MPS)
    return seconds * (1.0 + extra) + CLIMB_ENERGY_S * climb


@compiled
def weigh(ground: Ground, lines: Floats) -> Floats:
    """What straight lines (x, y, x, y) cost, as time, from the ground under them."""
    heights, extra, west_m, south_m, step_m = ground.heights, ground.extra, ground.west_m, ground.south_m, ground.step_m
    rows, columns = heights.shape
    found = np.empty(len(lines), dtype=np.float64)
    for i in range(len(lines)):
        length = math.hypot(lines[i, 2] - lines[i, 0], lines[i, 3] - lines[i, 1])
        steps = min(max(math.ceil(length / CHORD_SAMPLE_M), 3), MOST_SAMPLES)
        total, before = 0.0, 0.0
        for k in range(steps + 1):
            share = k / steps
            x = (lines[i, 0] + share * (lines[i, 2] - lines[i, 0]) - west_m) / step_m
            y = (lines[i, 1] + share * (lines[i, 3] - lines[i, 1]) - south_m) / step_m
            column = min(max(math.floor(x + 0.5), 0), columns - 1)
            row = min(max(math.floor(y + 0.5), 0), rows - 1)
            height = heights[row, column]
            if k > 0:
                total += _cost_s(length / steps, height - before, extra[row, column])
            before = height
        found[i] = total
    return found


@compiled
def weigh_flights(ground: Ground, points: Floats, first: Ints) -> Floats:
    """What flights along waypoints (x, y, altitude) cost: time at typical speeds, climbs as time, people below."""
    extra, west_m, south_m, step_m = ground.extra, ground.west_m, ground.south_m, ground.step_m
    rows, columns = extra.shape
    found = np.zeros(len(first) - 1, dtype=np.float64)
    for i in range(len(first) - 1):
        for k in range(first[i] + 1, first[i + 1]):
            a, b = points[k - 1], points[k]
            level = math.hypot(b[0] - a[0], b[1] - a[1])
            parts = int(level / PEOPLE_SAMPLE_M) + 1
            for n in range(parts):
                share = (n + 0.5) / parts
                x = (a[0] + share * (b[0] - a[0]) - west_m) / step_m
                y = (a[1] + share * (b[1] - a[1]) - south_m) / step_m
                column = min(max(math.floor(x + 0.5), 0), columns - 1)
                row = min(max(math.floor(y + 0.5), 0), rows - 1)
                found[i] += _cost_s(level / parts, (b[2] - a[2]) / parts, extra[row, column])
    return found


@compiled
def _cheapest(grid: _Grid, starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
    """Points where the cheapest ways turn, ends included, all in one array, and where each begins in it (A*)."""
    costs, rows, columns, step_m = grid.costs, grid.rows, grid.columns, grid.step_m
    count = rows * columns
    best, came_from, closed = np.empty(count), np.empty(count, dtype=np.int64), np.empty(count, dtype=np.bool_)
    found, first, written = np.empty(1024, dtype=np.int64), np.zeros(len(starts) + 1, dtype=np.int64), 0
    for pair in range(len(starts)):
        start, end = starts[pair], ends[pair]
        first[pair + 1] = written
        if start < 0 or end < 0:
            continue
        best[:] = math.inf
        closed[:] = False
        end_row, end_column = end // columns, end % columns
        best[start], came_from[start] = 0.0, -1
        heap = [(0.0, start)]
        while len(heap) > 0 and not closed[end]:
            at = heapq.heappop(heap)[1]
            if closed[at]:
                continue
            closed[at] = True
            row, column = at // columns, at % columns
            for k in range(8):
                other_row, other_column = row + _STEPS[k][0], column + _STEPS[k][1]
                if other_row < 0 or other_row >= rows or other_column < 0 or other_column >= columns:
                    continue
                other, total = other_row * columns + other_column, best[at] + costs[k, at]
                if total < best[other]:
                    best[other], came_from[other] = total, at
                    ahead = math.hypot(other_row - end_row, other_column - end_column) * step_m / CRUISE_MPS
                    heapq.heappush(heap, (total + ahead, other))
        if not closed[end]:
            continue
        begin, at, last, run = written, end, end, 0
        while at >= 0:
            before = came_from[at]
            straight = before >= 0 and at != end and run < LONGEST_RUN and at - last == before - at
            run = run + 1 if straight else 0
            if not straight:
                if written == len(found):
                    larger = np.empty(2 * written, dtype=np.int64)
                    larger[:written] = found
                    found = larger
                found[written] = at
                written += 1
            last, at = at, before
        found[begin:written] = found[begin:written][::-1].copy()
        first[pair + 1] = written
    return found[:written], first


@compiled
def _chords(places: Floats, first: Ints) -> Floats:
    """Straight lines between all points of each way, in sequence."""
    total = 0
    for i in range(len(first) - 1):
        count = first[i + 1] - first[i]
        total += count * (count - 1) // 2
    lines, written = np.empty((total, 4)), 0
    for i in range(len(first) - 1):
        for a in range(first[i], first[i + 1]):
            for b in range(a + 1, first[i + 1]):
                lines[written, 0], lines[written, 1] = places[a, 0], places[a, 1]
                lines[written, 2], lines[written, 3] = places[b, 0], places[b, 1]
                written += 1
    return lines


@compiled
def _cut(first: Ints, costs: Floats) -> Bools:
    """Which points of each way to keep, so that the straight pieces between them cost least in all."""
    keep = np.zeros(first[-1], dtype=np.bool_)
    offset = 0
    for i in range(len(first) - 1):
        count = first[i + 1] - first[i]
        if count == 0:
            continue
        best, came_from = np.full(count, math.inf), np.zeros(count, dtype=np.int64)
        best[0] = 0.0
        for a in range(count - 1):
            for b in range(a + 1, count):
                total = best[a] + costs[offset]
                offset += 1
                if total < best[b]:
                    best[b], came_from[b] = total, a
        at = count - 1
        keep[first[i]] = True
        while at > 0:
            keep[first[i] + at] = True
            at = came_from[at]
    return keep


class LowGround:
    """Finds cheapest ways over a region's ground that meet none of the closed ``areas``, whose sides are ``edges``."""

    def __init__(self, terrain: Terrain, ground: Ground, areas: shapely.Geometry, edges: Edges) -> None:
        self._edges, self._ground = edges, ground
        width, height = terrain.east_m - terrain.west_m, terrain.north_m - terrain.south_m
        step = max(FINEST_GRID_M, min(GRID_M, max(width, height) / MOST_CELLS))
        east = np.arange(terrain.west_m, terrain.east_m + 1e-6, step)
        north = np.arange(terrain.south_m, terrain.north_m + 1e-6, step)
        self._points: Floats = np.stack([axis.ravel() for axis in np.meshgrid(east, north)], axis=1)
        costs = self._costs(~shapely.intersects_xy(areas, self._points), len(north), len(east))
        self._grid = _Grid(float(terrain.west_m), float(terrain.south_m), step, len(east), len(north), costs)

    def _costs(self, free: Bools, rows: int, columns: int) -> Floats:
        costs = np.full((len(_STEPS), rows * columns), math.inf)
        row, column = (axis.ravel() for axis in np.indices((rows, columns)))
        for k, (up, right) in enumerate(_STEPS[: len(_STEPS) // 2]):
            there = (row + up < rows) & (column + right < columns) & (column + right >= 0) & free
            a = np.flatnonzero(there)
            b = a + up * columns + right
            a, b = a[free[b]], b[free[b]]
            lines = np.concatenate((self._points[a], self._points[b]), axis=1)
            seen = clear(self._edges, lines)
            a, b, lines = a[seen], b[seen], lines[seen]
            costs[k, a] = weigh(self._ground, lines)
            costs[k + len(_STEPS) // 2, b] = weigh(self._ground, np.ascontiguousarray(np.roll(lines, 2, axis=1)))
        return costs

    def ways(self, starts: Floats, ends: Floats) -> tuple[Floats, Ints]:
        """Points between starts and ends (both left out) of the cheapest ways, and where each way begins in them.

        A way that is not there, or is straight, has no points.
        """
        points, first = _cheapest(self._grid, self._nearest(starts), self._nearest(ends))
        counts = np.diff(first)
        some = counts > 0
        # The ends themselves, before and after the points of each way.
        full = np.append(0, np.cumsum(counts + 2 * some))
        places = np.empty((full[-1], 2))
        inner = np.ones(len(places), dtype=bool)
        inner[full[:-1][some]] = inner[full[1:][some] - 1] = False
        places[inner] = self._points[points]
        places[full[:-1][some]], places[full[1:][some] - 1] = starts[some], ends[some]
        lines = _chords(places, full)
        costs = np.where(clear(self._edges, lines), weigh(self._ground, lines), math.inf)
        keep = _cut(full, costs) & inner
        return places[keep], np.append(0, np.cumsum(keep))[full]

    def _nearest(self, places: Floats) -> Ints:
        """The nearest point of the grid that a straight flight reaches from each place, or -1."""
        grid = self._grid
        base = np.floor((places - (grid.west_m, grid.south_m)) / grid.step_m).astype(np.int64)
        around = np.stack([axis.ravel() for axis in np.meshgrid(range(-1, 3), range(-1, 3))], axis=1)
        near = np.clip(base[:, None] + around, 0, (grid.columns - 1, grid.rows - 1))
        index = near[..., 1] * grid.columns + near[..., 0]
        away = np.hypot(*np.moveaxis(self._points[index] - places[:, None], -1, 0))
        order = np.argsort(away, axis=1, kind="stable")
        found = np.full(len(places), -1, dtype=np.int64)
        for nth in range(_NEAREST):
            open_ = np.flatnonzero(found < 0)
            candidate = index[open_, order[open_, nth]]
            seen = clear(self._edges, np.concatenate((places[open_], self._points[candidate]), axis=1))
            found[open_[seen]] = candidate[seen]
        return found

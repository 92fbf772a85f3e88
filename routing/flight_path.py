"""Flight paths between two sites: around zones, and within the height band over the terrain."""

from __future__ import annotations

import heapq
import itertools
import math

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import CEILING_AGL_M, MIN_CLEARANCE_M, ZONE_MARGIN_M, zone_areas
from routing.errors import NoWay
from routing.geo import Position
from routing.region.model import Region

BAND_MARGIN_M = 5.0
"""Planned paths stay this far inside the height band, so that a vehicle's height error does not leave it."""

ZONE_EXTRA_M = 5.0
"""Planned paths stay this much farther from zones than the rule."""

SAMPLE_M = 5.0
"""Spacing at which the terrain is read along a path; less than a grid step of any terrain model in use."""

STEP_UP_M = 10.0
"""Greatest difference in height between waypoints of a sloping line. Autopilots differ in where between
two waypoints they climb; with short steps it hardly matters."""

_Array = npt.NDArray[np.float64]
_Point = tuple[float, float]


class FlightPaths:
    """Plans flight paths in one region. The visibility graph between zone corners is made once."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._frame = region.frame
        margin = ZONE_MARGIN_M + ZONE_EXTRA_M
        self._areas = shapely.union_all(zone_areas(region, margin))
        shapely.prepare(self._areas)
        # Corners lie a little outside the areas, so that a path along a side does not touch it.
        outer = shapely.union_all(zone_areas(region, margin + 1.0))
        corners = shapely.get_coordinates(outer) if not outer.is_empty else np.empty((0, 2))
        corners = np.unique(np.round(corners, 3), axis=0)
        self._corners = corners[~shapely.intersects_xy(self._areas, corners)] if len(corners) else corners
        self._between = [self._visible(tuple(corner)) for corner in self._corners]

    def path(self, start: Position, end: Position) -> tuple[Position, ...]:
        """Return points AMSL at flight altitude from above ``start`` to above ``end``.

        The shortest way around the zones with their margin, at one altitude where the height band allows
        it, else climbing and descending with the terrain. Raises ``NoWay`` naming the rule in the way.
        """
        track = self._around(self._frame.to_local(start), self._frame.to_local(end))
        stations, along = _sampled(track)
        ground = self._region.terrain.height_m(along[:, 0], along[:, 1])
        # The ends are the sites' own: a pad may stand above the terrain model.
        ground[0], ground[-1] = max(ground[0], start.alt_amsl_m), max(ground[-1], end.alt_amsl_m)
        if stations[-1] == 0.0:
            ground[:] = ground.max()
        # Each station counts for its neighbours too, so that the band also holds between stations.
        padded = np.pad(ground, 1, mode="edge")
        around = np.stack((padded[:-2], ground, padded[2:]))
        low = around.max(axis=0) + MIN_CLEARANCE_M + BAND_MARGIN_M
        high = around.min(axis=0) + CEILING_AGL_M - BAND_MARGIN_M
        profile = _altitudes(stations, low, high)
        turns = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(track, axis=0).T))))
        at = np.union1d(np.round(turns, 6), np.round(_stepped(profile), 6))
        if len(at) == 1:  # from a place to itself: still a start and an end
            at = np.repeat(at, 2)
        east = np.interp(at, turns, track[:, 0])
        north = np.interp(at, turns, track[:, 1])
        altitude = np.interp(at, [s for s, _ in profile], [a for _, a in profile])
        return tuple(
            self._frame.to_global(float(e), float(n), round(float(a), 2))
            for e, n, a in zip(east, north, altitude, strict=True)
        )

    def _visible(self, point: _Point) -> list[tuple[int, float]]:
        """Corners that a straight flight from ``point`` reaches, with their distances."""
        if not len(self._corners):
            return []
        starts = np.broadcast_to(np.array(point), self._corners.shape)
        lines = shapely.linestrings(np.stack((starts, self._corners), axis=1))
        free = ~shapely.intersects(self._areas, lines)
        lengths = np.hypot(*(self._corners - np.array(point)).T)
        return [(int(i), float(lengths[i])) for i in np.flatnonzero(free) if lengths[i] > 0]

    def _around(self, start: _Point, end: _Point) -> _Array:
        """Shortest polyline in the local frame that meets no area (shortest path in the visibility graph)."""
        for point, what in ((start, "start"), (end, "destination")):
            if shapely.intersects_xy(self._areas, *point):
                raise NoWay(f"the {what} lies in a no-fly zone or within {ZONE_MARGIN_M:.0f} m of one")
        if not shapely.intersects(self._areas, shapely.LineString([start, end])):
            return np.array([start, end])
        to_end = dict(self._visible(end))
        best: dict[int, float] = {}
        came_from: dict[int, int] = {}
        queue = [(length, corner, -1) for corner, length in self._visible(start)]
        heapq.heapify(queue)
        target = len(self._corners)
        while queue:
            length, corner, previous = heapq.heappop(queue)
            if corner in best:
                continue
            best[corner], came_from[corner] = length, previous
            if corner == target:
                return np.array([start, *self._corners[_backwards(came_from, target)], end])
            for other, step in self._between[corner]:
                if other not in best:
                    heapq.heappush(queue, (length + step, other, corner))
            if corner in to_end:
                heapq.heappush(queue, (length + to_end[corner], target, corner))
        raise NoWay("no-fly zones close every way")


def _backwards(came_from: dict[int, int], target: int) -> list[int]:
    corners = []
    corner = came_from[target]
    while corner >= 0:
        corners.append(corner)
        corner = came_from[corner]
    return corners[::-1]


def _sampled(track: _Array) -> tuple[_Array, _Array]:
    """Stations (metres from the start) and points along a polyline, at most ``SAMPLE_M`` apart."""
    turns = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(track, axis=0).T))))
    count = max(2, math.ceil(turns[-1] / SAMPLE_M) + 1)
    stations = np.linspace(0.0, turns[-1], count)
    along = np.stack((np.interp(stations, turns, track[:, 0]), np.interp(stations, turns, track[:, 1])), axis=1)
    return stations, along


def _stepped(profile: list[tuple[float, float]]) -> list[float]:
    """Stations of the bends, and of waypoints between them where the line climbs or descends."""
    stations = [profile[0][0]]
    for (station, altitude), (next_station, next_altitude) in itertools.pairwise(profile):
        count = max(1, math.ceil(abs(next_altitude - altitude) / STEP_UP_M))
        stations += [station + (next_station - station) * i / count for i in range(1, count + 1)]
    return stations


def _altitudes(stations: _Array, low: _Array, high: _Array) -> list[tuple[float, float]]:
    """``(station, altitude)`` of a line within the band: level if it can be, else with few bends.

    Greedy: from each bend the farthest station is taken that one straight line reaches inside the band,
    which is the least number of bends for the start chosen (a link path in a monotone corridor).
    """
    if (low > high).any():
        raise NoWay(
            f"the terrain is too steep for the height band of {MIN_CLEARANCE_M:.0f} to "
            f"{CEILING_AGL_M:.0f} m above ground"
        )
    if low.max() <= high.min():
        return [(float(stations[0]), float(low.max())), (float(stations[-1]), float(low.max()))]
    last = len(stations) - 1
    at, altitude = 0, float(low[0])
    bends = [(float(stations[0]), altitude)]
    while at < last:
        ahead = stations[at + 1 :] - stations[at]
        steepest_down = np.maximum.accumulate((low[at + 1 :] - altitude) / ahead)
        steepest_up = np.minimum.accumulate((high[at + 1 :] - altitude) / ahead)
        reach = int(np.count_nonzero(steepest_down <= steepest_up))
        bottom = altitude + steepest_down[reach - 1] * ahead[reach - 1]
        top = altitude + steepest_up[reach - 1] * ahead[reach - 1]
        at += reach
        # At the end as low as can be, for the descent is slow; between, the middle leaves room both ways.
        altitude = float(bottom if at == last else (bottom + top) / 2.0)
        bends.append((float(stations[at]), altitude))
    return bends

"""Flight paths between two places: around zones and tall obstacles, over terrain and low ones, in the height band."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import shapely

from routing.airspace import CEILING_AGL_M, MIN_CLEARANCE_M, OBSTACLE_OVER_M, ZONE_MARGIN_M, zone_areas
from routing.errors import NoWay
from routing.flight_routes import FlightRoutes, climb_and_cruise_s
from routing.geo import Position
from routing.obstacle_floor import ObstacleFloor
from routing.region.model import Region

BAND_MARGIN_M = 5.0
"""Planned paths stay this far inside the height band, so that a vehicle's height error does not leave it."""

EXTRA_M = 5.0
"""Planned paths stay this much farther from zones and obstacles than the rule."""

SAMPLE_M = 5.0
"""Spacing at which the terrain is read along a path; less than a grid step of any terrain model in use."""

STEP_UP_M = 10.0
"""Greatest difference in height between waypoints of a sloping line. Autopilots differ in where between
two waypoints they climb; with short steps it hardly matters."""

SECTIONS = (6, 1)
"""Samples on both sides for which a least and a greatest altitude hold: the first is quicker and gives lines with
fewer bends, the second passes steeper slopes."""

SIMPLER_M = 12.0
"""A line may be so much higher than the one with the least climbing, to have fewer bends: each is a waypoint."""

_Array = npt.NDArray[np.float64]


class FlightPaths:
    """Plans flight paths in one region. Ways around and through valleys are worked out once for each pair."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._frame = region.frame
        self._obstacles = ObstacleFloor(region, extra_m=EXTRA_M)
        margin = ZONE_MARGIN_M + EXTRA_M
        self._zones = shapely.union_all(zone_areas(region, margin))
        shapely.prepare(self._zones)
        # Corners lie a little outside the areas, so that a path along a side does not touch it.
        outer = [*zone_areas(region, margin + 1.0), *shapely.buffer(self._obstacles.blocked, 1.0, join_style="mitre")]
        self._routes = FlightRoutes(
            region.terrain, [*zone_areas(region, margin), *self._obstacles.blocked], corners_of=outer
        )
        self._tracks: dict[tuple[Position, Position], list[_Array] | NoWay] = {}

    def path(
        self,
        start: Position,
        end: Position,
        *,
        layer_m: float = 0.0,
        anchors: tuple[Position, Position] | None = None,
    ) -> tuple[Position, ...]:
        """Return points AMSL at flight altitude from above ``start`` to above ``end``.

        Of the shortest way and the ways that keep to low ground, the one that takes least time and climbing, with
        the least climbing that the height band allows; ``layer_m`` higher than that where there is room for it.
        ``anchors`` are places near the two (other pads of the same sites) whose way serves these too, if it can.
        Raises ``NoWay`` naming the rule in the way.
        """
        ends = (self._frame.to_local(start), self._frame.to_local(end))
        for place, what in zip(ends, ("start", "destination"), strict=True):
            self._check_end(place, what)
        tracks = [np.array([ends[0], *track[1:-1], ends[1]]) for track in self._between(*(anchors or (start, end)))]
        if anchors is not None and not all(self._routes.free(track) for track in tracks):
            tracks = self._between(start, end)
        best: tuple[float, _Array, list[tuple[float, float]]] | None = None
        reason: NoWay | None = None
        for track in tracks:
            try:
                profile = self._profile(track, start, end, layer_m)
            except NoWay as error:
                reason = reason or error
                continue
            cost = climb_and_cruise_s(np.array([s for s, _ in profile]), np.array([a for _, a in profile]))
            if best is None or cost < best[0]:
                best = (cost, track, profile)
        if best is None:
            assert reason is not None
            raise reason
        return self._waypoints(best[1], best[2])

    def _between(self, start: Position, end: Position) -> list[_Array]:
        """Tracks in the local frame to choose from; the same ones backwards for the way back."""
        if (end, start) in self._tracks:
            found = self._tracks[(end, start)]
            return [track[::-1] for track in _or_raise(found)]
        if (start, end) not in self._tracks:
            try:
                tracks = self._routes.tracks(self._frame.to_local(start), self._frame.to_local(end))
                self._tracks[(start, end)] = tracks
            except NoWay as error:
                self._tracks[(start, end)] = error
        return _or_raise(self._tracks[(start, end)])

    def _check_end(self, place: tuple[float, float], what: str) -> None:
        if shapely.intersects_xy(self._zones, *place):
            raise NoWay(f"the {what} lies in a no-fly zone or within {ZONE_MARGIN_M:.0f} m of one")
        if self._obstacles.standing_near(*place):
            raise NoWay(f"the {what} is too near to an obstacle, a power line or a mast")

    def _profile(self, track: _Array, start: Position, end: Position, layer_m: float) -> list[tuple[float, float]]:
        stations, along = _sampled(track)
        ground = self._region.terrain.height_m(along[:, 0], along[:, 1])
        # The ends are the sites' own: a pad may stand above the terrain model.
        ground[0], ground[-1] = max(ground[0], start.alt_amsl_m), max(ground[-1], end.alt_amsl_m)
        low = self._obstacles.raised(ground + MIN_CLEARANCE_M + BAND_MARGIN_M, along)
        high = ground + CEILING_AGL_M - BAND_MARGIN_M
        if stations[-1] == 0.0:  # from a place to itself
            return [(0.0, float(low.max() + layer_m))]
        for section in SECTIONS:
            lows, highs = _sections(low, high, section)
            if (lows <= highs).all():
                lows = np.maximum(lows, np.minimum(lows + layer_m, highs - BAND_MARGIN_M))
                # Between samples so far apart the band of either holds.
                chosen = np.union1d(np.arange(0, len(stations), section), len(stations) - 1)
                return _simpler(stations[chosen], lows[chosen], highs[chosen])
        if (low > high).any():
            raise NoWay(f"an obstacle is too tall to be flown over with {OBSTACLE_OVER_M:.0f} m to spare")
        raise NoWay(
            f"the terrain is too steep for the height band of {MIN_CLEARANCE_M:.0f} to "
            f"{CEILING_AGL_M:.0f} m above ground"
        )

    def _waypoints(self, track: _Array, profile: list[tuple[float, float]]) -> tuple[Position, ...]:
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


def _or_raise(found: list[_Array] | NoWay) -> list[_Array]:
    if isinstance(found, NoWay):
        raise found
    return found


def _sampled(track: _Array) -> tuple[_Array, _Array]:
    """Stations (metres from the start) and points along a polyline, at most ``SAMPLE_M`` apart."""
    turns = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(track, axis=0).T))))
    count = max(2, math.ceil(turns[-1] / SAMPLE_M) + 1)
    stations = np.linspace(0.0, turns[-1], count)
    along = np.stack((np.interp(stations, turns, track[:, 0]), np.interp(stations, turns, track[:, 1])), axis=1)
    return stations, along


def _sections(low: _Array, high: _Array, count: int) -> tuple[_Array, _Array]:
    """The band at each station, holding for ``count`` stations on both sides, so that it holds between them too."""

    def spread(values: _Array) -> _Array:
        padded = np.pad(values, count, mode="edge")
        return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * count + 1).max(axis=1))

    return spread(low), -spread(-high)


def _stepped(profile: list[tuple[float, float]]) -> list[float]:
    """Stations of the bends, and of waypoints between them where the line climbs or descends."""
    stations = [profile[0][0]]
    for (station, altitude), (next_station, next_altitude) in itertools.pairwise(profile):
        count = max(1, math.ceil(abs(next_altitude - altitude) / STEP_UP_M))
        stations += [station + (next_station - station) * i / count for i in range(1, count + 1)]
    return stations


def _simpler(stations: _Array, low: _Array, high: _Array) -> list[tuple[float, float]]:
    """A line with few bends, at most ``SIMPLER_M`` above the one with the least climbing.

    Greedy: from each bend the farthest station is taken that one straight line reaches, which is the least number
    of bends for the start chosen (a link path in a monotone corridor).
    """
    taut = _taut(stations, low, high)
    lowest = np.interp(stations, [s for s, _ in taut], [a for _, a in taut])
    # Rounding must not put a bend of the taut line outside.
    low, high = np.minimum(low, lowest), np.maximum(lowest, np.minimum(high, lowest + SIMPLER_M))
    last = len(stations) - 1
    at, altitude = 0, float(lowest[0])
    bends = [(float(stations[0]), altitude)]
    while at < last:
        ahead = stations[at + 1 :] - stations[at]
        least = np.maximum.accumulate((low[at + 1 :] - altitude) / ahead)
        most = np.minimum.accumulate((high[at + 1 :] - altitude) / ahead)
        reach = max(1, int(np.count_nonzero(least <= most)))
        bottom = altitude + least[reach - 1] * ahead[reach - 1]
        top = altitude + most[reach - 1] * ahead[reach - 1]
        at += reach
        # At the end as low as can be, for the descent is slow; between, the middle leaves room both ways.
        altitude = float(bottom if at == last else (bottom + top) / 2.0)
        bends.append((float(stations[at]), altitude))
    return bends


def _taut(stations: _Array, low: _Array, high: _Array) -> list[tuple[float, float]]:
    """``(station, altitude)`` of the string pulled taut within the band, from its lowest start to its lowest end.

    The shortest line in a corridor is also the one with the least climbing. From each bend it goes straight
    until a lower bound would lie above an upper one, and bends at the one that came first (Lee and Preparata 1984,
    for a corridor that is monotone).
    """
    high = high.copy()
    high[-1] = low[-1]
    last = len(stations) - 1
    at, altitude = 0, float(low[0])
    bends = [(float(stations[0]), altitude)]
    while at < last:
        ahead = stations[at + 1 :] - stations[at]
        bottoms, tops = (low[at + 1 :] - altitude) / ahead, (high[at + 1 :] - altitude) / ahead
        least, most = np.maximum.accumulate(bottoms), np.minimum.accumulate(tops)
        crossed = np.flatnonzero(least > most)
        if not len(crossed):
            bends.append((float(stations[-1]), float(low[-1])))
            break
        first = int(crossed[0])
        from_below = bottoms[first] > most[first - 1]
        step = int(np.argmin(tops[:first])) if from_below else int(np.argmax(bottoms[:first]))
        at += step + 1
        altitude = float(high[at] if from_below else low[at])
        bends.append((float(stations[at]), altitude))
    return bends

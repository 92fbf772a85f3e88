"""Flight paths between two places: around zones and tall obstacles, over terrain and low ones, in the height band."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import shapely

from routing.airspace import (
    CEILING_AGL_M,
    MIN_CLEARANCE_M,
    OBSTACLE_OVER_M,
    TREES_OVER_M,
    all_zones,
    applies,
    changes,
)
from routing.cells import Floats
from routing.closures import BAND_MARGIN_M, EXTRA_M, Airspace, Use
from routing.errors import NoWay
from routing.flight_routes import FlightRoutes, Track, on_terrain
from routing.geo import Position
from routing.ground_risk import column, cost_shares, population_of
from routing.height_band import (
    FLOWN,
    NO_RADIO,
    SAMPLE_M,
    TOO_TALL,
    TREES,
    ZONE_LIMITS,
    Band,
    Link,
    bands,
    fly_tracks,
    grid_of,
    limits_of,
)
from routing.lanes import check_lanes, on_lane
from routing.obstacle_floor import ObstacleFloor
from routing.permits import permits_for
from routing.problem import FleetVehicle, Permit, Policy
from routing.radio import longest_gap_m
from routing.region.model import Layer, Region, Restriction, Zone
from routing.vehicle_type import VehicleType

Span = tuple[datetime, datetime]
Path = tuple[Position, ...]
Pair = tuple[Position, Position]

_LIKELY = 1.1
"""A track that looks by so much more costly than another is flown along only where that one cannot be: of 100 such,
fewer than one were the better."""

_CHUNK = 256
"""Pairs that one thread works on at a time."""

_STEEP = f"the terrain is too steep for the height band of {MIN_CLEARANCE_M:.0f} to {CEILING_AGL_M:.0f} m above ground"
ONE_WAY = 100
"""What comes of a track, besides those of ``height_band``."""

_REASONS = {
    ONE_WAY: "a zone may be flown along its lane only, which is one-way",
    TOO_TALL: f"an obstacle is too tall to be flown over with {OBSTACLE_OVER_M:.0f} m to spare",
    ZONE_LIMITS: "zones, permits and obstacles leave no height between ground and ceiling to fly at",
    TREES: f"trees, with {TREES_OVER_M:.0f} m to spare, and the terrain's error leave no height below the ceiling",
    NO_RADIO: "there is no radio link for longer than the vehicle may fly without",
}


_OUTSIDE = "lies outside the region's terrain"
_NEAR_OBSTACLE = "is too near to an obstacle, a power line or a mast"

Result = tuple[Floats | NoWay, int]
"""A line, or why there is none, and what came of its tracks; ``FLOWN`` too where closed areas leave none."""

Run = Callable[..., Iterator[Any]]
"""``map``, or that of a pool."""


class FlightPaths:
    """Plans flight paths in one region. Ways around and through valleys are worked out once for each pair."""

    def __init__(
        self,
        region: Region,
        *,
        zones: Sequence[Zone] = (),
        permits: Sequence[Permit] = (),
        policy: Policy | None = None,
    ) -> None:
        """``zones`` are added to the region's; what ``policy`` demands of flights is kept.

        Raises ``BadInput`` naming a zone, permit or lane section that cannot be, or where ``policy`` limits the ground
        risk in a region without population.
        """
        check_lanes(region.lanes)
        self._region = region
        self._policy = policy or Policy()
        self._zones = all_zones(region, zones)
        self._permits = tuple(permits)
        if self._policy.ground_risk is not None:
            population_of(region)
        self._obstacles = ObstacleFloor(region, extra_m=EXTRA_M)
        self._airspace = Airspace(
            region, self._zones, self._permits, self._obstacles.areas, permit_required=self._policy.permit_required
        )
        origin = region.frame.origin
        self._degree = region.frame.to_local(Position(origin.lat + 1.0, origin.lon + 1.0))
        self._spaces: dict[Use, _Space] = {}
        self._space(self._use(None, None))

    def path(
        self,
        start: Position,
        end: Position,
        *,
        layer_m: float = 0.0,
        anchors: Pair | None = None,
        vehicle: FleetVehicle | VehicleType | None = None,
        during: Span | None = None,
    ) -> Path:
        """Return points AMSL at flight altitude from above ``start`` to above ``end``.

        Of the shortest way and the ways that keep to low ground, the one that takes least time and climbing, with
        the least climbing that the height band allows; ``layer_m`` higher than that where there is room for it.
        ``anchors`` are places near the two (other pads of the same sites) whose way serves these too, if it can.
        ``vehicle``: its permits, lost-link time and ground risk count; without one, no radio link is asked for, and
        people below do not matter. ``during``: only zones that apply then are closed, and permits must hold all the
        time; without it, all zones are, and only permits without hours count.
        Raises ``NoWay`` naming the rule in the way.
        """
        (found,) = self.paths([(start, end)], layers_m=[layer_m], anchors=[anchors], vehicle=vehicle, during=during)
        if isinstance(found, NoWay):
            raise found
        return found

    def paths(
        self,
        pairs: Sequence[Pair],
        *,
        layers_m: Sequence[float] | None = None,
        anchors: Sequence[Pair | None] | None = None,
        vehicle: FleetVehicle | VehicleType | None = None,
        during: Span | None = None,
        workers: int | None = None,
    ) -> list[Path | NoWay]:
        """Return a path for each pair, as ``path`` would, or why there is none; all at once is much faster.

        ``workers``: threads to use (``None``: one for each core); the paths do not depend on it.
        """
        found = self.lines(pairs, layers_m=layers_m, anchors=anchors, vehicle=vehicle, during=during, workers=workers)
        return [line if isinstance(line, NoWay) else self.positions(line) for line in found]

    def lines(
        self,
        pairs: Sequence[Pair],
        *,
        layers_m: Sequence[float] | None = None,
        anchors: Sequence[Pair | None] | None = None,
        vehicle: FleetVehicle | VehicleType | None = None,
        during: Span | None = None,
        workers: int | None = None,
    ) -> list[Floats | NoWay]:
        """Return paths as ``paths`` does, each as rows of (east m, north m, altitude AMSL m) in the region's frame."""
        use = self._use(vehicle, during)
        layers = np.zeros(len(pairs)) if layers_m is None else np.asarray(layers_m, dtype=np.float64)
        given = list(anchors) if anchors is not None else [None] * len(pairs)
        unknown = NoWay("it was not looked for")
        found: list[Floats | NoWay] = [unknown] * len(pairs)
        left = {use: list(range(len(pairs)))} if pairs else {}
        while left:
            one, which = left.popitem()
            space = self._space(one)
            came = space.lines([pairs[i] for i in which], layers[which], [given[i] for i in which], workers)
            retry: dict[Use, list[int]] = {}
            for i, (result, reason) in zip(which, came, strict=True):
                # What stood in the way at first is worth knowing, not that there is no way around it either.
                if found[i] is unknown or not isinstance(result, NoWay):
                    found[i] = result
                other = space.detour(one, reason)
                if other is not None and other != one:
                    retry.setdefault(other, []).append(i)
            for other, again in retry.items():
                left[other] = [*left.get(other, ()), *again]
        return found

    def positions(self, line: Floats) -> Path:
        """Return the positions of a line of ``lines``."""
        origin = self._region.frame.origin
        lat = origin.lat + line[:, 1] / self._degree[1]
        lon = origin.lon + line[:, 0] / self._degree[0]
        return tuple(map(Position, lat.tolist(), lon.tolist(), line[:, 2].tolist()))

    def eras(self, begin: datetime, end: datetime) -> tuple[Span, ...]:
        """Split a time where zones begin or cease to apply: within each part, the same ones apply all the time."""
        moments = [begin, *changes(self._zones, begin, end), end]
        return tuple((a, b) for a, b in itertools.pairwise(moments) if a < b) or ((begin, end),)

    def band_amsl(
        self,
        east_m: Floats,
        north_m: Floats,
        *,
        vehicle: FleetVehicle | VehicleType | None = None,
        during: Span | None = None,
    ) -> tuple[Floats, Floats]:
        """The least and greatest altitude AMSL of a flight over places of the local frame, with planning's margins.

        Where nothing may fly the least is infinite.
        """
        return self._space(self._use(vehicle, during)).band_amsl(east_m, north_m)

    def _use(self, vehicle: FleetVehicle | VehicleType | None, during: Span | None) -> Use:
        zones = tuple(
            i
            for i, zone in enumerate(self._zones)
            if zone.restriction is not Restriction.NONE and (during is None or applies(zone, *during))
        )
        permits = permits_for(self._permits, vehicle, during) if self._permits else ()
        kind = vehicle.type if isinstance(vehicle, FleetVehicle) else vehicle
        if kind is None:
            return Use(zones, permits)
        at, limit = column(kind), self._policy.ground_risk
        asked = self._policy.radio and self._region.radio is not None
        return Use(
            zones,
            permits,
            risk=None if limit is None else (-1 if at is None else at, limit),
            weigh_people=self._region.population is not None,
            gap_m=longest_gap_m(kind) if asked else None,
        )

    def _space(self, use: Use) -> _Space:
        if use not in self._spaces:
            self._spaces[use] = _Space(self._region, self._airspace, self._obstacles, use)
        return self._spaces[use]


class _Space:
    """The airspace of one use, and the tracks found in it."""

    def __init__(self, region: Region, airspace: Airspace, obstacles: ObstacleFloor, use: Use) -> None:
        self._region, self._frame, self._obstacles = region, region.frame, obstacles
        self._closures = airspace.closures(use)
        self._ends = [*self._closures.closed, *self._closures.ends]
        for _, area in self._ends:
            shapely.prepare(area)
        guided = [area for area in self._closures.one_way if not shapely.is_empty(area)]
        self._one_way = shapely.union_all(guided) if guided and not use.past_one_way else None
        low = obstacles.areas if use.past_limits > 1 else obstacles.blocked
        closed = [area for _, area in self._closures.closed]
        self._routes = FlightRoutes(region, [*closed, *low], extra=cost_shares(region) if use.weigh_people else None)
        self._band = Band(
            grid_of(region.terrain),
            grid_of(region.canopy),
            float(region.terrain.error_m),
            MIN_CLEARANCE_M + BAND_MARGIN_M,
            TREES_OVER_M + BAND_MARGIN_M,
            CEILING_AGL_M - BAND_MARGIN_M,
            limits_of(obstacles.pieces, obstacles.radius_m, obstacles.floor_m, self._closures.limits),
        )
        radio: Layer | None = region.radio if use.gap_m is not None else None
        # Two samples less: where a gap begins and ends between them is not known.
        self._link = Link(grid_of(radio), max(0.0, (use.gap_m or 0.0) - 2 * SAMPLE_M), BAND_MARGIN_M)
        self._degree = self._frame.to_local(Position(self._frame.origin.lat + 1.0, self._frame.origin.lon + 1.0))
        self._tracks: dict[Pair, list[Track] | NoWay] = {}

    def detour(self, use: Use, reason: int) -> Use | None:
        """The use under which a way that failed may be there after all: around what is in its way, not over it."""
        if reason == FLOWN:
            return None
        if reason == NO_RADIO:
            return replace(use, past_shadows=True)
        if reason == ONE_WAY:
            return replace(use, past_one_way=True)
        passed = self._closures.limits or len(self._obstacles.pieces)
        return replace(use, past_limits=use.past_limits + 1) if passed and use.past_limits < 2 else None

    def band_amsl(self, east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
        places = np.stack(np.broadcast_arrays(east_m, north_m), axis=-1).reshape(-1, 2).astype(np.float64)
        low, high = bands(self._band, places)
        low[~self._routes.open(places)] = math.inf
        return low, high

    def lines(
        self, pairs: Sequence[Pair], layers_m: Floats, anchors: Sequence[Pair | None], workers: int | None
    ) -> list[Result]:
        """Lines, or why there are none, and what came of their tracks."""
        count = workers or os.cpu_count() or 1
        if len(pairs) <= _CHUNK or count == 1:
            return self._lines(pairs, layers_m, anchors, map, 1)
        with ThreadPoolExecutor(count) as pool:
            return self._lines(pairs, layers_m, anchors, pool.map, count)

    def _lines(
        self, pairs: Sequence[Pair], layers_m: Floats, anchors: Sequence[Pair | None], run: Run, workers: int
    ) -> list[Result]:
        starts, ends = self._local([start for start, _ in pairs]), self._local([end for _, end in pairs])
        found: list[Result | None] = self._refused(starts, ends)
        left = [i for i, refused in enumerate(found) if refused is None]
        tracks = self._between([anchors[i] or pairs[i] for i in left], run, workers)
        tracks = [_from_to(each, starts[i], ends[i]) for i, each in zip(left, tracks, strict=True)]
        tracks = self._own_where_blocked(pairs, left, anchors, tracks, run, workers)
        for i, each in zip(left, tracks, strict=True):
            if isinstance(each, NoWay):
                found[i] = (each, FLOWN)
        flown = [(i, each) for i, each in zip(left, tracks, strict=True) if not isinstance(each, NoWay)]
        parts = [flown[k : k + _CHUNK] for k in range(0, len(flown), _CHUNK)]
        for part, results in zip(parts, run(lambda part: self._flown(part, pairs, layers_m), parts), strict=True):
            for (i, _), result in zip(part, results, strict=True):
                found[i] = (NoWay(_REASONS[ONE_WAY]), ONE_WAY) if self._against_lane(result[0]) else result
        return [each for each in found if each is not None]

    def _against_lane(self, line: Floats | NoWay) -> bool:
        """Whether a line leads through a zone for lanes only against the direction of its lane."""
        if self._one_way is None or isinstance(line, NoWay):
            return False
        track = shapely.segmentize(shapely.LineString(line[:, :2]), 2 * SAMPLE_M)
        if not shapely.intersects(self._one_way, track):
            return False
        along = shapely.get_coordinates(track)
        on = on_lane(self._region.lanes, self._frame, along, 0.0)
        return bool((~on & shapely.intersects_xy(self._one_way, along)).any())

    def _refused(self, starts: Floats, ends: Floats) -> list[Result | None]:
        """Why pairs cannot be flown between for what lies around their ends."""
        found: list[Result | None] = [None] * len(starts)
        for places, what in ((ends, "destination"), (starts, "start")):
            reasons = [(reason, shapely.intersects_xy(area, places)) for reason, area in self._ends]
            reasons.append((_NEAR_OBSTACLE, self._obstacles.standing_near(places)))
            reasons.append((_OUTSIDE, ~on_terrain(self._region.terrain, places)))
            for reason, there in reversed(reasons):
                for i in np.flatnonzero(there):
                    found[i] = (NoWay(f"the {what} {reason}"), FLOWN)
        return found

    def _own_where_blocked(
        self,
        pairs: Sequence[Pair],
        left: Sequence[int],
        anchors: Sequence[Pair | None],
        tracks: list[list[Track] | NoWay],
        run: Run,
        workers: int,
    ) -> list[list[Track] | NoWay]:
        """Tracks of the pairs' own where those of their anchors do not serve them."""
        with_anchor = [k for k, i in enumerate(left) if anchors[i] is not None]
        there = [(k, track) for k in with_anchor if isinstance(each := tracks[k], list) for track in each]
        free = self._routes.free([track.points for _, track in there])
        blocked = {k for (k, _), is_free in zip(there, free, strict=True) if not is_free}
        blocked.update(k for k in with_anchor if isinstance(tracks[k], NoWay))
        again = sorted(blocked)
        for k, own in zip(again, self._between([pairs[left[k]] for k in again], run, workers), strict=True):
            tracks[k] = own
        return tracks

    def _between(self, keys: Sequence[Pair], run: Run, workers: int) -> list[list[Track] | NoWay]:
        """Tracks in the local frame to choose from; the same ones backwards for the way back."""
        missing: dict[Pair, None] = {}
        for start, end in keys:
            back = (end, start) in self._tracks or (end, start) in missing
            if (start, end) not in self._tracks and not (back and self._routes.both_ways):
                missing[(start, end)] = None
        new = list(missing)
        self._routes.prepare(len(new), run, workers)
        starts, ends = self._local([start for start, _ in new]), self._local([end for _, end in new])
        parts = [slice(k, k + _CHUNK) for k in range(0, len(new), _CHUNK)]
        for part, found in zip(
            parts, run(lambda part: self._routes.tracks(starts[part], ends[part]), parts), strict=True
        ):
            self._tracks.update(zip(new[part], found, strict=True))
        return [self._known(start, end) for start, end in keys]

    def _known(self, start: Position, end: Position) -> list[Track] | NoWay:
        found = self._tracks.get((start, end))
        if found is None:
            found = self._tracks[(end, start)]
            if isinstance(found, list):
                found = [track._replace(points=np.ascontiguousarray(track.points[::-1])) for track in found]
        return found

    def _flown(self, part: Sequence[tuple[int, list[Track]]], pairs: Sequence[Pair], layers_m: Floats) -> list[Result]:
        """The best of the flights along the tracks of each pair; those that look much worse are kept for need."""
        likely = [[t for t in tracks if t.guess_s <= _LIKELY * min(u.guess_s for u in tracks)] for _, tracks in part]
        found = self._best([i for i, _ in part], likely, pairs, layers_m)
        for k, ((i, tracks), (line, _)) in enumerate(zip(part, found, strict=True)):
            if isinstance(line, NoWay) and len(tracks) > len(likely[k]):
                (found[k],) = self._best([i], [tracks], pairs, layers_m)
        return found

    def _best(
        self, numbers: Sequence[int], tracks: Sequence[list[Track]], pairs: Sequence[Pair], layers_m: Floats
    ) -> list[Result]:
        of = np.repeat(numbers, [len(each) for each in tracks])
        every = [track for each in tracks for track in each]
        first = np.cumsum([0, *(len(track.points) for track in every)])
        points = np.concatenate([track.points for track in every])
        ends_m = np.array([(pairs[i][0].alt_amsl_m, pairs[i][1].alt_amsl_m) for i in of])
        came, waypoints, begins = fly_tracks(self._band, self._link, points, first, ends_m, layers_m[of])
        costs = self._routes.costs_s(waypoints, begins) - [track.bonus_s for track in every]
        costs[came != FLOWN] = math.inf
        found: list[Result] = []
        for begin, end in itertools.pairwise(np.cumsum([0, *(len(each) for each in tracks)])):
            best = int(begin + np.argmin(costs[begin:end]))
            if came[best] == FLOWN:
                found.append((waypoints[begins[best] : begins[best + 1]], FLOWN))
            else:
                reason = int(came[begin])
                found.append((NoWay(_REASONS.get(reason, _STEEP)), reason))
        return found

    def _local(self, places: Sequence[Position]) -> Floats:
        """Rows of (x, y): frames are linear in degrees."""
        east_m, north_m = self._degree
        origin = self._frame.origin
        degrees = np.array([(place.lon, place.lat) for place in places], dtype=np.float64).reshape(-1, 2)
        return np.asarray((degrees - (origin.lon, origin.lat)) * (east_m, north_m))


def _from_to(tracks: list[Track] | NoWay, start: Floats, end: Floats) -> list[Track] | NoWay:
    """Tracks with other ends."""
    if isinstance(tracks, NoWay):
        return tracks
    return [track._replace(points=np.concatenate((start[None], track.points[1:-1], end[None]))) for track in tracks]

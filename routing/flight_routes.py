"""Tracks over the map to choose a flight path from: around closed areas, straight, or keeping to low ground."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import shapely

from routing.cells import Floats, Ints
from routing.errors import NoWay
from routing.lane_graph import along, joins, lane_graph
from routing.lanes import lane_lines, with_points
from routing.low_ground import CRUISE_MPS, Ground, LowGround, ground_of, level_s, weigh, weigh_flights
from routing.region.model import Region, Terrain
from routing.sight import (
    CORNER_OFF_M,
    UNKNOWN,
    Bools,
    Links,
    clear,
    edges_of,
    linked,
    links_of,
    nodes_of,
    shortest,
)

WORTH_IT = 1.03
"""A straight way that costs at most this much more than over flat ground is taken without a search."""

_NO_WAY = "no-fly zones and obstacles close every way"
_PAIRS_PER_NODE = 0.25
"""From so many ways looked for to one node on, the graph of what is in sight is made once for all of them."""


def on_terrain(terrain: Terrain, places: Floats) -> Bools:
    """Whether places, rows of (x, y), lie on the terrain, to a metre."""
    low, high = (terrain.west_m - 1.0, terrain.south_m - 1.0), (terrain.east_m + 1.0, terrain.north_m + 1.0)
    return np.asarray(((places >= low) & (places <= high)).all(axis=1))


class Track(NamedTuple):
    """A track over the map, how much less than its time it costs because it goes along lanes, and what a flight along
    it may cost in all, from the ground under it, in seconds."""

    points: Floats
    bonus_s: float
    guess_s: float


def _length_m(track: Floats) -> float:
    return float(np.hypot(*np.diff(track, axis=0).T).sum())


class FlightRoutes:
    """Finds tracks in the local frame that meet no closed area."""

    def __init__(self, region: Region, areas: Sequence[shapely.Geometry], *, extra: Floats | None = None) -> None:
        """``extra``: on the terrain's grid, by how much more a second of flight costs there."""
        self._terrain = region.terrain
        self._ground: Ground = ground_of(region.terrain, extra)
        self._areas = shapely.union_all(np.array(areas, dtype=object))
        shapely.prepare(self._areas)
        self._outer = shapely.buffer(self._areas, CORNER_OFF_M, join_style="mitre")
        shapely.prepare(self._outer)
        self._edges = edges_of(self._areas)
        terrain = region.terrain
        # Nobody knows the ground beyond it; a straight line between places within leads through none.
        self._border = (terrain.west_m, terrain.south_m, terrain.east_m, terrain.north_m)
        self._nodes = nodes_of(self._outer, self._border)
        self._lanes = lane_graph(self._open_lanes(region))
        self.both_ways = not any(lane.one_way for lane in region.lanes)
        rings = shapely.get_rings(shapely.get_parts(shapely.orient_polygons(self._areas)))
        holes = np.asarray(shapely.polygons(rings[~shapely.is_ccw(rings)]), dtype=object)
        # Smaller ones lie in areas that lie in larger ones: the smallest that holds a place comes last.
        self._holes = holes[np.argsort(-shapely.area(holes), kind="stable")]
        self._links: Links = UNKNOWN
        self._asked = 0
        self._low: LowGround | None = None

    def _open_lanes(self, region: Region) -> list[tuple[Floats, bool]]:
        """The parts of lanes that no closed area meets, and whether they are one-way."""
        found: list[tuple[Floats, bool]] = []
        for lane, line in zip(region.lanes, map(with_points, lane_lines(region.lanes, region.frame)), strict=True):
            inside = shapely.intersects_xy(self._areas, line) | ~on_terrain(self._terrain, line)
            seen = clear(self._edges, np.concatenate((line[:-1], line[1:]), axis=1)) & ~inside[:-1] & ~inside[1:]
            parts = np.split(line, np.flatnonzero(~seen) + 1)
            found += [(part, lane.one_way) for part in parts if len(part) > 1]
        return found

    def open(self, places: Floats) -> Bools:
        """Whether places, rows of (x, y), lie in no closed area."""
        return np.asarray(~shapely.intersects_xy(self._areas, places))

    def free(self, tracks: Sequence[Floats]) -> Bools:
        """Whether tracks, whose ends lie in no closed area, meet none between them either."""
        if not tracks:
            return np.empty(0, dtype=bool)
        lines = np.concatenate([np.concatenate((track[:-1], track[1:]), axis=1) for track in tracks])
        first = np.cumsum([0, *(len(track) - 1 for track in tracks)])
        return np.asarray(np.logical_and.reduceat(clear(self._edges, lines), first[:-1]))

    def prepare(self, asked: int, run: Callable[..., Iterator[Any]], workers: int) -> None:
        """Get ready for so many ways more; ``run`` is ``map``, or that of a pool of so many workers."""
        self._asked += asked
        count = len(self._nodes.places)
        if self._low is None and asked > 1:
            self._low = LowGround(self._terrain, self._ground, self._areas, self._edges)
        if len(self._links.first) > 1 or self._asked < _PAIRS_PER_NODE * count:
            return
        # Earlier nodes have more after them: parts of like work, not of like length.
        bounds = (count * (1.0 - np.sqrt(np.linspace(1.0, 0.0, 4 * workers + 1)))).astype(int)
        parts = run(lambda begin, end: linked(self._edges, self._nodes, begin, end), bounds[:-1], bounds[1:])
        self._links = links_of(np.concatenate(list(parts)), count)

    def tracks(self, starts: Floats, ends: Floats) -> list[list[Track] | NoWay]:
        """For each pair of places, rows of (x, y), the shortest track, and one that keeps to low ground if it may be
        better; ``NoWay`` where closed areas leave none.
        """
        found: list[list[Track] | NoWay] = [NoWay(_NO_WAY) for _ in starts]
        there = self.open(starts) & self.open(ends) & (self._room(starts) == self._room(ends))
        reached = np.flatnonzero(there)
        begin, end = starts[reached], ends[reached]
        tracks, costs = self._shortest(begin, end)
        if len(self._lanes.places):
            self._along_lanes(begin, end, tracks, costs)
        lengths = np.array([0.0 if track is None else _length_m(track) for track in tracks])
        for pair, track, length, cost in zip(reached, tracks, lengths, costs, strict=True):
            if track is not None:
                found[pair] = [Track(track, float(length - cost) / CRUISE_MPS, 0.0)]
        some = np.isfinite(costs)
        self._add_lower(found, reached[some], lengths[some], starts, ends)
        return found

    def _shortest(self, starts: Floats, ends: Floats) -> tuple[list[Floats | None], Floats]:
        """The shortest tracks between places, ``None`` where there is none, and their lengths."""
        loose = [shapely.intersects_xy(self._outer, places) for places in (starts, ends)]
        nodes, first, costs = shortest(self._edges, self._nodes, self._links, starts, ends, *loose)
        inner = self._nodes.places[nodes]
        tracks = [
            np.concatenate((starts[i : i + 1], inner[first[i] : first[i + 1]], ends[i : i + 1]))
            if math.isfinite(costs[i])
            else None
            for i in range(len(starts))
        ]
        return tracks, costs

    def _along_lanes(self, starts: Floats, ends: Floats, tracks: list[Floats | None], costs: Floats) -> None:
        """Replace tracks and their costs by those along lanes that cost less."""
        points, least = joins(self._lanes, starts, ends)
        chosen = np.flatnonzero(least < costs - 1e-6)
        on, off = points[chosen].T
        joining, join_m = self._shortest(starts[chosen], self._lanes.places[on])
        leaving, leave_m = self._shortest(self._lanes.places[off], ends[chosen])
        totals = join_m + self._lanes.costs[on, off] + leave_m
        for k in np.flatnonzero(totals < costs[chosen] - 1e-6):
            first, last = joining[k], leaving[k]
            assert first is not None
            assert last is not None
            i = chosen[k]
            tracks[i] = np.concatenate((first[:-1], along(self._lanes, int(on[k]), int(off[k])), last[1:]))
            costs[i] = totals[k]

    def costs_s(self, points: Floats, first: Ints) -> Floats:
        """What flights along waypoints (x, y, altitude) cost."""
        return weigh_flights(self._ground, points, first)

    def _add_lower(
        self, found: list[list[Track] | NoWay], pairs: Ints, lengths: Floats, starts: Floats, ends: Floats
    ) -> None:
        """Add tracks that keep to low ground, for those pairs whose shortest one costs much more than its length."""
        if not len(pairs):
            return
        shortest_ = [tracks[0] for i in pairs if isinstance(tracks := found[i], list)]
        guesses = self._guesses([track.points for track in shortest_]) - [track.bonus_s for track in shortest_]
        wanted = guesses > WORTH_IT * level_s(self._ground, starts[pairs], ends[pairs], lengths)
        if not wanted.any():
            return
        if self._low is None:
            self._low = LowGround(self._terrain, self._ground, self._areas, self._edges)
        chosen = pairs[wanted]
        places, first = self._low.ways(starts[chosen], ends[chosen])
        there = np.flatnonzero(np.diff(first))
        low = [
            np.concatenate((starts[i : i + 1], places[first[k] : first[k + 1]], ends[i : i + 1]))
            for k, i in zip(there, chosen[there], strict=True)
        ]
        low_guesses = self._guesses(low) if low else np.empty(0)
        for track, guess, i, k in zip(low, low_guesses, chosen[there], np.flatnonzero(wanted)[there], strict=True):
            first_one = shortest_[k]._replace(guess_s=float(guesses[k]))
            found[i] = [first_one, Track(track, 0.0, float(guess))]

    def _guesses(self, tracks: Sequence[Floats]) -> Floats:
        lines = np.concatenate([np.concatenate((points[:-1], points[1:]), axis=1) for points in tracks])
        first = np.cumsum([0, *(len(points) - 1 for points in tracks)])
        return np.asarray(np.add.reduceat(weigh(self._ground, lines), first[:-1]))

    def _room(self, places: Floats) -> Ints:
        """In which hole of a closed area places lie, -1 outside of all: there is no way between two of them."""
        found = np.full(len(places), -1, dtype=np.int64)
        if len(self._holes):
            at, hole = shapely.STRtree(self._holes).query(shapely.points(places), predicate="within")
            np.maximum.at(found, at, hole)
        return found
